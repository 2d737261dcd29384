"""Anomalies by `flowdistill score`, beside scikit-learn's IsolationForest and LocalOutlierFactor: same rows, same split.

    python3 -m venv peers && peers/bin/pip install scikit-learn pandas
    cargo build --release && peers/bin/python benches/peers/anomalies.py --json anomalies.json

Of each table one class (or several) is what is normal. Three fifths of its rows are fitted, by `new` as it comes and by the others with their
defaults (LocalOutlierFactor for novelties, on standardised columns; IsolationForest does not mind scales); the rest of them is clean, and all
rows of the other classes are anomalies. AUROC: the share of pairs of an anomaly and a clean row that are ranked rightly; 0.5 is chance. The
Kolmogorov-Smirnov test compares the log densities of clean rows with those of the rows that the model remembers: it is that of uniform
p_density, with the noise of both counted. Medians over three splits (least and greatest p-value of the test).

The tables come with scikit-learn; digits are 64 grey values of 0 to 16.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn import __version__, datasets
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Of each table what is normal: classes by their numbers.
TABLES = {
    "breast_cancer": (datasets.load_breast_cancer, [1]),
    "wine": (datasets.load_wine, [0, 1]),
    "iris": (datasets.load_iris, [0, 1]),
    "digits": (datasets.load_digits, [0, 1, 2, 3, 4]),
}


def table(name, seed):
    """Rows to fit, clean rows, anomalies, and names of columns without spaces."""
    load, normal = TABLES[name]
    bunch = load()
    is_normal = np.isin(bunch.target, normal)
    rows = bunch.data[is_normal][np.random.default_rng(seed).permutation(is_normal.sum())]
    cut = 3 * len(rows) // 5
    names = [str(column).replace(" ", "_") for column in bunch.feature_names]
    return names, rows[:cut], rows[cut:], bunch.data[~is_normal]


def auroc(of_clean, of_anomalies):
    """Of scores that are low where rows are unusual."""
    return roc_auc_score(np.r_[np.zeros(len(of_clean)), np.ones(len(of_anomalies))], -np.r_[of_clean, of_anomalies])


def peers(fitted, clean, anomalies, seed):
    forest = IsolationForest(random_state=seed).fit(fitted)
    scale = StandardScaler().fit(fitted)
    factor = LocalOutlierFactor(novelty=True).fit(scale.transform(fitted))
    return (
        auroc(forest.score_samples(clean), forest.score_samples(anomalies)),
        auroc(factor.score_samples(scale.transform(clean)), factor.score_samples(scale.transform(anomalies))),
    )


def ours(binary, folder, names, fitted, clean, anomalies, seed):
    for file, part in (("fitted", fitted), ("clean", clean), ("anomalies", anomalies)):
        pd.DataFrame(part, columns=names).to_csv(folder / f"{file}.csv", index=False)
    call = lambda *words: subprocess.run([binary, *words, "-q"], check=True, capture_output=True, text=True).stdout
    call("new", folder / "fit.ron", "--data", folder / "fitted.csv", "--force")
    start = time.perf_counter()
    # Without the student: the teacher's log densities are what is asked for.
    call("run", folder / "fit.ron", "--out", folder, "--force", "--seed", str(seed), "--set", "data.test=0.2",
         "--set", "evaluation.compare=false")
    seconds = time.perf_counter() - start
    teacher = folder / "fit/teacher.safetensors"
    of = {}
    for part in ("clean", "anomalies"):
        call("score", teacher, folder / f"{part}.csv", "-o", folder / "scores.csv")
        of[part] = pd.read_csv(folder / "scores.csv")
    clean, anomalies = of["clean"], of["anomalies"]
    held_out = np.array(json.loads(header(teacher))["held_out"])
    return {
        "auroc": auroc(clean.log_density, anomalies.log_density),
        "typical": auroc(clean.p_typical, anomalies.p_typical),
        "ks": ks_2samp(clean.log_density, held_out).pvalue,
        "alarms": (clean.p_density <= 0.05).mean(), "found": (anomalies.p_density <= 0.05).mean(),
        "seconds": seconds,
    }


def header(path):
    """The model's description: the metadata of a safetensors file."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return next(iter(json.loads(raw[8 : 8 + length])["__metadata__"].values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=list(TABLES), metavar="TABLE")
    parser.add_argument("--flowdistill", default=ROOT / "target/release/flowdistill", help="the binary")
    parser.add_argument("--json", type=pathlib.Path, help="where all results go")
    options = parser.parse_args()
    results = {}
    print(f"scikit-learn {__version__}; AUROC")
    print("| table | rows, columns | forest | local factor | ours, density | ours, typical | p of KS | alarms at 0.05 | found at 0.05 | s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in options.tables:
        found = []
        for seed in (1, 2, 3):
            names, fitted, clean, anomalies = table(name, seed)
            forest, factor = peers(fitted, clean, anomalies, seed)
            with tempfile.TemporaryDirectory() as folder:
                mine = ours(options.flowdistill, pathlib.Path(folder), names, fitted, clean, anomalies, seed)
            found.append({"forest": forest, "factor": factor, **mine})
        results[name] = found
        median = lambda key: statistics.median(one[key] for one in found)
        ks = [one["ks"] for one in found]
        print(
            f"| {name} | {len(fitted)}, {len(names)} | {median('forest'):.3f} | {median('factor'):.3f} | {median('auroc'):.3f} |"
            f" {median('typical'):.3f} | {min(ks):.2f}–{max(ks):.2f} | {median('alarms'):.2f} | {median('found'):.2f} | {median('seconds'):.1f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
