"""minicnn: a convolutional-network library written by hand; every backward pass is in the open.

The public names, and nothing else.  Pictures and folders: `minicnn.data`; plots: `minicnn.plots`.
Start reading at `layers/base.py`, `kernels/reference.py` and `model.py`.
"""

from . import callbacks, gradient_check, layers, losses, metrics, networks, optimizers, schedules
from .averaging import MovingAverage
from .callbacks import Callback, CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from .checkpoints import Checkpoint
from .errors import (
    ArgumentError,
    DataError,
    DiskFullError,
    MinicnnError,
    ModelFileError,
    NonFiniteError,
    ShapeError,
    StateError,
)
from .finder import find_learning_rate
from .folding import fold_batchnorm
from .layers import (
    AveragePool2D,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    SeparableConv2D,
    Sigmoid,
    Softmax,
)  # fmt: skip
from .losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    MeanSquaredError,
    SparseCategoricalCrossEntropy,
)
from .model import Sequential, load_model
from .optimizers import SGD, Adam, AdamW
from .predictor import Predictor
from .progressive import ProgressiveSize, resize
from .schedules import CosineDecay, ExponentialDecay, OneCycle, WarmUp
from .threads import set_threads
from .training import History

__version__ = "0.1.0"

__all__ = [
    "SGD", "Adam", "AdamW", "ArgumentError", "AveragePool2D", "BatchNormalization", "BinaryCrossEntropy",
    "CSVLogger", "Callback", "CategoricalCrossEntropy", "Checkpoint", "Conv2D", "CosineDecay", "DataError",
    "Dense", "DepthwiseConv2D", "DiskFullError", "Dropout", "EarlyStopping", "ExponentialDecay", "Flatten",
    "GlobalAveragePool2D", "History", "LeakyReLU", "MaxPool2D", "MeanSquaredError", "MinicnnError",
    "ModelCheckpoint", "ModelFileError", "MovingAverage", "NonFiniteError", "OneCycle", "Predictor",
    "ProgressiveSize", "ReLU", "ReduceLROnPlateau", "Residual", "SeparableConv2D", "Sequential", "ShapeError",
    "Sigmoid", "Softmax", "SparseCategoricalCrossEntropy", "StateError", "WarmUp", "callbacks", "find_learning_rate",
    "fold_batchnorm", "gradient_check", "layers", "load_model", "losses", "metrics", "networks", "optimizers",
    "resize", "schedules", "set_threads",
]  # fmt: skip
