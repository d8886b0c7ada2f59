"""The fast kernels: the contract of `minicnn/kernels/__init__.py`, plus the fused functions listed there.

    tiles/            the inner loops
        cpu.py            how wide the processor's vectors are
        vectors.py        LLVM's instructions on such vectors
        tile.py           the register tile   <- the central idea; read it first
        product.py        a long matrix product, covered with tiles
        gather.py         weighted sums of rows named by a list, in registers
        window.py         sums over a 3x3 window of one vector of channels
    convolution/      any convolution
        forward.py        the forward pass: row blocks, and their epilogue while they are in the cache
        passes.py         dx and dweight, and the contract's convolution functions
        row_block.py      a few output rows, as products that read the image itself
        epilogue.py       what follows a row block: bias, ReLU, sum, max pool
        packed_weights.py weights in blocks and transformed, as the forward pass reads them
    winograd/         kernels 3 wide, with less than half the multiplications
        squares.py        3x3 kernels
        rows.py           kernels 3 wide over few channels, such as a network's first convolution
        dweight.py        dweight of a 3x3 convolution
    conv_maxpool/     a convolution fused with its max pool
        conv_relu_maxpool.py  with a ReLU between them: both passes
        conv_maxpool.py       without a ReLU: both passes
        sparse_backward.py    the backward pass from the max indices alone
        sparse_lists.py       lists of maxima, for sparse_backward.py
        sparse_pick.py        dweight for few input channels: each lane picks the inputs of its maximum
    depthwise/        convolutions of each channel by itself
        passes.py         both passes
        separable.py      a depthwise convolution fused with the 1x1 that follows, for prediction
    dense.py          dense layers
    normalization.py  batch normalisation, and the sum of two branches
    pooling.py        pooling and ReLU on all cores
    update.py         optimizer updates in one pass over memory
    memory.py         the buffer pool, and how weights are laid out in memory
    threads.py        one kernel at a time, on the chosen number of threads
    bounds.py         bounds checks of the intrinsics, in the debug build

To learn what a kernel computes, read `reference.py` first.  Results agree with it to rounding, and are bit-identical
for any number of threads.
"""

from ...runtime import compiling  # noqa: F401 - before numba: it configures the thread pool
from ..dilation import dilated
from . import dense, normalization, pooling, update
from .conv_maxpool import conv_maxpool, conv_relu_maxpool
from .convolution import packed_weights
from .convolution import passes as convolution_passes
from .depthwise import passes as depthwise_passes
from .depthwise import separable
from .threads import serialized

conv2d_forward = serialized(convolution_passes.conv2d_forward)
conv2d_relu_forward = serialized(convolution_passes.conv2d_relu_forward)
conv2d_add_forward = serialized(convolution_passes.conv2d_add_forward)
conv2d_add_relu_forward = serialized(convolution_passes.conv2d_add_relu_forward)
conv2d_backward = serialized(convolution_passes.conv2d_backward)
conv2d_relu_maxpool2d_forward = serialized(conv_relu_maxpool.conv2d_relu_maxpool2d_forward)
conv2d_relu_maxpool2d_backward = serialized(conv_relu_maxpool.conv2d_relu_maxpool2d_backward)
conv2d_maxpool2d_forward = serialized(conv_maxpool.conv2d_maxpool2d_forward)
conv2d_maxpool2d_backward = serialized(conv_maxpool.conv2d_maxpool2d_backward)
maxpool2d_forward = serialized(pooling.maxpool2d_forward)
maxpool2d_backward = serialized(pooling.maxpool2d_backward)
averagepool2d_forward = serialized(pooling.averagepool2d_forward)
dilated_conv2d_forward, dilated_conv2d_backward = map(
    serialized, dilated(convolution_passes.conv2d_forward, convolution_passes.conv2d_backward)
)
dilated_depthwise_conv2d_forward, dilated_depthwise_conv2d_backward = map(
    serialized,
    dilated(depthwise_passes.depthwise_conv2d_forward, depthwise_passes.depthwise_conv2d_backward),
)
averagepool2d_backward = serialized(pooling.averagepool2d_backward)
dense_forward = serialized(dense.dense_forward)
dense_backward = serialized(dense.dense_backward)
depthwise_conv2d_forward = serialized(depthwise_passes.depthwise_conv2d_forward)
depthwise_conv2d_backward = serialized(depthwise_passes.depthwise_conv2d_backward)
separable_conv2d_forward = serialized(separable.separable_conv2d_forward)
separable_conv2d_relu_forward = serialized(separable.separable_conv2d_relu_forward)
separable_conv2d_maxpool2d_forward = serialized(separable.separable_conv2d_maxpool2d_forward)
batchnorm_forward = serialized(normalization.batchnorm_forward)
batchnorm_backward = serialized(normalization.batchnorm_backward)
batchnorm_inference = serialized(normalization.batchnorm_inference)
batchnorm_inference_backward = serialized(normalization.batchnorm_inference_backward)
batchnorm_relu_forward = serialized(normalization.batchnorm_relu_forward)
batchnorm_relu_backward = serialized(normalization.batchnorm_relu_backward)
batchnorm_relu_inference = serialized(normalization.batchnorm_relu_inference)
add = serialized(normalization.add)
relu_forward = serialized(pooling.relu_forward)
relu_backward = serialized(pooling.relu_backward)
sgd_step = serialized(update.sgd_step)
adam_step = serialized(update.adam_step)
largest = serialized(update.largest)
pack_weights = serialized(packed_weights.pack_weights)

__all__ = [
    "adam_step", "add", "averagepool2d_backward", "averagepool2d_forward", "batchnorm_backward", "batchnorm_forward",
    "batchnorm_inference", "batchnorm_inference_backward", "batchnorm_relu_backward", "batchnorm_relu_forward",
    "batchnorm_relu_inference", "conv2d_add_forward", "conv2d_add_relu_forward", "conv2d_backward", "conv2d_forward",
    "conv2d_maxpool2d_backward", "conv2d_maxpool2d_forward", "conv2d_relu_forward", "conv2d_relu_maxpool2d_backward",
    "conv2d_relu_maxpool2d_forward", "dense_backward", "dense_forward", "depthwise_conv2d_backward",
    "depthwise_conv2d_forward", "dilated_conv2d_backward", "dilated_conv2d_forward",
    "dilated_depthwise_conv2d_backward", "dilated_depthwise_conv2d_forward", "largest", "maxpool2d_backward",
    "maxpool2d_forward", "pack_weights", "relu_backward", "relu_forward", "separable_conv2d_forward",
    "separable_conv2d_maxpool2d_forward", "separable_conv2d_relu_forward", "sgd_step",
]  # fmt: skip
