"""Opens draws in every format with the programs that they are for, and compares what they say. Usage: open_draws.py FOLDER

FOLDER has d.csv, d.jsonl, d.npy, d.npz, d.stan.csv and d.zarr of the same draws with log_prob and log_weight, d.parquet where there is that
feature, and run.json of the run that they are of. A program that is not installed is named, and left out.
"""

import importlib
import json
import pathlib
import shutil
import subprocess
import sys

folder = pathlib.Path(sys.argv[1])


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"SKIPPED: {name} is not installed")
        return None


np = module("numpy")
if np is None:
    sys.exit(0)
archive = np.load(folder / "d.npz")
names, draws = [str(name) for name in archive["names"]], archive["draws"]
assert draws.shape[1] == len(names), (draws.shape, names)
log_prob, log_weight = archive["log_prob"], archive["log_weight"]
everything = np.column_stack([draws, log_prob, log_weight])
assert np.array_equal(np.load(folder / "d.npy"), everything)
columns = names + ["log_prob", "log_weight"]

pandas = module("pandas")
if pandas is not None:
    frames = [pandas.read_csv(folder / "d.csv")]
    frames.append(pandas.read_json(folder / "d.jsonl", lines=True, precise_float=True))
    if (folder / "d.parquet").exists() and module("pyarrow") is not None:
        frames.append(pandas.read_parquet(folder / "d.parquet"))
    for frame in frames:
        assert list(frame.columns) == columns, frame.columns
        # The reader of JSON rounds in the last place.
        assert np.allclose(frame.to_numpy(), everything, rtol=1e-14, atol=0)
    print(f"pandas {pandas.__version__}: {len(frames)} files")

figures = {row["name"]: row for row in json.loads((folder / "run.json").read_text())["parameters"]}


def check(what, summary, posterior):
    """The summary's figures against those of the report, whose names have the same order."""
    assert len(summary) == len(names), (what, list(summary.index))
    for name, (index, row) in zip(names, summary.iterrows()):
        right, error = figures[name], figures[name]["deviation"] / len(draws) ** 0.5
        mean, sd = float(row["mean"]), float(row["sd"])
        assert abs(mean - right["mean"]) < 6 * error + 0.05 * right["deviation"], (what, index, mean, right)
        assert abs(sd / right["deviation"] - 1) < 0.1, (what, index, sd, right)
    assert np.array_equal(np.asarray(posterior["beta"]).reshape(-1, 2), draws[:, :2]), what
    assert np.array_equal(np.asarray(posterior["sigma"]).ravel(), draws[:, 2]), what


xarray, arviz = module("xarray"), module("arviz")
tree = None
if xarray is not None and module("zarr") is not None and hasattr(xarray, "open_datatree"):
    tree = xarray.open_datatree(folder / "d.zarr", engine="zarr")
    assert np.array_equal(tree["posterior"]["sigma"].values.ravel(), draws[:, 2])
    assert np.array_equal(tree["sample_stats"]["log_weight"].values.ravel(), log_weight)
    print(f"xarray {xarray.__version__}: a DataTree")
if arviz is not None:
    before = getattr(arviz, "InferenceData", None)
    if tree is not None:
        # Before version 1 ArviZ had a class of its own, whose reader does not know the present zarr.
        data = before.from_datatree(tree) if hasattr(before, "from_datatree") else tree
        posterior, stats = data["posterior"], data["sample_stats"]
        assert dict(posterior.sizes) == {"chain": 1, "draw": len(draws), "beta_dim_0": 2}, posterior.sizes
        check("zarr", arviz.summary(data, round_to="none"), posterior)
        assert np.array_equal(stats["lp"].values.ravel(), log_prob + log_weight)
        print(f"arviz {arviz.__version__}: zarr")
    if hasattr(arviz, "psislw"):
        smoothed, k_hat = arviz.psislw(log_weight)
        assert np.isfinite(smoothed).all() and float(k_hat) < 1, k_hat
        print(f"arviz: Pareto k-hat {float(k_hat):.2f}")
    if hasattr(arviz, "from_cmdstan"):
        data = arviz.from_cmdstan(str(folder / "d.stan.csv"))
        check("cmdstan", arviz.summary(data, round_to="none"), data["posterior"])
        assert np.allclose(data["sample_stats"]["lp"].values.ravel(), log_prob + log_weight, rtol=1e-14)
        print("arviz: CmdStan's CSV")

cmdstanpy = module("cmdstanpy")
if cmdstanpy is not None:
    fit = cmdstanpy.from_csv(str(folder / "d.stan.csv"))
    assert np.allclose(fit.stan_variable("beta"), draws[:, :2], rtol=1e-14)
    print(f"cmdstanpy {cmdstanpy.__version__}: CmdStan's CSV")

rscript = shutil.which("Rscript")
if rscript is None:
    print("SKIPPED: R is not installed")
else:
    program = """
        d <- read.csv(commandArgs(TRUE)[1], check.names = FALSE)
        cat(names(d), sprintf("%.17g", c(nrow(d), colMeans(d), sapply(d, sd))), paste(R.version$major, R.version$minor, sep = "."), sep = "\\n")
    """
    said = subprocess.run(
        [rscript, "--vanilla", "-e", program, str(folder / "d.csv")], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    width = len(columns)
    assert said[:width] == columns, said
    found = np.array([float(number) for number in said[width : 3 * width + 1]])
    right = np.concatenate([[len(draws)], everything.mean(axis=0), everything.std(axis=0, ddof=1)])
    assert np.allclose(found, right, rtol=1e-9, atol=1e-12), (found, right)
    print(f"R {said[3 * width + 1]}: read.csv")
