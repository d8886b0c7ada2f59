"""Lists of the winners of a block: how much (g) and where (at), for the sums of `winners.py`.

Two orders are needed.  dweight sums over the winners of one output channel, wherever they are: `list_channels` makes
a list for each channel from a run of places.  dx sums over the channels that won at the same one of four
outputs: `list_place` makes four lists from the channels of one place.

Taken one by one, an entry costs about ten cycles, as much as the sum that needs it.  AVX-512 can write the chosen
lanes of a vector side by side in one instruction (compress): there whole vectors are listed, and the loops over
single entries are left to other processors and to channels that do not fill a vector.
Called by `winners.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ....runtime.compiling import njit
from ..convolution.pool import NOBODY
from ..tiles.cpu import VECTOR_BYTES
from ..tiles.vectors import INDEX, Vectors

COMPRESS = VECTOR_BYTES == 64  # whether the processor has the instruction
INT32 = ir.IntType(32)


class Entries(Vectors):
    """Instructions on vectors of entries: gradients, int32 offsets and winners, as many of each."""

    def __init__(self, context: Any, builder: ir.IRBuilder, dtype: types.Type):
        super().__init__(context, builder, dtype)
        self.offset_vector = ir.VectorType(INT32, self.lanes)

    def winners(self, pointer: ir.Value) -> ir.Value:
        """A vector of winners, as int32."""
        narrow = ir.VectorType(ir.IntType(8), self.lanes)
        self.bounds.check(pointer, self.lanes)
        return self.builder.zext(self.builder.load(pointer, align=1, typ=narrow), self.offset_vector)

    def number(self, value: int) -> ir.Constant:
        """A constant in every lane of a vector of offsets."""
        return ir.Constant(self.offset_vector, [value] * self.lanes)

    def append(
        self, g: ir.Value, at: ir.Value, q: ir.Value, chosen: ir.Value, gradients: ir.Value, offsets: ir.Value
    ) -> ir.Value:
        """Write the chosen lanes from g[q] and at[q] on, side by side, and return the place after the last.

        Whole vectors are written: what comes after the last is to be written over.
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
        """Lane i of vector j becomes lane j of vector i: blocks change places, of one lane first, then of two..."""
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
    """The lanes of dy whose winner is `who`, with their offsets at0, at0 + step, ...; returns the next free entry."""

    @intrinsic
    def append_place(typing_context, g, at, q, dy, winner, y0, who, at0, step):
        n = types.intp
        signature = n(g, at, n, dy, winner, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            g, at, q, dy, winner, y0, who, at0, step = arguments
            e, b = Entries(context, builder, sig.args[0].dtype), builder
            g = e.pointer(sig.args[0], g, e.constant(0))
            at = e.address(sig.args[1], at, e.constant(0), INT32)
            gradients = e.load(e.pointer(sig.args[3], dy, y0))
            winners = e.winners(e.address(sig.args[4], winner, y0, ir.IntType(8)))
            who, at0, step = (e.spread(b.trunc(value, INT32)) for value in (who, at0, step))
            lane = ir.Constant(e.offset_vector, list(range(e.lanes)))
            chosen = b.icmp_signed("==", winners, who)
            return e.append(g, at, q, chosen, gradients, b.add(at0, b.mul(lane, step)))

        return signature, codegen

    return append_place


def make_append_channels() -> Callable:
    """For each of a vector of channels, the winners at up to as many places; adds their gradients to the bias's."""

    @intrinsic
    def append_channels(
        typing_context, g, at, count, o0, room, bias, dy, winner, y0, OC, corner, p0, places, down, right
    ):
        n = types.intp
        signature = types.void(g, at, count, n, n, bias, dy, winner, n, n, corner, n, n, n, n)

        def codegen(context, builder, sig, arguments):
            g, at, count, o0, room, bias, dy, winner, y0, OC, corner, p0, places, down, right = arguments
            e, b = Entries(context, builder, sig.args[0].dtype), builder
            g = e.pointer(sig.args[0], g, e.constant(0))
            at = e.address(sig.args[1], at, e.constant(0), INT32)
            count = e.address(sig.args[2], count, o0, INDEX)
            bias = e.pointer(sig.args[5], bias, o0)
            dy = e.pointer(sig.args[6], dy, y0)
            winner = e.address(sig.args[7], winner, y0, ir.IntType(8))
            corner = e.address(sig.args[10], corner, p0, INT32)
            down, right = (e.spread(b.trunc(value, INT32)) for value in (down, right))
            total, gradients, offsets = e.load(bias), [], []
            for p in range(e.lanes):
                there = b.icmp_signed("<", e.constant(p), places)
                place = b.select(there, e.constant(p), e.constant(0))
                skipped = b.mul(place, OC)
                who = e.winners(e.move(winner, skipped, ir.IntType(8)))
                alive = b.and_(b.icmp_signed("<", who, e.number(NOBODY)), e.spread(there))
                value = b.select(alive, e.load(e.move(dy, skipped)), ir.Constant(e.vector, [0.0] * e.lanes))
                total = b.fadd(total, value)
                window = e.move(corner, place, INT32)
                e.bounds.check(window, 4)
                where = e.spread(b.load(window, typ=INT32))
                for bit, shift in ((2, down), (1, right)):
                    moved = b.icmp_signed("==", b.and_(who, e.number(bit)), e.number(bit))
                    where = b.add(where, b.select(moved, shift, e.number(0)))
                gradients.append(value)
                offsets.append(b.select(alive, where, e.number(-1)))
            e.store(total, bias)
            gradients, offsets = e.transpose(gradients), e.transpose(offsets)
            for v in range(e.lanes):
                counted = e.move(count, e.constant(v), INDEX)
                e.bounds.check(counted, 8)
                held = b.load(counted, typ=INDEX)
                first = b.mul(b.add(o0, e.constant(v)), room)
                chosen = b.icmp_signed(">=", offsets[v], e.number(0))
                after = e.append(g, at, b.add(first, held), chosen, gradients[v], offsets[v])
                b.store(b.sub(after, first), counted)
            return context.get_dummy_value()

        return signature, codegen

    return append_channels


append_place, append_channels = make_append_place(), make_append_channels()


@njit(cache=True, nogil=True)
def list_channels(g, at, count, room, bias, dy, winner, y0, OC, corner, places, down, right):
    """For each channel oc its winners at `places` places: g and at from oc*room on, count[oc] of them.

    corner[p] is where place p's window begins; `room` holds whole vectors.  bias += the gradients listed.
    """
    lanes = VECTOR_BYTES // g.itemsize
    vectors = OC // lanes * lanes if COMPRESS else 0
    for oc in range(OC):
        count[oc] = 0
    for p in range(0, places, lanes):
        for o0 in range(0, vectors, lanes):
            append_channels(g, at, count, o0, room, bias, dy, winner, y0 + p * OC + o0, OC,
                            corner, p, places - p, down, right)  # fmt: skip
    for oc in range(vectors, OC):
        q = np.uintp(oc * room)
        for p in range(places):
            here = np.uintp(y0 + p * OC + oc)
            who = winner[here]
            g[q] = dy[here]
            at[q] = corner[np.uintp(p)] + (down if who & 2 else 0) + (right if who & 1 else 0)
            if who < NOBODY:
                bias[np.uintp(oc)] += dy[here]
                q += np.uintp(1)
        count[oc] = np.int64(q) - oc * room


@njit(cache=True, nogil=True)
def list_place(g, at, q, start, s0, dy, winner, y0, o0, o1, length):
    """The channels o0 <= oc < o1 that won at each of four outputs of one place, with the offsets oc*length.

    List s0 + who begins at start[s0 + who]; the first at q.  Returns where the last ends.
    """
    lanes = VECTOR_BYTES // g.itemsize
    vectors = o0 + ((o1 - o0) // lanes * lanes if COMPRESS else 0)
    for who in range(NOBODY):
        start[s0 + who] = q
        for oc in range(o0, vectors, lanes):
            q = append_place(g, at, q, dy, winner, y0 + oc, who, oc * length, length)
        for oc in range(vectors, o1):
            g[np.uintp(q)] = dy[np.uintp(y0 + oc)]
            at[np.uintp(q)] = oc * length
            q += winner[np.uintp(y0 + oc)] == who
    return q
