"""The eight-schools posterior (Rubin 1981), non-centred, for flowdistill: all points at once with NumPy, one by one without.

Coordinates: mu, log tau, and the eight standardised effects. All constants and the Jacobian of log tau are kept, so that the
log evidence comes out as -31.31135.
"""

import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from flowdistill_density import numpy, serve  # noqa: E402  (the helper lies in another folder of this repository)

EFFECTS = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]
ERRORS = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]
NAMES = ["mu", "log_tau"] + [f"theta_tilde{i}" for i in range(1, 9)]
CONSTANT = (
    -0.5 * 17 * math.log(2 * math.pi) - math.log(5) - sum(map(math.log, ERRORS)) + math.log(2 / (5 * math.pi))
)


def batch(points):
    effects, errors = numpy.array(EFFECTS), numpy.array(ERRORS)
    mu, log_tau, offsets = points[:, :1], points[:, 1:2], points[:, 2:]
    with numpy.errstate(over="ignore", invalid="ignore"):
        tau = numpy.exp(log_tau)
        twice = 2 * (log_tau - math.log(5))
        residuals = (effects - mu - tau * offsets) / errors
        pulls = residuals / errors
        values = CONSTANT - 0.5 * (mu / 5) ** 2 + log_tau - numpy.logaddexp(0, twice)
        values = values[:, 0] - 0.5 * (offsets**2 + residuals**2).sum(axis=1)
        gradients = numpy.empty_like(points)
        gradients[:, :1] = -mu / 25 + pulls.sum(axis=1, keepdims=True)
        gradients[:, 1:2] = 1 - 2 / (1 + numpy.exp(-twice)) + tau * (pulls * offsets).sum(axis=1, keepdims=True)
        gradients[:, 2:] = -offsets + pulls * tau
    # Where tau overflows the density is zero.
    return numpy.where(numpy.isnan(values), -numpy.inf, values), gradients


def point(x):
    mu, log_tau = x[:2]
    if log_tau > 700:
        return -math.inf, [0.0] * 10
    tau = math.exp(log_tau)
    ratio = (tau / 5) ** 2
    value = CONSTANT - 0.5 * (mu / 5) ** 2 + log_tau - math.log1p(ratio)
    gradient = [-mu / 25, 1 - 2 * (ratio / (1 + ratio) if ratio < 1e300 else 1.0)]
    for offset, effect, error in zip(x[2:], EFFECTS, ERRORS):
        residual = (effect - mu - tau * offset) / error
        pull = residual / error
        value -= 0.5 * (offset * offset + residual * residual)
        gradient[0] += pull
        gradient[1] += pull * tau * offset
        gradient.append(pull * tau - offset)
    return value, gradient


if numpy is not None and "--plain" not in sys.argv:
    serve(dim=10, names=NAMES, batch=batch)
else:
    serve(dim=10, names=NAMES, point=point)
