"""Convolutions of any size on register tiles: y in forward.py, dx and dweight in passes.py."""
