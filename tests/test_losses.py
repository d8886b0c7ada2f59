"""Losses against their textbook sums, computed number by number, and their gradients against finite differences."""

import copy
import json
import math
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn.functions import sigmoid, softmax
from minicnn.gradient_check import check_loss
from minicnn.losses import (
    CrossEntropy,
    FunctionLoss,
    Huber,
    Loss,
    MeanAbsoluteError,
    describe_loss,
    find_loss,
    takes_logits,
    with_logits,
)

seeds = st.integers(0, 999)


def problem(seed, N=4, K=1):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((N, K)) * 3
    labels = rng.integers(0, max(K, 2), N)
    return logits, labels, rng.uniform(0.2, 2, N)


def binary(target, p):
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


@given(seeds, st.sampled_from([0.0, 0.2]))
def test_binary_cross_entropy_equals_its_textbook_sum(seed, smoothing):
    logits, labels, weight = problem(seed)
    smooth = labels * (1 - smoothing) + smoothing / 2
    wanted = sum(
        w * binary(t, p) for w, t, p in zip(weight, smooth, sigmoid(logits[:, 0]), strict=True)
    ) / len(labels)
    assert mc.BinaryCrossEntropy(False, smoothing)(labels, sigmoid(logits), weight)[0] == pytest.approx(
        wanted, rel=1e-6
    )
    assert mc.BinaryCrossEntropy(True, smoothing)(labels, logits, weight)[0] == pytest.approx(
        wanted, rel=1e-12
    )


@given(seeds, st.integers(2, 5), st.sampled_from([0.0, 0.1]))
def test_categorical_and_sparse_cross_entropy_equal_their_textbook_sum(seed, K, smoothing):
    logits, labels, weight = problem(seed, K=K)
    one_hot = np.eye(K)[labels]
    smooth = one_hot * (1 - smoothing) + smoothing / K
    wanted = (
        -sum(
            w * math.log(p) * t
            for w, row, targets in zip(weight, softmax(logits), smooth, strict=True)
            for p, t in zip(row, targets, strict=True)
        )
        / 4
    )
    for loss, target in ((mc.CategoricalCrossEntropy, one_hot), (mc.SparseCategoricalCrossEntropy, labels)):
        assert loss(True, smoothing)(target, logits, weight)[0] == pytest.approx(wanted, rel=1e-10)
        assert loss(False, smoothing)(target, softmax(logits), weight)[0] == pytest.approx(wanted, rel=1e-5)


@given(seeds)
def test_gradients_agree_with_finite_differences(seed):
    logits, labels, weight = problem(seed)
    many, classes, _ = problem(seed, K=3)
    one_hot = np.eye(3)[classes]
    checks = [
        check_loss(mc.BinaryCrossEntropy(True, 0.1), labels, logits, weight),
        check_loss(mc.BinaryCrossEntropy(), labels, np.clip(sigmoid(logits), 0.05, 0.95), weight),
        check_loss(mc.BinaryCrossEntropy(True), one_hot, many),
        check_loss(mc.CategoricalCrossEntropy(True, 0.1), one_hot, many, weight),
        check_loss(mc.CategoricalCrossEntropy(), one_hot, np.clip(softmax(many), 0.05, 0.95)),
        check_loss(mc.SparseCategoricalCrossEntropy(True), classes, many, weight),
        check_loss(mc.CategoricalCrossEntropy(), one_hot, 7 * np.clip(softmax(many), 0.05, 0.95), weight),
        check_loss(mc.CategoricalCrossEntropy(label_smoothing=0.1), one_hot, 0.1 + sigmoid(many), weight),
        check_loss(CrossEntropy(), classes, np.clip(softmax(many), 0.05, 0.95)),
        check_loss(mc.MeanSquaredError(), one_hot, many, weight),
        check_loss(MeanAbsoluteError(), one_hot, many, weight),
        check_loss(Huber(), one_hot, many, weight),
        check_loss(Huber(delta=0.3), one_hot, many),
    ]
    for check in checks:
        assert check.passes(1e-6), str(check)


def test_an_extreme_wrong_logit_costs_its_size_and_has_a_gradient():
    value, gradient = mc.BinaryCrossEntropy(from_logits=True)([1], np.array([[-50.0]], "float32"))
    assert value == 50.0 and gradient.item() == -1.0
    value, gradient = mc.BinaryCrossEntropy()([1], np.array([[0.0]]))
    assert value == pytest.approx(16.118, abs=1e-3) and gradient.item() == 0


