//! The report that people look at: one page that needs nothing but itself, from what a run's folder holds.

mod bars;
mod densities;
mod looks;
mod marginals;
mod markdown;
mod page;
mod pairs;
mod parameters;
mod style;
mod training;
mod weights;
mod words;
mod worst;

pub use looks::{Looks, Raster, Sample, Who};
pub use page::{first_picture, page};

use serde_json::Value;

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// `run.json`.
    pub record: &'a Value,
    /// `report.md`.
    pub markdown: &'a str,
    /// `metrics.jsonl`.
    pub metrics: &'a str,
    /// Draws and densities, where there are any.
    pub looks: Option<&'a Looks>,
}
