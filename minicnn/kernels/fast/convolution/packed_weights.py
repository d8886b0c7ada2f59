"""Packed weights: a convolution's weights as the forward pass reads them, in blocks and transformed for its algorithm.

Training changes the weights in every step, so each pass packs them again.  A model that only predicts packs them once:
the result of `pack_weights` replaces the weight in later calls.  Called by `forward.py` and `depthwise/separable.py`,
and by `inference/predictor.py` through the contract.  The algorithms that read them are in `forward.py`.
"""

import numpy as np

from ....runtime.compiling import as_contiguous
from ..memory import empty, pack
from ..winograd.rows import transform_row_weights
from ..winograd.squares import PLACES, SIDE, transform_weights

DIRECT, WINOGRAD_2D, WINOGRAD_1D = 0, 1, 2  # algorithms: row_block.py, winograd/squares.py, winograd/rows.py


class PackedWeights:
    """A packed weight and its bias (zeros if it has none).  The weight must not change afterwards.

    Attributes
    ----------
    shape : tuple of int
        Shape of the weight, (KH, KW, C, OC).
    packed : ndarray (blocks, KH*KW*C, width)
        The weight in blocks of output channels; the last block is filled up with zeros.
    bias : ndarray (blocks*width,)
        The bias, filled up with zeros in the same way.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None):
        self.shape = weight.shape
        self.packed = pack(as_contiguous(weight).reshape(-1, self.shape[3]))
        self.bias = np.zeros(self.packed.shape[0] * self.packed.shape[2], self.packed.dtype)
        if bias is not None:
            self.bias[: len(bias)] = bias
        self._transformed: dict[int, np.ndarray] = {}

    def transformed(self, algorithm: int) -> np.ndarray:
        """The weights as that algorithm needs them, computed on first use."""
        if algorithm not in self._transformed:
            self._transformed[algorithm] = self._transform(algorithm)
        return self._transformed[algorithm]

    def _transform(self, algorithm):
        (blocks, _, width), (KH, _, C, _) = self.packed.shape, self.shape
        if algorithm == WINOGRAD_2D:
            U = empty((blocks, PLACES, C, width), self.packed.dtype)
            transform_weights(self.packed, U)
        elif algorithm == WINOGRAD_1D:
            U = empty((blocks, KH, C, SIDE * width), self.packed.dtype)
            transform_row_weights(self.packed, U, KH, C)
        else:
            U = np.empty((1, 1, 1, 1), self.packed.dtype)
        return U


def pack_weights(weight: np.ndarray | PackedWeights, bias: np.ndarray | None) -> PackedWeights:
    """Packed weights, accepted in place of the weight by any number of forward passes; they contain the bias."""
    return weight if isinstance(weight, PackedWeights) else PackedWeights(weight, bias)
