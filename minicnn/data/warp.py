"""Pictures through affine maps: the loops over pixels of `augmentation.py`, which draws the maps."""

import numpy as np

from ..compiling import njit


@njit(cache=True, nogil=True)
def warp(pictures, matrices, brightness, out):
    """out[n, h, w] = brightness[n] * (pictures[n] at matrices[n] @ (h, w, 1)) / 255, bilinear, cut at 1.

    Parameters
    ----------
    pictures : array (N, H, W, C), uint8
    matrices : array (N, 2, 3), float64
    brightness : array (N,), float32
    out : array (N, H, W, C), float32
        Written.
    """
    N, H, W, C = pictures.shape
    for n in range(N):
        m = matrices[n]
        scale = brightness[n] / np.float32(255)
        for h in range(H):
            for w in range(W):
                y = min(max(m[0, 0] * h + m[0, 1] * w + m[0, 2], 0.0), H - 1.0)  # the nearest pixel outside
                x = min(max(m[1, 0] * h + m[1, 1] * w + m[1, 2], 0.0), W - 1.0)
                top, left = int(y), int(x)
                bottom, right = min(top + 1, H - 1), min(left + 1, W - 1)
                fy, fx = np.float32(y - top), np.float32(x - left)
                one = np.float32(1)
                for c in range(C):
                    above = (one - fx) * pictures[n, top, left, c] + fx * pictures[n, top, right, c]
                    below = (one - fx) * pictures[n, bottom, left, c] + fx * pictures[n, bottom, right, c]
                    out[n, h, w, c] = min(scale * ((one - fy) * above + fy * below), one)
