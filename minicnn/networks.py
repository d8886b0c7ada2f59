"""The networks of the cat-and-dog example, as Keras's well-known projects draw them.

Each returns a new `Sequential` that is not built yet.  Two classes end in one sigmoid, more in a softmax.
"""

from .layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU, Sigmoid, Softmax
from .model import Sequential


def two_block(classes: int = 2, dropout: float = 0.0, kernels: str = "fast") -> Sequential:
    """Conv32, pool, Conv32, pool, Dense128: 813,217 parameters on 64x64 pictures.

    Parameters
    ----------
    classes : int
    dropout : float in [0, 1)
        Before the last layer; 0 leaves it out.
    kernels : str

    Examples
    --------
    >>> model = two_block().build((64, 64, 3))
    >>> sum(parameter.value.size for parameter in model.parameters)
    813217
    """
    return _network((32, 32), 128, classes, dropout, kernels, "two_block")


def four_block(classes: int = 2, dropout: float = 0.0, kernels: str = "fast") -> Sequential:
    """Conv32, 64, 128, 128, each with a pool, then Dense512: 3,453,121 parameters on 150x150 pictures.

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


def _network(filters, units, classes, dropout, kernels, name):
    layers: list[Layer] = []
    for count in filters:
        layers += [Conv2D(count, 3), ReLU(), MaxPool2D(2)]
    layers += [Flatten(), Dense(units), ReLU()]
    if dropout:
        layers.append(Dropout(dropout))
    layers += [Dense(1), Sigmoid()] if classes == 2 else [Dense(classes), Softmax()]
    return Sequential(layers, kernels, name)
