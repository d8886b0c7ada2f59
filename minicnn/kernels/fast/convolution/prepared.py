"""A convolution's weights as forward passes read them: in blocks, and transformed for the route that a batch takes.

Training changes weights with every step, so each pass lays them out anew.  A model that only predicts does it once:
`prepare` gives what stands in the weight's place from then on.  Made by `forward.py` and `depthwise/separable.py` from
plain weights, and by `inference/predictor.py` through the contract.
"""

import numpy as np

from ....runtime.compiling import plain
from ..memory import empty, pack
from ..winograd.rows import row_weights
from ..winograd.squares import PLACES, SIDE, transform_weights

DIRECT, SQUARES, ROWS = 0, 1, 2  # routes: band.py, winograd/squares.py, winograd/rows.py


class Prepared:
    """A weight and its bias, or zeros; they must not change any more.

    Attributes
    ----------
    shape : tuple of int
        Of the weight: (KH, KW, C, OC).
    packed : ndarray (blocks, KH*KW*C, width)
    bias : ndarray (blocks*width,)
        Filled up with zeros, as the last block is.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None):
        self.shape = weight.shape
        self.packed = pack(plain(weight).reshape(-1, self.shape[3]))
        self.bias = np.zeros(self.packed.shape[0] * self.packed.shape[2], self.packed.dtype)
        if bias is not None:
            self.bias[: len(bias)] = bias
        self._transformed: dict[int, np.ndarray] = {}

    def transformed(self, route: int) -> np.ndarray:
        """The weights that the route's sums need, made when first asked for."""
        if route not in self._transformed:
            self._transformed[route] = self._transform(route)
        return self._transformed[route]

    def _transform(self, route):
        (blocks, _, width), (KH, _, C, _) = self.packed.shape, self.shape
        if route == SQUARES:
            U = empty((blocks, PLACES, C, width), self.packed.dtype)
            transform_weights(self.packed, U)
        elif route == ROWS:
            U = empty((blocks, KH, C, SIDE * width), self.packed.dtype)
            row_weights(self.packed, U, KH, C)
        else:
            U = np.empty((1, 1, 1, 1), self.packed.dtype)
        return U


def prepare(weight: np.ndarray | Prepared, bias: np.ndarray | None) -> Prepared:
    """What stands in the weight's place, for any number of forward passes without a bias of their own."""
    return weight if isinstance(weight, Prepared) else Prepared(weight, bias)
