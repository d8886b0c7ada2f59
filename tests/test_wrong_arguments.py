"""Random arguments from hypothesis for every public function that takes arrays or settings.

Each call must return a result or raise an exception of the library: no other exception, no crash, no access outside an
array.  Where a layer returns a result, the reference kernels must return the same.
`python -m tests.test_wrong_arguments 20000` makes that many calls and counts the results and the refusals.
"""

import inspect
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minicnn as mc

LAYERS = (
    lambda: mc.Conv2D(3, 3), lambda: mc.Conv2D(2, (1, 2), 2, "same", "relu"), lambda: mc.Conv2D(2, 3, dilation_rate=2),
    lambda: mc.DepthwiseConv2D(3, padding="same"), lambda: mc.SeparableConv2D(3, 2), lambda: mc.MaxPool2D(2),
    lambda: mc.MaxPool2D(3, 2, "same"), lambda: mc.AveragePool2D(2), lambda: mc.GlobalMaxPool2D(), lambda: mc.Flatten(),
    lambda: mc.BatchNormalization(), lambda: mc.ReLU(), lambda: mc.Dense(3), lambda: mc.Dropout(0.5), lambda: mc.GELU(),
    lambda: mc.Residual([mc.Conv2D(2, 3, padding="same")]), lambda: mc.ZeroPadding2D(1), lambda: mc.Softmax(),
    lambda: mc.Rescaling(2.0, -1.0), lambda: mc.GlobalAveragePool2D(), lambda: mc.ReLU(max_value=1),
)  # fmt: skip
TYPES = "float32", "float64", "int64", "uint8", "bool", "complex128", "float16", "U3", "O", ">f4"
LAYOUTS = "C", "F", "every other", "backwards", "read-only", "broadcast"
LENGTHS = st.sampled_from([0, 1, 2, 3, 5, 9, 40])
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.floats(), st.text(max_size=3), st.binary(max_size=9),
    st.sampled_from(["relu", "same", "valid", "adam", "mse", "accuracy", "zeros", "l2", 10**30, -(10**30), 1e-320]),
    st.tuples(st.integers(-1, 4), st.integers(-1, 4)), st.lists(st.floats(), max_size=3),
    st.builds(object), st.just(abs), st.just(np.float32(2)), st.just(np.ones((2, 2))), st.just({"a": 1}),
)  # fmt: skip
CONSTRUCTORS = tuple(
    getattr(mc, name)
    for name in mc.__all__
    if isinstance(getattr(mc, name), type)
    and not issubclass(getattr(mc, name), Exception)
    and name
    not in ("Callback", "History", "Predictor", "Sequential", "Checkpoint", "BackupAndRestore", "CSVLogger")
)


@st.composite
def arrays(draw, near):
    """An array of any type and layout, whose shape is close to a shape that fits."""
    shape = list(near)
    for edit in draw(st.lists(st.sampled_from(["change", "drop", "insert"]), max_size=2)):
        place = draw(st.integers(0, max(len(shape) - 1, 0)))
        if edit == "insert":
            shape.insert(place, draw(st.integers(0, 3)))
        elif shape:
            shape[place : place + 1] = [draw(LENGTHS)] if edit == "change" else []
    dtype = draw(st.one_of(st.just("float32"), st.sampled_from(TYPES)))
    array = np.random.default_rng(draw(st.integers(0, 9))).normal(0, 2, shape).astype(dtype)
    match draw(st.sampled_from(LAYOUTS)):
        case "F":
            return np.asfortranarray(array)
        case "every other" if array.ndim:
            return np.repeat(array, 2, axis=0)[::2]
        case "backwards" if array.ndim:
            return array[::-1]
        case "broadcast" if array.ndim and len(array):
            return np.broadcast_to(array[:1], (3, *array.shape[1:]))
        case "read-only":
            array.flags.writeable = False
    return array


def labels(count):
    """Valid class numbers, or any array."""
    return st.one_of(
        st.lists(st.integers(0, 1), min_size=count, max_size=count).map(np.array), arrays((count,))
    )


