"""Wall time and quality of the same training in turns: our student and one written by hand in JAX, by reverse KL.

    peers/bin/python benches/peers/training.py [--target banana|funnel|eight_schools]... [--seeds 1,2,3]

Both: six affine layers, two hidden layers of 64 ReLU units, batch 512, 5,000 Adam steps, cosine from 1e-3, gradient norm clipped at
10, float32, no averaging of weights. Quality is taken over 100,000 draws. The times are those of the training loops alone; compilation is
in JAX's, as a person waits for it.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import logsumexp

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/flowdistill"
LAYERS, WIDTH, BATCH, STEPS, RATE, DRAWS = 6, 64, 512, 5000, 1e-3, 100_000
HALF_LOG_TAU = 0.5 * np.log(2 * np.pi)

EXPERIMENT = """(
    name: "student", seed: %d, whitening: None, target: %s,
    student: Flow(layers: %d, hidden: [%d, %d], activation: Relu, skip: false),
    stages: [ReverseKl(against: Target, training: (
        steps: %d, batch: %d, rate: (peak: %g, decay: Cosine), clip: 10.0, average: 0.0))],
    evaluation: (draws: %d),
)"""


def banana(x):
    return -0.5 * (x[:, 0] / 10) ** 2 - 0.5 * (x[:, 1] + 0.03 * x[:, 0] ** 2 - 3) ** 2


def funnel(x):
    v, rest = x[:, 0], x[:, 1:]
    neck = -0.5 * (v / 3) ** 2 - np.log(3) - HALF_LOG_TAU
    return neck - (0.5 * rest**2 * jnp.exp(-v)[:, None] + 0.5 * v[:, None] + HALF_LOG_TAU).sum(-1)


def eight_schools(x):
    effects = jnp.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    errors = jnp.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    mu, log_tau, z = x[:, 0], x[:, 1], x[:, 2:]
    prior = -0.5 * (mu / 5) ** 2 - np.log(5) - HALF_LOG_TAU + np.log(2 / (np.pi * 5)) - jnp.log1p(jnp.exp(2 * log_tau) / 25)
    schools = (-0.5 * z**2 - HALF_LOG_TAU).sum(-1)
    residuals = (effects - mu[:, None] - jnp.exp(log_tau)[:, None] * z) / errors
    return prior + log_tau + schools - (0.5 * residuals**2 + jnp.log(errors) + HALF_LOG_TAU).sum(-1)


# Our name of the target, JAX's density, the dimension.
TARGETS = {
    "banana": ("Banana()", banana, 2),
    "funnel": ("Funnel(dim: 10)", funnel, 10),
    "eight_schools": ("EightSchools()", eight_schools, 10),
}


def ours(name, seed):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "student.ron"
        file.write_text(EXPERIMENT % (seed, TARGETS[name][0], LAYERS, WIDTH, WIDTH, STEPS, BATCH, RATE, DRAWS))
        subprocess.run([BINARY, "run", file, "--out", folder, "-q"], check=True, stdout=subprocess.DEVNULL)
        run = json.loads((pathlib.Path(folder) / "student/run.json").read_text())
    student = run["scores"]["student"]
    return run["stages"][0]["seconds"], student["ess"], student["elbo"], student["log_z"]


def theirs(name, seed):
    _, log_gamma, dim = TARGETS[name]
    start = time.perf_counter()
    inputs, units = np.arange(dim), np.sort(np.arange(WIDTH) % max(1, dim - 1))
    last = units[:, None] < inputs[None, :]
    masks = [inputs[:, None] <= units[None, :], units[:, None] <= units[None, :], np.concatenate([last, last], 1)]
    masks = [jnp.asarray(mask, jnp.float32) for mask in masks]
    key, *keys = jax.random.split(jax.random.PRNGKey(seed), 3 * LAYERS + 1)
    scales = [dim**-0.5, WIDTH**-0.5, 0.01 * WIDTH**-0.5]
    weights = [
        [(scales[i] * jax.random.normal(keys[3 * k + i], mask.shape), jnp.zeros(mask.shape[1])) for i, mask in enumerate(masks)]
        for k in range(LAYERS)
    ]

    def push(weights, z):
        log_q = (-0.5 * z**2 - HALF_LOG_TAU).sum(-1)
        for k, layer in enumerate(weights):
            h = z
            for i, (w, b) in enumerate(layer):
                h = h @ (w * masks[i]) + b
                h = jax.nn.relu(h) if i < 2 else h
            shift, raw = jnp.split(h, 2, -1)
            s = 3 * jnp.tanh(raw / 3)
            z, log_q = z * jnp.exp(s) + shift, log_q - s.sum(-1)
            z = z[:, ::-1] if k + 1 < LAYERS else z
        return z, log_q

    optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(optax.cosine_decay_schedule(RATE, STEPS, 0.01)))
    state = optimizer.init(weights)

    @jax.jit
    def step(weights, state, key):
        def loss(weights):
            x, log_q = push(weights, jax.random.normal(key, (BATCH, dim)))
            return (log_q - log_gamma(x)).mean()

        change, state = optimizer.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, change), state

    for _ in range(STEPS):
        key, now = jax.random.split(key)
        weights, state = step(weights, state, now)
    jax.block_until_ready(weights)
    seconds = time.perf_counter() - start

    @jax.jit
    def log_weights(key):
        x, log_q = push(weights, jax.random.normal(key, (DRAWS // 10, dim)))
        return log_gamma(x) - log_q

    log_w = np.concatenate([log_weights(key) for key in jax.random.split(jax.random.PRNGKey(10_000 + seed), 10)])
    log_w = log_w.astype(np.float64)
    total = float(logsumexp(log_w))
    ess = np.exp(2 * total - float(logsumexp(2 * log_w))) / DRAWS
    return seconds, float(ess), float(log_w.mean()), total - np.log(DRAWS)


def main():
    parser = argparse.ArgumentParser(description="The same training in turns")
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--seeds", default="1,2,3")
    options = parser.parse_args()
    print("| target | ours, s | JAX, s | JAX / ours | ESS/N ours, JAX | ELBO ours, JAX | log Z ours, JAX |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for name in options.target or TARGETS:
        pairs = [(ours(name, seed), theirs(name, seed)) for seed in map(int, options.seeds.split(","))]
        middle = lambda which, what: statistics.median(pair[which][what] for pair in pairs)
        both = lambda what: f"{middle(0, what):.4f}, {middle(1, what):.4f}"
        ratio = statistics.median(theirs[0] / ours[0] for ours, theirs in pairs)
        print(f"| {name} | {middle(0, 0):.1f} | {middle(1, 0):.1f} | {ratio:.1f}× | {both(1)} | {both(2)} | {both(3)} |", flush=True)


if __name__ == "__main__":
    main()