def test_a_network_that_ends_in_sigmoid_or_softmax_trains_on_its_logits():
    for last, loss, target in (
        (mc.Sigmoid(), "binary_crossentropy", [[1.0]]),
        (mc.Softmax(), "categorical_crossentropy", [[1.0, 0.0]]),
    ):
        model = mc.Sequential([mc.Dense(len(target[0])), last]).build((1,))
        model.compile("sgd", loss)
        model.set_weights([np.array([[-50.0, 50.0][: len(target[0])]]), np.zeros(len(target[0]))])
        value, _ = model.compute_gradients(np.ones((1, 1)), np.array(target))
        assert value == pytest.approx(50 if len(target[0]) == 1 else 100, rel=1e-6)
        assert abs(model.parameters[1].grad[0]) == pytest.approx(1)


def test_label_smoothing_agrees_with_keras_and_pytorch():
    """Numbers of Keras 3.15 (both losses) and PyTorch 2.13 (the second loss and its gradient), label_smoothing=0.1."""
    value, _ = mc.BinaryCrossEntropy(True, 0.1)([1, 1, 0], np.array([[2.0], [-1.0], [0.5]]))
    assert value == pytest.approx(0.8130888938903809, rel=1e-6)
    logits = np.array([[1.0, 2.0, -1.0], [0.3, -0.2, 0.9]])
    wanted = [
        [0.1130815635045429, 0.33602558968245394, -0.4491071531869968],
        [-0.32083665230732217, 0.07178370814860936, 0.24905294415871282],
    ]
    for loss, target in (
        (mc.SparseCategoricalCrossEntropy, [2, 0]),
        (mc.CategoricalCrossEntropy, np.eye(3)[[2, 0]]),
    ):
        value, gradient = loss(True, 0.1)(target, logits)
        assert value == pytest.approx(2.2055893284992907, rel=1e-6)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-6)


def test_the_loss_divides_by_the_batch_size():
    logits, labels, _ = problem(1, N=3)
    loss = mc.BinaryCrossEntropy(from_logits=True)
    one, gradient = loss(labels, logits)
    two, doubled = loss(np.tile(labels, 2), np.tile(logits, (2, 1)))
    assert one == pytest.approx(two)
    np.testing.assert_allclose(doubled[:3], gradient / 2)


def test_nan_is_not_hidden_by_clipping():
    for loss, target in (
        (mc.BinaryCrossEntropy(), [[1.0]]),
        (mc.CategoricalCrossEntropy(), [[1.0]]),
        (mc.MeanSquaredError(), [[1.0]]),
    ):
        assert math.isnan(loss(target, np.array([[np.nan]]))[0])
        assert math.isnan(with_logits(loss)(target, np.array([[np.nan]]))[0])


@pytest.mark.parametrize(
    ("loss", "target", "shape"),
    [
        (mc.BinaryCrossEntropy(), np.zeros(3), (4, 1)),
        (mc.BinaryCrossEntropy(), np.zeros((4, 2, 2, 1)), (4, 2, 2, 1)),
        (mc.BinaryCrossEntropy(), np.zeros((4, 2)), (4, 1)),
        (mc.CategoricalCrossEntropy(), np.zeros(4), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.array([0, 1, 2, 3]), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.array([0, 1, 2, -1]), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.array([0.5, 1, 2, 2]), (4, 3)),
        (mc.SparseCategoricalCrossEntropy(), np.eye(3)[[0, 1, 2, 2]], (4, 3)),
    ],
)
def test_targets_that_do_not_fit_are_refused(loss, target, shape):
    with pytest.raises(mc.ShapeError, match=loss.name):
        loss(target, np.full(shape, 0.3))


def test_bad_weights_and_smoothing_are_refused():
    with pytest.raises(mc.ShapeError, match="4 sample weights"):
        mc.MeanSquaredError()(np.zeros(4), np.zeros((4, 1)), np.ones((4, 2)))
    for smoothing in (1.0, -0.1, "a", None, True, np.nan):
        for loss in (mc.BinaryCrossEntropy, mc.CategoricalCrossEntropy, mc.SparseCategoricalCrossEntropy):
            with pytest.raises(mc.ArgumentError, match="label_smoothing: expected a number"):
                loss(label_smoothing=smoothing)


@pytest.mark.parametrize("wrong", [0.1, 1, "yes", None])
def test_from_logits_is_true_or_false(wrong):
    """A user who writes BinaryCrossEntropy(0.1) means label smoothing."""
    for loss in (mc.BinaryCrossEntropy, mc.CategoricalCrossEntropy, mc.MeanSquaredError):
        with pytest.raises(mc.ArgumentError, match="from_logits: expected True or False"):
            loss(wrong)
    assert type(mc.BinaryCrossEntropy(np.True_).from_logits) is bool


