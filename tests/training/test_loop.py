"""Tests of the training loop: compared with one written by hand; logs, weights, resuming, stopping, infinite losses."""

import threading

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, networks

# The losses of two_block in float64 with seed 5 and Adam, on 32 images of noise, with one class darker.
KNOWN_LOSSES = [
    0.692223997,
    0.695301334,
    0.683217205,
    0.681589395,
    0.649832931,
    0.65690515,
    0.651458824,
    0.65628209,
    0.622020271,
    0.622780003,
]


def small_model(seed=0, dropout=0.0):
    layers = [mc.Dense(6), mc.ReLU(), mc.Dropout(dropout), mc.Dense(1), mc.Sigmoid()]
    model = mc.Sequential(layers).build((3,), seed)
    model.compile(metrics=["accuracy"])
    return model


def problem(N=20, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, 3)).astype("float32")
    return x, (x.sum(1) > 0).astype(int)


def test_the_loss_of_an_epoch_is_weighted_by_samples():
    """The rate is too small to change the weights, so the loss of the epoch is that of the whole set."""
    model, (x, y) = small_model(), problem(7)
    model.compile(mc.SGD(1e-30), metrics=["accuracy"])
    history = model.fit(x, y, epochs=1, batch_size=3, verbose=0)
    assert history.history["loss"][0] == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-6)
    assert history.history["accuracy"][0] == model.evaluate(x, y)["accuracy"]
    assert history.history["accuracy"][0].count == 7


def test_evaluate_does_not_depend_on_the_batch_size():
    model, (x, y) = small_model(), problem(11)
    whole = model.evaluate(x, y, batch_size=11)
    for size in (1, 4):
        parts = model.evaluate(x, y, batch_size=size)
        assert (
            parts["loss"] == pytest.approx(whole["loss"], rel=1e-6) and parts["accuracy"] == whole["accuracy"]
        )


def test_the_same_seed_gives_identical_results_and_another_does_not():
    runs = []
    for seed in (0, 0, 1):
        model, (x, y) = small_model(dropout=0.3), problem()
        history = model.fit(x, y, epochs=3, batch_size=6, seed=seed, verbose=0)
        runs.append((history.history["loss"], model.get_weights()))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    for one, other in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


def softmax_model(loss="sparse_categorical_crossentropy", outputs=3):
    model = mc.Sequential([mc.Dense(outputs), mc.Softmax()], kernels="reference").build((3,), seed=1)
    model.compile(mc.SGD(0.5), loss)
    return model


def by_hand(model, x, y, epochs, batch_size, seed=0, sample_weight=None, offset=0):
    """A training loop with a new order each epoch; returns the loss of every batch."""
    losses = []
    for epoch in range(offset, offset + epochs):
        order = np.arange(len(x))
        np.random.default_rng([seed, epoch]).shuffle(order)
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            weight = None if sample_weight is None else sample_weight[batch]
            losses.append(model.train_step(x[batch], y[batch], weight)[0])
    return losses


def assert_same_weights(one, other):
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


class Watch(mc.Callback):
    """Record the loss of every batch, and the hooks in the order in which they are called."""

    def __init__(self):
        self.losses, self.calls = [], []

    def on_train_begin(self):
        self.calls.append("train begin")

    def on_epoch_begin(self, epoch):
        self.calls.append(f"epoch {epoch} begins")

    def on_batch_end(self, batch, logs):
        self.losses.append(logs["loss"])
        self.calls.append(f"batch {batch}")

    def on_epoch_end(self, epoch, logs):
        self.calls.append(f"epoch {epoch} ends")

    def on_train_end(self):
        self.calls.append("train end")


