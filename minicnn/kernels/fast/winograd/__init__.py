"""Winograd's algorithm: kernels 3 wide with less than half the multiplications.  Read squares.py first."""
