"""Steps of few rows by the path gradient, in turns with JAX: five layers, two hidden layers of 64 ReLU units, float32.

    peers/bin/python benches/peers/small_steps.py [--rounds 5]

JAX's step is compiled whole. The score of a draw comes from the Jacobian of the whole map (forward mode, one pass for each coordinate, in one
batch) and a solve, which is the fastest of the ways that were tried; the rest is a surrogate whose gradient is the path gradient, and Adam.
Splines are rational-quadratic, of eight bins between -4 and 4, linear outside, and an affine map behind them, as ours.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import logsumexp

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS, WIDTH, ROWS, BINS, LIMIT, COMPONENTS = 5, 64, 16, 8, 4.0, 3


def masks_of(dim, per_variable, widths):
    inputs = np.arange(dim)
    degrees = [inputs] + [np.sort(np.arange(width) % max(1, dim - 1)) for width in widths]
    masks = [below[:, None] <= above[None, :] for below, above in zip(degrees, degrees[1:])]
    masks.append(np.concatenate([degrees[-1][:, None] < inputs[None, :]] * per_variable, 1))
    return [jnp.asarray(mask, jnp.float32) for mask in masks]


def spline(z, raw):
    widths, heights, slopes = jnp.split(raw, [BINS, 2 * BINS], -1)
    widths = 2 * LIMIT * (1e-3 + (1 - 1e-3 * BINS) * jax.nn.softmax(widths))
    heights = 2 * LIMIT * (1e-3 + (1 - 1e-3 * BINS) * jax.nn.softmax(heights))
    pad = jnp.ones(slopes.shape[:-1] + (1,))
    slopes = jnp.concatenate([pad, 1e-3 + jax.nn.softplus(slopes + 0.54), pad], -1)
    edge = lambda steps: jnp.concatenate([0 * steps[..., :1], jnp.cumsum(steps, -1)], -1) - LIMIT
    xs, ys = edge(widths), edge(heights)
    inside = (z > -LIMIT) & (z < LIMIT)
    x = jnp.clip(z, -LIMIT + 1e-6, LIMIT - 1e-6)
    k = jnp.sum(xs[..., 1:-1] <= x[..., None], -1, keepdims=True)
    at = lambda values, place: jnp.take_along_axis(values, place, -1)[..., 0]
    w, h, x0, y0, d0, d1 = at(widths, k), at(heights, k), at(xs, k), at(ys, k), at(slopes, k), at(slopes, k + 1)
    t, s = (x - x0) / w, h / w
    below = s + (d0 + d1 - 2 * s) * t * (1 - t)
    y = y0 + h * (s * t**2 + d0 * t * (1 - t)) / below
    slope = s**2 * (d1 * t**2 + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2) / below**2
    return jnp.where(inside, y, z), jnp.where(inside, jnp.log(slope), 0.0)


def mixture(z, raw):
    """Log odds of the distribution function of a mixture of logistic distributions."""
    logits, centres, log_scales = jnp.split(raw, 3, -1)
    t = (z[..., None] - centres - jnp.linspace(-2, 2, COMPONENTS)) * jnp.exp(-log_scales)
    weights, below, above = jax.nn.log_softmax(logits), jax.nn.log_sigmoid(t), jax.nn.log_sigmoid(-t)
    log_f, log_rest = logsumexp(weights + below, -1), logsumexp(weights + above, -1)
    return log_f - log_rest, logsumexp(weights + below + above - log_scales, -1) - log_f - log_rest


# What bends a variable before the affine map, and its parameters.
BENDS = {False: (None, 0), True: (spline, 3 * BINS - 1), "mixture": (mixture, 3 * COMPONENTS)}


def make(dim, bends, layers=LAYERS, widths=(WIDTH, WIDTH), rows=ROWS, rate=1e-3, activation=jax.nn.relu, score_of=lambda x: -0.25 * x, decay=0.0):
    """The step, the map of one point with its log-det, weights and a state, which ends with the weights' moving average if there is a `decay`.

    `score_of` is the gradient of the target's log density; `bends` is one of `BENDS`.
    """
    bend, parameters = BENDS[bends]
    per_variable = parameters + 2
    masks = masks_of(dim, per_variable, widths)
    last = len(widths)
    keys = iter(jax.random.split(jax.random.PRNGKey(0), (last + 1) * layers))
    weights = [
        [(0.1 * jax.random.normal(next(keys), mask.shape) * (0.1 if i == last else 1.0), jnp.zeros(mask.shape[1])) for i, mask in enumerate(masks)]
        for _ in range(layers)
    ]

    def push(weights, z):
        log_det = 0.0
        for k, layer in enumerate(weights):
            h = z
            for i, (w, b) in enumerate(layer):
                h = h @ (w * masks[i]) + b
                h = activation(h) if i < last else h
            h = h.reshape(per_variable, dim).T
            if bend:
                z, log_slope = bend(z, h[:, 2:])
                log_det += log_slope.sum()
            s = 3 * jnp.tanh(h[:, 1] / 3)
            z, log_det = z * jnp.exp(s) + h[:, 0], log_det + s.sum()
            z = z[::-1] if k + 1 < layers else z
        return z, log_det

    def score(weights, z):
        log_q = lambda z: -0.5 * (z**2).sum() - push(weights, z)[1]
        jacobian = jax.jacfwd(lambda z: push(weights, z)[0])(z)
        return jnp.linalg.solve(jacobian.T, jax.grad(log_q)(z))

    optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(rate))

    @jax.jit
    def step(weights, state, key):
        z = jax.random.normal(key, (rows, dim))
        fixed = jax.lax.stop_gradient(weights)
        of_q = jax.vmap(lambda z: score(fixed, z))(z)

        def surrogate(weights):
            x = jax.vmap(lambda z: push(weights, z)[0])(z)
            of_target = jax.vmap(score_of)(x)
            return (jax.lax.stop_gradient(of_q - of_target) * x).sum() / rows

        change, inner = optimizer.update(jax.grad(surrogate)(weights), state[0])
        weights = optax.apply_updates(weights, change)
        average = [jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state[-1], weights)] if decay else []
        return weights, (inner, *average)

    return step, push, weights, (optimizer.init(weights), *([weights] if decay else []))


compiled = {}


def theirs(dim, splines, made={}):
    if (dim, splines) not in made:
        made[dim, splines] = make(dim, splines)
    step, _, weights, state = made[dim, splines]
    keys = list(jax.random.split(jax.random.PRNGKey(1), 500))
    times, begun = [], time.perf_counter()
    jax.block_until_ready(step(weights, state, keys[0]))
    compiled.setdefault((dim, splines), time.perf_counter() - begun)
    for key in keys:
        start = time.perf_counter()
        weights, state = step(weights, state, key)
        jax.block_until_ready(weights)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[50:])


def ours(dim, splines):
    command = ["cargo", "bench", "--bench", "standard", "--", "--size", f"{dim},{WIDTH},{ROWS}", "--only", "student path-gradient step"]
    out = subprocess.run(command + ["--transformer", "Spline()"] * splines, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return next(line["ms"] for line in lines if line["what"] == "student path-gradient step")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"jax {jax.__version__}; medians of {rounds} rounds in turns")
    for dim in (10, 31):
        for splines in (False, True):
            pairs = [(ours(dim, splines), theirs(dim, splines)) for _ in range(rounds)]
            mine, other = (statistics.median(column) for column in zip(*pairs))
            kind = "spline" if splines else "affine"
            print(f"({dim}, {WIDTH}), {ROWS} rows, {kind}: ours {mine:.3f} ms, JAX {other:.3f} ms, {other / mine:.1f} times; its compilation {compiled[dim, splines]:.1f} s", flush=True)


if __name__ == "__main__":
    main()
