"""A convolution, its ReLU and its max pool as one step, whose backward pass touches only the pool's winners."""
