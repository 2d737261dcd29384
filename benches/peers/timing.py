"""What the scripts of the peers share: the sizes, the clock and the JSON line of a measurement."""

import argparse
import json
import statistics
import time

SIZES = ["43,512,100", "43,512,1024", "21,512,100", "6,100,100"]
LAYERS = 5
MANY = 10_000


def arguments(description):
    """The sizes (dim, width of both hidden layers, rows of a step) that the command line asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", action="append", metavar="DIM,HIDDEN,BATCH")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    options = parser.parse_args()
    options.size = [tuple(map(int, size.split(","))) for size in options.size or SIZES]
    return options


def median(call, runs, finish=lambda result: result):
    """Median seconds of `runs` calls after two that do not count (compilation, caches)."""
    for _ in range(2):
        finish(call())
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        finish(call())
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def report(peer, what, size, rows, seconds):
    line = {"peer": peer, "what": what, "dim": size[0], "hidden": size[1], "batch": rows, "ms": round(seconds * 1e3, 4)}
    print(json.dumps(line), flush=True)