@st.composite
def built_layers(draw):
    """A built layer with the im2col or fast kernels, and the shape of its inputs."""
    shape = draw(st.one_of(st.tuples(st.integers(3, 6), st.integers(3, 6), st.just(2)), st.just((4,))))
    layer = draw(st.sampled_from(LAYERS))()
    layer.kernels = draw(st.sampled_from(["im2col", "fast"]))
    layer.build(shape, np.random.default_rng(0))
    return layer, shape


def a_model(draw, outputs=1):
    """A small compiled network, and the shape of its inputs."""
    kernels = draw(st.sampled_from(["im2col", "fast"]))
    last = mc.Dense(outputs, "sigmoid" if outputs == 1 else "softmax")
    model = mc.Sequential([mc.Conv2D(2, 2, activation="relu"), mc.Flatten(), last], kernels).build(
        (4, 4, 2), 0
    )
    model.compile("adam", metrics=["accuracy"])
    return model, (4, 4, 2)


# ------------------------------------------------------------------- one function per entry point
def layer_forward(draw):
    layer, shape = draw(built_layers())
    x = draw(arrays((2, *shape)))
    y = layer(x)
    layer.kernels = "reference"
    np.testing.assert_allclose(y, layer(x), rtol=1e-4, atol=1e-4)


def layer_backward(draw):
    layer, shape = draw(built_layers())
    y, cache = layer.forward(draw(arrays((2, *shape))), training=draw(st.booleans()))
    layer.backward(draw(arrays(y.shape)), cache)


def layer_build(draw):
    layer = draw(st.sampled_from(LAYERS))()
    layer.build(draw(st.lists(st.integers(-1, 5), max_size=4).map(tuple)), np.random.default_rng(0))


def constructor(draw):
    make = draw(st.sampled_from(CONSTRUCTORS))
    known = [
        p for p in inspect.signature(make.__init__).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD
    ][1:]
    needed = sum(parameter.default is parameter.empty for parameter in known)
    chosen = {}
    if known[needed:]:
        names = st.sampled_from([parameter.name for parameter in known[needed:]])
        chosen = draw(st.dictionaries(names, VALUES, max_size=2))
    make(*draw(st.lists(st.one_of(st.just(2), VALUES), min_size=needed, max_size=needed)), **chosen)


def parameter_value(draw):
    layer, shape = draw(built_layers())
    for parameter in layer.parameters:
        parameter.value = draw(arrays(parameter.shape))
    layer(np.ones((2, *shape), "float32"))


def set_weights(draw):
    model, shape = a_model(draw)
    model.set_weights([draw(arrays(parameter.shape)) for parameter in model.parameters])
    model(np.ones((2, *shape), "float32"))


def optimizer_step(draw):
    layer, _ = draw(built_layers())
    named = {parameter.name: parameter for parameter in layer.parameters}
    for parameter in named.values():
        parameter.grad = draw(arrays(parameter.shape))
    optimizer = draw(st.sampled_from([mc.Adam, mc.SGD, mc.RMSprop, mc.AdamW]))()
    optimizer.step(named, layer.kernels)


def optimizer_state(draw):
    layer, _ = draw(built_layers())
    optimizer = mc.Adam()
    named = {parameter.name: parameter for parameter in layer.parameters if parameter.trainable}
    for name, parameter in named.items():
        parameter.grad = np.ones_like(parameter.value)
        optimizer.state = optimizer.state | {f"{name}/{m}": draw(arrays(parameter.shape)) for m in ("m", "v")}
    optimizer.step(named, layer.kernels)


def compile_settings(draw):
    model, _ = a_model(draw)
    model.compile(*draw(st.lists(VALUES, max_size=3)))


def train_step(draw):
    model, shape = a_model(draw, draw(st.integers(1, 3)))
    weight = draw(st.one_of(st.none(), arrays((2,))))
    model.train_step(draw(arrays((2, *shape))), draw(labels(2)), weight)


def fit(draw):
    model, shape = a_model(draw, draw(st.integers(1, 2)))
    names = [
        "batch_size",
        "epochs",
        "shuffle",
        "validation_split",
        "class_weight",
        "initial_epoch",
        "steps_per_epoch",
    ]
    chosen = draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=2))
    if (
        not isinstance(chosen.get("epochs"), int) or chosen["epochs"] < 10
    ):  # a large number of epochs would be trained
        model.fit(draw(arrays((3, *shape))), draw(labels(3)), verbose=0, **chosen)


