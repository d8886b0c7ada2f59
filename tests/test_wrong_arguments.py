"""Arrays of any shape, type and layout, given to everything public that reaches a compiled loop.

Either the library's own exception, or the answer that the definition gives: never a crash, and never memory outside an
array.  `python -m tests.test_wrong_arguments 20000` makes as many calls as it is told.
"""

import sys
import warnings

import numpy as np
import pytest

import minicnn as mc

MAKERS = (
    lambda: mc.Conv2D(3, 3), lambda: mc.Conv2D(2, (1, 2), 2, "same", "relu"), lambda: mc.Conv2D(2, 3, dilation_rate=2),
    lambda: mc.DepthwiseConv2D(3, padding="same"), lambda: mc.SeparableConv2D(3, 2), lambda: mc.MaxPool2D(2),
    lambda: mc.MaxPool2D(3, 2, "same"), lambda: mc.AveragePool2D(2), lambda: mc.GlobalMaxPool2D(), lambda: mc.Flatten(),
    lambda: mc.BatchNormalization(), lambda: mc.ReLU(), lambda: mc.Dense(3), lambda: mc.Dropout(0.5),
    lambda: mc.Residual([mc.Conv2D(2, 3, padding="same")]), lambda: mc.ZeroPadding2D(1), lambda: mc.Softmax(),
)  # fmt: skip
TYPES = "float32", "float64", "int64", "uint8", "bool", "complex128", "float16", "U3", "O", ">f4"


def any_array(rng, near):
    """An array whose shape is near to one that fits, of any type and layout."""
    shape = list(near)
    for _ in range(rng.integers(0, 3)):
        kind = rng.integers(0, 4)
        if kind == 0 and shape:
            shape[rng.integers(len(shape))] = int(rng.choice([0, 1, 2, 3, 5, 9, 40]))
        elif kind == 1 and shape:
            shape.pop(rng.integers(len(shape)))
        elif kind == 2:
            shape.insert(rng.integers(len(shape) + 1), int(rng.integers(0, 4)))
    dtype = rng.choice(TYPES) if rng.random() < 0.4 else "float32"
    array = rng.normal(0, 2, shape).astype(dtype)
    layout = rng.integers(0, 6)
    if layout == 0:
        return np.asfortranarray(array)
    if layout == 1 and array.ndim:
        return np.repeat(array, 2, axis=0)[::2]
    if layout == 2 and array.ndim:
        return array[::-1]
    if layout == 3:
        array.flags.writeable = False
    return array


def one_call(rng, kernels):
    """Forward, backward, weights, state or training with arrays that may not fit."""
    shape = (int(rng.integers(3, 7)), int(rng.integers(3, 7)), 2) if rng.random() < 0.8 else (4,)
    layer = MAKERS[rng.integers(len(MAKERS))]()
    layer.kernels = kernels
    output_shape = layer.build(shape, np.random.default_rng(0))
    x = any_array(rng, (2, *shape))
    what = rng.integers(0, 5)
    if what == 0:
        layer(x)
    elif what == 1:
        y, cache = layer.forward(x, training=bool(rng.integers(2)))
        layer.backward(any_array(rng, y.shape), cache)
    elif what == 2 and layer.parameters:
        parameter = layer.parameters[rng.integers(len(layer.parameters))]
        parameter.value = any_array(rng, parameter.shape)
        layer(np.ones((2, *shape), "float32"))
    elif what == 3:
        model = mc.Sequential([layer, mc.Flatten(), mc.Dense(1, "sigmoid")], kernels).build(shape)
        model.compile("adam")
        model.train_step(x, any_array(rng, (2,)), any_array(rng, (2,)) if rng.random() < 0.3 else None)
        model.gradient(any_array(rng, (2, *shape)), of=any_array(rng, (2, 1)))
    elif layer.parameters:
        parameters = {parameter.name: parameter for parameter in layer.parameters if parameter.trainable}
        for parameter in parameters.values():
            parameter.grad = any_array(rng, parameter.shape)
        optimizer = mc.Adam()
        name = next(iter(parameters))
        optimizer.state = optimizer.state | {f"{name}/m": any_array(rng, parameters[name].shape)}
        optimizer.step(parameters, mc.layers.base.kernel_set(kernels))
    assert len(output_shape)


def calls(count, seed):
    """How many of `count` calls were answered and how many refused; anything else is raised."""
    answered = refused = 0
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                one_call(rng, ("im2col", "fast")[number % 2])
            answered += 1
        except mc.MinicnnError:
            refused += 1
        except Exception as error:
            error.add_note(f"call {number} of seed {seed}")
            raise
    return answered, refused


@pytest.mark.parametrize("seed", range(3))
def test_wrong_arrays_are_refused_in_words_or_answered(seed):
    answered, refused = calls(200, seed)
    assert answered > 40 and refused > 40


if __name__ == "__main__":
    print("answered, refused:", calls(int(sys.argv[1]), 99))
