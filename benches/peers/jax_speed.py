"""The strongest Python peer: masked autoregressive layers written by hand in JAX and compiled, as dense masked products.

    peers/bin/python benches/peers/jax_speed.py [--size DIM,HIDDEN,BATCH]... [--quick]

Prints a JSON line a measurement. Draws start from given noise, whose generation is not in the time. The log density of foreign points
under a student is the same work here as a teacher's draws: one pass for each dimension.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import LAYERS, MANY, arguments, median, report

BOUND = 3.0


def masks(dim, hidden):
    """0/1 matrices from degrees: inputs 0 .. dim-1, hidden units sorted, both outputs of a variable see smaller degrees only."""
    inputs = np.arange(dim)
    units = np.sort(np.arange(hidden) % max(1, dim - 1))
    sees = lambda low, high: low[:, None] <= high[None, :]
    last = units[:, None] < inputs[None, :]
    stack = [sees(inputs, units), sees(units, units), np.concatenate([last, last], axis=1)]
    return [jnp.asarray(mask, jnp.float32) for mask in stack]


def parameters(dim, hidden):
    widths = [(dim, hidden), (hidden, hidden), (hidden, 2 * dim)]
    keys = jax.random.split(jax.random.PRNGKey(0), LAYERS * len(widths))
    weights = [jax.random.normal(key, widths[i % 3]) / np.sqrt(widths[i % 3][0]) for i, key in enumerate(keys)]
    return [[(w, jnp.zeros(w.shape[1])) for w in weights[3 * k : 3 * k + 3]] for k in range(LAYERS)]


def conditioner(layer, stack, x):
    (w0, b0), (w1, b1), (w2, b2) = layer
    h = jax.nn.relu(x @ (w0 * stack[0]) + b0)
    h = jax.nn.relu(h @ (w1 * stack[1]) + b1)
    shift, raw = jnp.split(h @ (w2 * stack[2]) + b2, 2, axis=-1)
    return shift, BOUND * jnp.tanh(raw / BOUND)


def measure(size, quick):
    dim, hidden, batch = size
    stack, weights = masks(dim, hidden), parameters(dim, hidden)
    optimizer = optax.adam(1e-4)
    state = optimizer.init(weights)

    def base(z):
        return -0.5 * (z**2).sum(-1) - 0.5 * dim * np.log(2 * np.pi)

    def log_prob(weights, x):
        log_det = 0.0
        for layer in weights:
            shift, s = conditioner(layer, stack, x)
            x, log_det = ((x - shift) * jnp.exp(-s))[:, ::-1], log_det - s.sum(-1)
        return base(x) + log_det

    def push(weights, z):
        log_q = base(z)
        for layer in weights:
            shift, s = conditioner(layer, stack, z)
            z, log_q = (z * jnp.exp(s) + shift)[:, ::-1], log_q - s.sum(-1)
        return z, log_q

    @jax.jit
    def draw_teacher(weights, z):
        for layer in reversed(weights):
            z = z[:, ::-1]

            def solve(d, x):
                shift, s = conditioner(layer, stack, x)
                return x.at[:, d].set(z[:, d] * jnp.exp(s[:, d]) + shift[:, d])

            z = jax.lax.fori_loop(0, dim, solve, jnp.zeros_like(z))
        return z

    def step(loss):
        @jax.jit
        def update(weights, state, argument):
            value, gradient = jax.value_and_grad(loss)(weights, argument)
            change, state = optimizer.update(gradient, state)
            return optax.apply_updates(weights, change), state, value

        return update

    def energy_loss(weights, key):
        x, log_q = push(weights, jax.random.normal(key, (batch, dim)))
        return (log_q + 0.125 * (x**2).sum(-1)).mean()

    x = jax.random.normal(jax.random.PRNGKey(1), (batch, dim))
    key = jax.random.PRNGKey(3)
    fit, distil = step(lambda weights, x: -log_prob(weights, x).mean()), step(energy_loss)
    runs = 10 if quick else 30

    def row(what, rows, call, runs):
        report("jax", what, size, rows, median(call, runs, jax.block_until_ready))

    row("teacher fit step", batch, lambda: fit(weights, state, x), runs)
    row("student reverse-KL step", batch, lambda: distil(weights, state, key), runs)
    evaluate, draw_student = jax.jit(log_prob), jax.jit(push)
    many = jax.random.normal(jax.random.PRNGKey(4), (MANY, dim))
    row("teacher log_prob", MANY, lambda: evaluate(weights, many), 5)
    row("student draws", 1, lambda: draw_student(weights, many[:1]), 30)
    row("student draws", MANY, lambda: draw_student(weights, many), 5)
    row("teacher draws", MANY, lambda: draw_teacher(weights, many), 1 if dim > 10 else 3)


if __name__ == "__main__":
    options = arguments("JAX, compiled")
    for size in options.size:
        measure(size, options.quick)
