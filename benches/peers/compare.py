"""Ours and the peers in turns, on this machine: the table of ratios that the README shows.

    python3 -m venv peers && peers/bin/pip install jax optax torch zuko
    cargo bench --bench standard --no-run
    peers/bin/python benches/peers/compare.py [--repeats 3] [--size DIM,HIDDEN,BATCH]... [--lines FILE]

Every repeat runs the three programs one after another for each size; a ratio is formed within a repeat, and the median over the repeats
is printed with the least and the largest. Ours are given the noise where the peer's is (JAX) and make it where the peer does (zuko).
The log density of foreign points is compared with the peers' draws of a teacher, which is the same work for them. `--lines` keeps
the measurements.
"""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import statistics
import subprocess
import sys

from timing import MANY, SIZES

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# A row of the table: our work, the peers' work, rows (None for those of a step), our work against the peer that makes its own noise.
WORK = [
    ("teacher fit step", "teacher fit step", None, None),
    ("student reverse-KL step", "student reverse-KL step", None, None),
    ("teacher log_prob", "teacher log_prob", MANY, None),
    ("student draws", "student draws", MANY, "student draws, random numbers included"),
    ("teacher draws, cached inversion", "teacher draws", MANY, None),
    ("student draws", "student draws", 1, "student draws, random numbers included"),
    ("student log_prob at foreign points", "teacher draws", MANY, None),
]


def lines(command):
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def one_repeat(size, quick):
    extra = ["--size", size] + (["--quick"] if quick else [])
    ours = ["cargo", "bench", "--quiet", "--bench", "standard", "--", *extra]
    found = {}
    for command in (ours, [sys.executable, HERE / "jax_speed.py", *extra], [sys.executable, HERE / "zuko_speed.py", *extra]):
        for line in lines(command):
            found[line["peer"], line["what"], line["batch"]] = line
    return found


def ratio(repeats, peer, ours, theirs, rows):
    values = [r[peer, theirs, rows]["ms"] / r["flowdistill", ours, rows]["ms"] for r in repeats]
    return f"{statistics.median(values):.1f}× ({min(values):.1f} to {max(values):.1f})"


def milliseconds(repeats, peer, what, rows):
    return f"{statistics.median(r[peer, what, rows]['ms'] for r in repeats):.3g}"


def table(size, repeats):
    dim, hidden, batch = map(int, size.split(","))
    for ours, theirs, rows, with_noise in WORK:
        rows = rows or batch
        cells = [
            f"{ours}, {rows} rows, dim {dim}, width {hidden}",
            milliseconds(repeats, "flowdistill", ours, rows),
            milliseconds(repeats, "jax", theirs, rows),
            ratio(repeats, "jax", ours, theirs, rows),
            milliseconds(repeats, "zuko", theirs, rows),
            ratio(repeats, "zuko", with_noise or ours, theirs, rows),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
    for (peer, what, rows), first in repeats[0].items():
        if "percent_of_gemm" in first:
            share = statistics.median(r[peer, what, rows]["percent_of_gemm"] for r in repeats)
            print(f"<!-- {what}, {rows} rows, dim {dim}, width {hidden}: {share:.0f} % of gemm's peak -->", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Ours and the peers in turns")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", action="append", metavar="DIM,HIDDEN,BATCH")
    parser.add_argument("--quick", action="store_true", help="fewer repeats inside each program")
    parser.add_argument("--lines", type=pathlib.Path, help="append the measurements to this file")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "optax", "torch", "zuko"))
    print(f"{versions}, Python {platform.python_version()}; 2 threads, float32, five layers of two hidden layers\n")
    print("| work | ours, ms | JAX, ms | JAX / ours | zuko, ms | zuko / ours |\n|---|---:|---:|---:|---:|---:|", flush=True)
    for size in options.size or SIZES:
        repeats = [one_repeat(size, options.quick) for _ in range(options.repeats)]
        if options.lines:
            with options.lines.open("a") as out:
                for repeat, found in enumerate(repeats):
                    out.writelines(json.dumps({"repeat": repeat} | line) + "\n" for line in found.values())
        table(size, repeats)


if __name__ == "__main__":
    main()
