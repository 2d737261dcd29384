"""Wall time to a trusted student from `target: …` alone, beside JAX students of the same shape, compiled whole, by the path gradient.

    peers/bin/python benches/peers/to_trusted.py [--target NAME]... [--times 4]

Ours is the whole command: planning, every attempt, the independent look and the certificate. JAX's is compilation and training alone, with the best
of a few batches and rates and a moving average of its weights, from a target that is whitened as ours (its mode and scale cost it nothing), until 10,000 fresh draws have our ESS/N, or
the goal where ours is above it, and our log Z within 0.05 (those looks cost it nothing either). It is given up after `--times` times our time.
The tables of the two regressions are drawn anew, always the same.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import logsumexp

from small_steps import make
from training import HALF_LOG_TAU, banana, eight_schools, funnel

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/flowdistill"
DRAWS = 10_000
DECAY = 0.998
SETTINGS = [(64, 3e-3), (256, 3e-3), (16, 1e-3), (64, 1e-3)]


def normal(x, mean, log_scale):
    return -0.5 * ((x - mean) * jnp.exp(-log_scale)) ** 2 - log_scale - HALF_LOG_TAU


def half_normal(log_x, log_scale):
    return normal(jnp.exp(log_x), 0.0, log_scale) + np.log(2) + log_x


def pay_table():
    noise = np.random.default_rng(1)
    height = noise.normal(170, 10, 1000)
    return {"height": height, "pay": 350 * height - 25_000 + noise.normal(0, 8000, 1000)}


def groups_table():
    noise = np.random.default_rng(2)
    group, x = noise.integers(0, 60, 800), noise.integers(0, 2, 800)
    return {"group": group, "x": x, "y": noise.normal(1.5, 0.7, 60)[group] - 0.7 * x + noise.normal(0, 0.8, 800)}


def written(table, file):
    np.savetxt(file, np.stack(list(table.values()), 1), delimiter=",", header=",".join(table), comments="")


def pay():
    height, paid = (jnp.asarray(column, jnp.float32) for column in pay_table().values())
    return lambda x: normal(paid, x[0] + x[1] * height, x[2]).sum() + x[2]


def far():
    scales = jnp.arange(1.0, 4.0)
    return lambda x: normal(x, 5000.0 * scales, jnp.log(0.01 * scales)).sum()


def groups():
    group, t, y = (jnp.asarray(column) for column in groups_table().values())

    def log_density(x):
        mu, log_tau, a, b, log_sigma = x[0], x[1], x[2:62], x[62], x[63]
        prior = normal(mu, 0.0, np.log(10)) + half_normal(log_tau, 0.0) + normal(a, mu, log_tau).sum() + normal(b, 0.0, np.log(10))
        return prior + half_normal(log_sigma, np.log(5)) + normal(y, a[group] + b * t, log_sigma).sum()

    return log_density


def logistic():
    table = np.genfromtxt(ROOT / "experiments/data/breast_cancer.csv", delimiter=",", names=True, comments="#")
    label = jnp.asarray(table["benign"], jnp.float32)
    features = np.stack([table[name] for name in table.dtype.names if name != "benign"], 1)
    features = jnp.asarray(features / features.std(0), jnp.float32)

    def log_density(x):
        sums = x[0] + features @ x[1:]
        return (label * sums - jax.nn.softplus(sums)).sum() + normal(x, 0.0, np.log(10)).sum()

    return log_density


def many_well():
    def log_density(x):
        wells, rest = x[0::2], x[1::2]
        return (-(wells**4) + 6 * wells**2 + 0.5 * wells).sum() - 0.5 * (rest**2).sum()

    return log_density


def phi4():
    def log_density(x):
        field = x.reshape(8, 8)
        bonds = field * (jnp.roll(field, 1, 0) + jnp.roll(field, 1, 1))
        return -(field**2 + 0.5 * (field**2 - 1) ** 2 - 2 * 0.2 * bonds).sum()

    return log_density


def single(density):
    return lambda: lambda x: density(x[None])[0]


# What we are given, JAX's log density, dimensions, whether the target is whitened (with the coordinates that stay at 0 meanwhile, where there is no
# mode without), what bends its variables, with layers and widths, and the goal.
AFFINE = (False, 5, (64, 64))
PAY = """Expression(
    parameters: { "beta": Vector(2), "sigma": Positive },
    data: { "height": Csv(path: "pay.csv", column: "height"), "pay": Csv(path: "pay.csv", column: "pay") },
    log_density: "pay ~ normal(beta[0] + beta[1] * height, sigma)")"""
FAR = 'Expression(parameters: { "x": Vector(3) }, log_density: "sum(i in 0..3: normal(x[i], 5000 * (i + 1), 0.01 * (i + 1)))")'
GROUPS = """Expression(
    parameters: { "mu": Real, "tau": Positive, "a": Vector(60), "b": Real, "sigma": Positive },
    data: { "g": Csv(path: "groups.csv", column: "group"), "x": Csv(path: "groups.csv", column: "x"), "y": Csv(path: "groups.csv", column: "y") },
    log_density: "
        mu ~ normal(0, 10)
        tau ~ half_normal(1)
        a ~ normal(mu, tau)
        b ~ normal(0, 10)
        sigma ~ half_normal(5)
        y ~ normal(a[g] + b * x, sigma)")"""
TARGETS = {
    "eight schools": ("EightSchools()", single(eight_schools), 10, None, AFFINE, 0.99),
    "funnel": ("Funnel(dim: 10)", single(funnel), 10, None, AFFINE, 0.99),
    "banana": ("Banana()", single(banana), 2, None, AFFINE, 0.99),
    "pay": (PAY, pay, 3, [], AFFINE, 0.99),
    "far": (FAR, far, 3, [], AFFINE, 0.99),
    "groups": (GROUPS, groups, 64, [1], AFFINE, 0.97),
    "logistic": ('LogisticRegression(path: "data/breast_cancer.csv", label: "benign")', logistic, 31, [], ("mixture", 4, (96, 96)), 0.8),
    "many-well": ("ManyWell(dim: 32)", many_well, 32, None, (True, 2, (32,)), 0.9),
    "φ⁴": ("Lattice(side: 8, kappa: 0.2, lambda: 0.5)", phi4, 64, None, (True, 3, (64,)), 0.9),
}


def ours(name, seed):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "one.ron"
        written(pay_table(), file.with_name("pay.csv"))
        written(groups_table(), file.with_name("groups.csv"))
        file.write_text(f'(target: {TARGETS[name][0].replace("data/", f"{ROOT}/experiments/data/")})')
        start = time.perf_counter()
        done = subprocess.run([BINARY, "run", file, "--out", folder, "-q", "--seed", str(seed)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        seconds = time.perf_counter() - start
        records = list(pathlib.Path(folder).glob("*/run.json"))
        if not records:
            raise SystemExit(done.stderr.decode())
        run = json.loads(records[0].read_text())
    figures = run["certificate"]["figures"]
    return seconds, run["certificate"]["verdict"], figures["ess"], figures["log_z"]


def whitened(log_density, dim, held):
    """Mode, scale and its log-det, by Newton's method in double precision, with the coordinates in `held` at 0 and of scale 1."""
    with jax.enable_x64(True):
        value, slope, curve = (jax.jit(f(log_density)) for f in (lambda f: f, jax.grad, jax.hessian))
        x = jnp.zeros(dim, jnp.float64)

        def curvature(x):
            found = -np.array(curve(x))
            found[held], found[:, held] = 0.0, 0.0
            found[held, held] = 1.0
            return found

        for _ in range(500):
            values, vectors = np.linalg.eigh(curvature(x))
            up = np.array(slope(x))
            up[held] = 0.0
            step = vectors @ ((vectors.T @ up) / np.maximum(np.abs(values), 1e-8))
            while not value(x + step) >= value(x) and np.abs(step).max() > 1e-12:
                step = step / 2
            x = x + step
        scale = np.linalg.inv(np.linalg.cholesky(curvature(x))).T
    mode = np.asarray(x)
    log_det = float(np.log(np.abs(np.diag(scale))).sum())
    return mode, scale, log_det


def theirs(name, goal, log_z, most):
    _, of, dim, held, (bends, layers, widths), _ = TARGETS[name]
    density = of()
    if held is not None:
        mode, scale, log_det = whitened(density, dim, held)
        if name == "far":
            # Exact: 5000 + 0.01 z has no more than four digits of z left in single precision.
            log_density = lambda z: normal(z, 0.0, 0.0).sum()
        else:
            log_density = lambda z: density(jnp.asarray(mode, jnp.float32) + jnp.asarray(scale, jnp.float32) @ z) + log_det
    else:
        log_density = density
    best = None
    for rows, rate in SETTINGS:
        limit = min(most, best[0]) if best else most
        start = time.perf_counter()
        step, push, weights, state = make(dim, bends, layers, widths, rows, rate, jax.nn.silu, jax.grad(log_density), DECAY)

        @jax.jit
        def agreement(weights, key):
            z = jax.random.normal(key, (DRAWS, dim))
            x, log_det = jax.vmap(lambda z: push(weights, z))(z)
            log_w = jax.vmap(log_density)(x) - (-0.5 * z**2 - HALF_LOG_TAU).sum(-1) + log_det
            total = logsumexp(log_w)
            return jnp.exp(2 * total - logsumexp(2 * log_w)) / DRAWS, total - jnp.log(DRAWS)

        key, aside, ess, each = jax.random.PRNGKey(7), 0.0, 0.0, 50
        for count in range(1, 10**7):
            key, now = jax.random.split(key)
            weights, state = step(weights, state, now)
            if count % each == 0:
                jax.block_until_ready(weights)
                begun = time.perf_counter()
                key, look = jax.random.split(key)
                ess, found = max(tuple(map(float, agreement(of, look))) for of in (weights, state[-1]))
                aside += time.perf_counter() - begun
                spent = time.perf_counter() - start - aside
                if ess >= goal and abs(found - log_z) < 0.05:
                    best = min(filter(None, (best, (spent, rows, rate, count))))
                    break
                if spent > limit:
                    break
                each = max(50, int(0.05 * count))
        print(f"    {name}, JAX batch {rows}, rate {rate}: ESS/N {ess:.3f} and log Z {found:.3f} after {count} steps, {spent:.1f} s", flush=True)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--times", type=float, default=4.0)
    options = parser.parse_args()
    print(f"jax {jax.__version__}, optax {optax.__version__}")
    for name in options.target or TARGETS:
        runs = sorted(ours(name, seed) for seed in (1, 2, 3))
        for seconds, verdict, ess, log_z in runs:
            print(f"    {name}, ours: {verdict} after {seconds:.1f} s, ESS/N {ess:.3f}, log Z {log_z:.3f}", flush=True)
        seconds, verdict, ess, log_z = runs[1]
        print(f"{name}: ours {seconds:.1f} s (median of three seeds)", flush=True)
        best = theirs(name, min(ess, TARGETS[name][5]), log_z, options.times * seconds)
        said = f"JAX {best[0]:.1f} s ({best[0] / seconds:.1f} times), batch {best[1]}, rate {best[2]}, {best[3]} steps" if best else f"JAX not after {options.times:g} times as long"
        print(f"{name}: {said}", flush=True)


if __name__ == "__main__":
    main()
