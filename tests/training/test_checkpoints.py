"""Tests of checkpoints: runs that are killed at any moment, or find a full disk or damaged files, resume exactly."""

import copy
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minicnn as mc
from minicnn import data
from minicnn.training import checkpoints

EPOCHS, BATCHES = 40, 12

# The training process, with everything that is random and every callback that has a state.
JOB = """
import sys
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn import data


class Tell(mc.Callback):
    def on_batch_end(self, batch, logs):
        print(self.run.epoch, self.run.batch, flush=True)


folder, images, epochs, resume = Path(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3]), "resume" in sys.argv
x, labels = images["x"], images["labels"]
augmentation = data.Augmentation(horizontal_flip=True, rotation_range=15)
training = data.Loader(x[:36], labels[:36], 3, shuffle=True, seed=5, augmentation=augmentation, mixup=0.2)
validation = data.Loader(x[36:], labels[36:])


def compiled():
    layers = [mc.Conv2D(4, 3), mc.BatchNormalization(), mc.ReLU(), mc.MaxPool2D(2), mc.Flatten(), mc.Dropout(0.2)]
    layers += [mc.Dense(8), mc.ReLU(), mc.Dropout(0.2), mc.Dense(1), mc.Sigmoid()]
    model = mc.Sequential(layers, kernels="im2col").build((12, 12, 3), seed=1)
    model.compile(mc.AdamW(0.01, 0.01, global_clipnorm=1.0), metrics=["accuracy"])
    return model


callbacks = [
    mc.ExponentialMovingAverage(0.9),
    mc.ModelCheckpoint(folder / "model.safetensors", save_best_only=True),
    mc.EarlyStopping(patience=99, restore_best_weights=True),
    mc.ReduceLROnPlateau(patience=2, factor=0.9),
    mc.CSVLogger(folder / "history.csv"),
]
if "checkpoint" in sys.argv:
    callbacks = [mc.Checkpoint(folder / "checkpoint.safetensors", seconds=0, resume=resume), *callbacks, Tell()]
compiled().fit(training, verbose=0)  # loads all kernels before training begins
sys.stdin.readline()
model = compiled()
print("begun", flush=True)
history = model.fit(training, validation_data=validation, epochs=epochs, callbacks=callbacks, verbose=0)
np.savez(folder / "weights.npz", *model.get_weights())
(folder / "history.json").write_text(repr(history.history))
print("ended", flush=True)
"""


@pytest.fixture(scope="module")
def images(drawn, tmp_path_factory):
    """A file with 48 synthetic images of 12 pixels and their labels, in random order."""
    files = data.find_images(drawn)
    x, _, _ = data.load_images(files.paths, data.Preprocessing(12, 12))
    order = np.random.default_rng(0).permutation(len(x))
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, x=x[order], labels=np.asarray(files.labels)[order])
    return path


def prepare(folder, images, *words, epochs=EPOCHS, **settings):
    """Start a process that waits for a line before it trains."""
    command = [sys.executable, "-c", JOB, str(folder), str(images), str(epochs), *words]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, **pipes, **settings)


