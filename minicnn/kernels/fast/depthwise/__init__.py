"""Convolutions a channel at a time, and the separable convolutions that begin with one."""
