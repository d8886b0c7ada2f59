"""Convolutions of any size on register tiles: forward.py, and dx and dweight in passes.py."""
