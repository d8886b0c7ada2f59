"""Depthwise convolutions (each channel by itself), and separable convolutions, which begin with one."""
