"""conv -> ReLU -> max pool 2x2 as one: forward writes only what the pool lets through, backward touches only winners.

Forward is `convolution/forward.py` with the pool at its end; it remembers the winner of each pooled value in a byte.
Backward is `winners.py`: at least three quarters of the gradient at the convolution's output are 0, and are
left out.  That is exact as long as what they would be multiplied with is finite; where it is not, the definition's way
is taken.  Called by the step `Block` of fusion.py, which finds such rows of layers.
"""

import numpy as np

from ....runtime.compiling import plain
from ...geometry import Padding, Pair, output_sizes
from ..convolution.forward import RELU_POOL, forward
from ..convolution.passes import conv2d_backward
from ..memory import all_finite, tile_width
from .pick import pick_dweight, possible
from .winners import dense_dweight, winners_dweight, winners_dx


def block_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, strides: Pair, padding: Padding
) -> tuple[np.ndarray, np.ndarray]:
    """y = maxpool2x2(relu(conv(x))) and the winners.

    Returns
    -------
    y : array (N, OH // 2, OW // 2, OC)
    winner : array of the same shape, uint8
        0 to 3: the first largest of the four, row by row; 4: none of them is above 0.
    """
    return forward(x, weight, bias, strides, padding, RELU_POOL)


def block_backward(
    dy: np.ndarray,
    winner: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    strides: Pair,
    padding: Padding,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dx, dweight, dbias of the whole block, from the winners alone."""
    x, dy, weight = plain(x), plain(dy), plain(weight)
    dweight, dbias, fine = None, None, True
    if need_dweight:
        KW, C = weight.shape[1:3]
        route = dense_dweight if tile_width(x.dtype) // 2 >= KW * C else winners_dweight
        if possible(weight.shape, strides, x.itemsize):
            route = pick_dweight
        dweight, dbias, fine = route(dy, winner, x, weight.shape, strides, padding)
    if not fine or not all_finite(weight.reshape(-1), 0, weight.size):
        spread = _spread(dy, winner, x, weight, strides, padding)
        return conv2d_backward(spread, x, weight, strides, padding, need_dx, need_dweight)
    dx = winners_dx(dy, winner, x.shape, weight, strides, padding) if need_dx else None
    return dx, dweight, dbias


def _spread(dy, winner, x, weight, strides, padding):
    """The gradient at the convolution's output: each dy at its winner, 0 elsewhere.

    For the definition's answer where x or weight is not finite, and a term that is left out is not 0.
    """
    OH, OW = output_sizes(x.shape, weight.shape[:2], strides, padding)
    N, PH, PW, OC = dy.shape
    dY = np.zeros((N, OH, OW, OC), dy.dtype)
    for who in range(4):
        dY[:, who >> 1 : 2 * PH : 2, who & 1 : 2 * PW : 2] = np.where(winner == who, dy, 0)
    return dY
