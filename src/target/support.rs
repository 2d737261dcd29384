//! Supports of named parameters: the maps between the unconstrained space that flows see and the user's space.

use serde::{Deserialize, Serialize};

/// Where a parameter lives. Each is an image of an unconstrained space, as in the chapter on transforms of the Stan Reference Manual
/// (Stan Development Team 2024).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Support {
    /// Any number: x = u.
    #[default]
    Real,
    /// A positive number: x = eᵘ.
    Positive,
    /// A number between two bounds: x = a + (b − a) σ(u).
    Interval(
        /// The lower bound a.
        f64,
        /// The upper bound b.
        f64,
    ),
    /// So many numbers, each of a support.
    Vector(
        /// How many.
        usize,
        /// The support of each: `Real`, `Positive` or `Interval`.
        #[serde(default)]
        Box<Support>,
    ),
    /// So many numbers in ascending order: x₀ = u₀, xₖ = xₖ₋₁ + exp(uₖ).
    Ordered(
        /// How many.
        usize,
    ),
    /// So many positive numbers with the sum 1, by breaking a stick: zₖ = σ(uₖ − ln(n − 1 − k)) is the share that xₖ takes of what
    /// x₀ .. xₖ₋₁ have left. It has one coordinate less than values; its density is that of the first n − 1 values.
    Simplex(
        /// How many.
        usize,
    ),
}

/// The largest number of values of one parameter.
const MOST: usize = 65_536;

/// Spacings of floating-point numbers within which distances are taken as lost.
const SPACINGS: f64 = 16.0;

/// A named parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub support: Support,
}

/// ln σ(u) + ln σ(−u), written so that neither end underflows.
fn log_logistic_slope(u: f64) -> f64 {
    -u.abs() - 2.0 * (-u.abs()).exp().ln_1p()
}

/// ln σ(u).
fn log_sigmoid(u: f64) -> f64 {
    u.min(0.0) - (-u.abs()).exp().ln_1p()
}

impl Support {
    /// What is wrong with its sizes or bounds.
    pub fn fault(&self) -> Option<String> {
        let sized = |name: &str, n: usize, least: usize| {
            (!(least..=MOST).contains(&n)).then(|| format!("{name}({n}); {least} to {MOST} values are right"))
        };
        match self {
            Support::Real | Support::Positive => None,
            Support::Interval(a, b) => (!(a.is_finite() && b.is_finite() && a < b && (b - a).is_finite()))
                .then(|| format!("Interval({a}, {b}); two finite bounds, the lower one first, are right")),
            Support::Vector(n, of) => sized("Vector", *n, 1).or_else(|| match **of {
                Support::Real | Support::Positive | Support::Interval(..) => of.fault(),
                _ => Some(format!("a Vector of {of:?}; `Real`, `Positive` or `Interval(a, b)` is right")),
            }),
            Support::Ordered(n) => sized("Ordered", *n, 1),
            Support::Simplex(n) => sized("Simplex", *n, 2),
        }
    }

    /// The number of unconstrained coordinates.
    pub fn coordinates(&self) -> usize {
        match self {
            Support::Simplex(n) => n - 1,
            _ => self.values(),
        }
    }

    /// The number of values.
    pub fn values(&self) -> usize {
        match self {
            Support::Real | Support::Positive | Support::Interval(..) => 1,
            Support::Vector(n, _) | Support::Ordered(n) | Support::Simplex(n) => *n,
        }
    }

    /// The bound from which the image of `u` is no more than some spacings of floating-point numbers away, so that a density that is
    /// written in x cannot tell how far. The distance from 0 as a lower bound is never lost.
    pub(super) fn rounded_at(&self, u: &[f64]) -> Option<f64> {
        match self {
            Support::Interval(a, b) => {
                let distances = [u[0], -u[0]].map(|u| (b - a) * log_sigmoid(u).exp());
                let [lower, upper] = [a.abs(), a.abs().max(b.abs())].map(|size| SPACINGS * f64::EPSILON * size);
                (distances[0] < lower).then_some(*a).or((distances[1] < upper).then_some(*b))
            }
            Support::Vector(_, of) => u.chunks(1).find_map(|u| of.rounded_at(u)),
            _ => None,
        }
    }

