"""Tests of the arguments that fit, evaluate and predict refuse, before the first step and without changes."""

import copy

import numpy as np
import pytest

import minicnn as mc
from minicnn import data
from minicnn.training import fit_arguments
from minicnn.training.batches import ArrayBatches

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((12, 3)).astype("float32"), np.arange(12) % 2


def network(outputs=1, metrics=(), built=True):
    last = [mc.Dense(1), mc.Sigmoid()] if outputs == 1 else [mc.Dense(outputs), mc.Softmax()]
    model = mc.Sequential([mc.Dense(4), mc.ReLU(), *last], kernels="reference")
    if built:
        model.build((3,), seed=1)
    model.compile(
        "sgd", "binary_crossentropy" if outputs == 1 else "sparse_categorical_crossentropy", metrics
    )
    return model


def images(names=("cat", "dog"), count=8, **settings):
    pixels = RNG.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return data.Loader(pixels, np.arange(count) % 2, class_names=names and list(names), **settings)


def image_network():
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], kernels="reference").build(
        (4, 4, 3), seed=1
    )
    model.compile("sgd")
    return model


class Trained(mc.Callback):
    steps = 0

    def on_train_begin(self):
        Trained.steps = 0

    def on_batch_end(self, batch, logs):
        Trained.steps += 1


def refused(model, *arguments, words, error=(mc.ArgumentError, mc.ShapeError), **settings):
    """Check that fit raises this error and does not change the model."""
    before, Trained.steps = snapshot(model), 0
    with pytest.raises(error, match=words):
        model.fit(*arguments, verbose=0, callbacks=[Trained()], **settings)
    assert Trained.steps == 0
    assert snapshot(model) == before


def snapshot(model):
    built = model.input_shape is not None
    weights = [weight.tobytes() for weight in model.get_weights()] if built else None
    names = model.class_names, model.preprocessing, model.history, model.epochs_trained
    return copy.deepcopy((model.input_shape, weights, names, built and model.optimizer.iterations))


# ------------------------------------------------------------------------------------- datasets
@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (None, Y, "x: expected an array .*, received None"),
        ("cat.jpg", Y, "received 'cat.jpg'"),
        ({"x": X}, Y, "received a dict"),
        (X.astype(str), Y, "x: expected numbers"),
        (X.astype(object), Y, "x: expected numbers"),
        (np.ma.masked_array(X, X > 0), Y, "masked"),
        (X, None, "fit: expected targets y, received none"),
        (
            (X, Y),
            None,
            r"fit: expected x and y as two arguments, received a tuple of 2 arrays. Write fit\(x, y\)",
        ),
        (X[:0], Y[:0], "at least one sample"),
        (X, Y[:5], "y: expected 12 values"),
        (X[0], Y[:3], "samples of shape .3,., received .*A single sample needs a batch axis"),
        (X[:, :2], Y, r"samples of shape \(3,\), received \(2,\)"),
        (iter([(X, Y)]), Y, "no y next to an iterable"),
        (iter([]), None, "at least one batch"),
        (iter([(X[:, :2], Y)]), None, "samples of shape"),
        (iter([(X,)]), None, "targets y"),
        (iter([(X, Y + 5)]), None, "targets"),
    ],
)
def test_a_dataset_that_cannot_be_trained_on_is_refused(x, y, words):
    refused(network(), x, y, words=words)


@pytest.mark.parametrize(
    "y",
    [
        Y.astype(str),
        np.array(["cat", "dog"] * 6),
        np.array([None] * 12),
        Y.astype(object),
        Y + 1,
        Y * np.nan,
        Y - 1,
    ],
)
def test_targets_that_are_not_classes_are_refused(y):
    refused(network(), X, y, words="targets")


def test_an_unknown_class_in_the_last_batch_is_refused_before_the_first():
    y = np.arange(12) % 3
    y[-1] = 3
    refused(network(3), X, y, batch_size=4, shuffle=False, words="0 to 2, received 3 in sample 11")


