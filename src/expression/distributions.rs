//! The log densities of the language, each written in the language itself, normalised and with all constants.

/// What the first argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    Real,
    Positive,
    NotNegative,
    /// Between 0 and 1.
    Unit,
    /// 0 or 1, from the data.
    Binary,
    /// 0, 1, 2, …, from the data.
    Count,
}

/// A distribution as a log density of its first argument.
#[derive(Debug)]
pub(super) struct Distribution {
    pub name: &'static str,
    /// The names of the arguments, the first one included.
    pub arguments: &'static [&'static str],
    pub domain: Domain,
    /// The parameters that must be positive.
    pub positive: &'static [&'static str],
    /// Its log density, place by place.
    pub formula: &'static str,
    /// Its source or parametrisation, for people.
    pub about: &'static str,
    /// Whether it is a density of whole vectors.
    pub joint: bool,
}

macro_rules! distributions {
    ($($name:literal $arguments:tt $domain:ident $positive:tt $joint:literal $about:literal $formula:literal)*) => {
        &[$(Distribution {
            name: $name,
            arguments: &$arguments,
            domain: Domain::$domain,
            positive: &$positive,
            joint: $joint,
            about: $about,
            formula: $formula,
        }),*]
    };
}

pub(super) const DISTRIBUTIONS: &[Distribution] = distributions! {
    "normal" ["x", "mu", "sigma"] Real ["sigma"] false
    "mean, standard deviation"
    "-0.5 * ((x - mu) / sigma)^2 - (log(sigma) + 0.5 * log(2 * pi))"

    "std_normal" ["x"] Real [] false
    "mean 0, standard deviation 1"
    "-0.5 * x^2 - 0.5 * log(2 * pi)"

    "half_normal" ["x", "sigma"] NotNegative ["sigma"] false
    "the absolute value of a normal with mean 0 and this standard deviation"
    "-0.5 * (x / sigma)^2 - (log(sigma) + 0.5 * log(pi / 2))"

    "student_t" ["x", "nu", "mu", "sigma"] Real ["nu", "sigma"] false
    "degrees of freedom, location, scale"
    "-0.5 * (nu + 1) * log1p(((x - mu) / sigma)^2 / nu)
     + (log_rising(0.5 * nu, 0.5) - log(sigma) - 0.5 * log(nu * pi))"

    "cauchy" ["x", "mu", "sigma"] Real ["sigma"] false
    "location, scale"
    "-log1p(((x - mu) / sigma)^2) - (log(sigma) + log(pi))"

    "half_cauchy" ["x", "sigma"] NotNegative ["sigma"] false
    "the absolute value of a Cauchy with location 0 and this scale"
    "-log1p((x / sigma)^2) - (log(sigma) + log(pi / 2))"

    "gamma" ["x", "alpha", "beta"] Positive ["alpha", "beta"] false
    "shape, rate"
    "(alpha - 1) * log(x) - beta * x + (alpha * log(beta) - lgamma(alpha))"

    "inv_gamma" ["x", "alpha", "beta"] Positive ["alpha", "beta"] false
    "shape, scale"
    "-(alpha + 1) * log(x) - beta / x + (alpha * log(beta) - lgamma(alpha))"

    "beta" ["x", "a", "b"] Unit ["a", "b"] false
    "the two shapes"
    "(a - 1) * log(x) + (b - 1) * log1p(-x) + (lgamma(a + b) - lgamma(a) - lgamma(b))"

    "exponential" ["x", "beta"] NotNegative ["beta"] false
    "rate"
    "log(beta) - beta * x"

    "lognormal" ["x", "mu", "sigma"] Positive ["sigma"] false
    "mean and standard deviation of the logarithm"
    "-0.5 * ((log(x) - mu) / sigma)^2 - log(x) - (log(sigma) + 0.5 * log(2 * pi))"

    "laplace" ["x", "mu", "sigma"] Real ["sigma"] false
    "location, scale"
    "-abs(x - mu) / sigma - (log(sigma) + log(2))"

    "logistic" ["x", "mu", "sigma"] Real ["sigma"] false
    "location, scale"
    "z = (x - mu) / sigma
     z - 2 * softplus(z) - log(sigma)"

    "uniform" ["x", "low", "high"] Real [] false
    "bounds"
    "if x >= low and x <= high then -log(high - low) else -inf"

    "bernoulli_logit" ["y", "eta"] Binary [] false
    "log odds of 1"
    "y * eta - softplus(eta)"

    "binomial_logit" ["y", "n", "eta"] Count [] false
    "trials, log odds of success"
    "y * eta - n * softplus(eta) + (lgamma(n + 1) - lgamma(y + 1) - lgamma(n - y + 1))"

    "poisson_log" ["y", "eta"] Count [] false
    "logarithm of the rate"
    "y * eta - exp(eta) - lgamma(y + 1)"

    "neg_binomial" ["y", "mu", "phi"] Count ["mu", "phi"] false
    "mean, concentration: the variance is mu + mu^2 / phi"
    "ratio = log(mu) - log(phi)
     y * ratio - (y + phi) * softplus(ratio) + log_rising(phi, y) - lgamma(y + 1)"

    "beta_binomial" ["y", "n", "a", "b"] Count ["a", "b"] false
    "trials, and the two shapes of the beta distribution of their probability"
    "log_rising(a, y) + log_rising(b, n - y) - log_rising(a + b, n) + (lgamma(n + 1) - lgamma(y + 1) - lgamma(n - y + 1))"

    "multi_normal_cholesky" ["x", "mu", "L"] Real [] true
    "mean, lower triangular Cholesky factor of the covariance"
    "-0.5 * sum(solve_lower(L, x - mu)^2) - (log_determinant_lower(L) + 0.5 * len(x) * log(2 * pi))"

    "dirichlet" ["x", "alpha"] Unit ["alpha"] true
    "concentrations, for a simplex"
    "sum((alpha - 1) * log(x)) + (lgamma(sum(alpha)) - sum(lgamma(alpha)))"
};

pub(super) fn find(name: &str) -> Option<&'static Distribution> {
    DISTRIBUTIONS.iter().find(|distribution| distribution.name == name)
}

impl Domain {
    /// Whether a known number is in it.
    pub fn holds(self, x: f64) -> bool {
        match self {
            Domain::Real => true,
            Domain::Positive => x > 0.0,
            Domain::NotNegative => x >= 0.0,
            Domain::Unit => x > 0.0 && x < 1.0,
            Domain::Binary => x == 0.0 || x == 1.0,
            Domain::Count => x >= 0.0 && x == x.trunc(),
        }
    }

    /// Whether it is for data only.
    pub fn is_discrete(self) -> bool {
        matches!(self, Domain::Binary | Domain::Count)
    }

    /// What a message calls right.
    pub fn right(self) -> &'static str {
        match self {
            Domain::Real => "a number",
            Domain::Positive => "a positive number",
            Domain::NotNegative => "a number that is not negative",
            Domain::Unit => "a number between 0 and 1",
            Domain::Binary => "0 or 1",
            Domain::Count => "0 or a positive whole number",
        }
    }
}
