"""Bounds checks for the debug build: every load and store of an intrinsic is checked against its array.

numba's own `boundscheck` covers the indices of numba's loops, but not the LLVM instructions that an intrinsic emits.
With MINICNN_BOUNDSCHECK=1 (`runtime/compiling.py`), `Vectors` therefore records for each pointer where its array
begins and ends, and emits a comparison before each access; a failed one raises IndexError.  The ordinary build emits
nothing.  Called by `tiles/vectors.py`.
"""

from typing import Any

from llvmlite import ir

from ...runtime.compiling import BOUNDSCHECK

INDEX = ir.IntType(64)


class Bounds:
    """Where each pointer's array begins and ends, as integers; empty in the ordinary build."""

    def __init__(self, context: Any, builder: ir.IRBuilder):
        self.context, self.builder = context, builder
        # (pointer, first, end) by the pointer's id; holding the pointer keeps the id unique
        self._range_of: dict[int, tuple[ir.Value, ir.Value, ir.Value]] = {}

    def enter(self, pointer: ir.Value, count: ir.Value, array_type: Any) -> None:
        """Record that `pointer` is the start of an array of `count` elements."""
        if BOUNDSCHECK:
            first = self.builder.ptrtoint(pointer, INDEX)
            size = self.builder.mul(count, ir.Constant(INDEX, array_type.dtype.bitwidth // 8))
            self._range_of[id(pointer)] = pointer, first, self.builder.add(first, size)

    def derive(self, pointer: ir.Value, source: ir.Value) -> ir.Value:
        """Record that `pointer` points into the same array as `source`, and return it."""
        if BOUNDSCHECK:
            self._range_of[id(pointer)] = pointer, *self._range_of[id(source)][1:]
        return pointer

    def check(self, pointer: ir.Value, size: int) -> None:
        """Emit the check that the `size` bytes at `pointer` are within its array."""
        if not BOUNDSCHECK:
            return
        b, (_, first, end) = self.builder, self._range_of[id(pointer)]
        at = b.ptrtoint(pointer, INDEX)
        below = b.icmp_unsigned("<", at, first)
        above = b.icmp_unsigned(">", b.add(at, ir.Constant(INDEX, size)), end)
        with b.if_then(b.or_(below, above), likely=False):
            self.context.call_conv.return_user_exc(b, IndexError, ("vector access out of bounds",))