@pytest.mark.parametrize("loss", [mc.BinaryCrossEntropy(), mc.CategoricalCrossEntropy(label_smoothing=0.1)])
@pytest.mark.parametrize("target", [[[-1.0, 1.0]], [[0.0, 2.0]]])
def test_targets_outside_0_to_1_are_refused(loss, target):
    with pytest.raises(mc.ArgumentError, match=r"expected numbers in \[0, 1\]"):
        loss(target, np.array([[0.4, 0.6]]))


def test_absolute_and_huber_losses_worked_by_hand():
    target, prediction = np.array([[0.0, 1.0], [2.0, 2.0]]), np.array([[0.5, 1.0], [-1.0, 2.0]])
    value, gradient = MeanAbsoluteError()(target, prediction)  # rows 0.25 and 1.5
    assert value == pytest.approx(0.875)
    np.testing.assert_allclose(gradient, [[0.25, 0], [-0.25, 0]])
    value, gradient = Huber()(target, prediction)  # 0.125 / 2 and (3 - 0.5) / 2
    assert value == pytest.approx((0.0625 + 1.25) / 2)
    np.testing.assert_allclose(gradient, [[0.125, 0], [-0.25, 0]])
    for delta in (0, -1, "1", None):
        with pytest.raises(mc.ArgumentError, match="huber delta"):
            Huber(delta=delta)


def test_rows_that_do_not_sum_to_one_are_normalized_as_in_keras():
    loss, p = mc.CategoricalCrossEntropy(), np.array([[0.2, 0.5, 0.3]])
    for scale in (0.5, 1.0, 4.0):
        value, gradient = loss([[0, 1, 0]], scale * p)
        assert value == pytest.approx(-math.log(0.5))
        assert (gradient * p).sum() == pytest.approx(0)  # scaling the row changes nothing
        np.testing.assert_allclose(gradient, [[1 / scale, (1 - 1 / 0.5) / scale, 1 / scale]])


def test_logits_in_place_of_probabilities_are_refused():
    for loss, target, end in (
        (mc.BinaryCrossEntropy(), [1, 0], "Sigmoid"),
        (mc.CategoricalCrossEntropy(), [[0, 1], [1, 0]], "Softmax"),
        (mc.SparseCategoricalCrossEntropy(), [1, 0], "Softmax"),
    ):
        prediction = np.resize([-5.0, 3.0], (2, 1 if end == "Sigmoid" else 2))
        with pytest.raises(
            mc.ArgumentError, match=rf"received -5. End the network in {end}\(\), or .*from_logits"
        ):
            loss(target, prediction)
        with_logits(loss)(target, prediction)


WORDS = np.array(["cat", "dog", "cat", "dog"])


