"""What a network is made of; one file a family, forward and backward side by side.

`base.py` says what every layer must do; read it first, then `dense.py`, the smallest with weights,
and `convolution.py`.  Layers never loop over pixels: they call their kernel set.
"""

from .activations import LeakyReLU, ReLU, Sigmoid, Softmax
from .base import Layer, Parameter
from .convolution import Conv2D
from .dense import Dense
from .depthwise import DepthwiseConv2D, SeparableConv2D
from .dropout import Dropout
from .flatten import Flatten
from .normalization import BatchNormalization
from .pooling import AveragePool2D, GlobalAveragePool2D, MaxPool2D
from .residual import Residual

__all__ = [
    "AveragePool2D", "BatchNormalization", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout", "Flatten",
    "GlobalAveragePool2D", "Layer", "LeakyReLU", "MaxPool2D", "Parameter", "ReLU", "Residual", "SeparableConv2D",
    "Sigmoid", "Softmax",
]  # fmt: skip
