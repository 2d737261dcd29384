//! The targets as people write them, and how each is built.

use super::expression_spec::ExpressionSpec;
use super::native;
use crate::data;
use crate::target::{
    Banana, Density, EightSchools, Funnel, Gaussian, Lattice, LinearRegression, LogisticRegression, ManyWell, Mixture,
    Moons, Ridges, Rings, StudentT,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A target density. Paths are relative to the experiment file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum TargetSpec {
    /// A normal distribution bent along a parabola.
    Banana {},
    /// Two separated half-moons facing each other.
    TwoMoons {},
    /// Two half-moons that touch.
    EnergyU1 {},
    /// A sine-shaped ridge.
    EnergyU2 {},
    /// A ridge that forks and joins again.
    EnergyU3 {},
    /// A ridge that forks.
    EnergyU4 {},
    /// Two concentric rings.
    Rings {},
    /// Rosenbrock's function at temperature 20.
    Rosenbrock {},
    /// Two round modes at ±(4, 4).
    TwoModes {},
    /// Nine round modes on a grid.
    NineModes {},
    /// Forty round modes at random places.
    FortyModes {
        /// The seed of the places.
        #[serde(default = "one")]
        places: u64,
    },
    /// Round normal modes of one's own.
    Mixture {
        /// The means, one list for each mode.
        means: Vec<Vec<f64>>,
        /// The standard deviations.
        deviations: Vec<f64>,
        /// The weights, up to a factor; equal if left out.
        #[serde(default)]
        weights: Option<Vec<f64>>,
    },
    /// Neal's funnel.
    Funnel {
        /// The number of coordinates, the one that sets the scale included.
        #[serde(default = "ten")]
        dim: usize,
    },
    /// Pairs of coordinates with two wells each.
    ManyWell {
        /// The number of coordinates; even.
        #[serde(default = "thirty_two")]
        dim: usize,
    },
    /// Heavy-tailed coordinates.
    StudentT {
        /// The number of coordinates.
        #[serde(default = "ten")]
        dim: usize,
        /// Degrees of freedom.
        #[serde(default = "two")]
        freedom: f64,
        /// What each coordinate has of those before it.
        #[serde(default)]
        coupling: f64,
    },
    /// The φ⁴ field on a periodic square lattice.
    Lattice {
        /// The side L; there are L² coordinates.
        #[serde(default = "eight")]
        side: usize,
        /// The hopping parameter κ.
        #[serde(default = "fifth")]
        kappa: f64,
        /// The coupling λ.
        #[serde(default = "half")]
        lambda: f64,
    },
    /// The eight-schools posterior, non-centred.
    EightSchools {},
    /// A centred normal distribution with log-spaced eigenvalues in a random rotation.
    Gaussian {
        /// The number of coordinates.
        dim: usize,
        /// The ratio of the largest to the smallest variance.
        #[serde(default = "thousand")]
        condition: f64,
        /// The seed of the rotation.
        #[serde(default = "one")]
        rotation: u64,
    },
    /// A normal distribution with a given mean and covariance.
    Normal {
        /// The mean.
        mean: Vec<f64>,
        /// The rows of the covariance matrix.
        covariance: Vec<Vec<f64>>,
    },
    /// The posterior of a logistic regression on a table.
    LogisticRegression {
        /// A CSV file.
        path: PathBuf,
        /// The column of labels, 0 or 1; all others are features.
        label: String,
        /// The prior standard deviation of the weights of features scaled to standard deviation 1.
        #[serde(default = "prior")]
        prior_scale: f64,
    },
    /// The posterior of a linear regression with known noise on a table; its evidence has a closed form.
    LinearRegression {
        /// A CSV file.
        path: PathBuf,
        /// The column of the response; all others are features.
        response: String,
        /// The standard deviation of the noise, in the response's units.
        noise: f64,
        /// The prior standard deviation of the weights of features scaled to standard deviation 1.
        #[serde(default = "prior")]
        prior_scale: f64,
    },
    /// A density written as text over named parameters and data.
    Expression(
        /// It.
        ExpressionSpec,
    ),
    /// A compiled model with BridgeStan's C interface.
    Compiled {
        /// The shared library.
        library: PathBuf,
        /// A JSON file with the model's data.
        #[serde(default)]
        data: Option<PathBuf>,
        /// Whether the library may be called from several threads at once (built with `STAN_THREADS`).
        #[serde(default)]
        threads: bool,
    },
    /// A density that another program evaluates.
    Process {
        /// The program and its arguments; started in the folder of the experiment file.
        command: Vec<String>,
        /// How many of it are started.
        #[serde(default = "one_worker")]
        workers: usize,
        /// The longest wait for its greeting or for an answer, in seconds.
        #[serde(default = "half_a_minute")]
        timeout_s: f64,
    },
}

fn one_worker() -> usize {
    1
}

fn half_a_minute() -> f64 {
    30.0
}

fn one() -> u64 {
    1
}

fn two() -> f64 {
    2.0
}

fn eight() -> usize {
    8
}

fn ten() -> usize {
    10
}

fn thirty_two() -> usize {
    32
}

fn fifth() -> f64 {
    0.2
}

fn half() -> f64 {
    0.5
}

fn prior() -> f64 {
    10.0
}

fn thousand() -> f64 {
    1000.0
}

impl TargetSpec {
    /// Builds the density; `folder` is that of the experiment file. Whoever calls this has the permission that
    /// [`TargetSpec::native`] may need.
    ///
    /// # Errors
    /// What is wrong with a parameter or a table.
    pub(super) fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String> {
        Ok(match self {
            TargetSpec::Banana {} => Box::new(Banana),
            TargetSpec::TwoMoons {} => Box::new(Moons::separated()),
            TargetSpec::EnergyU1 {} => Box::new(Moons::u1()),
            TargetSpec::EnergyU2 {} => Box::new(Ridges::u2()),
            TargetSpec::EnergyU3 {} => Box::new(Ridges::u3()),
            TargetSpec::EnergyU4 {} => Box::new(Ridges::u4()),
            TargetSpec::Rings {} => Box::new(Rings),
            TargetSpec::Rosenbrock {} => Box::new(Ridges::rosenbrock()),
            TargetSpec::TwoModes {} => Box::new(Mixture::two()),
            TargetSpec::NineModes {} => Box::new(Mixture::nine()),
            TargetSpec::FortyModes { places } => Box::new(Mixture::forty(*places)),
            TargetSpec::Mixture { means, deviations, weights } => {
                Box::new(Mixture::new(means.clone(), deviations.clone(), weights.clone())?)
            }
            TargetSpec::Funnel { dim } => Box::new(Funnel::new(*dim)?),
            TargetSpec::ManyWell { dim } => Box::new(ManyWell::new(*dim)?),
            TargetSpec::StudentT { dim, freedom, coupling } => {
                Box::new(StudentT::new(*dim, *freedom)?.coupled(*coupling)?)
            }
            TargetSpec::Lattice { side, kappa, lambda } => Box::new(Lattice::new(*side, *kappa, *lambda)?),
            TargetSpec::Expression(spec) => Box::new(spec.build(folder)?),
            TargetSpec::EightSchools {} => Box::new(EightSchools),
            TargetSpec::Gaussian { dim, condition, rotation } => {
                Box::new(Gaussian::conditioned(*dim, *condition, *rotation)?)
            }
            TargetSpec::Normal { mean, covariance } => {
                if let Some(row) = covariance.iter().position(|row| row.len() != mean.len()) {
                    let (found, right) = (covariance[row].len(), mean.len());
                    return Err(format!(
                        "covariance[{row}] has {found} entries; {right}, as many as the mean, are right"
                    ));
                }
                Box::new(Gaussian::new(mean.clone(), covariance.concat())?)
            }
            TargetSpec::LogisticRegression { path, label, prior_scale } => {
                let Regression { names, features, response } = Regression::read(&folder.join(path), label)?;
                Box::new(LogisticRegression::new(&names, &features, response, *prior_scale)?)
            }
            TargetSpec::LinearRegression { path, response, noise, prior_scale } => {
                let Regression { names, features, response } = Regression::read(&folder.join(path), response)?;
                Box::new(LinearRegression::new(&names, &features, &response, *noise, *prior_scale)?)
            }
            TargetSpec::Compiled { library, data, threads } => {
                native::compiled(folder, library, data.as_deref(), *threads)?
            }
            TargetSpec::Process { command, workers, timeout_s } => {
                native::process(folder, command, *workers, *timeout_s)?
            }
        })
    }
}

/// A table divided into features and a response.
struct Regression {
    names: Vec<String>,
    features: Vec<f64>,
    response: Vec<f64>,
}

impl Regression {
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
