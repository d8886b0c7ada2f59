"""Sums over a 3x3 window of one vector of channels: the inner loops of a depthwise convolution.

Each loop runs over neighbouring outputs and keeps in registers what they share: the nine weights in the forward pass,
the nine sums that become the weights' gradients in the backward pass.  With stride 1 it also keeps the columns that
neighbouring windows share, so that only three values are read for nine products.  Numba's own loop would read and
write a sum for every product.  Called by `depthwise/passes.py` and `depthwise/separable.py`.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cpu import VECTOR_BYTES
from .vectors import Vectors

KERNEL = 3
TAPS = KERNEL * KERNEL  # weights of a kernel
LANES = {
    "f": VECTOR_BYTES // 4,
    "d": VECTOR_BYTES // 8,
}  # channels in a vector, by the dtype's character code


def make_window_sum(slides: bool, streaming: bool = False) -> Callable:
    """y[i*C + v] = bias[v] + sum over kw, kh of x[kh*x_row + i*x_step + kw*C + v] * w[(kh*3 + kw)*C + v], i < count.

    `slides` requires x_step = C: each column is read once for the three outputs whose windows contain it.
    `streaming` is that of `Vectors.store`.
    """

    @intrinsic
    def window_sum(typing_context, y, y0, bias, b0, x, x0, x_row, x_step, w, w0, C, count):
        n = types.intp
        signature = types.void(y, n, bias, n, x, n, n, n, w, n, n, n)

        def codegen(context, builder, sig, arguments):
            y, y0, bias, b0, x, x0, x_row, x_step, w, w0, C, count = arguments
            e = Vectors(context, builder, sig.args[0].dtype)
            start, y = e.load(e.pointer(sig.args[2], bias, b0)), e.pointer(sig.args[0], y, y0)
            x, w = e.pointer(sig.args[4], x, x0), e.pointer(sig.args[8], w, w0)
            weights = [_column(e, w, kw, builder.mul(C, e.constant(KERNEL)), C) for kw in range(KERNEL)]

            def add(total, column, kw):
                for value, weight in zip(column, weights[kw], strict=True):
                    total = e.multiply_add(value, weight, total)
                return total

            def step(pointers, partial_sums):
                x, y = pointers
                column = _column(e, x, 2, x_row, C)
                if slides:
                    two_columns, one_column = partial_sums
                    e.store(add(two_columns, column, 2), y, streaming=streaming)
                    return [add(one_column, column, 1), add(start, column, 0)]
                total = start
                for kw in range(KERNEL - 1):
                    total = add(total, _column(e, x, kw, x_row, C), kw)
                e.store(add(total, column, 2), y, streaming=streaming)
                return []

            partial_sums = []  # two columns of the next output, one column of the output after it
            if slides:
                first, second = (_column(e, x, kw, x_row, C) for kw in range(KERNEL - 1))
                partial_sums = [add(add(start, first, 0), second, 1), add(start, second, 0)]
            e.run(count, (x, y), (x_step, C), partial_sums, step)
            return context.get_dummy_value()

        return signature, codegen

    return window_sum


def make_window_gradient(slides: bool) -> Callable:
    """For each weight t < 9: part[t*lanes + v] += sum over i < count of x[input of weight t at i] * dy[i*C + v].

    The tenth sum in `part` is that of dy alone, for the bias.  `slides` is that of `make_window_sum`.
    """

    @intrinsic
    def window_gradient(typing_context, part, p0, x, x0, x_row, x_step, dy, d0, C, count):
        n = types.intp
        signature = types.void(part, n, x, n, n, n, dy, n, n, n)

        def codegen(context, builder, sig, arguments):
            part, p0, x, x0, x_row, x_step, dy, d0, C, count = arguments
            e = Vectors(context, builder, sig.args[0].dtype)
            part, x, dy = (
                e.pointer(sig.args[0], part, p0),
                e.pointer(sig.args[2], x, x0),
                e.pointer(sig.args[6], dy, d0),
            )

            def first_columns(x):
                return [value for kw in range(KERNEL - 1) for value in _column(e, x, kw, x_row, C)]

            def step(pointers, carried):
                x, dy = pointers
                gradient, window = e.load(dy), carried[TAPS + 1 :] or first_columns(x)
                window = [*window, *_column(e, x, 2, x_row, C)]
                new = [
                    e.multiply_add(window[t % KERNEL * KERNEL + t // KERNEL], gradient, carried[t])
                    for t in range(TAPS)
                ]
                return [*new, builder.fadd(carried[TAPS], gradient), *(window[KERNEL:] if slides else [])]

            zeros = [ir.Constant(e.vector, [0.0] * e.lanes)] * (TAPS + 1)
            totals = e.run(count, (x, dy), (x_step, C), [*zeros, *(first_columns(x) if slides else [])], step)
            for t in range(TAPS + 1):
                e.store(builder.fadd(e.load(part, t), totals[t]), part, t)
            return context.get_dummy_value()

        return signature, codegen

    return window_gradient


def _column(e, x, kw, x_row, x_step):
    """Column kw of the window that begins at x."""
    b = e.builder
    right = b.mul(x_step, e.constant(kw))
    return [e.load(e.move(x, b.add(b.mul(x_row, e.constant(kh)), right))) for kh in range(KERNEL)]


window_sum, window_gradient = make_window_sum(False), make_window_gradient(False)
sliding_sum, sliding_gradient = make_window_sum(True), make_window_gradient(True)
sliding_sum_streaming = make_window_sum(True, True)