@pytest.mark.parametrize("name", ["batch_size", "shuffle", "seed", "sample_weight", "y"])
def test_arguments_that_a_loader_decides_are_refused_next_to_it(name):
    value = {"batch_size": 8, "shuffle": True, "seed": 3, "sample_weight": np.ones(8), "y": Y[:8]}[name]
    refused(image_network(), images(), **{name: value}, words=f"no {name} next to a loader")
    refused(network(), [(X, Y)], **{name: value}, words=f"no {name} next to an iterable")
    if name in ("batch_size", "sample_weight", "y"):
        with pytest.raises(mc.ArgumentError, match=f"evaluate: expected no {name} next to a loader"):
            image_network().evaluate(images(), **{name: value})
    if name == "batch_size":
        with pytest.raises(mc.ArgumentError, match="predict: expected no batch_size next to a loader"):
            image_network().predict(images(), 8)


def test_a_loader_without_labels_is_refused():
    loader = data.Loader(np.zeros((4, 4, 4, 3), np.uint8))
    refused(image_network(), loader, words="fit: expected targets y, received none")
    refused(image_network(), images(), validation_data=loader, words="validation_data: expected targets y")
    with pytest.raises(mc.ArgumentError, match="evaluate: expected targets y"):
        image_network().evaluate(loader)
    assert image_network().predict(loader).shape == (4, 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": "2"},
        {"epochs": True},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"batch_size": True},
        {"shuffle": "False"},
        {"seed": -1},
        {"seed": 0.5},
        {"initial_epoch": -1},
        {"initial_epoch": 1},
        {"initial_epoch": 5, "epochs": 5},
        {"steps_per_epoch": 0},
        {"steps_per_epoch": 1.5},
        {"validation_freq": 0, "validation_data": (X, Y)},
        {"validation_freq": [0, 1], "validation_data": (X, Y)},
        {"validation_freq": "1", "validation_data": (X, Y)},
        {"validation_steps": 1},
        {"validation_steps": 0, "validation_data": (X, Y)},
        {"validation_steps": 2, "validation_data": (X, Y)},
        {"validation_split": 1.0},
        {"validation_split": -0.1},
        {"validation_split": "0.2"},
        {"validation_split": 0.99},
        {"validation_split": 0.5, "validation_data": (X, Y)},
        {"sample_weight": np.ones(11)},
        {"sample_weight": -np.ones(12)},
        {"sample_weight": ["a"] * 12},
    ],
    ids=" ".join,
)
def test_numbers_outside_their_range_are_refused(settings):
    refused(network(), X, Y, words=next(iter(settings)), **settings)


@pytest.mark.parametrize("verbose", [3, "loud", None])
def test_an_unknown_verbose_is_refused(verbose):
    model = network()
    for call in (model.fit, model.evaluate):
        with pytest.raises(mc.ArgumentError, match="verbose"):
            call(X, Y, verbose=verbose)
    with pytest.raises(mc.ArgumentError, match="verbose"):
        model.predict(X, verbose=verbose)


def test_a_generator_that_is_too_short_is_refused():
    words = "a generator, which ends after one. Give steps_per_epoch, or an object that can be iterated again"
    refused(network(), iter([(X, Y)] * 4), epochs=2, words=words)
    refused(network(), X, Y, epochs=2, validation_data=iter([(X, Y)] * 4), words="validation_steps")
    network().fit(iter([(X, Y)] * 4), epochs=2, steps_per_epoch=2, verbose=0)
    network().fit(X, Y, epochs=2, validation_data=iter([(X, Y)] * 4), validation_steps=2, verbose=0)
    network().fit(X, Y, epochs=2, validation_data=iter([(X, Y)]), validation_freq=2, verbose=0)


