"""The inner loops of the fast kernels, written for the processor's vectors and registers.  Read tile.py first."""
