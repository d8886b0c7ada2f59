"""The route that trains at the machine's limit; the contract is that of `kernels`, and fused steps beside it.

    tiles/            the inner loops
        cpu.py            how wide the processor's vectors are
        vectors.py        LLVM's instructions on such vectors
        tile.py           the register tile   <- the idea; read it first
        product.py        a long product, covered with tiles
        gather.py         sums over lists of places, in registers
        window.py         sums over a 3x3 window of one vector of channels
    convolution/      any convolution
        forward.py        the forward pass: bands, then bias, ReLU or pool while they are in the cache
        passes.py         dx and dweight, and both passes by their names in the contract
        band.py           a band of rows, as products that read the picture itself
        pool.py           what follows a band: bias, ReLU, the largest of four and who it was
        prepared.py       weights in blocks and transformed, as forward passes read them
    winograd/         kernels 3 wide, with less than half the multiplications
        squares.py        3x3 kernels
        rows.py           kernels 3 wide over few channels, as the first convolution has
        dweight.py        dweight of a 3x3 convolution: the route backwards
    blocks/           conv -> ReLU -> max pool as one
        block.py          both passes
        winners.py        the backward pass, from the pool's winners alone; lists.py makes lists of them
        pick.py           dweight where input channels are few: each lane picks what its winner saw
        pooled.py         conv -> max pool, both passes
    depthwise/        convolutions a channel at a time
        passes.py         both passes
        separable.py      such a convolution and the 1x1 behind it, for prediction
    dense.py          dense layers
    normalization.py  batch normalisation, and the sum of two ways through the network
    pooling.py        pooling and ReLU on all cores
    update.py         optimizer steps in one pass
    memory.py         recycled memory, and how weights lie in it
    threads.py        one kernel at a time, on as many threads as was set
    bounds.py         checks of every access, in a debug build

Whoever only wants to learn how a convolution works need not open this folder: `reference.py` says what
is computed here.  Numbers agree with it to rounding, on any number of threads to the bit.
"""

from ...runtime import compiling  # noqa: F401 - before numba: it decides on the pool of threads
from ..dilation import dilated
from . import dense, normalization, pooling, update
from .blocks import block, pooled
from .convolution import passes as convolution_passes
from .convolution import prepared
from .depthwise import passes as depthwise_passes
from .depthwise import separable
from .threads import one_at_a_time

conv2d_forward = one_at_a_time(convolution_passes.conv2d_forward)
conv2d_relu_forward = one_at_a_time(convolution_passes.conv2d_relu_forward)
conv2d_add_forward = one_at_a_time(convolution_passes.conv2d_add_forward)
conv2d_add_relu_forward = one_at_a_time(convolution_passes.conv2d_add_relu_forward)
conv2d_backward = one_at_a_time(convolution_passes.conv2d_backward)
block_forward = one_at_a_time(block.block_forward)
block_backward = one_at_a_time(block.block_backward)
conv2d_maxpool2d_forward = one_at_a_time(pooled.conv2d_maxpool2d_forward)
conv2d_maxpool2d_backward = one_at_a_time(pooled.conv2d_maxpool2d_backward)
maxpool2d_forward = one_at_a_time(pooling.maxpool2d_forward)
maxpool2d_backward = one_at_a_time(pooling.maxpool2d_backward)
averagepool2d_forward = one_at_a_time(pooling.averagepool2d_forward)
dilated_conv2d_forward, dilated_conv2d_backward = map(
    one_at_a_time, dilated(convolution_passes.conv2d_forward, convolution_passes.conv2d_backward)
)
dilated_depthwise_conv2d_forward, dilated_depthwise_conv2d_backward = map(
    one_at_a_time,
    dilated(depthwise_passes.depthwise_conv2d_forward, depthwise_passes.depthwise_conv2d_backward),
)
averagepool2d_backward = one_at_a_time(pooling.averagepool2d_backward)
dense_forward = one_at_a_time(dense.dense_forward)
dense_backward = one_at_a_time(dense.dense_backward)
depthwise_conv2d_forward = one_at_a_time(depthwise_passes.depthwise_conv2d_forward)
depthwise_conv2d_backward = one_at_a_time(depthwise_passes.depthwise_conv2d_backward)
separable_conv2d_forward = one_at_a_time(separable.separable_conv2d_forward)
separable_conv2d_relu_forward = one_at_a_time(separable.separable_conv2d_relu_forward)
separable_conv2d_maxpool2d_forward = one_at_a_time(separable.separable_conv2d_maxpool2d_forward)
batchnorm_forward = one_at_a_time(normalization.batchnorm_forward)
batchnorm_backward = one_at_a_time(normalization.batchnorm_backward)
batchnorm_inference = one_at_a_time(normalization.batchnorm_inference)
batchnorm_inference_backward = one_at_a_time(normalization.batchnorm_inference_backward)
batchnorm_relu_forward = one_at_a_time(normalization.batchnorm_relu_forward)
batchnorm_relu_backward = one_at_a_time(normalization.batchnorm_relu_backward)
batchnorm_relu_inference = one_at_a_time(normalization.batchnorm_relu_inference)
add = one_at_a_time(normalization.add)
relu_forward = one_at_a_time(pooling.relu_forward)
relu_backward = one_at_a_time(pooling.relu_backward)
sgd_step = one_at_a_time(update.sgd_step)
adam_step = one_at_a_time(update.adam_step)
largest = one_at_a_time(update.largest)

prepare = one_at_a_time(prepared.prepare)

__all__ = [
    "adam_step", "add", "averagepool2d_backward", "averagepool2d_forward", "batchnorm_backward", "batchnorm_forward",
    "batchnorm_inference", "batchnorm_inference_backward", "batchnorm_relu_backward", "batchnorm_relu_forward",
    "batchnorm_relu_inference", "block_backward", "block_forward", "conv2d_add_forward", "conv2d_add_relu_forward",
    "conv2d_backward", "conv2d_forward", "conv2d_maxpool2d_backward", "conv2d_maxpool2d_forward", "conv2d_relu_forward",
    "dense_backward", "dense_forward", "depthwise_conv2d_backward", "depthwise_conv2d_forward",
    "dilated_conv2d_backward", "dilated_conv2d_forward", "dilated_depthwise_conv2d_backward",
    "dilated_depthwise_conv2d_forward", "largest", "maxpool2d_backward", "maxpool2d_forward", "prepare",
    "relu_backward", "relu_forward", "separable_conv2d_forward", "separable_conv2d_maxpool2d_forward",
    "separable_conv2d_relu_forward", "sgd_step",
]  # fmt: skip
