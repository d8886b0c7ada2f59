"""The processor's vector registers: how many bytes one holds, and how many there are.

Both follow from the features that numba compiles for, so NUMBA_CPU_NAME and NUMBA_CPU_FEATURES change them too.
Used by `tile.py` to choose the shape of the register tile, and by every kernel that works on vectors.
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


CHOSEN = config.CPU_FEATURES  # type: ignore[attr-defined]  # numba's stubs
FEATURES = get_host_cpu_features() if CHOSEN is None else CHOSEN
VECTOR_BYTES, REGISTERS = registers(FEATURES)

# 14 x 2 (or 6 x 2) accumulators, 2 vectors of the right operand and 1 broadcast value must fit in the registers.
VECTORS = 2
HEIGHTS = (14, 8, 4, 1) if REGISTERS == 32 else (6, 3, 1)  # of the tallest tile, and of those for the rest