    /// Fills `x` with the image of `u` and returns ln |det ∂x/∂u|.
    ///
    /// # Panics
    /// If a slice has another length than [`Support::coordinates`] or [`Support::values`].
    pub fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        assert!(u.len() == self.coordinates() && x.len() == self.values());
        match self {
            Support::Real => {
                x[0] = u[0];
                0.0
            }
            Support::Positive => {
                x[0] = u[0].exp();
                u[0]
            }
            Support::Interval(a, b) => {
                x[0] = a + (b - a) / (1.0 + (-u[0]).exp());
                (b - a).ln() + log_logistic_slope(u[0])
            }
            Support::Vector(_, of) => u.chunks(1).zip(x.chunks_mut(1)).map(|(u, x)| of.constrain(u, x)).sum(),
            Support::Ordered(n) => {
                x[0] = u[0];
                (1..*n).for_each(|k| x[k] = x[k - 1] + u[k].exp());
                u[1..].iter().sum()
            }
            Support::Simplex(n) => {
                let (mut log_left, mut log_jacobian) = (0.0, 0.0);
                for k in 0..n - 1 {
                    let logit = u[k] - ((n - 1 - k) as f64).ln();
                    x[k] = (log_left + log_sigmoid(logit)).exp();
                    log_jacobian += log_left + log_logistic_slope(logit);
                    log_left += log_sigmoid(-logit);
                }
                x[n - 1] = log_left.exp();
                log_jacobian
            }
        }
    }

    /// Fills `u` with the coordinates of `x` and returns ln |det ∂x/∂u| there; none outside the support or on its edge.
    ///
    /// # Panics
    /// As [`Support::constrain`].
    pub fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Option<f64> {
        assert!(u.len() == self.coordinates() && x.len() == self.values());
        match self {
            Support::Real => u[0] = x[0],
            Support::Positive => u[0] = x[0].ln(),
            Support::Interval(a, b) => u[0] = ((x[0] - a) / (b - x[0])).ln(),
            Support::Vector(_, of) => {
                return x.chunks(1).zip(u.chunks_mut(1)).map(|(x, u)| of.unconstrain(x, u)).sum();
            }
            Support::Ordered(n) => {
                u[0] = x[0];
                (1..*n).for_each(|k| u[k] = (x[k] - x[k - 1]).ln());
            }
            Support::Simplex(n) => {
                // Written draws are rounded; those that are further from the sum 1 are no simplex.
                let sum: f64 = x.iter().sum();
                if (sum - 1.0).abs() > 1e-6 {
                    return None;
                }
                let mut left = x[n - 1];
                for k in (0..n - 1).rev() {
                    u[k] = (x[k] / left).ln() + ((n - 1 - k) as f64).ln();
                    left += x[k];
                }
            }
        }
        let mut image = vec![0.0; x.len()];
        u.iter().all(|u| u.is_finite()).then(|| self.constrain(u, &mut image))
    }
}

impl Parameter {
    /// The names of its values: `mu`, or `theta[0]`, `theta[1]`, ….
    pub fn value_names(&self) -> Vec<String> {
        let name = &self.name;
        match self.support {
            Support::Real | Support::Positive | Support::Interval(..) => vec![name.clone()],
            _ => (0..self.support.values()).map(|i| format!("{name}[{i}]")).collect(),
        }
    }

    /// The names of its unconstrained coordinates, such as `log(tau)`.
    pub fn coordinate_names(&self) -> Vec<String> {
        let (name, support) = (&self.name, &self.support);
        match support {
            Support::Real | Support::Positive | Support::Interval(..) => vec![scalar_coordinate(support, name.clone())],
            Support::Vector(n, of) => (0..*n).map(|i| scalar_coordinate(of, format!("{name}[{i}]"))).collect(),
            Support::Ordered(n) => {
                let step = |i: usize| format!("log({name}[{i}] - {name}[{}])", i - 1);
                (0..*n).map(|i| if i == 0 { format!("{name}[0]") } else { step(i) }).collect()
            }
            Support::Simplex(n) => (0..n - 1).map(|i| format!("stick({name}[{i}])")).collect(),
        }
    }
}

fn scalar_coordinate(support: &Support, value: String) -> String {
    match support {
        Support::Positive => format!("log({value})"),
        Support::Interval(..) => format!("logit({value})"),
        _ => value,
    }
}
