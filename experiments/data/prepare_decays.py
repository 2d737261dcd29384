"""Makes decays.csv: counts of a source that decays, in six time slots, simulated from the prior of `amortised.ron`. Needs Python 3 only."""

import math
import random
from pathlib import Path

TIMES = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]


def poisson(mean, rng):
    """Counts the arrivals of a process of rate one until `mean`."""
    count, at = 0, rng.expovariate(1.0)
    while at < mean:
        count, at = count + 1, at + rng.expovariate(1.0)
    return count


rng = random.Random(20261129)
rows = []
for _ in range(2000):
    log_counts, log_rate, background = rng.gauss(3.5, 0.7), rng.gauss(-0.5, 0.7), rng.gauss(0.5, 0.5)
    means = [math.exp(log_counts - math.exp(log_rate) * t) + math.exp(background) for t in TIMES]
    rows.append([poisson(mean, rng) for mean in means])
header = ",".join(f"counts[{i}]" for i in range(len(TIMES)))
text = "\n".join([header] + [",".join(map(str, row)) for row in rows]) + "\n"
Path(__file__).with_name("decays.csv").write_text(text)
