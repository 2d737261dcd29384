"""Test log density of our teacher and of zuko's MAF on the shipped weather data: same rows, depth, widths, batch, rate and steps.

    python3 -m venv peers && peers/bin/pip install torch zuko
    cargo build --release && peers/bin/python benches/peers/teacher_quality.py

Both are fitted to 9,600 of the first 12,000 rows, stop on 1,200 others, and are judged on the last 3,000. Seeds 1, 2, 3.
"""

import copy
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
import zuko

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/flowdistill"
STEPS, BATCH, RATE, LAYERS, HIDDEN, EVERY = 6000, 256, 1e-3, 5, [64, 64], 200
SEEDS = (1, 2, 3)

EXPERIMENT = """(
    name: "teacher",
    data: (source: Csv(path: "train.csv")),
    teacher: (layers: %d, hidden: %s, activation: Tanh, skip: false, transformer: Affine(max_scale: 10.0)),
    stages: [MaximumLikelihood(steps: %d, batch: %d, rate: (peak: %g), validate_every: %d, patience: 0, average: 0.995)],
    evaluation: (draws: 100),
)"""


def ours(folder, seed):
    start = time.perf_counter()
    command = [BINARY, "run", folder / "teacher.ron", "--out", folder, "--force", "-q", "--seed", str(seed)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    command = [BINARY, "log-prob", folder / "teacher/teacher.safetensors", folder / "test.csv"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return statistics.fmean(map(float, lines[1:])), seconds


def theirs(train, test, seed):
    torch.manual_seed(seed)
    train = train[torch.randperm(len(train))]
    validation, train = train[:1200], train[2400:]
    mean, scale = train.mean(0), train.std(0)
    jacobian = scale.log().sum()
    train, validation, test = ((part - mean) / scale for part in (train, validation, test))
    flow = zuko.flows.MAF(features=train.shape[1], transforms=LAYERS, hidden_features=HIDDEN)
    optimizer = torch.optim.Adam(flow.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    best, kept = -math.inf, None
    start = time.perf_counter()
    order = torch.randperm(len(train))
    at = 0
    for step in range(1, STEPS + 1):
        if at + BATCH > len(train):
            order, at = torch.randperm(len(train)), 0
        loss = -flow().log_prob(train[order[at : at + BATCH]]).mean()
        at += BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % EVERY == 0:
            with torch.no_grad():
                score = flow().log_prob(validation).mean().item()
            if score > best:
                best, kept = score, copy.deepcopy(flow.state_dict())
    seconds = time.perf_counter() - start
    flow.load_state_dict(kept)
    with torch.no_grad():
        return (flow().log_prob(test).mean() - jacobian).item(), seconds


def main():
    torch.set_num_threads(2)
    lines = (ROOT / "experiments/data/nyc_weather.csv").read_text().splitlines()
    header, rows = lines[0], lines[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part, chosen in (("train.csv", rows[:12000]), ("test.csv", rows[-3000:])):
            (folder / part).write_text("\n".join([header, *chosen]) + "\n")
        (folder / "teacher.ron").write_text(EXPERIMENT % (LAYERS, HIDDEN, STEPS, BATCH, RATE, EVERY))
        table = torch.tensor([[float(cell) for cell in row.split(",")] for row in rows])
        for who, fit in (
            ("flowdistill", lambda seed: ours(folder, seed)),
            (f"zuko {zuko.__version__}, torch {torch.__version__}", lambda seed: theirs(table[:12000], table[-3000:], seed)),
        ):
            results = [fit(seed) for seed in SEEDS]
            scores = [score for score, _ in results]
            error = statistics.stdev(scores) / math.sqrt(len(scores))
            seconds = statistics.median(seconds for _, seconds in results)
            print(json.dumps(dict(
                who=who, test_log_prob=[round(score, 4) for score in scores], mean=round(statistics.fmean(scores), 4),
                standard_error=round(error, 4), median_seconds=round(seconds, 1),
            )), flush=True)


if __name__ == "__main__":
    main()