@pytest.mark.parametrize(
    "labels",
    [
        WORDS, WORDS.astype(object), list(WORDS), ["0", "1", "0", "1"], [None] * 4, [0, 1, None, 1],
        np.array([0, 1, np.nan, 1]), np.array([0, 1, np.inf, 1]), np.array(["2020-01-01"] * 4, "datetime64[D]"),
        np.ma.array([0, 1, 0, 1], mask=[0, 0, 1, 0]), [[0], [1, 1], [0], [1]], np.array([0, 1, 0, 1j]),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "loss",
    [mc.BinaryCrossEntropy(), mc.SparseCategoricalCrossEntropy(), mc.MeanSquaredError(), CrossEntropy()],
)
def test_labels_that_are_not_numbers_are_refused_with_a_message(loss, labels):
    K = 2 if loss.activation == "Softmax" else 1
    with pytest.raises(mc.ArgumentError, match=f"{loss.name} targets: expected"):
        loss(labels, np.full((4, K), 0.5))


@pytest.mark.parametrize("labels", [[False, True], np.array([0.0, 1.0]), np.array([[0], [1]], np.uint8)])
def test_booleans_whole_floats_and_columns_are_class_numbers(labels):
    p = np.array([[0.7, 0.3], [0.4, 0.6]])
    wanted = -(math.log(0.7) + math.log(0.6)) / 2
    assert mc.SparseCategoricalCrossEntropy()(labels, p)[0] == pytest.approx(wanted)
    assert CrossEntropy()(labels, p)[0] == pytest.approx(wanted)
    assert mc.BinaryCrossEntropy()(labels, p[:, 1:])[0] == pytest.approx(wanted)


def test_the_message_for_a_class_number_out_of_range_names_it_and_the_range():
    with pytest.raises(
        mc.ShapeError, match=r"class numbers from 0 to 2, received 3 in sample 1\. Number the classes"
    ):
        mc.SparseCategoricalCrossEntropy()([0, 3], np.full((2, 3), 1 / 3))
    with pytest.raises(mc.ArgumentError, match=r"numbers in \[0, 1\], received -1 in sample 1"):
        mc.BinaryCrossEntropy()([1, -1], np.full((2, 1), 0.5))
    for loss, target, other in (
        (mc.SparseCategoricalCrossEntropy(), np.eye(3), "use categorical_crossentropy"),
        (mc.CategoricalCrossEntropy(), [0, 1, 2], "use sparse_categorical_crossentropy"),
    ):
        with pytest.raises(mc.ShapeError, match=other):
            loss(target, np.full((3, 3), 1 / 3))


def test_class_numbers_of_many_classes_need_little_memory():
    prediction = np.full((4, 20_000), 1 / 20_000, "float32")
    tracemalloc.start()
    value, _ = mc.SparseCategoricalCrossEntropy()([0, 5, 19_999, 7], prediction)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert value == pytest.approx(math.log(20_000), rel=1e-5) and peak < 20 * prediction.nbytes


def test_sample_weights_may_be_one_number_or_a_column():
    loss, target, p = mc.BinaryCrossEntropy(), [1, 0, 1], np.array([[0.3], [0.6], [0.9]])
    value, gradient = loss(target, p)
    for weight in (2, 2.0, np.float32(2), np.full(3, 2), np.full((3, 1), 2.0)):
        doubled, gradients = loss(target, p, weight)
        assert doubled == pytest.approx(2 * value)
        np.testing.assert_allclose(gradients, 2 * gradient)
    assert loss(target, p, [[1], [0], [3]])[0] == pytest.approx(loss(target, p, [1, 0, 3])[0])
    for wrong in ([1, np.nan, 1], [1, -1, 1], -1.0, ["a", "b", "c"], [None] * 3, np.inf):
        with pytest.raises(mc.ArgumentError, match="sample_weight"):
            loss(target, p, wrong)
    for wrong in (np.ones(4), np.ones((1, 3)), np.ones((3, 2)), []):
        with pytest.raises(mc.ShapeError, match="3 sample weights"):
            loss(target, p, wrong)


def test_underflow_is_not_an_error_for_any_setting_of_numpy():
    z = np.array([[-150.0, 150.0, 0.0], [100.0, -3.0, 1e-30]], "float32")
    with np.errstate(all="raise"):
        assert softmax(z).sum() == 2 and sigmoid(np.array([-800.0, 800.0])).tolist() == [0, 1]
        for loss in (mc.CategoricalCrossEntropy(True), mc.BinaryCrossEntropy(True, 0.1)):
            assert np.isfinite(loss([[0, 1, 0], [1, 0, 0]], z)[0])
        assert mc.CategoricalCrossEntropy()([[0, 1, 0]], softmax(z[:1]))[0] == pytest.approx(1e-7, abs=1e-6)
        assert mc.MeanSquaredError()([1e-30], np.array([[2e-30]], "float32"))[0] >= 0
        assert mc.BinaryCrossEntropy()([0], np.array([[1e-30]], "float32"), 1e-30)[0] >= 0


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("mse", mc.MeanSquaredError), ("MSE", mc.MeanSquaredError), ("mean_squared_error", mc.MeanSquaredError),
        ("MeanSquaredError", mc.MeanSquaredError), ("mae", MeanAbsoluteError), ("Huber", Huber),
        ("mean_absolute_error", MeanAbsoluteError), ("binary_crossentropy", mc.BinaryCrossEntropy),
        ("BinaryCrossentropy", mc.BinaryCrossEntropy), ("BinaryCrossEntropy", mc.BinaryCrossEntropy),
        ("categorical_crossentropy", mc.CategoricalCrossEntropy), ("crossentropy", CrossEntropy),
        ("sparse_categorical_crossentropy", mc.SparseCategoricalCrossEntropy),
    ],
)  # fmt: skip
def test_losses_have_keras_names(name, loss):
    assert type(find_loss(name)) is loss and find_loss(loss()) == loss()


