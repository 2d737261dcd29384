"""Coupled anharmonic oscillators for flowdistill, in JAX: one line of log density, the gradient and the batch from JAX."""

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy  # noqa: E402
from flowdistill_density import serve  # noqa: E402

jax.config.update("jax_enable_x64", True)  # single precision would show in the evidence
DIM = 6


def log_density(x):
    return -(0.25 * x**4).sum() - 0.5 * (jnp.diff(x) ** 2).sum()


value_and_gradient = jax.jit(jax.vmap(jax.value_and_grad(log_density)))
value = jax.jit(jax.vmap(log_density))


def batch(points):
    values, gradients = value_and_gradient(points)
    return numpy.asarray(values), numpy.asarray(gradients)


# Compiled once for each number of rows: `pad` keeps those to powers of two, and the common one is compiled before we say hello.
batch(numpy.zeros((512, DIM)))
serve(dim=DIM, names=[f"x{i}" for i in range(1, DIM + 1)], batch=batch, values=value, pad=True)
