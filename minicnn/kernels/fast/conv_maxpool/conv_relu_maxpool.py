"""conv -> ReLU -> max pool 2x2 fused: forward writes only the pooled values, backward reads only their maxima.

Forward is `convolution/forward.py` with ReLU and pool as its epilogue; it stores the argmax of each pooled value in a
byte.  Backward skips the zeros in the gradient at the convolution's output, which are at least three quarters of it
(`sparse_backward.py`, or `sparse_pick.py` for few input channels).  That is exact if all values that the zeros would be
multiplied with are finite; otherwise the ordinary backward pass runs.
Called by `FusedConvReLUPool` of `fusion.py`; without a ReLU between, see `conv_maxpool.py`.
"""

import numpy as np

from ....runtime.compiling import as_contiguous
from ...geometry import Padding, Pair, output_sizes
from ..convolution.forward import RELU_POOL, forward
from ..convolution.passes import conv2d_backward
from ..memory import all_finite, tile_width
from .sparse_backward import dense_dweight, sparse_dweight, sparse_dx
from .sparse_pick import is_applicable, pick_dweight


def conv2d_relu_maxpool2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = maxpool2x2(relu(conv(x))) and the max indices.

    Returns
    -------
    y : array (N, OH // 2, OW // 2, OC)
    argmax : array of the same shape, uint8
        0 to 3: the first of the four that is largest, row by row; 4: none of them is above 0.
    """
    return forward(x, weight, bias, strides, padding, RELU_POOL)


def conv2d_relu_maxpool2d_backward(
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
    x, dy, weight = as_contiguous(x), as_contiguous(dy), as_contiguous(weight)
    dweight, dbias, x_is_finite = None, None, True
    if need_dweight:
        KW, C = weight.shape[1:3]
        algorithm = dense_dweight if tile_width(x.dtype) // 2 >= KW * C else sparse_dweight
        if is_applicable(weight.shape, strides, x.itemsize):
            algorithm = pick_dweight
        dweight, dbias, x_is_finite = algorithm(dy, argmax, x, weight.shape, strides, padding)
    if not x_is_finite or not all_finite(weight.reshape(-1), 0, weight.size):
        dz = _expand_gradient(dy, argmax, x, weight, strides, padding)
        return conv2d_backward(dz, x, weight, strides, padding, need_dx, need_dweight)
    dx = sparse_dx(dy, argmax, x.shape, weight, strides, padding) if need_dx else None
    return dx, dweight, dbias


def _expand_gradient(dy, argmax, x, weight, strides, padding):
    """dz, the gradient at the convolution's output: each dy at its argmax, 0 elsewhere.

    Needed if x or weight is not finite: then the products that the sparse sums skip are not 0.
    """
    OH, OW = output_sizes(x.shape, weight.shape[:2], strides, padding)
    N, PH, PW, OC = dy.shape
    dz = np.zeros((N, OH, OW, OC), dy.dtype)
    for which in range(4):
        dz[:, which >> 1 : 2 * PH : 2, which & 1 : 2 * PW : 2] = np.where(argmax == which, dy, 0)
    return dz
