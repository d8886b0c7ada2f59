"""Sums over a 3x3 window of one vector of channels: the inner loops of a depthwise convolution.

A run of neighbouring outputs goes through with what they share in registers: forward the nine weights, backward
the nine sums that become the weights' gradients.  Numba's own loop would read and write a sum for every product.
Called by `depthwise.py`.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cpu import VECTOR_BYTES
from .vectors import INDEX, Vectors

KERNEL = 3
TAPS = KERNEL * KERNEL
LANES = {"f": VECTOR_BYTES // 4, "d": VECTOR_BYTES // 8}  # channels in a vector, by the type's character


def make_window_sum() -> Callable:
    """y[i*C + v] = bias[v] + sum over kh, kw of x[kh*x_row + i*x_step + kw*C + v] * w[(kh*3 + kw)*C + v], i < count."""

    @intrinsic
    def window_sum(typing_context, y, y0, bias, b0, x, x0, x_row, x_step, w, w0, C, count):
        n = types.intp
        signature = types.void(y, n, bias, n, x, n, n, n, w, n, n, n)

        def codegen(context, builder, sig, arguments):
            y, y0, bias, b0, x, x0, x_row, x_step, w, w0, C, count = arguments
            e = Vectors(context, builder, sig.args[0].dtype)
            start, w = e.load(e.pointer(sig.args[2], bias, b0)), e.pointer(sig.args[8], w, w0)
            weights = [e.load(e.move(w, builder.mul(C, e.constant(t)))) for t in range(TAPS)]
            places = _places(e, x_row, C)

            def place(x, y, sums):
                total = start
                for weight, where in zip(weights, places, strict=True):
                    total = e.multiply_add(e.load(e.move(x, where)), weight, total)
                e.store(total, y)
                return []

            _run(e, count, e.pointer(sig.args[4], x, x0), x_step, e.pointer(sig.args[0], y, y0), C, [], place)
            return context.get_dummy_value()

        return signature, codegen

    return window_sum


def make_window_gradient() -> Callable:
    """For each of the nine places t: part[t*lanes + v] += sum over i < count of x[place t of i] * dy[i*C + v].

    The tenth sum in `part` is that of dy alone, for the bias.
    """

    @intrinsic
    def window_gradient(typing_context, part, p0, x, x0, x_row, x_step, dy, d0, C, count):
        n = types.intp
        signature = types.void(part, n, x, n, n, n, dy, n, n, n)

        def codegen(context, builder, sig, arguments):
            part, p0, x, x0, x_row, x_step, dy, d0, C, count = arguments
            e = Vectors(context, builder, sig.args[0].dtype)
            part, places = e.pointer(sig.args[0], part, p0), _places(e, x_row, C)

            def place(x, dy, sums):
                gradient = e.load(dy)
                new = [
                    e.multiply_add(e.load(e.move(x, where)), gradient, total)
                    for where, total in zip(places, sums[:TAPS], strict=True)
                ]
                return [*new, builder.fadd(sums[TAPS], gradient)]

            zeros = [ir.Constant(e.vector, [0.0] * e.lanes)] * (TAPS + 1)
            x, dy = e.pointer(sig.args[2], x, x0), e.pointer(sig.args[6], dy, d0)
            for t, total in enumerate(_run(e, count, x, x_step, dy, C, zeros, place)):
                e.store(builder.fadd(e.load(part, t), total), part, t)
            return context.get_dummy_value()

        return signature, codegen

    return window_gradient


def _places(e, x_row, C):
    """How far each place of the window lies from its first."""
    b = e.builder
    return [
        b.add(b.mul(x_row, e.constant(kh)), b.mul(C, e.constant(kw)))
        for kh in range(KERNEL)
        for kw in range(KERNEL)
    ]


def _run(e, count, x, x_step, other, other_step, sums, place):
    """Call `place` for `count` outputs, at least one, with both pointers moving on; returns the sums after the last."""
    b = e.builder
    before, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
    b.branch(loop)
    b.position_at_end(loop)
    i, x_i, other_i = b.phi(INDEX), b.phi(x.type), b.phi(other.type)
    held = [b.phi(e.vector) for _ in sums]
    new = place(x_i, other_i, held)
    next_i = b.add(i, e.constant(1))
    steps = [
        (i, e.constant(0), next_i),
        (x_i, x, e.move(x_i, x_step)),
        (other_i, other, e.move(other_i, other_step)),
    ]
    for phi, first, after in [*steps, *zip(held, sums, new, strict=True)]:
        phi.add_incoming(first, before)
        phi.add_incoming(after, loop)
    b.cbranch(b.icmp_signed("<", next_i, count), loop, done)
    b.position_at_end(done)
    return new


window_sum, window_gradient = make_window_sum(), make_window_gradient()