# ----------------------------------------------------------------------------------- validation
@pytest.mark.parametrize(
    ("validation", "words"),
    [
        ((X[:, :2], Y), "validation_data: expected samples of shape"),
        ((X, Y + 1), "validation_data targets"),
        ((X, Y.astype(str)), "validation_data targets"),
        ((X, None), "validation_data: expected targets y"),
        ((X, Y[:3]), "validation_data y: expected 12 values"),
        ((X,), "received one part"),
        ((X, Y, np.ones(12), 1), "received 4 parts"),
        ((X, Y, np.ones(3)), "validation_data sample_weight"),
        (X, r"received an array of shape \(12, 3\). Give the targets with it"),
        (0.2, "Write validation_split=0.2"),
        ("cats", "validation_data"),
        ({"x": X}, "validation_data"),
        (True, "validation_data"),
        ([(X[:, :2], Y)], "validation_data: expected samples of shape"),
    ],
)
def test_validation_data_that_cannot_be_evaluated_is_refused(validation, words):
    refused(network(), X, Y, validation_data=validation, words=words)


def test_validation_split_takes_the_last_samples_as_in_keras():
    """By hand: of 12 samples, a split of 0.3 leaves floor(12 * 0.7) = 8 for training."""
    split, by_hand = network(metrics=["accuracy"]), network(metrics=["accuracy"])
    weight = np.arange(1.0, 13)
    one = split.fit(X, Y, 4, 2, validation_split=0.3, sample_weight=weight, verbose=0)
    validation = (X[8:], Y[8:], weight[8:])
    other = by_hand.fit(X[:8], Y[:8], 4, 2, validation_data=validation, sample_weight=weight[:8], verbose=0)
    assert one.history == other.history
    assert ArrayBatches(X, Y).split(4)[0].samples == 8


def test_validation_split_is_refused_for_a_loader():
    refused(image_network(), images(), validation_split=0.5, words="validation_split: expected arrays")
    refused(network(), [(X, Y)], validation_split=0.5, words="validation_split: expected arrays")


# --------------------------------------------------------------------- class names, preprocessing
def test_fit_sets_class_names_and_preprocessing_of_a_loader_on_the_model():
    model, preprocessing = image_network(), data.Preprocessing(4, 4, draft=2)
    model.fit(images(preprocessing=preprocessing), verbose=0)
    assert model.class_names == ["cat", "dog"]
    assert model.preprocessing["draft"] == 2 and model.preprocessing["height"] == 4
    model.fit(images(), verbose=0)  # the same again


def test_other_class_names_are_refused():
    model = image_network()
    model.class_names = ["dog", "cat"]
    refused(model, images(), words=r"\['dog', 'cat'\], received \['cat', 'dog'\]")
    with pytest.raises(mc.ArgumentError, match="evaluate: expected the class names of the model"):
        model.evaluate(images())
    words = r"validation_data: expected the class names of .*, \['cat', 'dog'\], received \['cat', 'cow'\]"
    refused(image_network(), images(), validation_data=images(("cat", "cow")), words=words)


def test_class_names_that_do_not_fit_the_outputs_are_refused():
    model = mc.Sequential([mc.Flatten(), mc.Dense(3), mc.Softmax()], kernels="reference").build((4, 4, 3))
    model.compile("sgd", "sparse_categorical_crossentropy")
    refused(model, images(), words="class_names: expected 3")


def test_other_preprocessing_is_refused_except_for_the_size():
    model = image_network()
    model.preprocessing = {"height": 64, "width": 64, "resample": "bilinear", "draft": 2}
    refused(
        model, images(preprocessing=data.Preprocessing(4, 4)),
        words="the preprocessing of the model: draft 2, received draft 0",
    )  # fmt: skip
    model.fit(images(preprocessing=data.Preprocessing(4, 4, draft=2)), verbose=0)
    assert model.preprocessing["height"] == 64