def test_keras_spellings_are_the_same_classes():
    assert mc.losses.BinaryCrossentropy is mc.BinaryCrossEntropy
    assert mc.losses.CategoricalCrossentropy is mc.CategoricalCrossEntropy
    assert mc.losses.SparseCategoricalCrossentropy is mc.SparseCategoricalCrossEntropy


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("hinge", "mean_squared_error"),
        ("binary_crosentropy", 'Did you mean "binary_crossentropy"'),
        (mc.BinaryCrossEntropy, r"Write BinaryCrossEntropy\(\), with brackets"),
        (None, "one of"),
        (["mse"], "one of"),
        (lambda prediction: 0.0, r"a function of \(target, prediction\)"),
        ({"class": "Own", "config": {}}, "custom_objects"),
        ({"class": "Huber", "config": {"width": 1}}, "loss Huber: expected arguments of its constructor"),
    ],
)
def test_arguments_that_are_not_a_loss_are_refused(wrong, message):
    with pytest.raises(mc.ArgumentError, match=message):
        find_loss(wrong)


class Focal(mc.BinaryCrossEntropy):
    """A user's own loss, not made with dataclass."""

    def __init__(self, gamma=2.0):
        super().__init__()
        object.__setattr__(self, "gamma", gamma)

    def terms(self, target, prediction):
        wrong = prediction - target
        return np.abs(wrong[:, 0]) ** self.gamma, self.gamma * np.abs(wrong) ** (self.gamma - 1) * np.sign(
            wrong
        )


def cubed(target, prediction):
    difference = prediction - target
    return abs(difference**3).mean(), 3 * difference * abs(difference) / difference.size


def test_only_the_librarys_own_losses_receive_logits():
    assert all(
        takes_logits(loss) for loss in (mc.BinaryCrossEntropy(), mc.CategoricalCrossEntropy(), CrossEntropy())
    )
    for loss in (Focal(), find_loss(cubed), mc.MeanSquaredError(), mc.BinaryCrossEntropy(True), Loss()):
        assert not takes_logits(loss)


def test_a_users_loss_may_be_a_subclass_or_a_function():
    target, p = [0, 1, 1], np.array([[0.2], [0.9], [0.4]], "float32")
    value, gradient = Focal(2.0)(target, p)  # 0.04, 0.01, 0.36
    assert value == pytest.approx(0.41 / 3) and gradient.dtype == np.float32
    for loss in (Focal(3.0), find_loss(cubed)):
        value, gradient = loss(target, p)
        assert type(value) is float and value == pytest.approx((0.008 + 0.001 + 0.216) / 3, rel=1e-5)
        assert gradient.shape == p.shape and gradient.dtype == np.float32
    wide = type("Wide", (Loss,), {"terms": lambda self, t, p: (np.zeros(3), np.ones((3, 1)))})
    assert wide()(target, p)[1].dtype == np.float32  # even if terms computes in another type
    assert check_loss(find_loss(cubed), target, p).passes()
    with pytest.raises(mc.ArgumentError, match="loss cubed: expected no weights"):
        find_loss(cubed)(target, p, 2.0)


@pytest.mark.parametrize(
    "result", [1.0, (1.0, np.zeros(3)), (np.zeros(3), np.zeros((3, 1))), (1.0, None), ("a", np.zeros((3, 1)))]
)
def test_a_users_loss_that_returns_something_else_is_refused(result):
    with pytest.raises((mc.ArgumentError, mc.ShapeError), match="loss own"):
        own = FunctionLoss(function=lambda target, prediction: result)
        own.function.__name__ = "own"
        own([0, 1, 1], np.full((3, 1), 0.5))
    bad = type("Bad", (Loss,), {"terms": lambda self, target, prediction: result})
    with pytest.raises(mc.ShapeError, match="Bad.terms: expected a pair of shapes"):
        bad()([0, 1], np.full((2, 1), 0.5))


def test_a_loss_can_be_made_again_from_its_description():
    for loss in (mc.BinaryCrossEntropy(True, 0.1), Huber(delta=2.0), CrossEntropy(), mc.MeanSquaredError()):
        assert find_loss(json.loads(json.dumps(describe_loss(loss)))) == loss
        assert loss.get_config() == loss.config
    again = find_loss(describe_loss(Focal(3.0)) | {"config": {"gamma": 3.0}}, {"Focal": Focal})
    assert type(again) is Focal and again.gamma == 3.0 and describe_loss(again)["config"] == {"gamma": 3.0}
    again = find_loss(describe_loss(find_loss(cubed)), {"cubed": cubed})
    assert again.function is cubed and find_loss("cubed", {"cubed": cubed}).function is cubed
    with pytest.raises(mc.ArgumentError, match="a function with a name"):
        describe_loss(find_loss(lambda target, prediction: (0.0, prediction)))
    with pytest.raises(mc.ArgumentError, match="JSON"):
        describe_loss(Focal(np.ones(3)))
    assert pickle.loads(pickle.dumps(find_loss(cubed))) == copy.deepcopy(find_loss(cubed))
