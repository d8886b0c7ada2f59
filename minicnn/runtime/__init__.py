"""The machine below the arithmetic: `compiling.py` for numba and its caches, `threads.py` for how many cores."""