# --------------------------------------------------------------------------------- the loop itself
def test_fit_is_the_same_as_a_loop_written_by_hand():
    x, y = problem(11)
    fitted, stepped, watch = small_model(dropout=0.3), small_model(dropout=0.3), Watch()
    history = fitted.fit(x, y, 4, 3, seed=5, callbacks=[watch], verbose=0)
    losses = by_hand(stepped, x, y, 3, 4, seed=5)
    assert watch.losses == losses
    assert_same_weights(fitted, stepped)
    sizes = np.array([4, 4, 3])
    wanted = [float(losses[3 * e : 3 * e + 3] @ sizes / 11) for e in range(3)]
    np.testing.assert_allclose(history.history["loss"], wanted, rtol=1e-12)
    calls = [[f"epoch {e} begins", "batch 0", "batch 1", "batch 2", f"epoch {e} ends"] for e in range(3)]
    assert watch.calls == ["train begin", *sum(calls, []), "train end"]


def test_the_third_and_fourth_argument_are_batch_size_and_epochs():
    x, y = problem()
    positional, named = small_model(), small_model()
    assert (
        positional.fit(x, y, 8, 2, verbose=0).history
        == named.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    )
    assert named.history.params == {"epochs": 2, "steps": 3, "verbose": 0}


def test_without_shuffling_samples_keep_their_order():
    x, y = problem(9)
    fitted, stepped = small_model(), small_model()
    fitted.fit(x, y, 4, shuffle=False, verbose=0)
    for start in (0, 4, 8):
        stepped.train_step(x[start : start + 4], y[start : start + 4])
    assert_same_weights(fitted, stepped)


# --------------------------------------------------------------------------------------- callbacks
def test_hooks_have_the_order_and_arguments_of_keras():
    calls = []

    class Keras(mc.Callback):
        """Written for Keras: every hook takes `logs`, some without a default."""

        def on_train_begin(self, logs):
            calls.append(("train begin", self.params["epochs"], self.model.stop_training))

        def on_epoch_begin(self, epoch, logs):
            calls.append(("epoch begin", epoch))

        def on_train_batch_begin(self, batch, logs=None):
            calls.append(("batch begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            calls.append(("batch end", batch, sorted(logs)))

        def on_test_begin(self, logs=None):
            calls.append(("test begin",))

        def on_test_end(self, logs):
            calls.append(("test end", sorted(logs)))

        def on_epoch_end(self, epoch, logs=None):
            calls.append(("epoch end", epoch, sorted(logs)))

        def on_train_end(self, logs):
            calls.append(("train end",))

    model, (x, y) = small_model(), problem(8)
    model.fit(x, y, 4, callbacks=Keras(), validation_data=(x, y), verbose=0)
    batches = [call for batch in (0, 1) for call in (("batch begin", batch), ("batch end", batch, ["loss"]))]
    logs = ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"]
    assert calls == [
        ("train begin", 1, False), ("epoch begin", 0), *batches, ("test begin",), ("test end", ["accuracy", "loss"]),
        ("epoch end", 0, logs), ("train end",),
    ]  # fmt: skip


def test_hooks_may_leave_out_logs_and_may_be_functions():
    calls = []

    class Short(mc.Callback):
        def on_train_begin(self):
            calls.append("begin")

        def on_epoch_begin(self, epoch):
            calls.append(epoch)

        def on_epoch_end(self, epoch):
            calls.append(epoch)

        def on_train_end(self):
            calls.append("end")

    functions = mc.LambdaCallback(
        on_train_begin=lambda logs: calls.append("function"),
        on_epoch_end=lambda epoch, logs: calls.append(sorted(logs)),
    )
    model, (x, y) = small_model(), problem(8)
    model.fit(x, y, callbacks=[Short(), functions], verbose=0)
    assert calls == ["begin", "function", 0, 0, ["accuracy", "learning_rate", "loss"], "end"]


def test_callbacks_are_called_by_priority_then_in_the_order_of_the_list():
    calls = []

    class Numbered(mc.Callback):
        def __init__(self, name, priority):
            self.name, self.priority = name, priority

        def on_epoch_end(self, epoch, logs=None):
            calls.append(self.name)

        def on_train_end(self, logs=None):
            calls.append(self.name)

    model, (x, y) = small_model(), problem(8)
    callbacks = [
        Numbered(name, priority) for name, priority in (("c", 100), ("a", 0), ("b", 0), ("first", -10))
    ]
    model.fit(x, y, callbacks=callbacks, verbose=0)
    assert calls == ["first", "a", "b", "c"] * 2


def test_without_validation_on_test_begin_is_called_but_not_on_test_end():
    calls = []
    hooks = {name: lambda logs, name=name: calls.append(name) for name in ("on_test_begin", "on_test_end")}
    model, (x, y) = small_model(), problem(8)
    model.fit(x, y, epochs=2, callbacks=[mc.LambdaCallback(**hooks)], verbose=0)
    assert calls == ["on_test_begin"] * 2


def test_runs_with_other_settings_have_other_run_settings():
    settings = []

    class Look(mc.Callback):
        def on_train_begin(self, logs=None):
            settings.append(self.run.settings)

    x, y = problem(8)
    for given in ({}, {"seed": 1}, {"steps_per_epoch": 1}, {"validation_freq": 2}, {"validation_steps": 1}):
        small_model().fit(x, y, callbacks=[Look()], validation_data=(x, y), verbose=0, **given)
    assert all(one != other for one in settings[1:] for other in settings[:1])


# ------------------------------------------------------------------------------- successive calls
def test_several_calls_of_fit_are_the_same_as_one_long_call():
    x, y = problem()
    once, thrice, watch, watches = small_model(dropout=0.2), small_model(dropout=0.2), Watch(), Watch()
    once.fit(x, y, 6, epochs=4, callbacks=[watch], verbose=0)
    for epochs in (1, 2, 1):
        history = thrice.fit(x, y, 6, epochs=epochs, callbacks=[watches], verbose=0)
        assert history.epoch == list(range(epochs))
    assert watches.losses == watch.losses
    assert_same_weights(once, thrice)
    assert once.epochs_trained == thrice.epochs_trained == 4


def test_augmentation_continues_in_a_second_call():
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    augmentation = data.Augmentation(horizontal_flip=True, rotation_range=20)
    results = []
    for parts in ((2,), (1, 1)):
        model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], kernels="reference").build(
            (8, 8, 3), seed=0
        )
        model.compile(mc.SGD(0.01))
        loader, watch = (
            data.Loader(images, np.arange(6) % 2, 3, augmentation=augmentation, mixup=0.2),
            Watch(),
        )
        for epochs in parts:
            model.fit(loader, epochs=epochs, callbacks=[watch], verbose=0)
        results.append(watch.losses)
    assert results[0] == results[1] and len(set(results[0])) == 4


