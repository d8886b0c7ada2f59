"""BatchNormalization: gives each channel mean 0 and variance 1 over the batch, then a learned scale and shift.

Training normalises with the statistics of the batch.  Prediction uses their moving averages, so that it does not depend
on the other samples in the batch.  The arithmetic is in `kernels/`.  Read inference/folding.py next: it removes the
layer from a network that only predicts.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..errors import check_number
from .base import Generator, Layer, Shape
from .cache import Cache, make_cache, open_cache


class BatchNormalization(Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel (the last axis).

    In training, mean and variance are those of the batch.  With z the normalised x:

    dgamma = sum of dy z;  dbeta = sum of dy
    dx = gamma / sqrt(variance + epsilon) * (dy - mean of dy - z * mean of dy z)

    In prediction, and when the layer is frozen, they are the moving averages, which are constants:

    dx = gamma / sqrt(variance + epsilon) * dy

    Parameters
    ----------
    momentum : float in [0, 1)
        Fraction of a moving average that remains in each training step.
    epsilon : float, above 0
        Number added to the variance, which prevents a division by zero in a constant channel.

    Raises
    ------
    ArgumentError
        If an option is outside its range.

    Notes
    -----
    A training step updates the averages once: a = share * batch + (1 - share) * a.  They start at mean 0 and variance
    1.  With a momentum of 0.99, 22 % of that arbitrary start would remain after 150 steps, so it is removed by bias
    correction, as in Adam: share = (1 - momentum) / (1 - momentum^step).  After the first step the averages are the
    statistics of the first batch, so validation is meaningful from the first epoch.  Averages that were assigned or
    loaded are taken as valid statistics, unless they are 0 and 1; they move as in Keras, with share = 1 - momentum.

    With a momentum of 0.99 the averages lag about 100 steps behind the weights; 0.9 follows them more closely and suits
    short epochs.  The variance of a batch is divided by the number of values, as in Keras.

    In a batch with one value per channel (a single sample after a Dense), the value is its own mean: y = beta and
    dx = 0, so layers before this one are not trained, as in Keras.  Use batches of several samples there.

    Differences from the mean above 1e19 in float32 (1e154 in float64) make the variance infinite; then y is beta.

    The layer is frozen by `trainable = False`, or when neither gamma nor beta is trainable.

    References
    ----------
    Ioffe and Szegedy 2015, "Batch Normalization", section 3, algorithm 1.

    Examples
    --------
    >>> layer = BatchNormalization()
    >>> layer.build((1,), np.random.default_rng(0))
    (1,)
    >>> y, cache = layer.forward(np.array([[1.0], [3.0]], "float32"), training=True)
    >>> y.round(2)
    array([[-1.],
           [ 1.]], dtype=float32)
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3):
        super().__init__()
        self.momentum = check_number(momentum, "BatchNormalization momentum", 0, below=1)
        self.epsilon = check_number(epsilon, "BatchNormalization epsilon", above=0)
        # The fraction of the initial values 0 and 1 that is still in the averages.  It is an array, so that the copy of
        # the layer in the execution plan shares it.
        self._unmeasured = np.ones(())

    def build(self, input_shape: Shape, rng: Generator | None, dtype: Any = "float32") -> Shape:
        C = input_shape[-1:]
        self.gamma = self.parameter("gamma", C, "ones", rng, dtype)
        self.beta = self.parameter("beta", C, "zeros", rng, dtype)
        self.moving_mean = self.parameter("moving_mean", C, "zeros", rng, dtype, trainable=False)
        self.moving_variance = self.parameter("moving_variance", C, "ones", rng, dtype, trainable=False)
        return self.compute_output_shape(input_shape)

    @property
    def inference_arguments(self) -> tuple:
        """The arguments of the kernels for prediction after x: gamma, beta, moving mean, moving variance, epsilon."""
        return *(parameter.value for parameter in self._parameters.values()), self.epsilon

    def forward(self, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, Cache]:
        self.need_weights()
        x = self.as_input(x, channels=self.gamma.shape[0])
        if training and self.learns:
            y, mean, variance = self.kernels.batchnorm_forward(
                x, self.gamma.value, self.beta.value, self.epsilon
            )
            return y, make_cache(self, y, x, mean, variance)
        y = self.kernels.batchnorm_inference(x, *self.inference_arguments)
        return y, make_cache(self, y, x, None, None)

    def backward(
        self, dy: np.ndarray, cache: Cache, need_dx: bool = True, need_dweight: bool = True
    ) -> np.ndarray | None:
        dy, x, mean, variance = open_cache(self, dy, cache)
        if mean is None:
            return self.inference_backward(dy, x, need_dx, need_dweight)
        dx, dgamma, dbeta = self.kernels.batchnorm_backward(
            dy, x, self.gamma.value, mean, variance, self.epsilon, need_dx
        )
        if need_dweight:
            self.write(self.gamma, dgamma)
            self.write(self.beta, dbeta)
        return dx

    def inference_backward(
        self, dy: np.ndarray, x: np.ndarray, need_dx: bool, need_dweight: bool
    ) -> np.ndarray | None:
        """`backward` with the moving averages as constants; fusion.FusedNormReLU calls it, too."""
        gamma, _, mean, variance, epsilon = self.inference_arguments
        dx, dgamma, dbeta = self.kernels.batchnorm_inference_backward(
            dy, x, gamma, mean, variance, epsilon, need_dx, need_dweight and self.learns
        )
        self.write(self.gamma, dgamma)
        self.write(self.beta, dbeta)
        return dx

    def updates(self, cache: Cache) -> list[Callable[[], None]]:
        *_, mean, variance = cache[3]
        return [] if mean is None else [partial(self.update_moving_statistics, mean, variance)]

    def update_moving_statistics(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Update the moving averages with the statistics of a batch."""
        moving = self.moving_mean, self.moving_variance
        if self._set_from_outside():
            self._unmeasured[...] = 0
        unmeasured = float(self._unmeasured) * self.momentum
        share = (1 - self.momentum) / (1 - unmeasured)
        for parameter, batch in zip(moving, (mean, variance), strict=True):
            # A new array, because another thread may be predicting with the old one.
            parameter.value = (1 - share) * parameter.value + share * batch
            parameter.assigned = False
        self._unmeasured[...] = unmeasured

    def _set_from_outside(self):
        """Whether the averages are valid statistics that did not come from training steps of this layer."""
        mean, variance = self.moving_mean, self.moving_variance
        if not mean.value.any() and (variance.value == 1).all():
            return False
        return mean.assigned or variance.assigned or self._unmeasured == 1

    @property
    def state(self) -> dict:
        return {"unmeasured": float(self._unmeasured)}

    @state.setter
    def state(self, state: dict) -> None:
        self._unmeasured[...] = check_number(state["unmeasured"], "BatchNormalization state", 0, 1)
        self.moving_mean.assigned = self.moving_variance.assigned = False
