"""Five densities of the plane, fitted by layers of several kinds for the same time, beside normflows' residual flow and zuko's continuous one.

    python3 -m venv peers && peers/bin/pip install torch zuko normflows
    cargo build --release && peers/bin/python benches/peers/toys.py --seconds 60

50,000 rows each (eight Gaussians, checkerboard, pinwheel, two spirals, moons; formulas of Grathwohl et al. 2019), one in a hundred of them for validation,
5,000 others for the test. One thread for everybody. Ours: an experiment of one stage, whose number of steps is what the time allows by what 200
steps took; the average of the weights counts. Peers: Adam at 1e-3 and at 5e-3 (ours begins at 5e-3), each until the time is over,
of which the better one counts, batches of 256 rows; normflows' log-determinants are the exact
ones in the test (`brute_force`), zuko's trace always (`exact`). Printed: the mean test log density in nats, milliseconds a step, and draws a second
of the trained flow in batches of 4,096 (ours in double precision, as `compare` measures them; the peers' in single precision, the better of three batches).
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH = 256
DRAWS = 4096


def eight_gaussians(rng, n):
    angles = rng.integers(0, 8, n) * math.pi / 4
    centres = 4 * np.stack([np.cos(angles), np.sin(angles)], 1)
    return (centres + 0.5 * rng.standard_normal((n, 2))) / 1.414


def checkerboard(rng, n):
    x = rng.random(n) * 4 - 2
    y = rng.random(n) - 2 * rng.integers(0, 2, n) + np.floor(x) % 2
    return 2 * np.stack([x, y], 1)


def pinwheel(rng, n):
    arms, points = rng.integers(0, 5, n), rng.standard_normal((n, 2)) * [0.3, 0.1] + [1, 0]
    angles = arms * 2 * math.pi / 5 + 0.25 * np.exp(points[:, 0])
    cos, sin = np.cos(angles), np.sin(angles)
    return 2 * np.stack([points[:, 0] * cos + points[:, 1] * sin, points[:, 1] * cos - points[:, 0] * sin], 1)


def two_spirals(rng, n):
    t = np.sqrt(rng.random(n)) * 540 * 2 * math.pi / 360
    points = np.stack([-np.cos(t) * t + rng.random(n) * 0.5, np.sin(t) * t + rng.random(n) * 0.5], 1)
    points *= np.where(rng.random(n) < 0.5, -1, 1)[:, None]
    return points / 3 + 0.1 * rng.standard_normal((n, 2))


def moons(rng, n):
    t, lower = rng.random(n) * math.pi, rng.random(n) < 0.5
    x = np.where(lower, 1 - np.cos(t), np.cos(t))
    y = np.where(lower, 0.5 - np.sin(t), np.sin(t))
    return (np.stack([x, y], 1) + 0.1 * rng.standard_normal((n, 2))) * 2 + [-1, -0.2]


TABLES = {f.__name__: f for f in [eight_gaussians, checkerboard, pinwheel, two_spirals, moons]}

OURS = {
    "i-ResNet": ("layers: [Linear(ActNorm), Repeat(8, [Residual(hidden: [32, 32], contraction: 0.97)])]", "MaximumLikelihood", "5e-3"),
    "continuous, likelihood": ("layers: [Continuous(hidden: [48, 48], steps: Fixed(6))]", "MaximumLikelihood", "5e-3"),
    "continuous, flow matching": ("layers: [Continuous(hidden: [64, 64, 64], tolerance: 1e-4)]", "FlowMatching", "5e-3"),
    "spline coupling": (
        "layers: 6, hidden: [64, 64], structure: Coupling(Halves), transformer: Spline(bins: 16, limit: 3.0)", "MaximumLikelihood", "5e-3"),
    "spline autoregressive": ("layers: 3, hidden: [64, 64], transformer: Spline(bins: 16, limit: 3.0)", "MaximumLikelihood", "5e-3"),
}


def ours(binary, folder, flow, stage, rate, seconds):
    """The mean log density of the test rows, the seconds of a step, and draws a second."""
    def run(steps, name):
        """The seconds of the stage, validation at its end included."""
        average = min(0.999, 1 - 10 / steps)
        text = f"""(name: "{name}", data: (source: Npy(path: "train.npy"), validation: 0.01, test: 0.002), teacher: ({flow}),
            stages: [{stage}(steps: {steps}, batch: {BATCH}, rate: (peak: {rate}), average: {average}, validate_every: {steps})], evaluation: (draws: 1000, compare: false))"""
        (folder / f"{name}.ron").write_text(text)
        command = [binary, "run", f"{name}.ron", "--out", str(folder), "--threads", "1", "--quiet"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        record = json.loads((folder / name / "run.json").read_text())
        return next(s for s in record["stages"] if s.get("steps"))["seconds"]

    step = (run(300, "longer") - run(100, "first")) / 200
    steps = max(200, int(seconds / step))
    run(steps, "whole")
    command = [binary, "log-prob", str(folder / "whole" / "teacher.safetensors"), "test.npy", "-o", str(folder / "out.npy")]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    command = [binary, "compare", str(folder / "whole"), "--batch", str(DRAWS), "--threads", "1", "--json", "--quiet"]
    lines = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()
    speed = max(line["draws_per_second"] for line in map(json.loads, lines) if line["model"] == "teacher")
    return float(np.load(folder / "out.npy").mean()), step, speed


def peer(kind, train, test, seconds, rate):
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(1)
    mean, scale = train.mean(0), train.std(0)
    x = torch.tensor((train - mean) / scale, dtype=torch.float32)
    held = torch.tensor((test - mean) / scale, dtype=torch.float32)
    if kind == "normflows":
        import normflows as nf

        flows = []
        for _ in range(8):
            net = nf.nets.LipschitzMLP([2, 64, 64, 2], init_zeros=True, lipschitz_const=0.97)
            flows += [nf.flows.Residual(net, reduce_memory=True), nf.flows.ActNorm(2)]
        model = nf.NormalizingFlow(nf.distributions.DiagGaussian(2, trainable=False), flows)
        loss_of, log_prob = model.forward_kld, model.log_prob
    else:
        import zuko

        model = zuko.flows.CNF(2, 0, hidden_features=(64, 64))
        loss_of = lambda rows: -model().log_prob(rows).mean()
        log_prob = lambda rows: model().log_prob(rows)
    sample = (lambda: model.sample(DRAWS)) if kind == "normflows" else (lambda: model().sample((DRAWS,)))
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        rows = x[torch.randint(len(x), (BATCH,))]
        optimiser.zero_grad()
        loss = loss_of(rows)
        if torch.isfinite(loss):
            loss.backward()
            optimiser.step()
        if kind == "normflows":
            nf.utils.update_lipschitz(model, 5)
        steps += 1
    step = (time.perf_counter() - start) / steps
    if kind == "normflows":
        model.eval()
        for flow in flows[::2]:
            flow.iresblock.brute_force = True
    found = []
    for rows in held.split(2000):
        rows = rows.clone().requires_grad_(True)
        found.append(log_prob(rows).detach())
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        with torch.no_grad():
            sample()
        taken.append(time.perf_counter() - start)
    return float(torch.cat(found).mean() - np.log(scale).sum()), step, DRAWS / min(taken)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tables", nargs="*", default=list(TABLES))
    parser.add_argument("--kinds", nargs="*", default=[*OURS, "normflows", "zuko"])
    parser.add_argument("--binary", default=str(ROOT / "target/release/flowdistill"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print("| layers |", " | ".join(options.tables), "| ms a step | draws a second |")
    print("|---|" + "---:|" * (len(options.tables) + 2), flush=True)
    for kind in options.kinds:
        nats, steps, speeds = [], [], []
        for table in options.tables:
            train, test = TABLES[table](np.random.default_rng(1), 50_000), TABLES[table](np.random.default_rng(2), 5_000)
            if kind in OURS:
                with tempfile.TemporaryDirectory() as folder:
                    folder = pathlib.Path(folder)
                    np.save(folder / "train.npy", train)
                    np.save(folder / "test.npy", test)
                    found, step, speed = ours(options.binary, folder, *OURS[kind], options.seconds)
            else:
                # The better of two rates.
                found, step, speed = max(peer(kind, train, test, options.seconds, rate) for rate in [1e-3, 5e-3])
            nats.append(f"{found:.3f}")
            steps.append(1e3 * step)
            speeds.append(speed)
        print("|", kind, "|", " | ".join(nats), f"| {np.median(steps):.2f} | {np.median(speeds):,.0f} |", flush=True)


if __name__ == "__main__":
    main()
