"""The meaning of outputs: how it is found from the loss and the last layer, and its effect on targets and classes."""

import pickle
import tracemalloc

import numpy as np
import pytest

import minicnn as mc
from minicnn.losses import CrossEntropy, Huber, Loss, find_loss
from minicnn.outputs import Outputs, find_outputs, guess_outputs

BINARY, LOGITS = mc.BinaryCrossEntropy(), mc.BinaryCrossEntropy(from_logits=True)
CATEGORICAL, SPARSE = mc.CategoricalCrossEntropy(), mc.SparseCategoricalCrossEntropy()
MSE = mc.MeanSquaredError()
ONE, THREE = Outputs("probability", 1), Outputs("distribution", 3)
LABELS, NUMBERS = Outputs("labels", 3), Outputs("numbers", 2)


class Own(Loss):
    """A user's loss, for a softmax."""

    activation = "Softmax"


# ------------------------------------------------------------------------------------ finding the meaning
@pytest.mark.parametrize(
    ("loss", "activation", "layer", "count", "meaning"),
    [
        (BINARY, "Sigmoid", "Sigmoid", 1, ("probability", False)),
        (BINARY, "sigmoid", "Dense", 3, ("labels", False)),
        (LOGITS, None, "Dense", 1, ("probability", True)),
        (LOGITS, None, "Dense", 3, ("labels", True)),
        (BINARY, None, None, 1, ("probability", False)),
        (BINARY, None, "MySigmoid", 2, ("labels", False)),
        (CATEGORICAL, "Softmax", "Softmax", 3, ("distribution", False)),
        (SPARSE, "softmax", "Dense", 2, ("distribution", False)),
        (mc.SparseCategoricalCrossEntropy(True), None, "Dense", 4, ("distribution", True)),
        (CATEGORICAL, None, "MySoftmax", 4, ("distribution", False)),
        (CrossEntropy(), "Softmax", "Softmax", 3, ("distribution", False)),
        (MSE, None, "Dense", 1, ("numbers", False)),
        (MSE, "Sigmoid", "Sigmoid", 1, ("probability", False)),
        (MSE, "Softmax", "Softmax", 2, ("distribution", False)),
        (Huber(), "Tanh", "Dense", 2, ("numbers", False)),
        (MSE, None, "MyLayer", 2, ("numbers", False)),
        (Own(), "Softmax", "Softmax", 2, ("distribution", False)),
        (Own(True), None, "Dense", 2, ("distribution", True)),
        (Own(), None, "MyLayer", 2, ("distribution", False)),
        (Own(), None, "Dense", 2, ("numbers", False)),
        (find_loss(lambda target, prediction: None), "Sigmoid", "Sigmoid", 1, ("probability", False)),
        (find_loss(lambda target, prediction: None), None, "Dense", 1, ("numbers", False)),
        (None, "Sigmoid", "Dense", 1, ("probability", False)),
        (None, "Softmax", "Softmax", 5, ("distribution", False)),
        (None, None, "Dense", 5, ("numbers", False)),
    ],
)
def test_the_loss_and_the_last_layer_determine_the_meaning(loss, activation, layer, count, meaning):
    outputs = find_outputs(loss, activation, layer, count)
    assert (outputs.kind, outputs.logits) == meaning and outputs.count == count
    assert pickle.loads(pickle.dumps(outputs)) == outputs


