//! Densities written as text: parsed, checked, compiled to a program over a batch of rows, and differentiated in reverse mode.

mod densities;
mod density;
mod distributions;
mod elementary;
mod fault;
mod functions;
mod graph;
mod kernels;
mod lexer;
mod lower;
mod operations;
mod parameters;
mod parser;
mod products;
mod program;
mod reductions;
mod run;
mod syntax;

pub use density::{Datum, Expression};