def finish(process):
    text, errors = process.communicate("begin\n", timeout=120)
    assert process.returncode == 0 and text.endswith("ended\n"), errors
    return errors


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    """The folder of a run that was not killed and wrote no checkpoint."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(prepare(folder, images))
    return folder


def results(folder):
    return {
        name: (folder / name).read_bytes() for name in ("history.json", "history.csv", "model.safetensors")
    } | {f"weights {name}": value.tobytes() for name, value in np.load(folder / "weights.npz").items()}


def kill(process, folder, moment):
    """Let it train for a few batches, then kill it in a batch or in a write; returns the last batch that it printed.

    With -1 batches, it is killed while it reads its checkpoint.
    """
    batches, during_a_write, delay = moment
    print("begin", file=process.stdin, flush=True)
    told = None
    for line in process.stdout:
        if line != "begun\n":
            told = tuple(map(int, line.split()))
            batches -= 1
        if batches < 0:
            break
    end = time.monotonic() + (1 if during_a_write else delay)
    while time.monotonic() < end and not (during_a_write and list(folder.glob("*.partial"))):
        pass
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    return told


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_killed_fifty_times_ends_with_the_same_result(images, uninterrupted, tmp_path):
    """After each kill every file is complete and at most one batch is lost; the final result is bit-identical."""
    moments, position, unfinished = random.Random(4), (0, 0), 0
    log = (uninterrupted / "history.csv").read_text().splitlines()
    waiting = [prepare(tmp_path, images, "checkpoint", "resume") for _ in range(2)]
    for number in range(50):
        process = waiting.pop(0)
        waiting.append(prepare(tmp_path, images, "checkpoint", "resume"))
        moment = moments.randrange(-1, 8), number % 2, moments.uniform(0, 0.005)
        told = kill(process, tmp_path, moment)
        unfinished += bool(list(tmp_path.glob(f"*.{process.pid}.partial")))

        whole = [checkpoints.read(path) for path in tmp_path.glob("checkpoint*.safetensors")]
        positions = [(state["run"]["epoch"], state["run"]["batch"]) for state in whole]
        assert positions or told in (None, (0, 1)), (
            "the first checkpoint is written before the second batch is printed"
        )
        newest = max(positions, default=(0, 0))
        assert newest >= position, "training has gone back"
        if told is not None:
            assert BATCHES * newest[0] + newest[1] >= BATCHES * told[0] + told[1] - 1
        position = newest
        if (tmp_path / "model.safetensors").exists():
            mc.load_model(tmp_path / "model.safetensors")
        if (tmp_path / "history.csv").exists():
            rows = (tmp_path / "history.csv").read_text().splitlines()
            assert rows == log[: len(rows)] and len(rows) - 1 >= position[0]
        else:
            assert position[0] == 0
    assert unfinished >= 10, "too few kills hit a write"

    finish(waiting.pop(0))
    with waiting.pop() as superfluous:
        superfluous.kill()
    assert results(tmp_path) == results(uninterrupted)
    assert not list(tmp_path.glob("*.partial")), "files of killed processes are left"
    assert len(list(tmp_path.glob("checkpoint*.safetensors"))) == 2, "the last two checkpoints are kept"


# --------------------------------------------------------------------------- within this process
class Interrupt(mc.Callback):
    """Press Ctrl-C in one batch."""

    def __init__(self, place):
        self.place = place

    def on_batch_end(self, batch, logs):
        if (self.run.epoch, batch) == self.place:
            raise KeyboardInterrupt


class Sawtooth(mc.Callback):
    """A rate that falls with every batch and is reset at the beginning of each epoch."""

    def on_epoch_begin(self, epoch):
        self.model.optimizer.learning_rate = 0.1

    def on_batch_end(self, batch, logs):
        self.model.optimizer.learning_rate *= 0.7


def problem(N=20):
    x = np.random.default_rng(0).standard_normal((N, 3)).astype("float32")
    return x, (x.sum(1) > 0).astype(int)


def train(path=None, place=None, resume=True, epochs=4, callbacks=(), optimizer=None, seconds=0, **settings):
    """Train for four epochs of five batches, interrupted at `place`; returns the model."""
    layers = [mc.Dense(6), mc.Dropout(0.3), mc.Dense(1), mc.Sigmoid()]
    model = mc.Sequential(layers).build((3,), seed=2)
    model.compile(optimizer or mc.Adam(0.02), metrics=["accuracy"])
    callbacks = [Interrupt(place), *callbacks]
    if path is not None:
        callbacks.insert(0, mc.Checkpoint(path, seconds, resume))  # called last, at any place in the list
    x, y = problem()
    settings = {"batch_size": 4, "validation_data": problem(12)} | settings
    try:
        model.fit(x, y, epochs=epochs, callbacks=callbacks, verbose=0, **settings)
    except KeyboardInterrupt:
        assert place is not None
    return model


def same(one, other):
    assert repr(one.history.history) == repr(other.history.history)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    return True


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


@pytest.mark.parametrize("place", [(0, 1), (1, 0), (1, 3), (2, 4), (3, 4)])
@pytest.mark.parametrize("seconds", [0, 60])
def test_an_interrupted_run_ends_with_the_same_result(place, seconds, path):
    train(path, place, seconds=seconds)
    assert path.exists() == (seconds == 0 or place[0] > 0)
    assert same(train(path, seconds=seconds), train())


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": lambda: mc.SGD(0.1, 0.9, nesterov=True)},
        {"optimizer": lambda: mc.SGD(lambda step: 0.1 / (1 + step))},
        {"class_weight": {0: 2.0}},
        {"sample_weight": np.linspace(0.5, 1.5, 20)},
        {"callbacks": lambda: [Sawtooth()]},
        {"callbacks": lambda: [mc.ReduceLROnPlateau("loss", patience=1, cooldown=1, min_delta=0.5)]},
        {
            "callbacks": lambda: [
                mc.EarlyStopping("loss", patience=1, min_delta=0.5, restore_best_weights=True)
            ]
        },
    ],
    ids=[
        "momentum",
        "a function for the rate",
        "class weights",
        "sample weights",
        "a rate by the batch",
        "plateau",
        "early stopping",
    ],
)
def test_a_resumed_run_restores_optimizer_weights_of_samples_and_callbacks(settings, path):
    def fresh():
        return {name: value() if callable(value) else value for name, value in settings.items()}

    train(path, (1, 2), **fresh())
    assert same(train(path, **fresh()), train(**fresh()))
    assert same(train(path, **fresh()), train(**fresh())), "a complete run does not change"


def train_with_all_callbacks(path=None, place=None, **changes):
    """Train for four epochs of three batches, in two sizes, with all callbacks that have a state."""
    images = np.random.default_rng(3).integers(0, 256, (24, 12, 12, 3), dtype=np.uint8)
    labels = (images[..., 0].mean((1, 2)) > images[..., 1].mean((1, 2))).astype(int)
    settings = {"mixup": 0.3, "augmentation": data.Augmentation(horizontal_flip=True, crop_scale=(0.5, 1))}
    training = data.Loader(images[:18], labels[:18], 6, shuffle=True, seed=4, **(settings | changes))
    validation = data.Loader(images[18:], labels[18:])
    layers = [mc.Conv2D(4, 3, use_bias=False), mc.MaxPool2D(2), mc.BatchNormalization(), mc.ReLU()]
    layers += [mc.Residual([mc.Conv2D(4, 3, padding="same"), mc.BatchNormalization(), mc.Dropout(0.2)])]
    layers += [mc.GlobalAveragePool2D(), mc.Dense(1), mc.Sigmoid()]
    model = mc.Sequential(layers, kernels="im2col").build((12, 12, 3), seed=2)
    model.compile(mc.AdamW(mc.WarmUp(mc.CosineDecay(0.05, 9), 3), 0.1), metrics=["accuracy"])
    sizes = mc.ProgressiveResizing([(8, 2), (12, 2)], training, validation)
    callbacks = [Interrupt(place), mc.ExponentialMovingAverage(0.8), sizes]
    callbacks.append(mc.EarlyStopping(patience=9, restore_best_weights=True))
    if path is not None:
        callbacks.append(mc.Checkpoint(path, 0, resume=True))
    try:
        model.fit(training, validation_data=validation, epochs=4, callbacks=callbacks, verbose=0)
    except KeyboardInterrupt:
        assert place is not None
    return model


@pytest.mark.parametrize("place", [(0, 2), (1, 0), (2, 0), (2, 1), (3, 2)])
def test_a_run_with_every_callback_is_resumed_bit_identically(place, path):
    """If it is interrupted in the first batch of an epoch, it resumes at the end of the epoch before."""
    train_with_all_callbacks(path, place)
    state = checkpoints.read(path)
    assert (state["run"]["epoch"], state["run"]["batch"]) == place
    assert same(train_with_all_callbacks(path), train_with_all_callbacks())


def test_a_run_with_other_batches_is_not_resumed(path):
    train_with_all_callbacks(path, (1, 1))
    for change, words in (
        ({"mixup": 0.2}, "mixup 0.2 in place of 0.3"),
        ({"augmentation": None}, "augmentation None in place of Augmentation"),
    ):
        with pytest.raises(mc.ArgumentError, match=words):
            train_with_all_callbacks(path, **change)
    with pytest.raises(mc.ShapeError, match=r"received \(10, 10, 3\)"):
        train_with_all_callbacks(path, size=(10, 10))


def test_the_number_of_epochs_may_be_increased(path):
    train(path, epochs=2)
    assert same(train(path, epochs=4), train(epochs=4))


def test_the_state_of_a_users_callback_is_restored(path):
    class Average(mc.Callback):
        """A moving average of the weights."""

        state_attributes = ("average",)

        def on_train_begin(self):
            self.average = {p.name: p.value.copy() for p in self.model.parameters}

        def on_batch_end(self, batch, logs):
            for p in self.model.parameters:
                self.average[p.name] = 0.9 * self.average[p.name] + 0.1 * p.value

    resumed, uninterrupted = Average(), Average()
    train(path, (2, 1), callbacks=[Average()])
    train(path, callbacks=[resumed])
    train(callbacks=[uninterrupted])
    for name, average in uninterrupted.average.items():
        np.testing.assert_array_equal(resumed.average[name], average)


def test_a_state_that_cannot_be_saved_is_refused_with_its_path(path):
    callback = mc.Callback()
    callback.state_attributes, callback.thing = ("thing",), {"deep": [object()]}
    with pytest.raises(
        mc.ArgumentError, match="checkpoint/callbacks/1/thing/deep/0: expected numbers, strings"
    ):
        train(path, callbacks=[callback])


def test_without_resume_the_old_checkpoint_stays_until_the_first_new_one(path):
    train(path)
    before = path.read_bytes()
    assert same(train(path, (0, 0), resume=False), train(place=(0, 0))) and path.read_bytes() == before
    assert same(train(path, resume=False), train())


def test_without_resume_the_first_checkpoint_replaces_both_old_files(path):
    train(path)
    previous = path.with_stem(f"{path.stem}-previous")
    assert previous.exists()
    train(path, (1, 0), resume=False, seconds=1e9)
    assert not previous.exists() and same(train(path), train())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 5}, "received batch_size 5 in place of 4. Give the same"),
        ({"seed": 9}, "received seed 9 in place of 0"),
        ({"class_weight": {1: 2.0}}, r"class_weight \{1: 2.0\} in place of None"),
        (
            {"validation_data": problem(11)},
            r"received validation .*'number of samples': 11, .* in place of .*: 12",
        ),
        ({"sample_weight": np.full(20, 2.0)}, r"received weights' checksum \d+ in place of None"),
        ({"optimizer": mc.SGD(0.02)}, r"received optimizer SGD\(.* in place of Adam\("),
        ({"optimizer": mc.Adam(0.03)}, "received learning_rate 0.03 in place of 0.02"),
        ({"optimizer": mc.Adam(mc.CosineDecay(0.02, 9))}, r"CosineDecay\(.*decay_steps=9.* in place of 0.02"),
        (
            {"callbacks": [mc.ExponentialMovingAverage(0.9)]},
            r"callbacks ExponentialMovingAverage\(decay=0.9\), Interrupt\(\) in place",
        ),
        (
            {"callbacks": [mc.EarlyStopping(patience=3)]},
            r"callbacks Interrupt\(\), EarlyStopping\(.*patience=3.*\) in place",
        ),
    ],
)
def test_a_run_with_other_settings_is_not_resumed(change, message, path):
    train(path, (1, 2))
    before = path.read_bytes()
    with pytest.raises(mc.ArgumentError, match=message):
        train(path, **change)
    assert path.read_bytes() == before


# -------------------------------------------------------------------------------- damaged files
DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "a number changed": lambda path: path.write_bytes(path.read_bytes()[:-7] + b"damage!"),
    "not there": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(damage, path, capsys):
    train(path, (1, 3))
    DAMAGES[damage](path)
    train(path, (1, 2))  # interrupted before it writes a new checkpoint
    text = capsys.readouterr().err
    assert (
        f"minicnn: {path}: " in text
        and f"Resuming from the one before, {path.stem}-previous"
        in text.replace(f"{path.parent}{os.sep}", "")
    )
    for kept in path.parent.glob("*.safetensors"):
        checkpoints.read(kept)  # the damaged one is gone
    assert same(train(path), train())


def test_two_damaged_checkpoints_are_an_error(path):
    train(path, (1, 3))
    for file in path.parent.iterdir():
        file.write_bytes(b"damaged")
    with pytest.raises(mc.ModelFileError, match="damaged or foreign.* and .*damaged or foreign.*previous"):
        train(path)
    assert {file.read_bytes() for file in path.parent.iterdir()} == {b"damaged"}


def test_a_model_file_is_not_a_checkpoint_and_the_reverse(path):
    model = train(path)
    with pytest.raises(mc.ModelFileError):
        mc.load_model(path)
    model.save(path.with_name("model.safetensors"))
    with pytest.raises(mc.ModelFileError, match="received a file of something else"):
        checkpoints.read(path.with_name("model.safetensors"))


def test_a_changed_byte_is_noticed(path):
    train(path, (1, 3))
    content, whole = path.read_bytes(), repr(checkpoints.read(path))
    choose = random.Random(1)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[choose.randrange(len(content))] ^= choose.randrange(1, 256)
        path.write_bytes(damaged)
        try:
            assert repr(checkpoints.read(path)) == whole
        except mc.ModelFileError:
            continue


# -------------------------------------------------------------------------- checkpoints that are forged
def leaves(tree, at=()):
    """The paths of all parts of a tree."""
    yield at
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, part in parts:
        yield from leaves(part, (*at, key))


FORGED = [
    None, True, -1, 2.5, float("nan"), "a", "\ud800", [], {}, [1], {"a": 1}, np.zeros((2, 2)), 10**30,
    np.ones(3, bool), mc.metrics.Proportion(1, 2),
]  # fmt: skip


def test_forged_contents_with_a_valid_checksum_are_refused(path, tmp_path):
    """Each part in turn is replaced.  Either the run is refused with the file's name, or it trains to the end."""

    def callbacks():
        stopping = mc.EarlyStopping(patience=9, restore_best_weights=True)
        log = mc.CSVLogger(tmp_path / "log.csv")
        return [mc.ExponentialMovingAverage(0.9), stopping, mc.ReduceLROnPlateau(patience=2), log]

    train(path, (1, 2), callbacks=callbacks())
    whole, refused = checkpoints.read(path), 0
    choose = random.Random(3)
    places = [place for place in leaves(whole) if place and place[0] != "settings"]
    for place in choose.sample(places, len(places)):
        state = copy.deepcopy(whole)
        part = state
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = choose.choice(FORGED)
        try:
            checkpoints.write(path, state)
        except mc.ArgumentError:
            continue
        content, model = path.read_bytes(), fresh_model()
        weights = model.get_weights()
        try:
            with np.errstate(all="ignore"):
                resume(model, path, callbacks())
        except mc.NonFiniteError:  # the forged number is possible but too large
            continue
        except mc.ModelFileError as error:
            assert str(path) in str(error) and path.read_bytes() == content
            for one, other in zip(weights, model.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
            assert model.optimizer.iterations == 0 and model.epochs_trained == 0
            refused += 1
    assert refused > 0.6 * len(places)


@pytest.mark.parametrize("part", ["weights", "optimizer"])
@pytest.mark.parametrize("change", [lambda a: a[:1], lambda a: a.astype("float64"), lambda a: a * np.nan])
def test_arrays_that_do_not_fit_the_model_are_refused(part, change, path):
    train(path, (1, 2))
    state = checkpoints.read(path)
    name = "dense_1/weight" if part == "weights" else "dense_1/weight/m"
    state[part][name] = change(state[part][name])
    checkpoints.write(path, state)
    model = fresh_model()
    weights = model.get_weights()
    with pytest.raises(mc.ModelFileError, match="dense_1/weight"):
        resume(model, path, [])
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def fresh_model():
    model = mc.Sequential([mc.Dense(6), mc.Dropout(0.3), mc.Dense(1), mc.Sigmoid()]).build((3,), seed=2)
    model.compile(mc.Adam(0.02), metrics=["accuracy"])
    return model


def resume(model, path, callbacks):
    x, y = problem()
    callbacks = [Interrupt(None), *callbacks, mc.Checkpoint(path, 1e9, resume=True)]
    model.fit(x, y, batch_size=4, epochs=2, validation_data=problem(12), callbacks=callbacks, verbose=0)


def test_the_error_for_a_model_file_is_one_sentence(path):
    fresh_model().save(path)
    with pytest.raises(mc.ModelFileError) as caught:
        resume(fresh_model(), path, [])
    assert str(caught.value).count("expected") == 1 and "something else" in str(caught.value)


def test_a_complete_run_prints_that_nothing_is_left(path, capsys):
    train(path)
    assert "nothing is trained" not in capsys.readouterr().err
    train(path)
    assert f"{path}: all 4 epochs of this run are done" in capsys.readouterr().err


@pytest.mark.parametrize("epochs", [3, 6])
def test_a_run_with_a_reduced_rate_is_resumed_in_the_same_process(epochs, path):
    """The run is interrupted after the rate fell; or it is complete and continues for more epochs."""

    def callbacks():
        falling = mc.ReduceLROnPlateau("loss", patience=1, min_delta=9)
        return [falling, Interrupt((3, 1)), mc.Checkpoint(path, 0 if epochs == 6 else 1e9, resume=True)]

    x, y = problem()
    model = fresh_model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=4, epochs=6, callbacks=callbacks(), verbose=0)
    assert model.optimizer.learning_rate < 0.02
    again = callbacks()
    again[1].place = None
    assert model.fit(x, y, batch_size=4, epochs=epochs, callbacks=again, verbose=0).epoch == list(
        range(epochs)
    )


