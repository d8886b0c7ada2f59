"""The inner loops of the fast kernels, written for the vectors and registers of the processor: read tile.py first."""
