"""The LLVM instructions of which the fast kernels' inner loops are made: load, store, broadcast, multiply, add.

Numba's own loops keep long-lived sums in memory and are vectorised only where LLVM can prove that it is safe.  So the
innermost steps are written as LLVM instructions, in functions (`intrinsic`) that numba compiles into their callers.
LLVM maps these vectors to the processor's registers.  Used by `tile.py` (products), `gather.py` and
`conv_maxpool/sparse_lists.py` (lists of maxima), `conv_maxpool/sparse_pick.py`, `convolution/epilogue.py`, `window.py`
(depthwise), `normalization.py` and Winograd's transforms.  In these files `e` is the `Vectors` object that emits
instructions, and `b` is LLVM's builder.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError

from ..bounds import INDEX, Bounds
from .cpu import VECTOR_BYTES

ELEMENT = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


class Vectors:
    """Instructions on vectors of one element type.  Loads and stores need no alignment."""

    def __init__(self, context: Any, builder: ir.IRBuilder, dtype: Any):
        self.context, self.builder, self.element = context, builder, ELEMENT[dtype]
        self.itemsize = dtype.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.element, self.lanes)
        name = f"llvm.fmuladd.v{self.lanes}f{dtype.bitwidth}"  # one instruction if the processor has it
        signature = ir.FunctionType(self.vector, [self.vector] * 3)
        self.bounds = Bounds(context, builder)
        self.multiply_add_function = cgutils.get_or_insert_function(builder.module, signature, name)

    def constant(self, value: int) -> ir.Constant:
        """A constant index."""
        return ir.Constant(INDEX, value)

    def pointer(self, array_type: types.Array, array: ir.Value, offset: ir.Value) -> ir.Value:
        """A pointer to element `offset` of an array with this element type."""
        if isinstance(array_type.dtype, types.Float) and ELEMENT[array_type.dtype] != self.element:
            raise TypingError(f"{array_type.dtype} among arrays of {self.element}")
        return self.address(array_type, array, offset, self.element)

    def address(
        self, array_type: types.Array, array: ir.Value, start: ir.Value, element: ir.Type
    ) -> ir.Value:
        """A pointer to element `start` of an array whose elements have the given LLVM type."""
        view = self.context.make_array(array_type)(self.context, self.builder, array)
        data = view.data
        self.bounds.enter(data, view.nitems, array_type)
        return self.move(data, start, element)

    def move(self, pointer: ir.Value, offset: ir.Value, element: ir.Type | None = None) -> ir.Value:
        """The pointer, moved forward by `offset` elements."""
        target = self.builder.gep(pointer, [offset], source_etype=element or self.element)
        return self.bounds.derive(target, pointer)

    def phi(self, pointer: ir.Value) -> ir.PhiInstr:
        """A phi node for a pointer that a loop moves within the same array."""
        return self.bounds.derive(self.builder.phi(pointer.type), pointer)

    def load(self, pointer: ir.Value, v: int = 0) -> ir.Value:
        """Load vector v, counted from `pointer`."""
        where = self.move(pointer, self.constant(v * self.lanes))
        self.bounds.check(where, self.lanes * self.itemsize)
        where = self.builder.bitcast(where, self.vector.as_pointer())
        return self.builder.load(where, align=self.itemsize, typ=self.vector)

    def store(self, value: ir.Value, pointer: ir.Value, v: int = 0, streaming: bool = False) -> None:
        """Store vector v, counted from `pointer`.  A streaming store bypasses the caches and needs full alignment."""
        where = self.move(pointer, self.constant(v * self.lanes))
        self.bounds.check(where, self.lanes * self.itemsize)
        where = self.builder.bitcast(where, self.vector.as_pointer())
        if streaming:
            one = self.builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
            self.builder.store(value, where, align=VECTOR_BYTES).set_metadata("nontemporal", one)
        else:
            self.builder.store(value, where, align=self.itemsize)

    def offsets(self, array_type: types.Array, array: ir.Value, start: ir.Value) -> ir.Value:
        """A pointer to element `start` of an int32 array."""
        return self.address(array_type, array, start, ir.IntType(32))

    def offset(self, pointer: ir.Value, p: ir.Value) -> ir.Value:
        """Load element p of an int32 array, as an index."""
        where = self.move(pointer, p, ir.IntType(32))
        self.bounds.check(where, 4)
        return self.builder.sext(self.builder.load(where, typ=ir.IntType(32)), INDEX)

    def lanes_below(self, count: ir.Value) -> ir.Value:
        """True in the first `count` lanes."""
        lane = ir.Constant(ir.VectorType(INDEX, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self.spread(count))

    def broadcast(self, pointer: ir.Value) -> ir.Value:
        """The value at `pointer` in every lane."""
        self.bounds.check(pointer, self.itemsize)
        return self.spread(self.builder.load(pointer, typ=self.element))

    def spread(self, value: ir.Value) -> ir.Value:
        """The value in every lane."""
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, everywhere)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, rounded once if the processor has fused multiply-add."""
        return self.builder.call(self.multiply_add_function, [a, b, c])

    def combine(
        self, coefficients: Sequence[float], values: Sequence[ir.Value], order: Sequence[int] | None = None
    ) -> ir.Value:
        """The sum of coefficient * value, added in the given order; coefficients 0, 1 and -1 need no multiplication."""
        b, total = self.builder, None
        for i in range(len(values)) if order is None else order:
            coefficient, value = coefficients[i], values[i]
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

    def sums(
        self,
        counts: tuple[ir.Value, ir.Value],
        pointers: Sequence[ir.Value],
        steps: Sequence[tuple[ir.Value, ir.Value]],
        number: int,
        add: Callable[[Sequence[ir.Value], Sequence[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """Emit a double loop over o < O and k < K that updates `number` sums in registers, and return the sums.

        `add(pointers, sums)` emits one iteration and returns the new sums.  `counts` is (O, K).  `steps` holds, for
        each pointer, how many elements it moves per o and per k.
        """
        b, zero = self.builder, ir.Constant(self.vector, [0.0] * self.lanes)
        start, outer, inner, next_o, done = b.block, *(b.append_basic_block() for _ in range(4))
        b.branch(outer)

        b.position_at_end(outer)  # for o in range(O)
        o, of_o = b.phi(INDEX), [self.phi(pointer) for pointer in pointers]
        sums_of_o = [b.phi(self.vector) for _ in range(number)]
        b.branch(inner)

        b.position_at_end(inner)  # for k in range(K)
        k, of_k = b.phi(INDEX), [self.phi(pointer) for pointer in pointers]
        sums = [b.phi(self.vector) for _ in range(number)]
        new = add(of_k, sums)
        next_k = b.add(k, self.constant(1))
        after_k = [self.move(pointer, by_k) for pointer, (_, by_k) in zip(of_k, steps, strict=True)]
        b.cbranch(b.icmp_signed("<", next_k, counts[1]), inner, next_o)
        end_of_inner = b.block  # bounds checks split a block

        b.position_at_end(next_o)
        o_plus_1 = b.add(o, self.constant(1))
        after_o = [self.move(pointer, by_o) for pointer, (by_o, _) in zip(of_o, steps, strict=True)]
        b.cbranch(b.icmp_signed("<", o_plus_1, counts[0]), outer, done)

        values = [o, *of_o, *sums_of_o]
        initials, updates = [self.constant(0), *pointers, *[zero] * number], [o_plus_1, *after_o, *new]
        for phi, initial, updated in zip(values, initials, updates, strict=True):
            phi.add_incoming(initial, start)
            phi.add_incoming(updated, next_o)
        values = [k, *of_k, *sums]
        initials, updates = [self.constant(0), *of_o, *sums_of_o], [next_k, *after_k, *new]
        for phi, initial, updated in zip(values, initials, updates, strict=True):
            phi.add_incoming(initial, outer)
            phi.add_incoming(updated, end_of_inner)
        b.position_at_end(done)
        return new

    def run(
        self,
        count: ir.Value,
        pointers: Sequence[ir.Value],
        steps: Sequence[ir.Value],
        values: Sequence[ir.Value],
        body: Callable[[Sequence[ir.Value], Sequence[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """Emit a loop of `count` iterations, at least one, that updates `values` in registers, and return them.

        `body(pointers, values)` emits one iteration and returns the new values.  `steps` holds, for each pointer, how
        many elements it moves per iteration.
        """
        b = self.builder
        entry, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
        b.branch(loop)
        b.position_at_end(loop)
        i, here, carried = b.phi(INDEX), [self.phi(p) for p in pointers], [b.phi(self.vector) for _ in values]
        new = body(here, carried)
        next_i = b.add(i, self.constant(1))
        moved = [self.move(pointer, step) for pointer, step in zip(here, steps, strict=True)]
        end_of_loop = b.block
        initials, updates = [self.constant(0), *pointers, *values], [next_i, *moved, *new]
        for phi, initial, updated in zip([i, *here, *carried], initials, updates, strict=True):
            phi.add_incoming(initial, entry)
            phi.add_incoming(updated, end_of_loop)
        b.cbranch(b.icmp_signed("<", next_i, count), loop, done)
        b.position_at_end(done)
        return new
