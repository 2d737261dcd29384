"""Makes breast_cancer.csv from the file of that name in the package scikit-learn (PyPI, version 1.5.2).

    pip download --no-deps --only-binary :all: scikit-learn==1.5.2
    unzip scikit_learn-1.5.2-*.whl sklearn/datasets/data/breast_cancer.csv
    python3 prepare_breast_cancer.py sklearn/datasets/data/breast_cancer.csv breast_cancer.csv

Python's standard library is enough. The same input gives the same bytes. Only the header is new: the source's first line has
the numbers of rows and columns and the names of the classes, of which 0 is malignant and 1 is benign.
"""

import csv
import sys

MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness",
    "compactness", "concavity", "concave_points", "symmetry", "fractal_dimension",
)
ROWS = 569


def main(source, destination):
    names = [f"{kind}_{measure}" for kind in ("mean", "error", "worst") for measure in MEASURES] + ["benign"]
    with open(source, newline="") as file:
        head, *rows = csv.reader(file)
    assert head == [str(ROWS), str(len(names) - 1), "malignant", "benign"], head
    assert len(rows) == ROWS and all(len(row) == len(names) for row in rows)
    with open(destination, "w", newline="\n") as file:
        for row in [names, *rows]:
            file.write(",".join(row) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
