"""Moments of the phi^4 lattice by a long hybrid Monte Carlo run (Duane et al. 1987), against draws of a student in NPY files.

    python benches/peers/phi4_moments.py NAME=DRAWS.npy ...

kappa = 0.2, lambda = 0.5, 8 x 8, periodic: <phi^2> per site, the susceptibility V <m^2> with m the mean field, <|m|> and <phi^4>, with
standard errors over chains (the long run) and over 100 batches of rows in their order (the draws). Needs numpy.
"""

import sys

import numpy as np

SIDE, KAPPA, LAMBDA = 8, 0.2, 0.5
CHAINS, TRAJECTORIES, WARM_UP, LEAPFROGS, STEP = 400, 6000, 300, 8, 0.15


def neighbours(phi):
    return sum(np.roll(phi, shift, axis) for shift in (1, -1) for axis in (1, 2))


def action(phi):
    square = phi * phi
    hopping = phi * (np.roll(phi, -1, 1) + np.roll(phi, -1, 2))
    return (-2 * KAPPA * hopping + square + LAMBDA * (square - 1) ** 2).sum((1, 2))


def force(phi):
    return 2 * KAPPA * neighbours(phi) - 2 * phi - 4 * LAMBDA * (phi * phi - 1) * phi


def moments(phi):
    """One row for each configuration."""
    mean = phi.mean((1, 2))
    volume = SIDE * SIDE
    return np.stack([(phi**2).mean((1, 2)), volume * mean**2, np.abs(mean), (phi**4).mean((1, 2))], axis=1)


def long_run(rng):
    phi = rng.normal(size=(CHAINS, SIDE, SIDE))
    energy = action(phi)
    total, kept, accepted = np.zeros((CHAINS, 4)), 0, 0.0
    for trajectory in range(WARM_UP + TRAJECTORIES):
        # Steps of random length, so that no period of the field is met again and again.
        step = STEP * rng.uniform(0.7, 1.3)
        momentum = rng.normal(size=phi.shape)
        before = energy + 0.5 * (momentum**2).sum((1, 2))
        moved = phi.copy()
        momentum += 0.5 * step * force(moved)
        for leap in range(LEAPFROGS):
            moved += step * momentum
            momentum += (0.5 if leap + 1 == LEAPFROGS else 1.0) * step * force(moved)
        moved_energy = action(moved)
        after = moved_energy + 0.5 * (momentum**2).sum((1, 2))
        take = np.log(rng.uniform(size=CHAINS)) < before - after
        phi[take], energy[take] = moved[take], moved_energy[take]
        accepted += take.mean()
        if trajectory >= WARM_UP:
            total += moments(phi)
            kept += 1
    chains = total / kept
    print(f"hybrid Monte Carlo: {CHAINS} chains x {kept}, acceptance {accepted / (WARM_UP + TRAJECTORIES):.3f}, numpy {np.__version__}")
    return chains.mean(0), chains.std(0, ddof=1) / np.sqrt(CHAINS)


def of_draws(path):
    values = moments(np.load(path).astype(float).reshape(-1, SIDE, SIDE))
    batches = np.stack([batch.mean(0) for batch in np.array_split(values, 100)])
    return values.mean(0), batches.std(0, ddof=1) / 10


def main():
    right, error = long_run(np.random.default_rng(1))
    names = ["<phi^2>", "V <m^2>", "<|m|>", "<phi^4>"]
    for name, value, e in zip(names, right, error):
        print(f"  {name:<8} {value:.5f} +- {e:.5f} ({100 * e / value:.3f} %)")
    for argument in sys.argv[1:]:
        label, path = argument.split("=", 1)
        found, e = of_draws(path)
        print(label)
        for k, name in enumerate(names):
            z = (found[k] - right[k]) / np.hypot(e[k], error[k])
            print(f"  {name:<8} {found[k]:.5f} +- {e[k]:.5f} ({100 * e[k] / found[k]:.3f} %), z = {z:+.2f}")


main()
