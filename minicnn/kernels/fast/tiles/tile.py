"""The register tile: a small block of a matrix product whose sums stay in the processor's registers.

    C[m, v] = sum over o < O, k < K of A[m*a_m + o*a_o + k*a_k] * B[o*b_o + k*b_k + v]

for m < rows and v < the width of two vectors.  Per cycle a core can multiply-add two vectors but also read only two,
and it has about thirty vector registers.  So a product reaches the core's limit only if each value that is read is
used several times.  Here each step of the sum reads two vectors of B and `rows` single values of A.  Each value of A
is broadcast to a whole vector and multiplied with both: 28 multiply-adds for 16 reads.
Broadcasting A leaves its strides free, so A may be an image and its rows the overlapping windows of a convolution:
no im2col columns are written.  The sum has two levels: a row of the kernel (o), and the KW*C values that are
adjacent in that row (k).

Numba's own loops would keep these sums in memory.  So the tile is written as LLVM instructions, one `intrinsic`
for each number of rows; the loops over o and k are in `Vectors.sums`.  Called by `product.py`, which covers a long
product with tiles; read that next.
"""

from collections.abc import Callable

from numba import types
from numba.extending import intrinsic

from .cpu import HEIGHTS, VECTORS
from .vectors import Vectors


def make_tile(rows: int, vectors: int = VECTORS) -> Callable:
    """A tile of that many rows, as a function that numba compiles into its caller."""

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
            row_of_a = [b.mul(a_m, e.constant(m)) for m in range(rows)]

            def add(pointers, sums):
                a, w = pointers
                right, new = [e.load(w, v) for v in range(vectors)], []
                for m in range(rows):
                    left = e.broadcast(e.move(a, row_of_a[m]))
                    new += [e.multiply_add(left, right[v], sums[m * vectors + v]) for v in range(vectors)]
                return new

            sums = e.sums((O, K), (a, w), ((a_o, a_k), (b_o, b_k)), rows * vectors, add)
            for m in range(rows):
                row = e.move(c, b.mul(c_m, e.constant(m)))
                for v in range(vectors):
                    e.store(sums[m * vectors + v], row, v)
            return context.get_dummy_value()

        return signature, codegen

    return tile


tiles = [make_tile(rows) for rows in HEIGHTS]


def make_add_row(vectors: int = VECTORS) -> Callable:
    """C[v] += A[v] for the width of a tile, without the run-time checks that numba's own loop makes first."""

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
