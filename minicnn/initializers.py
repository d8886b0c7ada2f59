"""Initial weights: random values whose spread keeps the signals from growing or vanishing from layer to layer.

The layers call these functions when they are built (`Layer.parameter`) and pass their random generator.  Formulas and
names are Keras's; of Keras's initialisers, four are here.
"""

import math

import numpy as np

from .errors import check_word

# The standard deviation of a normal distribution that is truncated at two standard deviations.
TRUNCATED_STANDARD_DEVIATION = 0.87962566103423978


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The number of inputs of each output, and the number of outputs of each input.

    Parameters
    ----------
    shape : (in, out) or (KH, KW, C, OC)

    Returns
    -------
    (fan_in, fan_out) : tuple of int
        For a convolution, both include the KH*KW positions of the kernel.

    Examples
    --------
    >>> fans((3, 3, 32, 64))
    (288, 576)
    """
    *window, fan_in, fan_out = shape
    return fan_in * math.prod(window), fan_out * math.prod(window)


def glorot_uniform(shape: tuple[int, ...], rng: np.random.Generator, dtype: str = "float32") -> np.ndarray:
    """Uniform in [-limit, limit] with limit = sqrt(6 / (fan_in + fan_out)); Keras's default.

    References
    ----------
    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks", section 4.2.1, equation 16.

    Examples
    --------
    >>> bool(abs(glorot_uniform((3, 3, 8, 16), np.random.default_rng(0))).max() <= (6 / 216) ** 0.5)
    True
    """
    limit = math.sqrt(6 / sum(fans(shape)))
    return rng.uniform(-limit, limit, shape).astype(dtype)


def he_normal(shape: tuple[int, ...], rng: np.random.Generator, dtype: str = "float32") -> np.ndarray:
    """Truncated normal with standard deviation sqrt(2 / fan_in); values beyond two deviations are drawn again.

    References
    ----------
    He et al. 2015, "Delving Deep into Rectifiers", section 2.2, equation 10.

    Examples
    --------
    >>> round(float(he_normal((10000, 2), np.random.default_rng(0)).std()), 3)  # sqrt(2 / 10000)
    0.014
    """
    values = rng.standard_normal(shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.standard_normal(np.count_nonzero(far))
    return (values * (math.sqrt(2 / fans(shape)[0]) / TRUNCATED_STANDARD_DEVIATION)).astype(dtype)


def zeros(shape: tuple[int, ...], rng: np.random.Generator, dtype: str = "float32") -> np.ndarray:
    """All zeros; `rng` is not used."""
    return np.zeros(shape, dtype)


def ones(shape: tuple[int, ...], rng: np.random.Generator, dtype: str = "float32") -> np.ndarray:
    """All ones; `rng` is not used."""
    return np.ones(shape, dtype)


BY_NAME = {function.__name__: function for function in (glorot_uniform, he_normal, zeros, ones)}


def check_name(name: str, where: str) -> str:
    """`name`, if it is the name of an initialiser.

    Raises
    ------
    ArgumentError
        If it is not; the message lists the names.
    """
    return check_word(name, where, BY_NAME)
