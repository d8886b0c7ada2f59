"""A convolution fused with its ReLU and max pool; the backward pass reads only the pool's maxima."""