def test_backup_and_restore_resumes_and_deletes_its_files_at_the_end(tmp_path):
    x, y = problem()
    folder = tmp_path / "backup"
    model = fresh_model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=4, callbacks=[mc.BackupAndRestore(folder), Interrupt((2, 0))], verbose=0)
    assert (folder / "checkpoint.safetensors").exists()
    other, alone = fresh_model(), fresh_model()
    other.fit(x, y, epochs=4, callbacks=[mc.BackupAndRestore(folder), Interrupt(None)], verbose=0)
    alone.fit(x, y, epochs=4, verbose=0)
    assert same(other, alone) and not list(folder.iterdir())


# ----------------------------------------------------------------------------------- a full disk
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
def test_a_full_disk_is_reported_and_the_run_can_be_resumed(images, tmp_path):
    """A limit on the size of files ends a write in the middle, like a full disk."""
    import resource

    path = tmp_path / "checkpoint.safetensors"
    finish(prepare(tmp_path, images, "checkpoint", epochs=2))
    before, limit = path.read_bytes(), path.stat().st_size - 1000
    words = ("checkpoint", "resume")
    process = prepare(
        tmp_path, images, *words, epochs=3,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    _, errors = process.communicate("begin\n", timeout=60)
    sentence = errors.strip().splitlines()[-1]
    assert process.returncode == 1 and "minicnn.errors.DiskFullError" in sentence
    assert (
        f"{path}: expected room for 0.03 MB, received File too large (" in sentence and "is kept." in sentence
    )
    assert path.read_bytes() == before and not list(tmp_path.glob("*.partial"))

    finish(prepare(tmp_path, images, *words, epochs=3))
    (tmp_path / "without").mkdir()
    finish(prepare(tmp_path / "without", images, epochs=3))
    assert results(tmp_path) == results(tmp_path / "without")
