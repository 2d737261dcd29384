//! Posteriors of regressions on a table: logistic, and linear with a closed-form evidence.

use super::logistic::log_likelihood;
use super::{Density, Gaussian, Pointwise, Sampler, TargetSettings};
use crate::data;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

/// A table divided into features and a response.
struct Divided {
    names: Vec<String>,
    features: Vec<f64>,
    response: Vec<f64>,
}

impl Divided {
    fn read(path: &Path, response: &str) -> Result<Self, String> {
        let table = data::read(path, None).map_err(|error| error.to_string())?;
        let Some(place) = table.names.iter().position(|name| name == response) else {
            return Err(format!("{}: has no column `{response}`; it has {}", path.display(), table.names.join(", ")));
        };
        let others = |row: &[f64]| [&row[..place], &row[place + 1..]].concat();
        let rows = || table.values.chunks_exact(table.dim());
        let mut names = table.names.clone();
        names.remove(place);
        let (features, response) = (rows().flat_map(others).collect(), rows().map(|row| row[place]).collect());
        Ok(Self { names, features, response })
    }
}

/// An intercept and features divided by their standard deviation (not centred), row-major.
#[derive(Debug, Clone)]
struct Design {
    names: Vec<String>,
    rows: Vec<f64>,
}

impl Design {
    /// From `features` (row-major, one name for each column).
    fn new(names: &[String], features: &[f64]) -> Result<Self, String> {
        let width = names.len();
        let n = features.len() / width.max(1);
        if n == 0 {
            return Err("the table has no features; at least one column beside the response is right".into());
        }
        let mut scales = Vec::with_capacity(width);
        for (i, name) in names.iter().enumerate() {
            let column = || features.iter().skip(i).step_by(width);
            let mean = column().sum::<f64>() / n as f64;
            let scale = (column().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            if !(scale > 1e-12 * mean.abs() && scale.is_finite()) {
                return Err(format!("feature `{name}` is constant; the intercept has that place"));
            }
            scales.push(scale);
        }
        let rows = features.chunks_exact(width).flat_map(|row| {
            std::iter::once(1.0).chain(row.iter().zip(&scales).map(|(x, scale)| x / scale)).collect::<Vec<_>>()
        });
        let rows = rows.collect();
        let names = std::iter::once("intercept".to_string()).chain(names.iter().cloned()).collect();
        Ok(Self { names, rows })
    }

    fn width(&self) -> usize {
        self.names.len()
    }
}

fn check_scale(name: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(format!("{name} is {value}; a positive number is right"))
}

/// w ~ N(0, s² I) and P(yᵢ = 1) = σ(wᵀxᵢ), with an intercept and features divided by their standard deviation.
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    names: Vec<String>,
    /// The design, column after column.
    columns: Vec<f64>,
    labels: Vec<f64>,
    prior_scale: f64,
}

impl LogisticRegression {
    /// From `features` (row-major, one name for each column) and `labels`, each 0 or 1.
    ///
    /// # Errors
    /// If a feature is constant, a label is neither 0 nor 1, or `prior_scale` is not positive.
    pub fn new(names: &[String], features: &[f64], labels: Vec<f64>, prior_scale: f64) -> Result<Self, String> {
        check_scale("prior_scale", prior_scale)?;
        if let Some(row) = labels.iter().position(|&label| label != 0.0 && label != 1.0) {
            return Err(format!("the label of row {} is {}; 0 or 1 is right", row + 1, labels[row]));
        }
        let design = Design::new(names, features)?;
        let column = |i: usize| design.rows.iter().skip(i).step_by(design.width()).copied();
        let columns = (0..design.width()).flat_map(column).collect();
        Ok(Self { columns, names: design.names, labels, prior_scale })
    }
}

/// What is written for `LogisticRegression`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "LogisticRegression", deny_unknown_fields)]
pub struct LogisticRegressionSettings {
    /// A CSV file.
    pub path: PathBuf,
    /// The column of labels, 0 or 1; all others are features.
    pub label: String,
    /// The prior standard deviation of the weights of features scaled to standard deviation 1.
    #[serde(default = "ten")]
    pub prior_scale: f64,
}

fn ten() -> f64 {
    10.0
}

impl TargetSettings for LogisticRegressionSettings {
    const EXAMPLE: &'static str = "LogisticRegression(path: \"table.csv\", label: \"column\", prior_scale: 10.0)";
    const ABOUT: &'static str = "the posterior of a logistic regression on your table";

    fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String> {
        let Divided { names, features, response } = Divided::read(&folder.join(&self.path), &self.label)?;
        Ok(Box::new(LogisticRegression::new(&names, &features, response, self.prior_scale)?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.path]
    }
}

impl Pointwise for LogisticRegression {
    fn dim(&self) -> usize {
        self.names.len()
    }

    fn log_density(&self, x: &[f64], mut gradient: Option<&mut [f64]>) -> f64 {
        let precision = self.prior_scale.powi(-2);
        let mut value = -(x.len() as f64) * (self.prior_scale.ln() + 0.5 * TAU.ln());
        for (i, weight) in x.iter().enumerate() {
            value -= 0.5 * precision * weight * weight;
            if let Some(gradient) = gradient.as_deref_mut() {
                gradient[i] = -precision * weight;
            }
        }
        value + log_likelihood(&self.columns, &self.labels, x, gradient)
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}

/// w ~ N(0, s² I) and yᵢ ~ N(wᵀxᵢ, σ²) with known s and σ: the posterior is normal and the evidence has a closed form (Bishop 2006,
/// section 3.5), which makes it the best check of log Z on real data.
#[derive(Debug, Clone)]
pub struct LinearRegression {
    names: Vec<String>,
    posterior: Gaussian,
    log_evidence: f64,
}

impl LinearRegression {
    /// From `features` (row-major, one name for each column) and `response`.
    ///
    /// # Errors
    /// If a feature is constant, or `noise` or `prior_scale` is not positive.
    pub fn new(
        names: &[String],
        features: &[f64],
        response: &[f64],
        noise: f64,
        prior_scale: f64,
    ) -> Result<Self, String> {
        check_scale("noise", noise)?;
        check_scale("prior_scale", prior_scale)?;
        let design = Design::new(names, features)?;
        let (width, n) = (design.width(), response.len() as f64);
        // A = XᵀX/σ² + I/s² and b = Xᵀy/σ².
        let (mut precision, mut b) = (vec![0.0; width * width], vec![0.0; width]);
        for (row, y) in design.rows.chunks_exact(width).zip(response) {
            for i in 0..width {
                b[i] += row[i] * y / (noise * noise);
                for j in 0..width {
                    precision[i * width + j] += row[i] * row[j] / (noise * noise);
                }
            }
        }
        (0..width).for_each(|i| precision[i * width + i] += prior_scale.powi(-2));
        let (posterior, log_det) = Gaussian::from_precision(&precision, &b)?;
        let squares: f64 = response.iter().map(|y| (y / noise).powi(2)).sum();
        let fit: f64 = posterior.mean().iter().zip(&b).map(|(m, b)| m * b).sum();
        // ln N(y; 0, σ²I + s²XXᵀ), by the matrix determinant lemma and Woodbury's identity.
        let log_evidence = -0.5 * (squares - fit)
            - n * (noise.ln() + 0.5 * TAU.ln())
            - 0.5 * log_det
            - width as f64 * prior_scale.ln();
        Ok(Self { names: design.names, posterior, log_evidence })
    }
}

/// What is written for `LinearRegression`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "LinearRegression", deny_unknown_fields)]
pub struct LinearRegressionSettings {
    /// A CSV file.
    pub path: PathBuf,
    /// The column of the response; all others are features.
    pub response: String,
    /// The standard deviation of the noise, in the response's units.
    pub noise: f64,
    /// The prior standard deviation of the weights of features scaled to standard deviation 1.
    #[serde(default = "ten")]
    pub prior_scale: f64,
}

impl TargetSettings for LinearRegressionSettings {
    const EXAMPLE: &'static str =
        "LinearRegression(path: \"table.csv\", response: \"column\", noise: 1.0, prior_scale: 10.0)";
    const ABOUT: &'static str = "the posterior of a linear regression on your table; its evidence has a closed form";

    fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String> {
        let Divided { names, features, response } = Divided::read(&folder.join(&self.path), &self.response)?;
        Ok(Box::new(LinearRegression::new(&names, &features, &response, self.noise, self.prior_scale)?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.path]
    }
}

impl Pointwise for LinearRegression {
    fn dim(&self) -> usize {
        self.names.len()
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        self.posterior.log_density(x, gradient) + self.log_evidence
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(self.log_evidence)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for LinearRegression {
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        self.posterior.draw(rng, point);
    }
}
