"""conv -> max pool 2x2 fused, without a ReLU between them: the order of networks that normalise after the pool.

Forward is `convolution/forward.py` with the pool as its epilogue: it writes only the pooled values, and for each a
byte that says which of the four it is.  In the backward pass a maximum is always active.  With few input channels, as
in a first layer, `sparse_pick.py` picks the inputs of each maximum.  Otherwise the gradient is written to the
convolution's outputs, three zeros for each value, and the ordinary backward pass follows: Winograd's algorithm, with a
quarter of the multiplications (`winograd/dweight.py`), is as fast as lists of maxima.
Called by the fused layers that `fusion.py` makes; with a ReLU between, see `conv_relu_maxpool.py`.
"""

import numpy as np

from ....runtime.compiling import as_contiguous
from ...geometry import Padding, Pair, output_sizes
from ..convolution.forward import POOL, forward
from ..convolution.passes import conv2d_backward
from ..pooling import maxpool2d_backward
from .sparse_pick import is_applicable, pick_dweight

HALVES, NONE = (2, 2), ((0, 0), (0, 0))


def conv2d_maxpool2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = maxpool2x2(conv(x)) and the max indices.

    Returns
    -------
    y : array (N, OH // 2, OW // 2, OC)
    argmax : array of the same shape, uint8
        0 to 3: the first of the four that is largest, row by row.
    """
    return forward(x, weight, bias, strides, padding, POOL)


def conv2d_maxpool2d_backward(
    dy: np.ndarray,
    argmax: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dx, dweight and dbias of the convolution, from the gradient at the pool's output."""
    if need_dweight and not need_dx and is_applicable(weight.shape, strides, x.itemsize):
        dy, x = as_contiguous(dy), as_contiguous(x)
        dweight, dbias, x_is_finite = pick_dweight(dy, argmax, x, weight.shape, strides, padding)
        if x_is_finite:
            return None, dweight, dbias
    shape = len(x), *output_sizes(x.shape, weight.shape[:2], strides, padding), weight.shape[3]
    dz = maxpool2d_backward(dy, argmax, shape, HALVES, HALVES, NONE)
    return conv2d_backward(dz, x, weight, strides, padding, need_dx, need_dweight)
