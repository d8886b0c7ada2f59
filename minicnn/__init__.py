"""minicnn: a convolutional-network library written by hand; every forward and backward pass can be read.

The public names, and nothing else.  Images and folders are in `minicnn.data`, plots in `minicnn.plots`; both are
imported when they are first used.  Start reading at `layers/base.py`, `kernels/reference.py` and `model.py`.
"""

import importlib
from typing import Any

from . import gradient_check, layers, losses, metrics, optimizers, regularizers
from .architecture import Input
from .errors import (
    ArgumentError,
    DataError,
    DiskFullError,
    MinicnnError,
    ModelFileError,
    NonFiniteError,
    ShapeError,
    StateError,
    UnknownAttributeError,
)
from .inference.calibration import calibrate
from .inference.folding import fold_batchnorm
from .inference.predictor import Predictor
from .kernels import release_memory
from .layers import (
    ELU,
    GELU,
    Activation,
    AveragePool2D,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    GlobalAveragePooling2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    LeakyReLU,
    MaxPool2D,
    MaxPooling2D,
    ReLU,
    Rescaling,
    Residual,
    SeparableConv2D,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    ZeroPadding2D,
)  # fmt: skip
from .losses import (
    BinaryCrossEntropy,
    BinaryCrossentropy,
    CategoricalCrossEntropy,
    CategoricalCrossentropy,
    CrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossEntropy,
    SparseCategoricalCrossentropy,
)
from .model import Sequential
from .models import networks
from .models.pretrained import pretrained
from .optimizers import SGD, Adam, AdamW, RMSprop, schedules
from .optimizers.schedules import CosineDecay, ExponentialDecay, OneCycle, WarmUp
from .regularizers import L1, L1L2, L2
from .runtime.threads import set_threads
from .saving.loading import load_model
from .training import callbacks
from .training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from .training.checkpoints import BackupAndRestore, Checkpoint
from .training.ema import ExponentialMovingAverage, MovingAverage
from .training.history import History
from .training.lr_finder import find_learning_rate
from .training.progressive_resizing import ProgressiveResizing, ProgressiveSize, resize

__version__ = "0.1.0"

LATE = {"data": ".data", "plots": ".reporting.plots"}

__all__ = [
    "ELU", "GELU", "L1", "L1L2", "L2", "SGD", "Activation", "Adam", "AdamW", "ArgumentError", "AveragePool2D",
    "AveragePooling2D", "BackupAndRestore", "BatchNormalization", "BinaryCrossEntropy", "BinaryCrossentropy",
    "CSVLogger", "Callback", "CategoricalCrossEntropy", "CategoricalCrossentropy", "Checkpoint", "Conv2D",
    "CosineDecay", "CrossEntropy", "DataError", "Dense", "DepthwiseConv2D", "DiskFullError", "Dropout",
    "EarlyStopping", "ExponentialDecay", "ExponentialMovingAverage", "Flatten", "GlobalAveragePool2D",
    "GlobalAveragePooling2D", "GlobalMaxPool2D", "GlobalMaxPooling2D", "History", "Huber", "Input",
    "LambdaCallback", "LeakyReLU", "LearningRateScheduler", "MaxPool2D", "MaxPooling2D", "MeanAbsoluteError",
    "MeanSquaredError", "MinicnnError", "ModelCheckpoint", "ModelFileError", "MovingAverage", "NonFiniteError",
    "OneCycle", "Predictor", "ProgressiveResizing", "ProgressiveSize", "RMSprop", "ReLU",
    "ReduceLROnPlateau", "Rescaling", "Residual",
    "SeparableConv2D", "Sequential", "ShapeError", "SiLU", "Sigmoid", "Softmax",
    "SparseCategoricalCrossEntropy", "SparseCategoricalCrossentropy", "StateError", "Tanh",
    "UnknownAttributeError", "WarmUp", "ZeroPadding2D", "calibrate", "callbacks", "find_learning_rate",
    "fold_batchnorm", "gradient_check", "layers", "load_model", "losses", "metrics", "networks", "optimizers",
    "pretrained", "regularizers", "release_memory", "resize", "schedules", "set_threads",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """`minicnn.data` and `minicnn.plots`, which import Pillow, numba or matplotlib, when they are first used."""
    if name in LATE:
        return importlib.import_module(LATE[name], __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
