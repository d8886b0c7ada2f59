"""Measure the machine's limits: multiply-adds per second, and bytes per second for a given number of bytes.

    peak        the faster of a loop of multiply-adds in registers and NumPy's matrix product (BLAS)
    bandwidth   STREAM's triad a = b + s c, over arrays that together have that many bytes

Both run on the threads that the fast kernels use.  A kernel with f operations that moves b bytes needs at least
max(f / peak, b / bandwidth) seconds: its roof.  The triad is measured for many sizes, because data in a cache moves
several times as fast as data in memory.  Bytes are counted as in STREAM: those read and those written, once.
Used by `kernels.py`; the chart is in `roofline.py`.
"""

import statistics
from functools import partial

import numpy as np
from llvmlite import ir
from measuring import seconds_per_call, settle
from numba import get_num_threads, njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from minicnn.kernels.fast.threads import serialized
from minicnn.kernels.fast.tiles.cpu import REGISTERS, VECTOR_BYTES

LANES = VECTOR_BYTES // 4  # float32
SUMS = REGISTERS - 4  # enough sums to hide the latency of each, few enough to stay in registers
STEPS, SPACING = 100_000, 4 * LANES
IN_REGISTERS, BLAS = "a loop in registers", "NumPy's matrix product"
SIZES = [2**k for k in range(17, 29)]  # bytes of a triad: 128 KB to 256 MB


@intrinsic
def _multiply_add(typing_context, target, place, steps):
    """`steps` times, s = s * 0.5 + 1 for each of SUMS vectors; their total goes to `target[place:]`."""

    def codegen(context, builder, signature, arguments):
        target, place, steps = arguments
        vector, index = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        half, one = (ir.Constant(vector, [value] * LANES) for value in (0.5, 1.0))
        start, loop, done = builder.block, *(builder.append_basic_block() for _ in range(2))
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(index)
        sums = [builder.phi(vector) for _ in range(SUMS)]
        new = [builder.call(fma, [value, half, one]) for value in sums]
        following = builder.add(step, ir.Constant(index, 1))
        step.add_incoming(ir.Constant(index, 0), start)
        step.add_incoming(following, loop)
        for i, (phi, value) in enumerate(zip(sums, new, strict=True)):
            phi.add_incoming(ir.Constant(vector, [float(i)] * LANES), start)
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, steps), loop, done)
        builder.position_at_end(done)
        total = new[0]
        for value in new[1:]:
            total = builder.fadd(total, value)
        data = context.make_array(signature.args[0])(context, builder, target).data
        where = builder.gep(data, [place], source_etype=ir.FloatType())
        builder.store(total, builder.bitcast(where, vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(target, types.intp, types.intp), codegen


@serialized
@njit(parallel=True)
def _in_registers(steps):
    """The totals of the threads, SPACING apart, so that no two threads write to the same cache line."""
    threads = get_num_threads()
    totals = np.zeros(threads * SPACING, np.float32)
    for thread in prange(threads):
        _multiply_add(totals, thread * SPACING, steps)
    return totals


@serialized
@njit(parallel=True)
def _triad(a, b, c, s):
    for i in prange(len(a)):
        a[i] = b[i] + s * c[i]


class Limits:
    """The machine's limits: each is the median over the calls of `measure`.

    Attributes
    ----------
    operations : dict of str to list of float
        Operations per second in float32 (two per multiply-add), by the method that reached them.
    triads : dict of int to list of float
        Bytes per second, by the total bytes of a triad's three arrays.
    """

    def __init__(self):
        self.operations: dict[str, list[float]] = {IN_REGISTERS: [], BLAS: []}
        self.triads: dict[int, list[float]] = {size: [] for size in SIZES}
        self._numbers = np.random.default_rng(0).random(SIZES[-1] // 4, np.float32)
        totals = _in_registers(STEPS).reshape(-1, SPACING)
        assert (totals[:, :LANES] == 2 * SUMS).all(), "s = s / 2 + 1 converges to 2"
        self._operations = 2 * STEPS * SUMS * LANES * len(totals)

    def measure(self) -> None:
        """Measure all limits once more; takes half a second."""
        settle(partial(_in_registers, STEPS))
        self.operations[IN_REGISTERS].append(
            self._operations / seconds_per_call(partial(_in_registers, STEPS))
        )
        for size in SIZES:
            a, b, c = self._numbers[: size // 12 * 3].reshape(3, -1)
            run = partial(_triad, a, b, c, np.float32(1e-6))
            self.triads[size].append(3 * a.nbytes / seconds_per_call(run, 0.01))
        a, b = self._numbers[: 2 << 20].reshape(2, 1024, 1024)
        settle(partial(np.matmul, a, b))
        self.operations[BLAS].append(2 * 1024**3 / seconds_per_call(partial(np.matmul, a, b)))

    @property
    def peak(self) -> tuple[float, str]:
        """The most operations per second, and the method that reached them."""
        medians = {how: statistics.median(values) for how, values in self.operations.items()}
        how = max(medians, key=medians.get)
        return medians[how], how

    def bandwidth(self, size: float) -> float:
        """Bytes per second for that many bytes, interpolated between the measured sizes."""
        speeds = [statistics.median(self.triads[measured]) for measured in SIZES]
        return float(np.interp(np.log(size), np.log(SIZES), speeds))

    def roof(self, operations: float, size: float) -> tuple[float, str]:
        """The least seconds that these operations and bytes can take, and whether compute or memory limits them."""
        multiplying, moving = operations / self.peak[0], size / self.bandwidth(size)
        return max(multiplying, moving), "compute" if multiplying >= moving else "memory"