def predict(draw):
    model, shape = a_model(draw, draw(st.integers(1, 3)))
    x = draw(arrays((3, *shape)))
    function = draw(
        st.sampled_from(
            [model.predict, model.predict_classes, model.trace, model, mc.Predictor(model).predict]
        )
    )
    function(x)


def evaluate(draw):
    model, shape = a_model(draw, draw(st.integers(1, 3)))
    model.evaluate(draw(arrays((3, *shape))), draw(labels(3)))


def gradient(draw):
    model, shape = a_model(draw, draw(st.integers(1, 3)))
    of = draw(st.one_of(VALUES.filter(lambda value: not callable(value)), arrays((2, 1))))
    model.gradient(draw(arrays((2, *shape))), of, draw(st.one_of(st.just("input"), VALUES)), draw(labels(2)))


def loss(draw):
    name = draw(st.sampled_from(["mse", "mae", "huber", "binary_crossentropy", "categorical_crossentropy",
                                 "sparse_categorical_crossentropy"]))  # fmt: skip
    K = draw(st.integers(1, 3))
    weight = draw(st.one_of(st.none(), arrays((2,))))
    mc.losses.find_loss(name)(draw(arrays((2, K))), draw(arrays((2, K))), weight)


def metric(draw):
    name = draw(st.sampled_from(["accuracy", "top_5_accuracy", "confusion_matrix", "precision", "recall", "f1_score",
                                 "roc_auc", "log_loss", "mean_squared_error"]))  # fmt: skip
    K = draw(st.integers(1, 3))
    getattr(mc.metrics, name)(draw(labels(3)), draw(arrays((3, K))))


def images(draw):
    preprocessing = mc.data.Preprocessing(draw(st.integers(1, 9)), 5)
    mc.data.decode(
        draw(st.one_of(VALUES.filter(lambda value: type(value) is not int), arrays((6, 7, 3)))), preprocessing
    )


def resize(draw):
    last = draw(st.sampled_from([mc.GlobalAveragePool2D, mc.Flatten]))()
    model = mc.Sequential([mc.Conv2D(2, 2), last, mc.Dense(1)]).build((4, 4, 2))
    mc.resize(model, draw(VALUES), draw(VALUES))


def loader(draw):
    names = ["batch_size", "shuffle", "seed", "classes", "names", "mixup", "size", "class_names", "scale"]
    chosen = draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=2))
    images = draw(st.one_of(st.just(np.zeros((3, 4, 4, 3), "uint8")), arrays((3, 4, 4, 3)), VALUES))
    for _ in zip(mc.data.Loader(images, draw(labels(3)), **chosen), range(2), strict=False):
        pass


ENTRY_POINTS = (
    layer_forward, layer_backward, layer_build, constructor, parameter_value, set_weights, optimizer_step,
    optimizer_state, compile_settings, train_step, fit, predict, evaluate, gradient, loss, metric, images, resize,
    loader,
)  # fmt: skip


def call(entry_point, data):
    """Call an entry point; returns "answered" or "refused", and raises every other exception."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            entry_point(data.draw)
            return "answered"
        except mc.MinicnnError:
            return "refused"


def calls(entry_point, count):
    """Count how many of `count` calls of an entry point were answered, and how many were refused."""
    results = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data):
        results[call(entry_point, data)] += 1

    run()
    return results


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda entry_point: entry_point.__name__)
def test_random_arguments_give_a_result_or_an_error_of_the_library(entry_point):
    results = calls(entry_point, 30)
    assert results["refused"] > 2, results


if __name__ == "__main__":
    total = Counter()
    for one in ENTRY_POINTS:
        found = calls(one, -(-int(sys.argv[1]) // len(ENTRY_POINTS)))
        total += found
        print(f"{one.__name__}: {found['answered']} answered, {found['refused']} refused", flush=True)
    print(f"all: {total['answered']} answered, {total['refused']} refused")
