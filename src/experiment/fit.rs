//! The front door: a density in, a sampler that is judged out.

use super::check::Plan;
use super::run::course_of;
use super::spec::Spec;
use super::stages::{Auto, Demand, Stages};
use super::watcher::Watcher;
use super::Record;
use crate::error::{Error, Result};
use crate::evaluate::certificate::{Certificate, Verdict};
use crate::evaluate::parameters::Parameter;
use crate::flow::{FrozenModel, Method, Model};
use crate::seed::Stream;
use crate::target::{Density, Lent};
use crate::train::{Observer, Progress};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A fit of `target` that decides by itself how it is done; see [`Fit::run`]. The same as an experiment that names a `target` and nothing
/// else.
///
/// ```
/// use flowdistill::target::Pointwise;
///
/// struct Mine;
///
/// impl Pointwise for Mine {
///     fn dim(&self) -> usize {
///         1
///     }
///
///     fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
///         if let Some(gradient) = gradient {
///             gradient[0] = 3.0 - x[0];
///         }
///         -0.5 * (x[0] - 3.0).powi(2)
///     }
/// }
///
/// # fn main() -> flowdistill::error::Result<()> {
/// let mut fitted = flowdistill::fit(&Mine).seed(1).run()?;
/// assert_eq!(fitted.verdict(), flowdistill::evaluate::certificate::Verdict::Trusted);
/// let (draws, log_density) = fitted.sample(1000);
/// assert_eq!((draws.len(), log_density.len()), (1000, 1000));
/// println!("{}", fitted.report());
/// # Ok(())
/// # }
/// ```
pub fn fit<T: Density>(target: &T) -> Fit<'_> {
    fit_dyn(target)
}

/// [`fit`] of a density whose type is not known.
pub fn fit_dyn(target: &dyn Density) -> Fit<'_> {
    Fit { target, seed: 1, auto: Auto::default(), draws: None, interrupt: None, watcher: None }
}

/// What is asked for.
pub struct Fit<'t> {
    target: &'t dyn Density,
    seed: u64,
    auto: Auto,
    draws: Option<usize>,
    interrupt: Option<&'t AtomicBool>,
    watcher: Option<&'t mut dyn Watcher>,
}

impl<'t> Fit<'t> {
    /// The seed of all randomness; 1 if nothing is said.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The most evaluations of the density, of values and gradients together, before the last attempt begins.
    pub fn evaluations(mut self, evaluations: u64) -> Self {
        self.auto.evaluations = Some(evaluations);
        self
    }

    /// The longest time in seconds before the last attempt begins.
    pub fn seconds(mut self, seconds: f64) -> Self {
        self.auto.seconds = seconds;
        self
    }

    /// The verdict that ends it.
    pub fn require(mut self, demand: Demand) -> Self {
        self.auto.require = demand;
        self
    }

    /// Draws by which the result is judged.
    pub fn judged_by(self, draws: usize) -> Self {
        Self { draws: Some(draws), ..self }
    }

    /// Whoever sets `interrupt` ends the fit soon with [`Error::Interrupted`].
    pub fn interrupted_by(self, interrupt: &'t AtomicBool) -> Self {
        Self { interrupt: Some(interrupt), ..self }
    }

    /// Tells `watcher` what is being done.
    pub fn watched_by(self, watcher: &'t mut dyn Watcher) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// Surveys the density, plans, trains a student, judges it, and goes on by what is wrong until the verdict is good enough or the budget is
    /// spent. The verdict may be that it is not: ask [`Fitted::verdict`].
    ///
    /// # Errors
    /// If the settings are at fault, the density asks for the end, or no attempt gives a student.
    pub fn run(self) -> Result<Fitted> {
        let mut spec = Spec::parse("(name: \"fit\")").map_err(Error::invalid)?;
        spec.seed = self.seed;
        spec.stages = Stages::Auto(self.auto);
        spec.evaluation.draws = self.draws.unwrap_or(spec.evaluation.draws);
        let plan = Plan::for_density(spec, Box::new(Lent { density: self.target }))?;
        let never = AtomicBool::new(false);
        let mut silent = Silent;
        let watcher = self.watcher.unwrap_or(&mut silent);
        let (record, model) = course_of(&plan, None, self.interrupt.unwrap_or(&never), watcher)?;
        let model = model.ok_or_else(|| Error::invalid("a fit without a student"))?;
        let certificate = record.certificate.clone();
        let certificate = certificate.ok_or_else(|| Error::invalid("a fit without a certificate"))?;
        let (frozen, stream) = (model.freeze(), plan.seed.stream("sample"));
        Ok(Fitted { model, frozen, certificate, record, stream, drawn: 0 })
    }
}

/// Nobody watches.
struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Progress) {}
}

impl Watcher for Silent {
    fn begin(&mut self, _: &str, _: u64) {}
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
}

/// A sampler with its certificate.
pub struct Fitted {
    model: Model,
    frozen: FrozenModel<f64>,
    certificate: Certificate,
    record: Record,
    stream: Stream,
    drawn: u64,
}

impl Fitted {
    /// May its draws be used?
    pub fn verdict(&self) -> Verdict {
        self.certificate.verdict
    }

    /// The figures behind the verdict, and its reasons.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Mean, standard deviation and quantiles of each parameter.
    pub fn parameters(&self) -> &[Parameter] {
        &self.record.parameters
    }

    /// Everything that was done and found, as a run reports it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The same as text for people (Markdown).
    pub fn report(&self) -> String {
        self.record.to_markdown()
    }

    /// The number of coordinates.
    pub fn dim(&self) -> usize {
        self.frozen.dim()
    }

    /// The next `rows` draws, row-major in the density's coordinates, and the exact log density of each under the sampler.
    pub fn sample(&mut self, rows: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut points, mut log_density) = (vec![0.0; rows * self.dim()], vec![0.0; rows]);
        self.frozen.draw(Method::Cached, &self.stream, self.drawn, &mut points, &mut log_density);
        self.drawn += rows as u64;
        (points, log_density)
    }

    /// The log density of the sampler at `points` (row-major).
    ///
    /// # Panics
    /// If they are no whole number of rows.
    pub fn log_density(&self, points: &[f64]) -> Vec<f64> {
        assert!(points.len().is_multiple_of(self.dim()), "whole rows");
        let mut log_density = vec![0.0; points.len() / self.dim()];
        self.frozen.log_prob(points, &mut log_density);
        log_density
    }

    /// The model, for those who want its parts.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Writes the model file that `flowdistill sample` and its other commands read.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.model.save(path)
    }
}
