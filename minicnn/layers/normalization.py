"""BatchNormalization: every channel gets mean 0 and variance 1 over the batch, then a scale and shift that are learned.

Training normalises with the batch's own statistics; prediction with their moving averages, so that an answer
does not depend on what else is in the batch.  The arithmetic is in `kernels/`; `folding.py` takes it out of a
network that only predicts.
"""

import numpy as np

from ..errors import ArgumentError
from .base import Layer, Shape


class BatchNormalization(Layer):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, a channel (the last axis) at a time.

    In training, mean and variance are those of the batch: dx also goes through them.  Otherwise they are the moving
    averages of what training has seen, a = share * batch + (1 - share) * a with share = 1 - momentum.

    With z the normalised x:  dgamma = sum of dy z;  dbeta = sum of dy;  and through mean and variance
    dx = gamma / sqrt(variance + epsilon) * (dy - mean of dy - z * mean of dy z).

    Parameters
    ----------
    momentum : float in [0, 1)
        How much of a moving average stays at each step.
    epsilon : float, above 0
        Keeps a channel that never changes from dividing by zero.

    Raises
    ------
    ArgumentError
        For an option outside its range.

    Notes
    -----
    The averages begin at mean 0 and variance 1, which nobody has measured: with a momentum of 0.99 a fifth of
    that would still be in them after 150 steps.  So what is left of the beginning is divided out: share =
    (1 - momentum) / (1 - momentum^step), as Adam does.  The first batch is taken whole, and validation can be
    trusted from the first epoch.  Averages that were set or loaded count as measured, unless they are 0 and 1, and
    move as in Keras.
    An average of 0.99 lies about 100 steps behind the weights; 0.9 follows closer, and suits short epochs.

    The averages move in `backward`: a batch whose loss is not finite leaves no trace.  The variance is that of
    the batch itself (divided by its size), as in Keras.  Keeps x and two numbers a channel.

    References
    ----------
    Ioffe and Szegedy 2015, "Batch Normalization", section 3, algorithm 1.

    Examples
    --------
    >>> layer = BatchNormalization()
    >>> layer.build((1,), np.random.default_rng(0))
    (1,)
    >>> layer.forward(np.array([[1.0], [3.0]], "float32"), training=True).round(2)
    array([[-1.],
           [ 1.]], dtype=float32)
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3):
        super().__init__()
        if not isinstance(momentum, (int, float)) or not 0 <= momentum < 1:
            raise ArgumentError(
                "BatchNormalization momentum", "a number in [0, 1)", repr(momentum), "Give for example 0.9."
            )
        if not isinstance(epsilon, (int, float)) or not 0 < epsilon < np.inf:
            raise ArgumentError(
                "BatchNormalization epsilon", "a finite number above 0", repr(epsilon), "Give for example 0.001."
            )  # fmt: skip
        self.momentum, self.epsilon = float(momentum), float(epsilon)

    def build(self, input_shape: Shape, rng: np.random.Generator | None, dtype: str = "float32") -> Shape:
        channels = input_shape[-1:]
        self.parameters = []
        self.gamma = self.parameter("gamma", channels, "ones", rng, dtype)
        self.beta = self.parameter("beta", channels, "zeros", rng, dtype)
        self.moving_mean = self.parameter("moving_mean", channels, "zeros", rng, dtype, trainable=False)
        self.moving_variance = self.parameter(
            "moving_variance", channels, "ones", rng, dtype, trainable=False
        )
        self._begin(1.0)
        return input_shape

    @property
    def inference_arguments(self) -> tuple:
        """What prediction's kernels take beside x: gamma, beta, moving mean, moving variance, epsilon."""
        return *(parameter.value for parameter in self.parameters), self.epsilon

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        if not training:
            return self.kernels.batchnorm_inference(x, *self.inference_arguments)
        y, mean, variance = self.kernels.batchnorm_forward(x, self.gamma.value, self.beta.value, self.epsilon)
        self.keep(training, x, mean, variance)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        x, mean, variance = self.kept()
        dx, self.gamma.grad, self.beta.grad = self.kernels.batchnorm_backward(
            dy, x, self.gamma.value, mean, variance, self.epsilon, self.needs_dx
        )
        self.follow(mean, variance)
        return dx

    def _begin(self, unmeasured):
        """`unmeasured` is the share of the beginning, 0 and 1, in the averages as they are now."""
        self.unmeasured, self._averages = unmeasured, (self.moving_mean.value, self.moving_variance.value)

    def follow(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Let the moving averages take their share of a batch's statistics; `backward` does, here and in fusion.py."""
        moving = self.moving_mean, self.moving_variance
        if not self._are_own():
            self.unmeasured = 0.0  # somebody else put them there: they are a measurement
        unmeasured = self.unmeasured * self.momentum
        share = (1 - self.momentum) / (1 - unmeasured)
        for parameter, batch in zip(moving, (mean, variance), strict=True):
            parameter.value = (1 - share) * parameter.value + share * batch
        self._begin(unmeasured)

    def _are_own(self):
        """Whether the averages are as this layer left them: 0 and 1 at the beginning, then its own arrays."""
        mean, variance = self.moving_mean.value, self.moving_variance.value
        if self.unmeasured == 1:
            return not mean.any() and (variance == 1).all()
        return mean is self._averages[0] and variance is self._averages[1]

    @property
    def state(self) -> dict:
        return {"unmeasured": self.unmeasured}

    @state.setter
    def state(self, state: dict) -> None:
        self._begin(state["unmeasured"])

    @property
    def config(self) -> dict:
        return {"momentum": self.momentum, "epsilon": self.epsilon}
