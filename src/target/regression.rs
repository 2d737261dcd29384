//! Posteriors of regressions on a table: logistic, and linear with a closed-form evidence.

use super::logistic::log_likelihood;
use super::{Gaussian, Pointwise, Sampler};
use rand::RngCore;
use std::f64::consts::TAU;

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