# ---------------------------------------------------------------------------------- class weights
@pytest.mark.parametrize("weights", [{"dog": 2.0}, {0: 1.0, 2: 2.0}, {-1: 2.0}, {0.5: 2.0}, {None: 1.0}])
def test_class_weights_of_unknown_classes_are_refused(weights):
    model = network()
    model.class_names = ["cat", "dog"]
    refused(model, X, Y, class_weight=weights, words="from 0 to 1 .0 is cat, 1 is dog., received")
    model.fit(X, Y, class_weight={np.int64(0): 2.0, 1.0: 3.0}, verbose=0)  # whole numbers of any type


@pytest.mark.parametrize(
    "weights", ["equal", {0: "a"}, {0: None}, {0: -1.0}, {0: np.nan}, [1.0], np.ones(3), 2.0]
)
def test_invalid_class_weights_are_refused(weights):
    refused(network(), X, Y, class_weight=weights, words="class_weight")


def test_balanced_class_weights_need_all_labels():
    refused(network(), [(X, Y)], class_weight="balanced", words="class_weight: expected arrays or a loader")


# ---------------------------------------------------------------------------------------- metrics
def test_a_metric_that_cannot_be_computed_is_refused():
    def products(target, prediction):
        return target @ prediction

    def shares(target, prediction):
        return prediction.mean(0)

    refused(network(metrics=[products]), X, Y, words="metric products: .*one that raised ValueError")
    refused(network(3, metrics=[shares]), X, np.arange(12) % 3, words="metric shares: expected one number")


@pytest.mark.parametrize("outputs", [1, 2, 3, 5])
def test_metrics_are_tried_on_targets_with_every_class(outputs):
    seen = {}

    def look(target, prediction):
        seen.update(target=target, prediction=prediction)
        return 0.0

    fit_arguments.check_metrics(network(outputs, metrics=[look]))
    target, prediction = seen["target"], seen["prediction"]
    assert target.shape == prediction.shape and target.shape[1] == outputs
    classes = target[:, 0] if outputs == 1 else target.argmax(1)
    assert set(classes) == set(range(max(2, outputs)))
    if outputs > 1:
        np.testing.assert_allclose(prediction.sum(1), 1, rtol=1e-5)


# -------------------------------------------------------------------------------------- callbacks
@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ([mc.Callback], r"Write Callback\(\), with brackets"),
        ([print], "Subclass minicnn.Callback"),
        ([None], "callbacks"),
        (print, "callbacks"),
        ("Callback", "callbacks"),
        (3, "callbacks"),
    ],
)
def test_objects_that_are_not_callbacks_are_refused(callbacks, words):
    model = network()
    before = snapshot(model)
    with pytest.raises(mc.ArgumentError, match=words):
        model.fit(X, Y, callbacks=callbacks, verbose=0)
    assert snapshot(model) == before


def test_a_callback_that_cannot_work_in_this_run_is_refused(tmp_path):
    class Misspelt(mc.Callback):
        def on_epoch_finish(self, epoch):
            """Would never be called."""

    once = mc.Callback()
    for callbacks, words in (
        (
            [mc.EarlyStopping("val_loss")],
            "EarlyStopping monitor: expected one of loss, accuracy, learning_rate",
        ),
        ([mc.EarlyStopping("val_acc", mode="max")], "val_acc"),
        ([mc.ModelCheckpoint(tmp_path / "m-{val_acc}")], "val_acc"),
        ([Misspelt()], "on_epoch_finish"),
        ([once, once], "each callback once"),
    ):
        model = network(metrics=["accuracy"])
        before = snapshot(model)
        with pytest.raises(mc.ArgumentError, match=words):
            model.fit(X, Y, callbacks=callbacks, verbose=0)
        assert snapshot(model) == before
    model = network(metrics=["accuracy"])
    model.compile(mc.SGD(mc.CosineDecay(0.1, 10)))
    with pytest.raises(mc.ArgumentError, match="fixed rate"):
        model.fit(X, Y, callbacks=[mc.ReduceLROnPlateau("loss")], verbose=0)


