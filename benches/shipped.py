"""Runs the shipped experiments with several seeds and prints what they reach: the table of the README.

    python benches/shipped.py [--seeds 3] [--out FOLDER] [NAME ...]

Runs target/release/flowdistill (build it first), one run after another, each in FOLDER/SEED/NAME (default: runs/shipped), where a run that is
there already is not repeated. Experiments that start programs of their own get --allow-native. Needs Python 3.9 and nothing else.
"""

import argparse
import collections
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(name, seed, out):
    folder = out / str(seed)
    record = folder / name / "run.json"
    if not (record.exists() and json.loads(record.read_text())["status"] == "finished"):
        command = [ROOT / "target/release/flowdistill", "run", ROOT / f"experiments/{name}.ron", "--seed", str(seed)]
        command += ["--out", folder, "--force", "--quiet", "--set", "evaluation.draws=100000"]
        if "Process(" in (ROOT / f"experiments/{name}.ron").read_text():
            command.append("--allow-native")
        done = subprocess.run(command, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            sys.exit(f"{name} with seed {seed} ended with exit code {done.returncode}")
    return json.loads(record.read_text())


def row(name, runs):
    figures = [run["certificate"]["figures"] for run in runs]
    known = [f.get("independent_log_z") for f in figures]
    ess, forward = ([f.get(key) for f in figures] for key in ("ess", "forward_ess"))
    # The one that is farthest from what the independent look knows.
    farthest = max(figures, key=lambda f: abs(f["log_z"] - f["independent_log_z"]) if f.get("independent_log_z") is not None else 0)
    se = farthest.get("independent_log_z_se")
    reference = "" if known[0] is None else nats(farthest["independent_log_z"]) + (f" ± {se:.3f}" if se else "")
    middle = "" if None in forward else f"{statistics.median(forward):.3f}"
    cells = [f"`{name}`", f"{statistics.median(ess):.4f} ({min(ess):.4f})", middle, nats(farthest["log_z"]), reference]
    return "| " + " | ".join(cells + [f"{statistics.median(run['seconds'] for run in runs):.0f}"]) + " |"


def teacher_row(name, runs):
    seconds = statistics.median(run["seconds"] for run in runs)
    return f"| `{name}` (a teacher alone) | | | | | {seconds:.0f} |"


def nats(value):
    """Four decimals, a minus sign, and no sign for zero."""
    return f"{value:.4f}".replace("-0.0000", "0.0000").replace("-", "\u2212")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--out", type=pathlib.Path, default=ROOT / "runs/shipped")
    arguments.add_argument("names", nargs="*")
    given = arguments.parse_args()
    names = given.names or sorted(path.stem for path in (ROOT / "experiments").glob("*.ron"))
    print("| experiment | ESS/N, median (least) | forward, median | log Z, farthest off | independent | seconds |")
    print("|---|---:|---:|---:|---:|---:|")
    verdicts = collections.Counter()
    for name in names:
        runs = [run(name, seed, given.out) for seed in range(1, given.seeds + 1)]
        verdicts.update(run["verdict"].replace("_", " ") for run in runs)
        # A teacher alone has no weights.
        print(row(name, runs) if "certificate" in runs[0] else teacher_row(name, runs), flush=True)
    print("\nVerdicts: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))


main()
