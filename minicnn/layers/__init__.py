"""The layers of a network; one file per family, with forward and backward next to each other.

`base.py` states the contract of a layer; read it first, then `dense.py`, the smallest layer with weights, and
`convolution.py`.  Layers never loop over pixels: they call their kernel set, and the loops are in kernels/.
"""

from .activations import ELU, GELU, Activation, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Tanh
from .base import Layer
from .convolution import Conv2D
from .dense import Dense
from .depthwise import DepthwiseConv2D, SeparableConv2D
from .dropout import Dropout
from .flatten import Flatten
from .normalization import BatchNormalization
from .padding import ZeroPadding2D
from .parameter import Parameter
from .pooling import AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, MaxPool2D
from .rescaling import Rescaling
from .residual import Residual

# Keras's names for the same classes.
AveragePooling2D = AvgPool2D = AveragePool2D
GlobalAveragePooling2D = GlobalAvgPool2D = GlobalAveragePool2D
GlobalMaxPooling2D = GlobalMaxPool2D
MaxPooling2D = MaxPool2D
SeparableConvolution2D = SeparableConv2D

__all__ = [
    "ELU", "GELU", "Activation", "AveragePool2D", "BatchNormalization", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout",
    "Flatten", "GlobalAveragePool2D", "GlobalMaxPool2D", "Layer", "LeakyReLU", "MaxPool2D", "Parameter", "ReLU",
    "Rescaling", "Residual", "SeparableConv2D", "SiLU", "Sigmoid", "Softmax", "Tanh", "ZeroPadding2D",
]  # fmt: skip