@pytest.mark.parametrize(
    ("loss", "activation", "layer", "count", "message"),
    [
        (
            BINARY,
            "Softmax",
            "Softmax",
            1,
            "Softmax: expected at least 2 outputs, received 1, which is always 1.0",
        ),
        (MSE, "Softmax", "Dense", 1, "always 1.0"),
        (None, "Softmax", "Dense", 1, "always 1.0"),
        (CATEGORICAL, "Sigmoid", "Sigmoid", 1, "one output per class, at least 2.*Use binary_crossentropy"),
        (SPARSE, None, "Dense", 1, "at least 2"),
        (mc.CategoricalCrossEntropy(True), None, "Dense", 1, "at least 2"),
        (CrossEntropy(), None, "MyLayer", 1, "at least 2"),
        (BINARY, "Softmax", "Softmax", 2, "received the output of Softmax.*sparse_categorical_crossentropy"),
        (CATEGORICAL, "Sigmoid", "Dense", 3, "received the output of Sigmoid.*binary_crossentropy"),
        (SPARSE, "Sigmoid", "Dense", 3, "received the output of Sigmoid"),
        (LOGITS, "Sigmoid", "Sigmoid", 1, "expected logits.*Remove Sigmoid, or leave out from_logits"),
        (mc.CategoricalCrossEntropy(True), "Softmax", "Softmax", 3, "Remove Softmax"),
        (Own(True), "Softmax", "Softmax", 3, "Remove Softmax"),
        (
            BINARY,
            None,
            "Dense",
            1,
            r"the output of Dense. End the network in Sigmoid\(\), or use from_logits=True",
        ),
        (BINARY, "Tanh", "Dense", 1, r"the output of Tanh. End the network in Sigmoid\(\)"),
        (SPARSE, None, "Conv2D", 3, r"End the network in Softmax\(\)"),
        (CATEGORICAL, None, "ReLU", 3, r"End the network in Softmax\(\)"),
        (mc.MeanSquaredError(True), None, "Dense", 1, "has no logits"),
        (BINARY, "Sigmoid", "Sigmoid", 0, "outputs"),
    ],
)
def test_a_loss_that_contradicts_the_last_layer_is_refused(loss, activation, layer, count, message):
    with pytest.raises(mc.ArgumentError, match=message):
        find_outputs(loss, activation, layer, count)


def test_the_arguments_of_outputs_are_checked():
    for arguments in (("words", 1), ("distribution", 1), ("labels", 0), ("probability", 1.5)):
        with pytest.raises(mc.ArgumentError):
            Outputs(*arguments)


def test_the_meaning_of_probabilities_without_a_network_is_guessed_or_refused():
    assert guess_outputs(np.array([[0.2]])) == ONE
    assert guess_outputs(np.array([[0.2, 0.3, 0.5]], "float32")) == THREE
    for prediction in ([[0.2, 0.9]], [[-1.0]], [[7.0]], [[2.0, -1.0]]):
        with pytest.raises(mc.ArgumentError):
            guess_outputs(np.array(prediction))


# ------------------------------------------------------------------------------------ predictions
def test_logits_become_probabilities_and_classes():
    z = np.array([[0.0, np.log(3.0)], [-800.0, 800.0]])
    labels, distribution = Outputs("labels", 2, True), Outputs("distribution", 2, True)
    np.testing.assert_allclose(labels.probabilities(z), [[0.5, 0.75], [0, 1]])
    np.testing.assert_allclose(distribution.probabilities(z), [[0.25, 0.75], [0, 1]])
    assert labels.classes(z).tolist() == [[0, 1], [0, 1]] and distribution.classes(z).tolist() == [1, 1]
    assert Outputs("probability", 1, True).classes(np.array([[0.4], [-0.4]])).tolist() == [1, 0]


def test_predicted_classes_for_each_meaning():
    assert ONE.classes(np.array([[0.4], [0.6], [0.5]])).tolist() == [0, 1, 0]
    assert THREE.classes(np.array([[0.1, 0.2, 0.7]])).tolist() == [2]
    assert LABELS.classes(np.array([[0.1, 0.9, 0.7]])).tolist() == [[0, 1, 1]]
    with pytest.raises(mc.ArgumentError, match="predict_classes: .*one that predicts numbers"):
        NUMBERS.classes(np.array([[0.1, 0.9]]))
    p = np.array([[0.1, 0.9]])
    assert NUMBERS.probabilities(p) is p and Outputs("labels", 2).probabilities(p) is p


