"""In the debug build: every load and store of an intrinsic is checked against the array that it belongs to.

numba's own check, `boundscheck`, sees the indices of numba's loops, not the LLVM instructions that an intrinsic emits.
So with MINICNN_BOUNDSCHECK=1 (`runtime/compiling.py`) `Vectors` remembers for each pointer where its array begins and
ends, and puts a comparison in front of each access, which raises IndexError.  In the ordinary build nothing is emitted.
Called by `tiles/vectors.py`.
"""

from typing import Any

from llvmlite import ir
from numba import types

from ...runtime.compiling import BOUNDSCHECK

INDEX = ir.IntType(64)


class Bounds:
    """Where the array of each pointer begins and ends, as integers; empty in the ordinary build."""

    def __init__(self, context: Any, builder: ir.IRBuilder):
        self.context, self.builder = context, builder
        self._of: dict[int, tuple[ir.Value, ir.Value, ir.Value]] = {}  # by identity, with the pointer itself

    def enter(self, pointer: ir.Value, count: ir.Value, array_type: types.Array) -> None:
        """`pointer` points to the start of an array with `count` elements."""
        if BOUNDSCHECK:
            first = self.builder.ptrtoint(pointer, INDEX)
            size = self.builder.mul(count, ir.Constant(INDEX, array_type.dtype.bitwidth // 8))
            self._of[id(pointer)] = pointer, first, self.builder.add(first, size)

    def follow(self, pointer: ir.Value, source: ir.Value) -> ir.Value:
        """`pointer`, which points into the same array as `source`."""
        if BOUNDSCHECK:
            self._of[id(pointer)] = pointer, *self._of[id(source)][1:]
        return pointer

    def check(self, pointer: ir.Value, size: int) -> None:
        """Emit the check that `size` bytes from `pointer` on are within its array."""
        if not BOUNDSCHECK:
            return
        b, (_, first, end) = self.builder, self._of[id(pointer)]
        at = b.ptrtoint(pointer, INDEX)
        below = b.icmp_unsigned("<", at, first)
        above = b.icmp_unsigned(">", b.add(at, ir.Constant(INDEX, size)), end)
        with b.if_then(b.or_(below, above), likely=False):
            self.context.call_conv.return_user_exc(b, IndexError, ("a vector outside of its array",))
