"""Serves a log density to flowdistill over standard input and output: copy this one file next to your program.

With NumPy, a function of all points at once:

    from flowdistill_density import serve

    def standard_normal(points):                 # float64, shape (n, dim)
        return -0.5 * (points**2).sum(axis=1), -points

    serve(dim=3, names=["a", "b", "c"], batch=standard_normal)

Without it, a function of one point:

    def standard_normal(x):                      # a list of dim floats
        return -0.5 * sum(v * v for v in x), [-v for v in x]

    serve(dim=3, point=standard_normal)

Both return the log density and its gradient. A log density of -inf is density zero. NaN, or from `point` the exceptions
`Rejected`, `ArithmeticError` and `ValueError`, say that the density cannot be evaluated there; any other exception ends the run.
Whatever the program prints goes to standard error. The protocol is in docs/process.md.
"""

import array
import json
import os
import struct
import sys
import traceback

try:
    import numpy
except ImportError:
    numpy = None

PROTOCOL = "flowdistill-density"
VERSION = 1
GRADIENTS = 1
LONGEST_TEXT = 60000


class Rejected(Exception):
    """Raised by a density of one point: it cannot be evaluated there, and the text says why."""


def serve(dim, names=None, *, batch=None, point=None, values=None, pad=False):
    """Answers until flowdistill has no more questions.

    batch  -- function of an array (n, dim) that returns log densities (n,) and gradients (n, dim); needs NumPy
    point  -- function of a list of `dim` floats that returns a log density and a list of `dim` floats; one of both is given
    values -- like `batch` without gradients, used where none are asked for; optional
    pad    -- fill batches up to a power of two with copies of the last row, for functions that are compiled for each shape
    """
    if (batch is None) == (point is None):
        raise TypeError("serve() takes either `batch` or `point`")
    if batch is not None and numpy is None:
        raise ImportError("`batch` needs NumPy; `point` does not")
    # The pipes are ours alone: prints of the density, and reads of standard input, must not get between the frames.
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    greeting = {"protocol": PROTOCOL, "version": VERSION, "dim": int(dim)}
    if names is not None:
        greeting["names"] = [str(name) for name in names]
    _send(answers, b"HELO", json.dumps(greeting).encode())
    while True:
        header = _receive(requests, 8, may_end=True)
        if header is None:
            return
        tag, length = struct.unpack("<4sI", header)
        if tag != b"EVAL":
            raise ConnectionError(f"an unknown frame {tag!r}")
        payload = _receive(requests, length)
        sequence, rows, flags, _ = struct.unpack_from("<IIII", payload)
        if len(payload) != 16 + 8 * rows * dim:
            raise ConnectionError(f"{len(payload)} bytes for {rows} points of {dim} coordinates")
        wanted = bool(flags & GRADIENTS)
        try:
            note = ""
            if batch is not None:
                numbers = _batch(batch, values, pad, payload, rows, dim, wanted)
            else:
                numbers, note = _points(point, payload, rows, dim, wanted)
        except Exception:
            _send(answers, b"FAIL", traceback.format_exc().encode()[-LONGEST_TEXT:])
            raise
        note = note.encode()[:LONGEST_TEXT]
        _send(answers, b"VALS", struct.pack("<IIII", sequence, rows, flags, len(note)), *numbers, note)


def _batch(batch, values, pad, payload, rows, dim, wanted):
    points = numpy.frombuffer(payload, "<f8", rows * dim, 16).reshape(rows, dim)
    if pad:
        size = 1 << max(rows - 1, 0).bit_length()
        points = numpy.concatenate([points, numpy.repeat(points[-1:], size - rows, axis=0)])
    gradients = None
    if values is not None and not wanted:
        found = values(points)
    else:
        found, gradients = batch(points)
    answer = [_checked("log densities", found, (len(points),))[:rows]]
    if wanted:
        answer.append(_checked("gradients", gradients, (len(points), dim))[:rows])
    return [memoryview(numbers).cast("B") for numbers in answer]


def _checked(what, found, shape):
    found = numpy.ascontiguousarray(found, "<f8")
    if found.shape != shape:
        raise TypeError(f"the {what} have the shape {found.shape}; {shape} is right")
    return found


def _points(point, payload, rows, dim, wanted):
    numbers = array.array("d")
    numbers.frombytes(payload[16:])
    if sys.byteorder == "big":
        numbers.byteswap()
    numbers = numbers.tolist()
    values, gradients, note = array.array("d"), array.array("d"), ""
    for first in range(0, rows * dim, dim):
        try:
            value, gradient = point(numbers[first : first + dim])
        except (Rejected, ArithmeticError, ValueError) as reason:
            value, gradient = float("nan"), [0.0] * dim
            note = note or f"{type(reason).__name__}: {reason}"
        if len(gradient) != dim:
            raise TypeError(f"a gradient has {len(gradient)} entries; {dim} are right")
        values.append(value)
        if wanted:
            gradients.extend(gradient)
    if sys.byteorder == "big":
        values.byteswap()
        gradients.byteswap()
    return [values.tobytes(), gradients.tobytes()], note


def _receive(pipe, length, may_end=False):
    """`length` bytes; None if there are none at all and that is an end."""
    buffer = bytearray(length)
    view, filled = memoryview(buffer), 0
    while filled < length:
        n = pipe.readinto(view[filled:])
        if not n:
            if may_end and filled == 0:
                return None
            raise ConnectionError(f"the input ends after {filled} of {length} bytes")
        filled += n
    return buffer


def _send(pipe, tag, *parts):
    frame = b"".join([struct.pack("<4sI", tag, sum(len(part) for part in parts)), *parts])
    view = memoryview(frame)
    while view:
        view = view[pipe.write(view) :]