# ------------------------------------------------------------------------------------ targets
@pytest.mark.parametrize(
    ("outputs", "y", "targets", "classes"),
    [
        (ONE, [0, 1, 1], [[0], [1], [1]], [0, 1, 1]),
        (ONE, [[True], [False]], [[1], [0]], [1, 0]),
        (ONE, [0.2, 0.5, 0.7], [[0.2], [0.5], [0.7]], [0, 0, 1]),
        (THREE, [2.0, 0.0], [[0, 0, 1], [1, 0, 0]], [2, 0]),
        (THREE, [[2], [0]], [[0, 0, 1], [1, 0, 0]], [2, 0]),
        (THREE, [[0, 0, 1], [1, 0, 0]], [[0, 0, 1], [1, 0, 0]], [2, 0]),
        (THREE, [[0.3, 0, 0.7]], [[0.3, 0, 0.7]], [2]),
        (Outputs("distribution", 3, rows=True), [2, 0], [[0, 0, 1], [1, 0, 0]], [2, 0]),
        (LABELS, [[1, 0, 1]], [[1, 0, 1]], [[1, 0, 1]]),
    ],
)
def test_targets_get_the_shape_of_the_predictions(outputs, y, targets, classes):
    found = outputs.targets(y)
    np.testing.assert_allclose(found, targets, rtol=1e-6)
    assert found.dtype.kind == "f" and outputs.true_classes(y).tolist() == classes


def test_number_targets_may_have_any_finite_value():
    np.testing.assert_array_equal(NUMBERS.targets([[-5, 2**40 + 1]]), [[-5, 2**40 + 1]])
    assert Outputs("numbers", 1).targets([3, -2]).shape == (2, 1)
    with pytest.raises(mc.ArgumentError, match="one that predicts numbers"):
        NUMBERS.true_classes([[1, 2]])


@pytest.mark.parametrize(
    ("outputs", "y", "message"),
    [
        (ONE, [0, 2], "class numbers from 0 to 1, received 2 in sample 1"),
        (ONE, [-1, 1], "class numbers from 0 to 1, received -1 in sample 0"),
        (ONE, [0.5, 1.5], r"numbers in \[0, 1\], received 1.5 in sample 1"),
        (ONE, [[0, 1], [1, 0]], r"one number per sample, \(N,\) or \(N, 1\), received shape \(2, 2\)"),
        (THREE, [0, 1, 3], "class numbers from 0 to 2, received 3 in sample 2. Number the classes 0 ... 2"),
        (THREE, [0, 1.5], "received 1.5 in sample 1"),
        (THREE, [[0, 1], [1, 0]], r"one-hot rows \(N, 3\), received shape \(2, 2\)"),
        (THREE, [[0, 2, 0]], r"numbers in \[0, 1\], received 2 in sample 0"),
        (LABELS, [0, 1, 1], r"one row of 3 numbers per sample.*where a label is true"),
        (LABELS, [[0, 1]], "one row of 3 numbers"),
        (LABELS, [[0, 1, 5]], r"numbers in \[0, 1\], received 5"),
        (NUMBERS, [1.0, 2.0], "one row of 2 numbers"),
        (NUMBERS, 3.0, "one row of 2 numbers"),
        (THREE, 1, "received shape"),
        (
            Outputs("distribution", 3, rows=True),
            [0, 1],
            "For these targets use sparse_categorical_crossentropy",
        ),
        (Outputs("distribution", 3, rows=False), np.eye(3), "For these targets use categorical_crossentropy"),
    ],
)
def test_targets_that_do_not_fit_are_refused(outputs, y, message):
    with pytest.raises((mc.ShapeError, mc.ArgumentError), match="y: expected .*" + message):
        outputs.check_targets(y, "y")


@pytest.mark.parametrize("outputs", [ONE, THREE, LABELS, NUMBERS])
@pytest.mark.parametrize(
    "y", [["cat", "dog"], ["0", "1"], [None, None], [np.nan, 0], [np.inf, 1], np.ma.masked_equal([0, 1], 1)]
)
def test_targets_that_are_not_numbers_are_refused(outputs, y):
    for check in (outputs.check_targets, outputs.targets):
        with pytest.raises(mc.ArgumentError, match="targets: expected .*(numbers|without a mask)"):
            check(y)


