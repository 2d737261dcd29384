"""The library that a Python user would take: zuko's MAF on PyTorch, two threads.

    peers/bin/python benches/peers/zuko_speed.py [--size DIM,HIDDEN,BATCH]... [--quick]

Prints a JSON line a measurement. Random numbers are in the time of its draws, as its interface has them.
"""

import torch
import zuko
from timing import LAYERS, MANY, arguments, median, report

torch.manual_seed(0)
torch.set_num_threads(2)


def measure(size, quick):
    dim, hidden, batch = size
    teacher = zuko.flows.MAF(features=dim, transforms=LAYERS, hidden_features=[hidden] * 2)
    student = zuko.flows.Flow(teacher.transform.inv, teacher.base)
    optimizer = torch.optim.Adam(teacher.parameters(), lr=1e-4)
    x = torch.randn(batch, dim)

    def step(loss):
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    def energy_loss():
        draws, log_q = student().rsample_and_log_prob((batch,))
        return (log_q + 0.125 * draws.square().sum(-1)).mean()

    def row(what, rows, call, runs):
        report("zuko", what, size, rows, median(call, runs))

    runs = 10 if quick else 30
    row("teacher fit step", batch, lambda: step(lambda: -teacher().log_prob(x).mean()), runs)
    row("student reverse-KL step", batch, lambda: step(energy_loss), runs)
    with torch.no_grad():
        many = torch.randn(MANY, dim)
        row("teacher log_prob", MANY, lambda: teacher().log_prob(many), 5)
        row("student draws", 1, lambda: student().rsample_and_log_prob((1,)), 30)
        row("student draws", MANY, lambda: student().rsample_and_log_prob((MANY,)), 5)
        row("teacher draws", MANY, lambda: teacher().sample((MANY,)), 1 if dim > 10 else 3)


if __name__ == "__main__":
    options = arguments("zuko on PyTorch")
    for size in options.size:
        measure(size, options.quick)
