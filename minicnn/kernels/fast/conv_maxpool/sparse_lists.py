"""Lists of the maxima of a conv -> ReLU -> max pool block: gradients (g) and offsets (at), for `sparse_backward.py`.

Two kinds of lists are needed.  dweight sums over the maxima of one output channel at all places: `list_channels` makes
one list per channel from a run of places.  dx sums over the channels whose maximum is at the same one of the four
outputs: `list_place` makes four lists from the channels of one place.

Written one at a time, an entry costs about ten cycles, as much as the sum that uses it.  AVX-512 can store selected
lanes of a vector side by side in one instruction (compress), so whole vectors are listed there.  The loops over
single entries serve other processors, and channels that do not fill a vector.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ....runtime.compiling import njit
from ..convolution.epilogue import INACTIVE
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.vectors import INDEX, Vectors

COMPRESS = VECTOR_BYTES == 64  # whether the processor has the compress instruction
INT32 = ir.IntType(32)


class Entries(Vectors):
    """Instructions on vectors of list entries: gradients, int32 offsets and max indices, equally many of each."""

    def __init__(self, context: Any, builder: ir.IRBuilder, dtype: types.Type):
        super().__init__(context, builder, dtype)
        self.offset_vector = ir.VectorType(INT32, self.lanes)

    def maxima(self, pointer: ir.Value) -> ir.Value:
        """Load a vector of max indices, as int32."""
        narrow = ir.VectorType(ir.IntType(8), self.lanes)
        self.bounds.check(pointer, self.lanes)
        where = self.builder.bitcast(pointer, narrow.as_pointer())  # before LLVM 16, pointers have types
        return self.builder.zext(self.builder.load(where, align=1, typ=narrow), self.offset_vector)

    def number(self, value: int) -> ir.Constant:
        """A constant in every lane of a vector of offsets."""
        return ir.Constant(self.offset_vector, [value] * self.lanes)

    def append(
        self, g: ir.Value, at: ir.Value, q: ir.Value, chosen: ir.Value, gradients: ir.Value, offsets: ir.Value
    ) -> ir.Value:
        """Store the chosen lanes side by side, from g[q] and at[q] on, and return the position after the last.

        Whole vectors are stored; values after the last chosen lane are garbage that later entries overwrite.
        """
        b = self.builder
        for pointer, vector, kind, element in (
            (g, gradients, f"f{8 * self.itemsize}", self.element),
            (at, offsets, "i32", INT32),
        ):
            signature = ir.FunctionType(vector.type, [vector.type, vector.type, chosen.type])
            name = f"llvm.x86.avx512.mask.compress.v{self.lanes}{kind}"
            compress = cgutils.get_or_insert_function(b.module, signature, name)
            packed = b.call(compress, [vector, ir.Constant(vector.type, ir.Undefined), chosen])
            where = self.move(pointer, q, element)
            self.bounds.check(where, VECTOR_BYTES if element is self.element else 4 * self.lanes)
            b.store(packed, b.bitcast(where, vector.type.as_pointer()), align=4)
        return b.add(q, b.ctpop(b.zext(b.bitcast(chosen, ir.IntType(self.lanes)), INDEX)))

    def transpose(self, rows: Sequence[ir.Value]) -> list[ir.Value]:
        """Lane i of vector j becomes lane j of vector i, by exchanging blocks of one lane, then of two, four, ..."""
        rows, step = list(rows), 1
        while step < self.lanes:
            upper = [lane if lane & step == 0 else self.lanes + lane - step for lane in range(self.lanes)]
            lower = [lane + step if lane & step == 0 else self.lanes + lane for lane in range(self.lanes)]
            masks = [ir.Constant(self.offset_vector, mask) for mask in (upper, lower)]
            for i in range(self.lanes):
                if i & step == 0:
                    pair = rows[i], rows[i + step]
                    rows[i], rows[i + step] = (self.builder.shuffle_vector(*pair, mask) for mask in masks)
            step *= 2
        return rows


def make_append_place() -> Callable:
    """Append the lanes of dy whose argmax is `which`, with offsets at0, at0 + step, ...; return the next free entry."""

    @intrinsic
    def append_place(typing_context, g, at, q, dy, argmax, y0, which, at0, step):
        n = types.intp
        signature = n(g, at, n, dy, argmax, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            g, at, q, dy, argmax, y0, which, at0, step = arguments
            e, b = Entries(context, builder, sig.args[0].dtype), builder
            g = e.pointer(sig.args[0], g, e.constant(0))
            at = e.address(sig.args[1], at, e.constant(0), INT32)
            gradients = e.load(e.pointer(sig.args[3], dy, y0))
            maxima = e.maxima(e.address(sig.args[4], argmax, y0, ir.IntType(8)))
            which, at0, step = (e.spread(b.trunc(value, INT32)) for value in (which, at0, step))
            lane = ir.Constant(e.offset_vector, list(range(e.lanes)))
            chosen = b.icmp_signed("==", maxima, which)
            return e.append(g, at, q, chosen, gradients, b.add(at0, b.mul(lane, step)))

        return signature, codegen

    return append_place


def make_append_channels() -> Callable:
    """Append, for each of a vector of channels, the maxima at up to as many places; add their gradients to the bias."""

    @intrinsic
    def append_channels(
        typing_context, g, at, count, o0, capacity, bias, dy, argmax, y0, OC, corner, p0, places, down, right
    ):
        n = types.intp
        signature = types.void(g, at, count, n, n, bias, dy, argmax, n, n, corner, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            g, at, count, o0, capacity, bias, dy, argmax, y0, OC, corner, p0, places, down, right = arguments
            e, b = Entries(context, builder, sig.args[0].dtype), builder
            g = e.pointer(sig.args[0], g, e.constant(0))
            at = e.address(sig.args[1], at, e.constant(0), INT32)
            count = e.address(sig.args[2], count, o0, INDEX)
            bias = e.pointer(sig.args[5], bias, o0)
            dy = e.pointer(sig.args[6], dy, y0)
            argmax = e.address(sig.args[7], argmax, y0, ir.IntType(8))
            corner = e.address(sig.args[10], corner, p0, INT32)
            down, right = (e.spread(b.trunc(value, INT32)) for value in (down, right))
            total, gradients, offsets = e.load(bias), [], []
            for p in range(e.lanes):
                exists = b.icmp_signed("<", e.constant(p), places)
                place = b.select(exists, e.constant(p), e.constant(0))
                place_offset = b.mul(place, OC)
                which = e.maxima(e.move(argmax, place_offset, ir.IntType(8)))
                active = b.and_(b.icmp_signed("<", which, e.number(INACTIVE)), e.spread(exists))
                value = b.select(
                    active, e.load(e.move(dy, place_offset)), ir.Constant(e.vector, [0.0] * e.lanes)
                )
                total = b.fadd(total, value)
                window = e.move(corner, place, INT32)
                e.bounds.check(window, 4)
                where = e.spread(b.load(window, typ=INT32))
                for bit, shift in ((2, down), (1, right)):
                    moved = b.icmp_signed("==", b.and_(which, e.number(bit)), e.number(bit))
                    where = b.add(where, b.select(moved, shift, e.number(0)))
                gradients.append(value)
                offsets.append(b.select(active, where, e.number(-1)))
            e.store(total, bias)
            gradients, offsets = e.transpose(gradients), e.transpose(offsets)
            for v in range(e.lanes):
                count_pointer = e.move(count, e.constant(v), INDEX)
                e.bounds.check(count_pointer, 8)
                old_count = b.load(count_pointer, typ=INDEX)
                list_start = b.mul(b.add(o0, e.constant(v)), capacity)
                chosen = b.icmp_signed(">=", offsets[v], e.number(0))
                new_end = e.append(g, at, b.add(list_start, old_count), chosen, gradients[v], offsets[v])
                b.store(b.sub(new_end, list_start), count_pointer)
            return context.get_dummy_value()

        return signature, codegen

    return append_channels


append_place, append_channels = make_append_place(), make_append_channels()


@njit(cache=True, nogil=True)
def list_channels(g, at, count, capacity, bias, dy, argmax, y0, OC, corner, places, down, right):
    """List, for each channel oc, its maxima at `places` places: count[oc] entries of g and at, from oc*capacity on.

    corner[p] is where the window of place p begins.  `capacity` is a multiple of a vector.  bias += the gradients
    listed.
    """
    lanes = VECTOR_BYTES // g.itemsize
    vectors = OC // lanes * lanes if COMPRESS else 0
    for oc in range(OC):
        count[oc] = 0
    for p in range(0, places, lanes):
        for o0 in range(0, vectors, lanes):
            append_channels(g, at, count, o0, capacity, bias, dy, argmax, y0 + p * OC + o0, OC,
                            corner, p, places - p, down, right)  # fmt: skip
    for oc in range(vectors, OC):
        q = np.uintp(oc * capacity)
        for p in range(places):
            at_y = np.uintp(y0 + p * OC + oc)
            which = argmax[at_y]
            g[q] = dy[at_y]
            at[q] = corner[np.uintp(p)] + (down if which & 2 else 0) + (right if which & 1 else 0)
            if which < INACTIVE:
                bias[np.uintp(oc)] += dy[at_y]
                q += np.uintp(1)
        count[oc] = np.int64(q) - oc * capacity


@njit(cache=True, nogil=True)
def list_place(g, at, q, start, s0, dy, argmax, y0, o0, o1, length):
    """Make four lists for one place: the channels o0 <= oc < o1 whose maximum is at output `which`, for which < 4.

    Offsets are oc*length.  List `which` begins at start[s0 + which]; the first begins at q.  Returns where the last
    ends.
    """
    lanes = VECTOR_BYTES // g.itemsize
    vectors = o0 + ((o1 - o0) // lanes * lanes if COMPRESS else 0)
    for which in range(INACTIVE):
        start[s0 + which] = q
        for oc in range(o0, vectors, lanes):
            q = append_place(g, at, q, dy, argmax, y0 + oc, which, oc * length, length)
        for oc in range(vectors, o1):
            g[np.uintp(q)] = dy[np.uintp(y0 + oc)]
            at[np.uintp(q)] = oc * length
            q += argmax[np.uintp(y0 + oc)] == which
    return q
