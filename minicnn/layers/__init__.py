"""What a network is made of; one file a family, forward and backward side by side.

`base.py` says what every layer must do; read it first, then `dense.py`, the smallest with weights,
and `convolution.py`.  Layers never loop over pixels: they call their kernel set.
"""

from .activations import LeakyReLU, ReLU, Sigmoid, Softmax
from .base import Layer, Parameter
from .convolution import Conv2D
from .dense import Dense
from .dropout import Dropout
from .flatten import Flatten
from .pooling import AveragePool2D, GlobalAveragePool2D, MaxPool2D

__all__ = [
    "AveragePool2D", "Conv2D", "Dense", "Dropout", "Flatten", "GlobalAveragePool2D", "Layer", "LeakyReLU",
    "MaxPool2D", "Parameter", "ReLU", "Sigmoid", "Softmax",
]  # fmt: skip
