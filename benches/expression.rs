//! Written densities against the built-in ones.

fn main() {}
