"""Coupling flows in turns with JAX and zuko: five layers with two hidden layers of ReLU units, affine and spline (8 bins), float32, 2 threads.

    peers/bin/python benches/peers/coupling.py [--repeats 3] [--size DIM,HIDDEN,BATCH]...

JAX's couplings are written by hand, split by halves and compiled whole; zuko's are `NICE` and `NSF(passes=2)`. Ours and JAX's draws start from given
noise; zuko makes its own, and so do ours beside it. Ratios are formed within a repeat; the median is printed with the least and the largest.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import zuko

from small_steps import BINS, spline
from timing import LAYERS, MANY, median

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = {
    "fit step": "teacher fit step",
    "log density": "teacher log_prob",
    "draws": "student draws",
    "one draw": "student draws",
    "draws with noise": "student draws, random numbers included",
    "one draw with noise": "student draws, random numbers included",
}


def ours(size, splines):
    command = ["cargo", "bench", "--quiet", "--bench", "standard", "--", "--coupling", "--size", ",".join(map(str, size))]
    command += ["--transformer", "Spline()"] * splines
    run = lambda only: subprocess.run(command + ["--only", only], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    out = "".join(map(run, sorted(set(WORK.values()) - {"student draws, random numbers included"})))
    lines = {(line["what"], line["batch"]): line for line in map(json.loads, filter(lambda line: line.startswith("{"), out.splitlines()))}
    rows = lambda what: size[2] if what == "fit step" else 1 if what.startswith("one") else MANY
    return {what: lines[name, rows(what)] for what, name in WORK.items()}


class Jax:
    """y_B = x_B eˢ + t with (s, t) a dense network of x_A; the halves change places from layer to layer."""

    def __init__(self, size, splines):
        self.dim, self.hidden, self.batch = size
        self.per_variable = 3 * BINS + 1 if splines else 2
        self.splines = splines
        keys = iter(jax.random.split(jax.random.PRNGKey(0), 3 * LAYERS))
        half = self.dim // 2
        self.weights = []
        for layer in range(LAYERS):
            given, other = (half, self.dim - half) if layer % 2 == 0 else (self.dim - half, half)
            widths = [given, self.hidden, self.hidden, self.per_variable * other]
            normal = lambda i: jax.random.normal(next(keys), (widths[i], widths[i + 1])) * 0.1 / np.sqrt(widths[i])
            self.weights.append([(normal(i), jnp.zeros(widths[i + 1])) for i in range(3)])

    def network(self, layer, x):
        for i, (w, b) in enumerate(layer):
            x = x @ w + b
            x = jax.nn.relu(x) if i < 2 else x
        return x

    def forward(self, weights, x):
        half, log_det = self.dim // 2, 0.0
        for l, layer in enumerate(weights):
            a, b = (x[:, :half], x[:, half:]) if l % 2 == 0 else (x[:, half:], x[:, :half])
            raw = self.network(layer, a)
            if self.splines:
                raw = raw.reshape(raw.shape[0], b.shape[1], self.per_variable)
                b, log_slope = spline(b, raw[..., 2:])
                log_det += log_slope.sum(-1)
                shift, s = raw[..., 0], raw[..., 1]
            else:
                shift, s = jnp.split(raw, 2, -1)
            s = 3 * jnp.tanh(s / 3)
            b, log_det = b * jnp.exp(s) + shift, log_det + s.sum(-1)
            x = jnp.concatenate([a, b] if l % 2 == 0 else [b, a], -1)
        return x, log_det

    def log_base(self, z):
        return -0.5 * (z**2).sum(-1) - 0.5 * self.dim * np.log(2 * np.pi)

    def log_prob(self, weights, x):
        z, log_det = self.forward(weights, x)
        return self.log_base(z) + log_det

    def push(self, weights, z):
        x, log_det = self.forward(weights, z)
        return x, self.log_base(z) - log_det

    def measure(self):
        optimizer = optax.adam(1e-4)

        @jax.jit
        def step(weights, state, x):
            change, state = optimizer.update(jax.grad(lambda w: -self.log_prob(w, x).mean())(weights), state)
            return optax.apply_updates(weights, change), state

        rows = lambda count: jax.random.normal(jax.random.PRNGKey(1), (count, self.dim))
        x, many, one, state = rows(self.batch), rows(MANY), rows(1), optimizer.init(self.weights)
        log_prob, push = jax.jit(self.log_prob), jax.jit(self.push)
        return {
            "fit step": median(lambda: step(self.weights, state, x), 30, jax.block_until_ready),
            "log density": median(lambda: log_prob(self.weights, many), 5, jax.block_until_ready),
            "draws": median(lambda: push(self.weights, many), 5, jax.block_until_ready),
            "one draw": median(lambda: push(self.weights, one), 100, jax.block_until_ready),
        }


def zuko_times(size, splines):
    dim, hidden, batch = size
    sizes = dict(features=dim, transforms=LAYERS, hidden_features=[hidden] * 2)
    flow = zuko.flows.NSF(bins=BINS, passes=2, **sizes) if splines else zuko.flows.NICE(**sizes)
    student = zuko.flows.Flow(flow.transform.inv, flow.base)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4)
    x, many = torch.randn(batch, dim), torch.randn(MANY, dim)

    def step():
        optimizer.zero_grad(set_to_none=True)
        (-flow().log_prob(x).mean()).backward()
        optimizer.step()

    times = {"fit step": median(step, 20)}
    with torch.no_grad():
        times["log density"] = median(lambda: flow().log_prob(many), 3)
        times["draws with noise"] = median(lambda: student().rsample_and_log_prob((MANY,)), 3)
        times["one draw with noise"] = median(lambda: student().rsample_and_log_prob((1,)), 30)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", action="append", metavar="DIM,HIDDEN,BATCH")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"jax {jax.__version__}, zuko 1.6.0 on torch {torch.__version__}; medians of {options.repeats} repeats in turns")
    for size in options.size or ["43,512,100", "43,512,1024", "6,100,100"]:
        size = tuple(map(int, size.split(",")))
        for splines in (False, True):
            repeats = [(ours(size, splines), Jax(size, splines).measure(), zuko_times(size, splines)) for _ in range(options.repeats)]
            for place, peer in ((1, "JAX"), (2, "zuko")):
                for what in repeats[0][place]:
                    ratios = [1e3 * each[place][what] / each[0][what]["ms"] for each in repeats]
                    mine = statistics.median(each[0][what]["ms"] for each in repeats)
                    share = repeats[0][0][what].get("percent_of_gemm")
                    peak = f", {share:.0f} % of gemm's peak" if share else ""
                    kind = "spline" if splines else "affine"
                    print(f"{size} {kind}, {what}: ours {mine:.3g} ms{peak}; {peer} {statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})", flush=True)


if __name__ == "__main__":
    main()
