"""Autoregressive layers by formula in turns with zuko and flowjax: five layers with two hidden layers of ReLU units, float32, 2 threads.

    python3 -m venv peers && peers/bin/pip install jax optax torch zuko flowjax
    peers/bin/python benches/peers/autoregressive.py [--repeats 3] [--size DIM,HIDDEN,BATCH]... [--splines | --universal]

Splines of 8 bins meet zuko's `NSF` and flowjax's masked autoregressive flow of rational-quadratic splines; mixtures of logistics and monotone networks of 8 parts meet
zuko's `NAF`, `UNAF` and `SOSPF` as they come. A fit step is of BATCH rows; the rest of 1,000 for splines, of BATCH for the others. Draws are of the direction that
takes one pass; those by inversion of the other one, which the universal peers are asked for up to dimension 10 only, and once: a minute for `UNAF`. Random numbers are in the time of zuko's draws in one pass and of ours beside them. Ratios are formed within a repeat; the median is printed with the least and the largest.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import equinox
import flowjax
import jax
import jax.numpy as jnp
import optax
import torch
import zuko
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import Normal
from flowjax.flows import masked_autoregressive_flow
from timing import LAYERS, median

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = 1000
BINS = 8
WORK = {
    "fit step": "teacher fit step",
    "log density": "teacher log_prob",
    "draws": "student draws",
    "draws with noise": "student draws, random numbers included",
    "draws by inversion": "teacher draws, cached inversion",
}
UNIVERSAL = {"NAF": zuko.flows.NAF, "UNAF": zuko.flows.UNAF, "SOSPF": zuko.flows.SOSPF}


def ours(size, transformer, many):
    found = {}
    for what, name in WORK.items():
        rows = size[2] if what == "fit step" else many
        command = ["cargo", "bench", "--quiet", "--bench", "standard", "--", "--transformer", transformer, "--only", name]
        command += ["--size", f"{size[0]},{size[1]},{rows}"]
        out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        found[what] = 1e-3 * next(line["ms"] for line in lines if line["what"] == name and line["batch"] == rows)
    return found


def flowjax_times(size):
    dim, hidden, batch = size
    make = lambda invert: masked_autoregressive_flow(
        jax.random.key(0), base_dist=Normal(jnp.zeros(dim)), transformer=RationalQuadraticSpline(knots=BINS, interval=4),
        flow_layers=LAYERS, nn_width=hidden, nn_depth=2, invert=invert,
    )
    teacher, student = make(True), make(False)
    optimizer = optax.adam(1e-4)
    weights, rest = equinox.partition(teacher, equinox.is_inexact_array)

    @jax.jit
    def step(weights, state, x):
        loss = lambda weights: -equinox.combine(weights, rest).log_prob(x).mean()
        change, state = optimizer.update(jax.grad(loss)(weights), state)
        return equinox.apply_updates(weights, change), state

    rows = lambda count: jax.random.normal(jax.random.key(1), (count, dim))
    x, many, state = rows(batch), rows(ROWS), optimizer.init(weights)
    log_prob = equinox.filter_jit(lambda flow, x: flow.log_prob(x))
    push = equinox.filter_jit(lambda flow, z: jax.vmap(flow.bijection.transform_and_log_det)(z))
    ready, few = jax.block_until_ready, 3 if dim > 10 else 10
    return {
        "fit step": median(lambda: step(weights, state, x), 3 * few, ready),
        "log density": median(lambda: log_prob(teacher, many), 3 * few, ready),
        "draws": median(lambda: push(student, many), 3 * few, ready),
        "draws by inversion": median(lambda: push(teacher, many), 1 if dim > 10 else 3, ready),
    }


def zuko_times(size, make, count, inverse):
    dim, hidden, batch = size
    flow = make(features=dim, transforms=LAYERS, hidden_features=[hidden] * 2)
    student = zuko.flows.Flow(flow.transform.inv, flow.base)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4)
    x, many = torch.randn(batch, dim), torch.randn(count, dim)

    def step():
        optimizer.zero_grad(set_to_none=True)
        (-flow().log_prob(x).mean()).backward()
        optimizer.step()

    few = 3 if dim > 10 else 10
    times = {"fit step": median(step, few)}
    with torch.no_grad():
        times["log density"] = median(lambda: flow().log_prob(many), few)
        times["draws with noise"] = median(lambda: student().rsample_and_log_prob((count,)), few)
        if inverse:
            start = time.perf_counter()
            flow().sample((count,))
            times["draws by inversion"] = time.perf_counter() - start
    return times


def compare(size, name, transformer, rows, peers, count):
    repeats = [(ours(size, transformer, rows), {peer: times() for peer, times in peers.items()}) for _ in range(count)]
    for peer in peers:
        for what in repeats[0][1][peer]:
            ratios = [theirs[peer][what] / mine[what] for mine, theirs in repeats]
            mine = 1e3 * statistics.median(mine[what] for mine, _ in repeats)
            spread = f"{statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})"
            print(f"{size} {name}, {what}: ours {mine:.3g} ms; {peer} {spread}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", action="append", metavar="DIM,HIDDEN,BATCH")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--splines", action="store_true", help="these only")
    kinds.add_argument("--universal", action="store_true", help="mixtures and monotone networks only")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"flowjax {flowjax.__version__} on jax {jax.__version__}, zuko 1.6.0 on torch {torch.__version__}; medians of {options.repeats} repeats in turns")
    for size in options.size or ["43,512,100", "6,100,100"]:
        size = tuple(map(int, size.split(",")))
        if not options.universal:
            peers = {"NSF": lambda: zuko_times(size, zuko.flows.NSF, ROWS, True), "flowjax": lambda: flowjax_times(size)}
            compare(size, "spline", f"Spline(bins: {BINS})", ROWS, peers, options.repeats)
        if not options.splines:
            rows, inverse = size[2], size[0] <= 10
            peers = {name: lambda make=make: zuko_times(size, make, rows, inverse) for name, make in UNIVERSAL.items()}
            for name, transformer in (("mixture", "MixtureCdf(components: 8)"), ("monotone network", "MonotoneNet(units: 8)")):
                compare(size, name, transformer, rows, peers, options.repeats)


if __name__ == "__main__":
    main()
