"""Kernels 3 wide with less than half the multiplications: Winograd's sums."""
