"""Makes penguins.csv from the table `penguins.csv` of the package palmerpenguins (PyPI, version 0.1.6, CC0 data).

    pip download --no-deps palmerpenguins==0.1.6
    unzip palmerpenguins-0.1.6-py3-none-any.whl palmerpenguins/data/penguins.csv
    python3 prepare_penguins.py palmerpenguins/data/penguins.csv penguins.csv

Python's standard library is enough. The same input gives the same bytes.
"""

import csv
import sys

SPECIES = ["Adelie", "Chinstrap", "Gentoo"]
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def main(source, destination):
    with open(source, newline="") as file:
        rows = [row for row in csv.DictReader(file) if "NA" not in row.values()]
    with open(destination, "w", newline="\n") as file:
        file.write(",".join(["species", "male"] + NUMBERS) + "\n")
        for row in rows:
            codes = [str(SPECIES.index(row["species"])), str(int(row["sex"] == "male"))]
            file.write(",".join(codes + [row[name] for name in NUMBERS]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
