"""Reference moments of the posteriors that are shipped as expressions, by NUTS of numpyro on models written a second time.

    pip install numpyro==0.22.0 jax==0.10.2
    python3 benches/peers/posteriors.py experiments/data eight_schools.csv > tests/reference_moments.csv

Prints a table: experiment, parameter, mean, standard deviation, effective draws. Takes a few minutes. The second file, if given, has the
reference draws of posteriordb (M. Magnusson et al.) for `eight_schools-eight_schools_noncentered`, a header and 10,000 rows. Nothing is
shared with the expressions but the data files; supports are numpyro's, and the mixture's order is a reparametrisation of its own.
"""

import csv
import os
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from numpyro.infer import MCMC, NUTS

warnings.filterwarnings("ignore", message="There are not enough devices")
jax.config.update("jax_enable_x64", True)
CHAINS, WARMUP, DRAWS = 4, 2_000, 25_000


def read(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def standard(columns):
    """Columns with mean 0 and standard deviation 1 (divided by n)."""
    matrix = np.stack(columns, axis=1)
    return (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)


def penguins(data):
    size = standard([data[name] for name in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm")])
    species = data["species"].astype(int)
    spread = numpyro.sample("spread", dist.HalfNormal(1.0))
    alpha = numpyro.sample("alpha", dist.Normal(4.0, spread).expand([3]))
    beta = numpyro.sample("beta", dist.Normal(0.0, 1.0).expand([4]))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    nu = numpyro.sample("nu", dist.Uniform(2.0, 40.0))
    numpyro.factor("nu_prior", jnp.log(nu) - 0.1 * nu)
    expected = alpha[species] + size @ beta[:3] + data["male"] * beta[3]
    numpyro.sample("mass", dist.StudentT(nu, expected, sigma), obs=data["body_mass_g"] / 1000.0)


def cancellations(data):
    names = ("temperature_c", "wind_m_s", "visibility_km", "precipitation_mm")
    weather = standard([data[name] for name in names])
    airport = data["airport"].astype(int)
    level = numpyro.sample("level", dist.Normal(-4.0, 2.0))
    spread = numpyro.sample("spread", dist.HalfNormal(1.0))
    alpha = numpyro.sample("alpha", dist.Normal(level, spread).expand([3]))
    beta = numpyro.sample("beta", dist.Normal(0.0, 1.0).expand([4]))
    phi = numpyro.sample("phi", dist.Gamma(2.0, 0.5))
    mean = data["scheduled"] * jnp.exp(alpha[airport] + weather @ beta)
    numpyro.sample("cancelled", dist.NegativeBinomial2(mean, phi), obs=data["cancelled"])


def flippers(data):
    share = numpyro.sample("share", dist.Beta(2.0, 2.0))
    # The order by a mean and a positive gap, whose map to the means has the Jacobian 1.
    low = numpyro.sample("low", dist.ImproperUniform(dist.constraints.real, (), ()))
    gap = numpyro.sample("gap", dist.ImproperUniform(dist.constraints.positive, (), ()))
    mean = numpyro.deterministic("mean", jnp.stack([low, low + gap]))
    numpyro.factor("mean_prior", dist.Normal(0.0, 2.0).log_prob(mean).sum())
    sigma = numpyro.sample("sigma", dist.LogNormal(jnp.log(0.8), 0.5).expand([2]))
    each = dist.Normal(mean, sigma).log_prob(data["flipper_length_mm"][:, None] / 10.0 - 20.0)
    weights = jnp.log(jnp.stack([share, 1.0 - share]))
    numpyro.factor("flipper", logsumexp(each + weights, axis=1).sum())


POSTERIORS = [
    ("penguins", penguins, "penguins.csv", ["alpha", "spread", "beta", "sigma", "nu"]),
    ("cancellations", cancellations, "nyc_cancellations.csv", ["level", "spread", "alpha", "beta", "phi"]),
    ("flippers", flippers, "penguins.csv", ["share", "mean", "sigma"]),
]


def eight_schools(path):
    """Moments of draws that somebody else has made; posteriordb thins them until they are as good as independent."""
    for label, x in read(path).items():
        name = f"theta[{int(label[6:-1]) - 1}]" if label.startswith("theta[") else label
        print(f"eight_schools_expression,{name},{x.mean():.8g},{x.std(ddof=1):.8g},{len(x)}")


def main(folder, draws=None):
    print(f"# NUTS of numpyro {numpyro.__version__} on jax {jax.__version__}, {CHAINS} chains of {DRAWS} draws each")
    print("# eight_schools_expression: reference draws of posteriordb")
    print("experiment,parameter,mean,deviation,effective_draws")
    if draws:
        eight_schools(draws)
    for name, model, file, parameters in POSTERIORS:
        data = read(os.path.join(folder, file))
        kernel = NUTS(model, target_accept_prob=0.95)
        mcmc = MCMC(kernel, num_warmup=WARMUP, num_samples=DRAWS, num_chains=CHAINS, progress_bar=False)
        mcmc.run(jax.random.PRNGKey(1), data, extra_fields=("diverging",))
        samples = mcmc.get_samples(group_by_chain=True)
        divergent = int(mcmc.get_extra_fields()["diverging"].sum())
        for parameter in parameters:
            draws = np.asarray(samples[parameter])
            columns = draws.reshape(*draws.shape[:2], -1)
            for i in range(columns.shape[2]):
                x = columns[:, :, i]
                label = parameter if draws.ndim == 2 else f"{parameter}[{i}]"
                effective, r_hat = effective_sample_size(x), split_gelman_rubin(x)
                print(f"{name},{label},{x.mean():.8g},{x.std(ddof=1):.8g},{effective:.0f}", flush=True)
                if r_hat > 1.001:
                    print(f"{name} {label}: split R-hat {r_hat:.4f}", file=sys.stderr)
        print(f"{name}: {divergent} divergent transitions of {CHAINS * DRAWS}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
