"""What the processor's registers are like: how many values one vector holds, and how many vectors there are.

Read from the features that numba compiles for, so NUMBA_CPU_NAME and NUMBA_CPU_FEATURES change it too.
Used by `tile.py` to choose the shape of the register tile, and by all who cut their work into vectors.
"""

from numba.core import config
from numba.core.codegen import get_host_cpu_features


def registers(features: str) -> tuple[int, int]:
    """(bytes in a vector register, number of vector registers) for LLVM's list of features.

    Examples
    --------
    >>> registers("+avx2,+fma,+avx512f,+avx512vl"), registers("+avx,+avx2,+fma"), registers("+neon"), registers("")
    ((64, 32), (32, 16), (16, 32), (16, 16))
    """
    enabled = set(features.split(","))
    if {"+avx512f", "+avx512vl"} <= enabled:
        return 64, 32
    if {"+avx2", "+fma"} <= enabled:
        return 32, 16
    return 16, 32 if "+neon" in enabled else 16


FEATURES = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
VECTOR_BYTES, REGISTERS = registers(FEATURES)

# A tile of 14 x 2 (or 6 x 2) accumulators, 2 vectors of the right operand and 1 broadcast value must fit.
VECTORS = 2
HEIGHTS = (14, 8, 4, 1) if REGISTERS == 32 else (6, 3, 1)  # the tallest, and those that finish a product