def test_initial_epoch_sets_the_numbers_and_the_orders_of_the_epochs():
    x, y = problem()
    whole, resumed, watch = small_model(), small_model(), Watch()
    whole.fit(x, y, 6, epochs=5, callbacks=[watch], verbose=0)
    first = resumed.fit(x, y, 6, epochs=3, verbose=0)
    again = Watch()
    history = resumed.fit(x, y, 6, epochs=5, initial_epoch=3, callbacks=[again], verbose=0)
    assert again.losses == watch.losses[12:]
    assert first.epoch == [0, 1, 2] and history.epoch == [3, 4]
    assert [call for call in again.calls if "ends" in call] == ["epoch 3 ends", "epoch 4 ends"]
    assert_same_weights(whole, resumed)
    repeated = Watch()
    resumed.set_weights(small_model().get_weights())
    resumed.compile(metrics=["accuracy"])
    resumed.fit(x, y, 6, epochs=2, callbacks=[repeated], initial_epoch=0, verbose=0)
    assert repeated.losses == watch.losses[:8] and resumed.epochs_trained == 2


def test_the_line_of_an_epoch_has_its_number(capsys):
    model, (x, y) = small_model(), problem()
    model.fit(x, y, epochs=5, initial_epoch=3, verbose=2)
    assert [line.split(" - ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "Epoch 4/5",
        "Epoch 5/5",
    ]


def test_compile_resets_the_count_of_epochs():
    model, (x, y) = small_model(), problem()
    model.fit(x, y, epochs=2, verbose=0)
    assert model.epochs_trained == 2
    model.compile()
    assert model.epochs_trained == 0


# ---------------------------------------------------------------------------- steps and validation
def test_epochs_of_steps_continue_where_the_last_one_ended():
    x, y = problem(10)
    stepped, whole, watch = small_model(), small_model(), Watch()
    history = stepped.fit(x, y, 4, 3, steps_per_epoch=2, callbacks=[watch], verbose=0)
    assert watch.losses == by_hand(whole, x, y, 2, 4)
    assert len(history.history["loss"]) == 3 and history.params["steps"] == 2
    np.testing.assert_allclose(history.history["loss"][0], np.mean(watch.losses[:2]))


def test_any_iterable_of_batches_can_be_trained_on():
    x, y = problem(8)
    weight = np.arange(1.0, 9)
    parts = [slice(0, 3), slice(3, 8)]
    wanted = small_model()
    losses = [wanted.train_step(x[part], y[part], weight[part])[0] for _ in range(2) for part in parts]
    for dataset, settings in (
        ([(x[part], y[part], weight[part]) for part in parts], {}),
        (((x[part], y[part], weight[part]) for _ in range(2) for part in parts), {"steps_per_epoch": 2}),
    ):
        model, watch = small_model(), Watch()
        history = model.fit(dataset, epochs=2, callbacks=[watch], verbose=0, **settings)
        assert watch.losses == losses
        assert_same_weights(model, wanted)
        np.testing.assert_allclose(
            history.history["loss"], [(3 * a + 5 * b) / 8 for a, b in (losses[:2], losses[2:])]
        )


def test_a_generator_that_ends_too_early_is_an_error_and_keeps_the_training():
    x, y = problem(4)
    model, stepped = small_model(), small_model()
    with pytest.raises(mc.ArgumentError, match="ended before. Give fewer steps or epochs"):
        model.fit(iter([(x, y)] * 3), epochs=2, steps_per_epoch=2, verbose=0)
    for _ in range(3):
        stepped.train_step(x, y)
    assert_same_weights(model, stepped)
    assert len(model.history.epoch) == 1


def test_the_error_for_a_batch_of_an_iterable_names_it():
    x, y = problem(4)
    model = small_model()
    with pytest.raises(mc.ShapeError, match="^epoch 1, batch 2 .of the iterable that was given.: "):
        model.fit(iter([(x, y), (x[:, :2], y)]), verbose=0)
    with pytest.raises(mc.MinicnnError, match="^epoch 1, batch 2 .*targets"):
        model.fit(iter([(x, y), (x, y + 7)]), verbose=0)


def test_an_iterable_that_is_empty_in_the_second_pass_is_an_error():
    class Once:
        def __init__(self):
            self.batches = [problem(4)]

        def __iter__(self):
            while self.batches:
                yield self.batches.pop()

    with pytest.raises(mc.ArgumentError, match="Epoch 2/2: expected at least one batch"):
        small_model().fit(Once(), epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("frequency", "validated"), [(1, [0, 1, 2, 3]), (2, [1, 3]), (3, [2]), ([1, 4], [0, 3]), (9, [])]
)
def test_validation_freq_selects_the_validated_epochs(frequency, validated):
    model, (x, y) = small_model(), problem()
    seen = []

    class Look(mc.Callback):
        def on_epoch_end(self, epoch, logs):
            if "val_loss" in logs:
                seen.append(epoch)
                assert logs["val_loss"] == self.model.evaluate(x, y)["loss"]

    settings = {"validation_data": (x, y), "validation_freq": frequency}
    history = model.fit(x, y, epochs=4, callbacks=[Look()], verbose=0, **settings).history
    assert seen == validated and len(history["loss"]) == 4
    assert len(history.get("val_loss", [])) == len(validated)


def test_validation_and_evaluation_on_some_batches():
    model, (x, y) = small_model(), problem(10)
    model.compile(mc.SGD(1e-30), metrics=["accuracy"])
    some = model.evaluate(x[:8], y[:8])
    settings = {"validation_data": (x, y), "validation_steps": 2}
    history = model.fit(x, y, 4, verbose=0, **settings).history
    for name, value in some.items():
        assert history[f"val_{name}"][0] == pytest.approx(value, rel=1e-6)
        assert model.evaluate(x, y, 4, steps=2)[name] == pytest.approx(value, rel=1e-6)
    np.testing.assert_array_equal(model.predict(x, 4, steps=2), model.predict(x[:8], 4))


def test_callbacks_know_the_names_of_all_logs():
    names = []

    class Look(mc.Callback):
        def on_epoch_end(self, epoch, logs):
            names.append((self.run.log_names, list(logs)))

    model, (x, y) = small_model(), problem()
    model.fit(x, y, callbacks=[Look()], verbose=0)
    model.fit(x, y, callbacks=[Look()], validation_data=(x, y), verbose=0)
    assert names[0] == (["loss", "accuracy", "learning_rate"],) * 2
    assert names[1] == (["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"],) * 2


def test_a_model_that_fit_builds_has_all_log_names():
    (x, y), watch = problem(), Watch()
    model = mc.Sequential([mc.Dense(1), mc.Sigmoid()])
    model.compile("sgd", metrics=["accuracy"])
    history = model.fit(x, y, callbacks=[watch], verbose=0)
    assert watch.run.log_names == list(history.history) == ["loss", "accuracy", "learning_rate"]
    assert watch.run.model is watch.model is model


def test_the_metric_object_of_the_user_is_called_for_a_model_that_fit_builds():
    class Count:
        calls = 0

        def __call__(self, target, prediction):
            self.calls += len(target) == 20
            return 0.0

    (x, y), count = problem(), Count()
    model = mc.Sequential([mc.Dense(1), mc.Sigmoid()])
    model.compile("sgd", metrics=[count])
    model.fit(x, y, epochs=3, verbose=0)
    assert count.calls == 3


# ---------------------------------------------------------------------------------------- weights
def test_class_weights_are_sample_weights():
    x, y = problem()
    results = []
    for settings in ({"class_weight": {0: 3.0}}, {"sample_weight": np.where(y == 0, 3.0, 1.0)}, {}):
        model = small_model()
        model.fit(x, y, epochs=2, batch_size=5, verbose=0, **settings)
        results.append(model.get_weights()[0])
    np.testing.assert_allclose(results[0], results[1])
    assert not np.allclose(results[0], results[2])


@pytest.mark.parametrize(
    "weights", [{0: 2.0, 1: 1.0, 2: 0.5}, [2.0, 1.0, 0.5], np.array([2.0, 1.0, 0.5]), "balanced"]
)
@pytest.mark.parametrize("form", ["numbers", "column", "rows", "iterable"])
def test_class_weights_of_three_classes_in_every_form(weights, form):
    """The oracle has the same weights per sample; "balanced" is N / (K * count), computed by hand."""
    x, labels = problem(12)[0], np.array([0] * 7 + [1] * 3 + [2] * 2)
    table = (
        np.array([12 / (3 * n) for n in (7, 3, 2)]) if isinstance(weights, str) else np.array([2.0, 1.0, 0.5])
    )
    y = {"column": labels[:, None], "rows": np.eye(3)[labels]}.get(form, labels)
    loss = "categorical_crossentropy" if form == "rows" else "sparse_categorical_crossentropy"
    weighted, oracle = softmax_model(loss), softmax_model(loss)
    if form == "iterable":
        if isinstance(weights, str):
            return  # refused: test_fit_arguments.py
        weighted.fit([(x, labels)], class_weight=weights, epochs=2, verbose=0)
        oracle.fit([(x, labels, table[labels])], epochs=2, verbose=0)
    else:
        weighted.fit(x, y, 5, 2, class_weight=weights, verbose=0)
        oracle.fit(x, y, 5, 2, sample_weight=table[labels], verbose=0)
    assert_same_weights(weighted, oracle)


def test_class_weights_and_sample_weights_multiply():
    x, y = problem()
    sample_weight = np.arange(1.0, 21)
    both, product = small_model(), small_model()
    both.fit(x, y, 5, class_weight={1: 3.0}, sample_weight=sample_weight, verbose=0)
    product.fit(x, y, 5, sample_weight=sample_weight * np.where(y == 1, 3.0, 1.0), verbose=0)
    assert_same_weights(both, product)


@pytest.mark.parametrize("classes", [None, 3])
def test_class_weights_of_a_loader(classes):
    images = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), np.uint8)
    labels = np.array([0] * 5 + [1] * 3 + [2])
    results = []
    for weights in ("balanced", {k: 9 / (3 * n) for k, n in enumerate((5, 3, 1))}, None):
        model = mc.Sequential([mc.Flatten(), mc.Dense(3), mc.Softmax()], kernels="reference").build(
            (4, 4, 3), seed=0
        )
        model.compile("sgd", "categorical_crossentropy" if classes else "sparse_categorical_crossentropy")
        model.fit(data.Loader(images, labels, 4, classes=classes), class_weight=weights, verbose=0)
        results.append(model.get_weights()[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.allclose(results[0], results[2])


@pytest.mark.parametrize("kernels", ["im2col", "reference", "fast"])
def test_ten_known_losses(kernels):
    y = np.arange(32) % 2
    x = np.random.default_rng(9).random((32, 24, 24, 3)) * np.where(y, 0.8, 1.0)[:, None, None, None]
    model = networks.two_block(kernels=kernels).build((24, 24, 3), seed=5, dtype="float64")
    model.compile(mc.Adam(1e-3), "binary_crossentropy")
    losses = [
        model.train_step(x[k % 4 * 8 : k % 4 * 8 + 8], y[k % 4 * 8 : k % 4 * 8 + 8])[0] for k in range(10)
    ]
    np.testing.assert_allclose(losses, KNOWN_LOSSES, rtol=1e-6)


def test_a_loss_that_is_not_finite_stops_training_and_names_the_batch(tmp_path):
    x, y = problem()
    x[13] = np.nan
    model = small_model()
    before = model.get_weights()
    with pytest.raises(
        mc.NonFiniteError,
        match=r"epoch 1, batch 3 \(samples 10, 11, 12, 13, 14\).*input of its samples at 3 holds NaN",
    ):
        model.fit(x, y, epochs=2, batch_size=5, shuffle=False, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert any((one != other).any() for one, other in zip(before, model.get_weights(), strict=True))


def test_a_rate_that_is_too_high_gets_another_message_than_bad_data():
    x, y = problem()
    model = mc.Sequential([mc.Dense(1)]).build((3,))
    model.compile(mc.SGD(1e30), "mean_squared_error", [])
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(mc.NonFiniteError, match="Lower the learning rate"),
    ):
        model.fit(x, y, epochs=9, verbose=0)


def test_after_a_batch_that_is_not_finite_the_weights_are_those_before_it():
    """The oracle is trained by hand up to the batch before; moving statistics are compared, too."""
    x, y = problem(12)
    x[9] = np.inf

    def model():
        layers = [mc.Dense(4), mc.BatchNormalization(), mc.ReLU(), mc.Dense(1), mc.Sigmoid()]
        made = mc.Sequential(layers, kernels="reference").build((3,), seed=2)
        made.compile("adam")
        return made

    stopped, oracle = model(), model()
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(mc.NonFiniteError, match="^epoch 1, batch 3 .samples 8, 9, 10, 11."),
    ):
        stopped.fit(x, y, 4, shuffle=False, verbose=0)
    for start in (0, 4):
        oracle.train_step(x[start : start + 4], y[start : start + 4])
    assert_same_weights(stopped, oracle)


def test_the_error_for_a_gradient_that_is_not_finite_names_the_parameter():
    model = mc.Sequential([mc.Dense(1, use_bias=False), mc.Dense(1)], kernels="reference").build((1,))
    model.compile(mc.SGD(0.1), "mean_squared_error")
    model.set_weights([[[1e-30]], [[1e30]], [0.0]])
    before = model.get_weights()
    x = np.full((2, 1), 1e19, "float32")
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(
            mc.NonFiniteError,
            match="^epoch 1, batch 1 .samples 0, 1.*dense.*weights are those before this batch",
        ),
    ):
        model.fit(x, np.zeros(2), shuffle=False, verbose=0)
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_infinite_product_of_weights_is_refused_with_the_batch():
    x, y = problem(4)
    with np.errstate(over="ignore"), pytest.raises(mc.ArgumentError, match="^epoch 1, batch 1 .*weight"):
        small_model().fit(x, y, class_weight={0: 1e200, 1: 1e200}, sample_weight=np.full(4, 1e200), verbose=0)


