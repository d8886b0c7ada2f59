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
`intrinsic` for each number of rows.  Called by `product.py`, which covers a long product with tiles.  (After a
change here touch its callers: numba renews what it has compiled when their own file changes.)
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .cpu import ROWS, VECTOR_BYTES, VECTORS

INDEX = ir.IntType(64)
ELEMENT = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


class _Emit:
    """The few LLVM instructions that the tiles need, on vectors that need not be aligned."""

    def __init__(self, context, builder, dtype):
        self.context, self.builder, self.element = context, builder, ELEMENT[dtype]
        self.itemsize = dtype.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.element, self.lanes)
        name = f"llvm.fmuladd.v{self.lanes}f{dtype.bitwidth}"  # one instruction where there is one
        signature = ir.FunctionType(self.vector, [self.vector] * 3)
        self.multiply_add_function = cgutils.get_or_insert_function(builder.module, signature, name)

    def constant(self, value):
        return ir.Constant(INDEX, value)

    def pointer(self, array_type, array, offset):
        """Where element `offset` of an array is."""
        return self.move(self.context.make_array(array_type)(self.context, self.builder, array).data, offset)

    def move(self, pointer, offset):
        return self.builder.gep(pointer, [offset], source_etype=self.element)

    def load(self, pointer, v=0):
        where = self.move(pointer, self.constant(v * self.lanes))
        where = self.builder.bitcast(where, self.vector.as_pointer())
        return self.builder.load(where, align=self.itemsize, typ=self.vector)

    def store(self, value, pointer, v=0):
        where = self.move(pointer, self.constant(v * self.lanes))
        self.builder.store(value, self.builder.bitcast(where, self.vector.as_pointer()), align=self.itemsize)

    def offsets(self, array_type, array, start):
        """Where an int32 array begins, `start` elements in."""
        data = self.context.make_array(array_type)(self.context, self.builder, array).data
        return self.builder.gep(data, [start], source_etype=ir.IntType(32))

    def offset(self, pointer, p):
        """Element p of an int32 array, as an index."""
        where = self.builder.gep(pointer, [p], source_etype=ir.IntType(32))
        return self.builder.sext(self.builder.load(where, typ=ir.IntType(32)), INDEX)

    def lanes_below(self, count):
        """True in the first `count` lanes."""
        lane = ir.Constant(ir.VectorType(INDEX, self.lanes), list(range(self.lanes)))
        undefined = ir.Constant(lane.type, ir.Undefined)
        one = self.builder.insert_element(undefined, count, ir.Constant(ir.IntType(32), 0))
        first = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.icmp_signed("<", lane, self.builder.shuffle_vector(one, undefined, first))

    def broadcast(self, pointer):
        """The value at `pointer` in every lane."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        value = self.builder.load(pointer, typ=self.element)
        one = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, everywhere)

    def multiply_add(self, a, b, c):
        return self.builder.call(self.multiply_add_function, [a, b, c])


def make_tile(rows: int, vectors: int = VECTORS, add: bool = False) -> Callable:
    """The tile as a function that numba compiles into its caller; with `add`, C += instead of C =."""

    @intrinsic
    def tile(typing_context, C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K):  # noqa: E741
        n = types.intp
        signature = types.void(C, n, n, A, n, n, n, n, B, n, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            C, c0, c_m, A, a0, a_m, a_o, a_k, B, b0, b_o, b_k, O, K = arguments  # noqa: E741
            e, b = _Emit(context, builder, sig.args[0].dtype), builder
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
                    value = new[m * vectors + v]
                    e.store(b.fadd(e.load(row, v), value) if add else value, row, v)
            return context.get_dummy_value()

        return signature, codegen

    return tile


HALF = ROWS // 2
tile_full, tile_half, tile_one = make_tile(ROWS), make_tile(HALF), make_tile(1)
add_full, add_half, add_one = (make_tile(rows, add=True) for rows in (ROWS, HALF, 1))


def make_gather(vectors: int) -> Callable:
    """D[v] += sum over p < P of g[p] * X[at[p] + v]: weighted rows of a picture, summed in registers."""

    @intrinsic
    def gather(typing_context, D, d0, g, at, p0, P, X, x0):
        n = types.intp
        signature = types.void(D, n, g, at, n, n, X, n)

        def codegen(context, builder, sig, arguments):
            D, d0, g, at, p0, P, X, x0 = arguments
            e, b = _Emit(context, builder, sig.args[0].dtype), builder
            d, x = e.pointer(sig.args[0], D, d0), e.pointer(sig.args[6], X, x0)
            g, at = e.pointer(sig.args[2], g, p0), e.offsets(sig.args[3], at, p0)
            enter, loop, leave, done = (b.append_basic_block() for _ in range(4))
            b.cbranch(b.icmp_signed(">", P, e.constant(0)), enter, done)
            b.position_at_end(enter)
            held = [e.load(d, v) for v in range(vectors)]
            b.branch(loop)
            b.position_at_end(loop)
            p = b.phi(INDEX)
            sums = [b.phi(e.vector) for _ in range(vectors)]
            weight, row = e.broadcast(e.move(g, p)), e.move(x, e.offset(at, p))
            new = [e.multiply_add(weight, e.load(row, v), sums[v]) for v in range(vectors)]
            next_p = b.add(p, e.constant(1))
            again = [(p, e.constant(0), next_p), *zip(sums, held, new, strict=True)]
            for phi, before, after in again:
                phi.add_incoming(before, enter)
                phi.add_incoming(after, loop)
            b.cbranch(b.icmp_signed("<", next_p, P), loop, leave)
            b.position_at_end(leave)
            for v in range(vectors):
                e.store(new[v], d, v)
            b.branch(done)
            b.position_at_end(done)
            return context.get_dummy_value()

        return signature, codegen

    return gather


def make_scatter(vectors: int) -> Callable:
    """D[at[p] + v] += g[p] * W[v] for each p < P, and v < width: one row of weights, added in many places.

    Lanes at `width` and beyond are stored as they were.
    """

    @intrinsic
    def scatter(typing_context, D, d0, g, at, p0, P, W, w0, width):
        n = types.intp
        signature = types.void(D, n, g, at, n, n, W, n, n)

        def codegen(context, builder, sig, arguments):
            D, d0, g, at, p0, P, W, w0, width = arguments
            e, b = _Emit(context, builder, sig.args[0].dtype), builder
            d, w = e.pointer(sig.args[0], D, d0), e.pointer(sig.args[6], W, w0)
            g, at = e.pointer(sig.args[2], g, p0), e.offsets(sig.args[3], at, p0)
            enter, loop, done = (b.append_basic_block() for _ in range(3))
            b.cbranch(b.icmp_signed(">", P, e.constant(0)), enter, done)
            b.position_at_end(enter)
            held = [e.load(w, v) for v in range(vectors)]
            inside = e.lanes_below(b.sub(width, e.constant((vectors - 1) * e.lanes)))
            b.branch(loop)
            b.position_at_end(loop)
            p = b.phi(INDEX)
            weight, row = e.broadcast(e.move(g, p)), e.move(d, e.offset(at, p))
            for v in range(vectors):
                old = e.load(row, v)
                new = e.multiply_add(weight, held[v], old)
                e.store(b.select(inside, new, old) if v == vectors - 1 else new, row, v)
            next_p = b.add(p, e.constant(1))
            p.add_incoming(e.constant(0), enter)
            p.add_incoming(next_p, loop)
            b.cbranch(b.icmp_signed("<", next_p, P), loop, done)
            b.position_at_end(done)
            return context.get_dummy_value()

        return signature, codegen

    return scatter


gather_24, gather_12, gather_6, gather_3, gather_1 = (make_gather(vectors) for vectors in (24, 12, 6, 3, 1))
scatter_24, scatter_12, scatter_6, scatter_3, scatter_1 = (make_scatter(v) for v in (24, 12, 6, 3, 1))
