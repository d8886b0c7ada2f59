"""The register tile: a small block of a matrix product that never leaves the processor's registers.

    C[m, v] = sum over o < O, k < K of A[m*a_m + o*a_o + k*a_k] * B[o*b_o + k*b_k + v]

for m < rows and v < two vectors' width.  A core multiplies and adds two vectors each cycle, but reads only
two vectors each cycle and keeps about thirty: a product reaches the core's limit only if each number that is
read is used several times.  Here every step of the sum reads two vectors of B and `rows` single values of A;
each value of A is broadcast to a whole vector and multiplied with both, 28 multiply-adds for 16 reads.
Broadcasting A leaves its strides free, so A may be a picture itself and its rows the overlapping windows of a
convolution: no columns are written.  The sum has two levels, a row of the kernel (o) and the KW*C
values that lie side by side under it (k).

Numba's own loops keep these accumulators in memory; so the tile is written here as LLVM instructions, one
`intrinsic` for each number of rows.  Called by `product.py`, which covers a long product with tiles.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cpu import HEIGHTS, VECTORS
from .vectors import INDEX, Vectors


def make_tile(rows: int, vectors: int = VECTORS) -> Callable:
    """The tile as a function that numba compiles into its caller."""

    @intrinsic
    def tile(typing_context, C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K):  # noqa: E741
        n = types.intp
        signature = types.void(C, n, n, A, n, n, n, n, B, n, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K = arguments  # noqa: E741
            e, b = Vectors(context, builder, sig.args[0].dtype), builder
            c, a, w = (
                e.pointer(sig.args[0], C, c0),
                e.pointer(sig.args[3], A, a0),
                e.pointer(sig.args[8], B, b0),
            )
            start, outer, inner, next_o, done = b.block, *(b.append_basic_block() for _ in range(4))
            row_of_a = [b.mul(a_m, e.constant(m)) for m in range(rows)]
            b.branch(outer)

            b.position_at_end(outer)  # for o in range(O)
            o, a_of_o, w_of_o = b.phi(INDEX), b.phi(a.type), b.phi(w.type)
            sums_of_o = [b.phi(e.vector) for _ in range(rows * vectors)]
            b.branch(inner)

            b.position_at_end(inner)  # for k in range(K)
            k, a_of_k, w_of_k = b.phi(INDEX), b.phi(a.type), b.phi(w.type)
            sums = [b.phi(e.vector) for _ in range(rows * vectors)]
            right = [e.load(w_of_k, v) for v in range(vectors)]
            new = []
            for m in range(rows):
                left = e.broadcast(e.move(a_of_k, row_of_a[m]))
                new += [e.multiply_add(left, right[v], sums[m * vectors + v]) for v in range(vectors)]
            next_k = b.add(k, e.constant(1))
            next_a, next_w = e.move(a_of_k, a_k), e.move(w_of_k, b_k)
            b.cbranch(b.icmp_signed("<", next_k, K), inner, next_o)

            b.position_at_end(next_o)
            o_plus_1, a_plus, w_plus = b.add(o, e.constant(1)), e.move(a_of_o, a_o), e.move(w_of_o, b_o)
            b.cbranch(b.icmp_signed("<", o_plus_1, O), outer, done)

            zero = ir.Constant(e.vector, [0.0] * e.lanes)
            first = [(o, e.constant(0), o_plus_1), (a_of_o, a, a_plus), (w_of_o, w, w_plus)]
            for phi, before, after in first + [
                (s, zero, value) for s, value in zip(sums_of_o, new, strict=True)
            ]:
                phi.add_incoming(before, start)
                phi.add_incoming(after, next_o)
            first = [(k, e.constant(0), next_k), (a_of_k, a_of_o, next_a), (w_of_k, w_of_o, next_w)]
            for phi, before, after in first + list(zip(sums, sums_of_o, new, strict=True)):
                phi.add_incoming(before, outer)
                phi.add_incoming(after, inner)

            b.position_at_end(done)
            for m in range(rows):
                row = e.move(c, b.mul(c_m, e.constant(m)))
                for v in range(vectors):
                    e.store(new[m * vectors + v], row, v)
            return context.get_dummy_value()

        return signature, codegen

    return tile


tiles = [make_tile(rows) for rows in HEIGHTS]


def make_add_row(vectors: int = VECTORS) -> Callable:
    """C[v] += A[v] for the width of a tile; without the questions that numba's own loop asks first."""

    @intrinsic
    def add_row(typing_context, C, c0, A, a0):
        signature = types.void(C, types.intp, A, types.intp)

        def codegen(context, builder, sig, arguments):
            C, c0, A, a0 = arguments
            e = Vectors(context, builder, sig.args[0].dtype)
            c, a = e.pointer(sig.args[0], C, c0), e.pointer(sig.args[2], A, a0)
            for v in range(vectors):
                e.store(builder.fadd(e.load(c, v), e.load(a, v)), c, v)
            return context.get_dummy_value()

        return signature, codegen

    return add_row


add_row = make_add_row()