def test_checking_class_numbers_does_not_make_one_hot_rows():
    y = np.arange(20_000)
    tracemalloc.start()
    Outputs("distribution", 20_000).check_targets(y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * y.nbytes


# ------------------------------------------------------------------------------------ class weights
@pytest.mark.parametrize(
    "form", [{2: 5.0}, [1, 1, 5], (1.0, 1.0, 5.0), np.array([1, 1, 5]), {np.int64(2): np.float32(5)}]
)
def test_class_weights_of_three_classes_in_each_form(form):
    for y in ([0, 2, 1, 2], [[0], [2], [1], [2]], np.eye(3)[[0, 2, 1, 2]]):
        assert THREE.class_weights(y, form).tolist() == [1, 5, 1, 5]
    checked = THREE.check_class_weight(form)
    assert checked[2] == 5.0 and all(type(k) is int and type(w) is float for k, w in checked.items())


def test_class_weights_of_one_sigmoid():
    assert ONE.class_weights([0, 1, 1], {0: 3}).tolist() == [3, 1, 1]
    assert ONE.class_weights([[0], [1]], [2.0, 0.0]).tolist() == [2, 0]


def test_balanced_weights_agree_with_scikit_learn():
    """compute_class_weight("balanced", [0, 1, 2], y) gives n / (3 * count) for each class."""
    y = [0] * 6 + [1] * 3 + [2]
    weights = THREE.balanced(y)
    assert weights == pytest.approx({0: 10 / 18, 1: 10 / 9, 2: 10 / 3})
    each = THREE.class_weights(y, weights)
    assert each[:6].sum() == pytest.approx(each[6:9].sum()) == pytest.approx(each[9])
    assert ONE.balanced([1, 1, 1]) == {1: 0.5} and THREE.balanced(np.eye(3)[y]) == weights
    assert THREE.check_class_weight("balanced") == "balanced" and THREE.check_class_weight(None) is None
    with pytest.raises(mc.ArgumentError, match="one number per class, received 'balanced'"):
        THREE.class_weights(y, "balanced")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({3: 1.0}, r"class numbers from 0 to 2 \(0 is a, 1 is b, 2 is c\), received 3"),
        ({"a": 1.0}, "received 'a'"),
        ({None: 1.0}, "received None"),
        ({True: 1.0}, "received True"),
        ({0.5: 1.0}, "received 0.5"),
        ({-1: 1.0}, "received -1"),
        ({0: "a"}, "class_weight of class 0: expected a number of at least 0, received 'a'"),
        ({0: None}, "class_weight of class 0"),
        ({0: -1.0}, "class_weight of class 0"),
        ({0: np.nan}, "class_weight of class 0"),
        ([1.0, 2.0], r"3 numbers \(one per class\)"),
        (np.ones((3, 1)), r"3 numbers \(one per class\)"),
        (np.array(2.0), r"3 numbers \(one per class\)"),
        (["a", "b", "c"], "class_weight of class 0"),
        ([[1], [1, 2], [3]], "class_weight of class 0"),
        ("balance", 'or "balanced"'),
        (2.0, "3 numbers"),
        ({1.0, 2.0, 3.0}, "3 numbers"),
    ],
)
def test_invalid_class_weights_are_refused(wrong, message):
    with pytest.raises(mc.ArgumentError, match=message):
        THREE.check_class_weight(wrong, ["a", "b", "c"])


def test_independent_labels_and_numbers_have_no_class_weights():
    for outputs, found in ((LABELS, "independent labels"), (NUMBERS, "numbers")):
        for weights in ([1, 2], {0: 1.0}, "balanced"):
            with pytest.raises(
                mc.ArgumentError, match=f"one class per sample, received {found}. Use sample_weight"
            ):
                outputs.check_class_weight(weights)