# ---------------------------------------------------------------------------------------- stopping
@pytest.mark.parametrize(
    ("hook", "batches"), [("on_epoch_begin", 5), ("on_batch_end", 6), ("on_epoch_end", 8)]
)
def test_stop_training_ends_training_after_the_current_batch(hook, batches):
    """As in Keras, the epoch's validation and on_epoch_end still follow.  An epoch has four batches."""
    watch, (x, y), model = Watch(), problem(16), small_model()

    class Stop(mc.Callback):
        def on_epoch_begin(self, epoch):
            self.model.stop_training = hook == "on_epoch_begin" and epoch == 1

        def on_batch_end(self, batch, logs):
            if hook == "on_batch_end" and self.run.epoch == 1 and batch == 1:
                self.model.stop_training = True

        def on_epoch_end(self, epoch, logs):
            if hook == "on_epoch_end" and epoch == 1:
                self.model.stop_training = True

    history = model.fit(x, y, 4, 5, validation_data=(x, y), callbacks=[Stop(), watch], verbose=0)
    assert len(watch.losses) == batches
    assert watch.calls[-2:] == ["epoch 1 ends", "train end"]
    assert len(history.history["val_loss"]) == 2 and model.epochs_trained == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_interrupted_training_ends_all_callbacks_and_keeps_the_history(error):
    ended = []

    class Interrupt(mc.Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                raise error

        def on_train_end(self):
            ended.append("first")
            raise RuntimeError("the others are still told")

    class Last(mc.Callback):
        def on_train_end(self):
            ended.append("last")

    model, (x, y) = small_model(), problem()
    with pytest.raises(RuntimeError):
        model.fit(x, y, epochs=5, callbacks=[Interrupt(), Last()], verbose=0)
    assert ended == ["first", "last"] and len(model.history.history["loss"]) == 2
    model.fit(x, y, verbose=0)  # the model can be trained again


def test_on_train_end_is_called_only_after_on_train_begin():
    ended = []

    class Fine(mc.Callback):
        def on_train_end(self):
            ended.append("fine")

    class Broken(mc.Callback):
        def on_train_begin(self):
            raise ZeroDivisionError

        def on_train_end(self):
            ended.append("broken")

    model, (x, y) = small_model(), problem()
    with pytest.raises(ZeroDivisionError):
        model.fit(x, y, callbacks=[Fine(), Broken()], verbose=0)
    assert ended == ["fine"]


def test_a_run_continues_from_a_state():
    """As a checkpoint does: the states of a run and its model are set on another run."""
    x, y = problem(12)
    taken = {}

    class Take(mc.Callback):
        def on_batch_end(self, batch, logs):
            if (self.run.epoch, batch) == (1, 0):
                taken.update(run=self.run.state, model=self.model.state)

    class Put(mc.Callback):
        def on_train_begin(self):
            self.model.state, self.run.state = taken["model"], taken["run"]
            assert self.model.epochs_trained == 2 and self.run.batch == 1

    whole, resumed, watch = small_model(dropout=0.2), small_model(dropout=0.2), Watch()
    whole.fit(x, y, 4, 1, verbose=0)  # so that the orders of the run do not start with the first one
    history = whole.fit(x, y, 4, 3, callbacks=[Take()], verbose=0)
    assert taken["run"]["offset"] == 1
    again = resumed.fit(x, y, 4, 3, callbacks=[Put(), watch], verbose=0)
    assert len(watch.losses) == 2 + 3
    assert again.history == history.history and again.epoch == history.epoch
    assert_same_weights(whole, resumed)
    assert resumed.epochs_trained == whole.epochs_trained == 4


# ---------------------------------------------------------------------------------------- threads
def test_during_fit_a_second_thread_may_predict_but_not_train():
    model, (x, y) = small_model(), problem()
    training, done, found = threading.Event(), threading.Event(), []

    class Wait(mc.Callback):
        def on_batch_end(self, batch, logs):
            training.set()
            done.wait(30)

    thread = threading.Thread(target=lambda: model.fit(x, y, callbacks=[Wait()], verbose=0))
    thread.start()
    training.wait(30)
    for call in (
        lambda: model.fit(x, y, verbose=0),
        lambda: model.train_step(x, y),
        lambda: model.compute_gradients(x, y),
    ):
        try:
            call()
        except mc.StateError as error:
            found.append(str(error))
    assert model.predict(x).shape == (20, 1) and model.evaluate(x, y)["loss"] > 0
    done.set()
    thread.join()
    assert len(found) == 3 and "fit is under way in another thread" in found[0]
    model.fit(x, y, verbose=0)


# --------------------------------------------------------------------------------------- reporting
@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (2, 2), ("auto", 2)])
def test_without_a_terminal_there_is_a_line_per_epoch(verbose, lines, capsys):
    model, (x, y) = small_model(), problem()
    model.fit(x, y, validation_data=(x, y), epochs=2, verbose=verbose)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == lines and not err
    if lines:
        assert out.startswith("Epoch 1/2 - ") and "val_accuracy: " in out and " ± " in out


