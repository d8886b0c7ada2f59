"""The few LLVM instructions of which the fast kernels' inner loops are made: load, store, broadcast, multiply and add.

Numba's own loops keep long-lived sums in memory and vectorise only what it can prove; so the innermost steps are
written as LLVM instructions, each an `intrinsic` that numba compiles into its caller.  LLVM turns a vector here
into the processor's own registers.  Used by `tile.py` (products), `gather.py` (sums over lists) and `winograd.py`
(transforms).
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .cpu import VECTOR_BYTES

INDEX = ir.IntType(64)
ELEMENT = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


class Vectors:
    """Instructions on vectors of one type, that need not be aligned in memory."""

    def __init__(self, context: Any, builder: ir.IRBuilder, dtype: types.Type):
        self.context, self.builder, self.element = context, builder, ELEMENT[dtype]
        self.itemsize = dtype.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.element, self.lanes)
        name = f"llvm.fmuladd.v{self.lanes}f{dtype.bitwidth}"  # one instruction where there is one
        signature = ir.FunctionType(self.vector, [self.vector] * 3)
        self.multiply_add_function = cgutils.get_or_insert_function(builder.module, signature, name)

    def constant(self, value: int) -> ir.Constant:
        """An index."""
        return ir.Constant(INDEX, value)

    def pointer(self, array_type: types.Array, array: ir.Value, offset: ir.Value) -> ir.Value:
        """Where element `offset` of an array is."""
        return self.move(self.context.make_array(array_type)(self.context, self.builder, array).data, offset)

    def move(self, pointer: ir.Value, offset: ir.Value) -> ir.Value:
        """`offset` elements on."""
        return self.builder.gep(pointer, [offset], source_etype=self.element)

    def load(self, pointer: ir.Value, v: int = 0) -> ir.Value:
        """Vector v from `pointer` on."""
        where = self.move(pointer, self.constant(v * self.lanes))
        where = self.builder.bitcast(where, self.vector.as_pointer())
        return self.builder.load(where, align=self.itemsize, typ=self.vector)

    def store(self, value: ir.Value, pointer: ir.Value, v: int = 0) -> None:
        """Write vector v from `pointer` on."""
        where = self.move(pointer, self.constant(v * self.lanes))
        self.builder.store(value, self.builder.bitcast(where, self.vector.as_pointer()), align=self.itemsize)

    def offsets(self, array_type: types.Array, array: ir.Value, start: ir.Value) -> ir.Value:
        """Where an int32 array begins, `start` elements in."""
        data = self.context.make_array(array_type)(self.context, self.builder, array).data
        return self.builder.gep(data, [start], source_etype=ir.IntType(32))

    def offset(self, pointer: ir.Value, p: ir.Value) -> ir.Value:
        """Element p of an int32 array, as an index."""
        where = self.builder.gep(pointer, [p], source_etype=ir.IntType(32))
        return self.builder.sext(self.builder.load(where, typ=ir.IntType(32)), INDEX)

    def lanes_below(self, count: ir.Value) -> ir.Value:
        """True in the first `count` lanes."""
        lane = ir.Constant(ir.VectorType(INDEX, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self.spread(count))

    def broadcast(self, pointer: ir.Value) -> ir.Value:
        """The value at `pointer` in every lane."""
        return self.spread(self.builder.load(pointer, typ=self.element))

    def spread(self, value: ir.Value) -> ir.Value:
        """The value in every lane."""
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, everywhere)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, rounded once where the processor can."""
        return self.builder.call(self.multiply_add_function, [a, b, c])

    def combine(self, coefficients: Sequence[float], values: Sequence[ir.Value]) -> ir.Value:
        """The sum of coefficient * value; products with 0, 1 and -1 cost nothing."""
        b, total = self.builder, None
        for coefficient, value in zip(coefficients, values, strict=True):
            if coefficient == 0:
                continue
            factor = ir.Constant(self.vector, [coefficient] * self.lanes)
            if total is None and abs(coefficient) == 1:
                total = value if coefficient == 1 else b.fneg(value)
            elif total is None:
                total = b.fmul(factor, value)
            elif coefficient == 1:
                total = b.fadd(total, value)
            elif coefficient == -1:
                total = b.fsub(total, value)
            else:
                total = self.multiply_add(factor, value, total)
        return total
