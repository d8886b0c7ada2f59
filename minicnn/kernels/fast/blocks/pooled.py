"""conv -> max pool 2x2 as one, without a ReLU between: the order of networks that normalise after the pool.

Forward is `convolution/forward.py` with the pool at its end; only what the pool lets through is written, and a byte
says who won. Backward, somebody won everywhere.  A first layer of few channels picks what its winners saw (`pick.py`);
elsewhere the gradient is spread over the convolution's outputs, three zeros for each value, and goes the way of any
convolution: Winograd's quarter of the multiplications (`winograd/dweight.py`) costs no more than lists of winners.
Called by `Sequential` and `Residual`, which find such pairs among their layers (`fusion.py`).
"""

import numpy as np

from ....runtime.compiling import plain
from ...geometry import Padding, Pair, output_sizes
from ..convolution.forward import POOL, forward
from ..convolution.passes import conv2d_backward
from ..pooling import maxpool2d_backward
from .pick import pick_dweight, possible

HALVES, NONE = (2, 2), ((0, 0), (0, 0))


def conv2d_maxpool2d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = maxpool2x2(conv(x)) and the winners.

    Returns
    -------
    y : array (N, OH // 2, OW // 2, OC)
    winner : array of the same shape, uint8
        0 to 3: the first largest of the four, row by row.
    """
    return forward(x, weight, bias, strides, padding, POOL)


def conv2d_maxpool2d_backward(
    dy: np.ndarray,
    winner: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dx, dweight, dbias of both layers."""
    if need_dweight and not need_dx and possible(weight.shape, strides, x.itemsize):
        dy, x = plain(dy), plain(x)
        dweight, dbias, fine = pick_dweight(dy, winner, x, weight.shape, strides, padding)
        if fine:
            return None, dweight, dbias
    shape = len(x), *output_sizes(x.shape, weight.shape[:2], strides, padding), weight.shape[3]
    spread = maxpool2d_backward(dy, winner, shape, HALVES, HALVES, NONE)
    return conv2d_backward(spread, x, weight, strides, padding, need_dx, need_dweight)
