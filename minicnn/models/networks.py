"""The networks for cats and dogs: two that are well known from Keras projects, and one of this library's own.

Each function returns a new `Sequential` that is not built and has no weights.  For two classes the network ends in one
sigmoid, for more in a softmax.  Read recipes.py next: it calls these functions and says how each network is trained.
"""

from ..layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
)
from ..model import Sequential


def two_block(classes: int = 2, dropout: float = 0.0, kernels: str = "fast") -> Sequential:
    """Conv32, pool, Conv32, pool, Dense128: 813,217 parameters on 64x64 images.

    Parameters
    ----------
    classes : int, at least 2
    dropout : float in [0, 1)
        Rate of the dropout before the last layer; 0 leaves the layer out.
    kernels : {"fast", "im2col", "reference"}
        Name of the kernel set.

    Examples
    --------
    >>> model = two_block().build((64, 64, 3))
    >>> sum(parameter.value.size for parameter in model.parameters)
    813217
    """
    return _network((32, 32), 128, classes, dropout, kernels, "two_block")


def four_block(classes: int = 2, dropout: float = 0.0, kernels: str = "fast") -> Sequential:
    """Conv32, 64, 128, 128, each with a pool, then Dense512: 3,453,121 parameters on 150x150 images.

    Parameters
    ----------
    classes, dropout, kernels : as in `two_block`

    References
    ----------
    Chollet 2017, "Deep Learning with Python", section 5.2.

    Examples
    --------
    >>> model = four_block().build((150, 150, 3))
    >>> sum(parameter.value.size for parameter in model.parameters)
    3453121
    """
    return _network((32, 64, 128, 128), 512, classes, dropout, kernels, "four_block")


def catdog(classes: int = 2, dropout: float = 0.0, kernels: str = "fast") -> Sequential:
    """A small residual network for images of any size from 32x32 on: 1,691,113 parameters.

    It has five blocks of convolution, pool, batch normalisation and ReLU.  A residual convolution follows each block
    but the first.  It ends in GlobalAveragePool2D, so the same weights fit every image size, and training can continue
    at another size.

    Parameters
    ----------
    classes, dropout, kernels : as in `two_block`

    References
    ----------
    He et al. 2016, "Deep Residual Learning for Image Recognition"; Ioffe and Szegedy 2015, "Batch Normalization".

    Examples
    --------
    >>> model = catdog().build((64, 64, 3))
    >>> sum(parameter.value.size for parameter in model.parameters)
    1691113
    """
    layers: list[Layer] = _convolution(24, pool=[MaxPool2D(2)])
    for count in (48, 96, 192, 256):
        layers += _convolution(count, pool=[MaxPool2D(2)])
        layers.append(Residual(_convolution(count)))
    return Sequential([*layers, GlobalAveragePool2D(), *_head(classes, dropout)], kernels, "catdog")


def _network(filters, units, classes, dropout, kernels, name):
    layers: list[Layer] = []
    for count in filters:
        layers += [Conv2D(count, 3), ReLU(), MaxPool2D(2)]
    layers += [Flatten(), Dense(units), ReLU(), *_head(classes, dropout)]
    return Sequential(layers, kernels, name)


def _convolution(filters, pool=()):
    """Convolution, pool, normalisation, ReLU.  The pool comes early, so that fewer values are normalised."""
    convolution = Conv2D(filters, 3, padding="same", use_bias=False)  # BatchNormalization has the bias
    return [convolution, *pool, BatchNormalization(), ReLU()]


def _head(classes, dropout):
    layers: list[Layer] = [Dropout(dropout)] if dropout else []
    return layers + ([Dense(1), Sigmoid()] if classes == 2 else [Dense(classes), Softmax()])