def test_metrics_by_name_are_one_number_each():
    model, (x, y) = small_model(), problem()
    model.compile(metrics=["precision", "recall", "f1_score", "log_loss"])
    logs, prediction = model.evaluate(x, y), model.predict(x)
    for name in ("precision", "recall", "f1_score"):
        assert logs[name] == pytest.approx(getattr(mc.metrics, name)(y, prediction)[1], nan_ok=True)
    assert logs["log_loss"] == pytest.approx(logs["loss"], rel=1e-5)
    model.compile(metrics=[mc.metrics.recall])
    with pytest.raises(mc.ArgumentError, match="metric recall: expected one number"):
        model.evaluate(x, y)


def test_metrics_may_be_functions():
    def mean_target(target, prediction):
        return float(np.mean(target))

    model, (x, y) = small_model(), problem()
    model.compile(metrics=["auc", mean_target])
    logs = model.evaluate(x, y)
    assert logs["mean_target"] == pytest.approx(y.mean()) and 0 <= logs["auc"] <= 1


def test_evaluate_and_predict_can_show_their_progress(capsys):
    model, (x, y) = small_model(), problem()
    model.evaluate(x, y, 8, verbose=2)
    model.predict(x, 8, verbose=2)
    evaluated, predicted = capsys.readouterr().out.splitlines()
    assert evaluated.startswith("3/3 - ") and "accuracy: " in evaluated and " - loss: " in evaluated
    assert predicted.startswith("3/3 - ") and "loss" not in predicted
    model.evaluate(x, y)
    model.predict(x, verbose=0)
    assert capsys.readouterr().out == ""


def test_predict_accepts_arrays_and_iterables():
    model, (x, y) = small_model(), problem()
    wanted = model.predict(x)
    for dataset in (x.tolist(), [(x[:5], y[:5]), (x[5:], y[5:])], iter([x[:5], x[5:]])):
        np.testing.assert_allclose(model.predict(dataset), wanted, rtol=1e-6)


def test_ctrl_c_at_the_end_of_an_epoch_is_delayed_until_all_callbacks_are_done():
    import signal

    class Press(mc.Callback):
        def on_epoch_end(self, epoch):
            if epoch == 1:
                signal.raise_signal(signal.SIGINT)

    seen = []
    model = mc.Sequential([mc.Dense(1)], "reference").build((2,))
    model.compile("sgd", "mse")
    last = mc.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    with pytest.raises(KeyboardInterrupt):
        model.fit(np.eye(2), [0, 1], epochs=5, callbacks=[Press(), last], verbose=0)
    assert seen == [0, 1] and model.history.epoch == [0, 1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