def test_callbacks_are_checked_before_the_model_changes():
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], kernels="reference")
    model.compile("sgd")
    with pytest.raises(mc.ArgumentError, match="monitor"):
        model.fit(images(), callbacks=[mc.EarlyStopping("val_loss")], verbose=0)
    assert model.class_names is None and model.input_shape is None

    class Look(mc.Callback):
        def check(self, run):
            seen.append((run.model.input_shape, run.log_names))

    seen = []
    model.fit(images(), callbacks=[Look()], verbose=0)
    assert seen == [((4, 4, 3), ["loss", "learning_rate"])]


def test_callbacks_may_be_none_or_a_single_callback():
    model, begun = network(), []

    class One(mc.Callback):
        def on_train_begin(self):
            begun.append(self)

    for callbacks in (None, (), One(), [One()], (One(),)):
        model.fit(X, Y, callbacks=callbacks, verbose=0)
    assert len(begun) == 3


# ---------------------------------------------------------------------------------------- the model
def test_fit_builds_a_model_for_its_samples():
    for x, y in ((X, Y), ([(X[:6], Y[:6]), (X[6:], Y[6:])], None)):
        model = network(built=False)
        model.fit(x, y, verbose=0)
        assert model.input_shape == (3,)
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], kernels="reference")
    model.compile("sgd")
    model.fit(images(), verbose=0)
    assert model.input_shape == (4, 4, 3) and model.class_names == ["cat", "dog"]


def test_a_built_model_and_one_that_fit_builds_give_identical_results():
    built, unbuilt = (
        network(built=False, metrics=["accuracy"]).build((3,)),
        network(built=False, metrics=["accuracy"]),
    )
    assert built.fit(X, Y, 5, 2, verbose=0).history == unbuilt.fit(X, Y, 5, 2, verbose=0).history


def test_a_refused_call_does_not_build_the_model():
    for settings in ({"epochs": 0}, {"class_weight": {7: 1.0}}, {"validation_data": (X[:, :2], Y)}):
        model = network(built=False)
        with pytest.raises((mc.ArgumentError, mc.ShapeError)):
            model.fit(X, Y, verbose=0, **settings)
        assert model.input_shape is None and not any(parameter.shape for parameter in model.parameters)
        model.fit(X[:, :2], Y, verbose=0)
        assert model.input_shape == (2,)


def test_calls_in_the_wrong_order_are_refused():
    unbuilt = network(built=False)
    for call in (lambda: unbuilt.evaluate(X, Y), lambda: unbuilt.predict(X)):
        with pytest.raises(mc.StateError, match="a built model"):
            call()
    uncompiled = mc.Sequential([mc.Dense(1)]).build((3,))
    for call in (lambda: uncompiled.fit(X, Y), lambda: uncompiled.evaluate(X, Y)):
        with pytest.raises(mc.StateError, match="Call compile"):
            call()


# ------------------------------------------------------------------------- evaluate and predict
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (None, "received None"),
        ("cat.jpg", "use minicnn.Predictor"),
        ({"x": X}, "received a dict"),
        ([["a", "b", "c"]], "x: expected numbers"),
        (X[:0], "at least one sample"),
        (X[0], "needs a batch axis"),
        (X[:, :2], "samples of shape"),
        (iter([]), "at least one batch"),
        ((X, Y), "x and y as two arguments|samples of shape"),
    ],
)
def test_invalid_data_for_predict_and_evaluate_is_refused(x, words):
    with pytest.raises((mc.ArgumentError, mc.ShapeError), match=words):
        network().predict(x)
    with pytest.raises((mc.ArgumentError, mc.ShapeError)):
        network().evaluate(x, None if isinstance(x, tuple) or hasattr(x, "__next__") else Y)


@pytest.mark.parametrize("steps", [0, 1.5, "2", 4])
def test_invalid_numbers_of_steps_are_refused(steps):
    for call in (
        lambda: network().evaluate(X, Y, 4, steps=steps),
        lambda: network().predict(X, 4, steps=steps),
        lambda: network().predict(iter([X] * 3), steps=steps),
    ):
        with pytest.raises(mc.ArgumentError, match="steps"):
            call()
