"""What the library needs from the machine, apart from arithmetic.

    compiling.py   numba's njit, with a cache of compiled functions on disk
    threads.py     the number of threads that the fast kernels use
    tbb.py         loads the oneTBB library for numba's thread pool
    printing.py    lines on standard output and standard error

Used by all other subpackages; nothing here knows of layers or images.
"""
