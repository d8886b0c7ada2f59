"""Tests of model files: a damaged, foreign or hostile file raises ModelFileError, and never gives a wrong model."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import minicnn as mc
from minicnn.saving import serialization


@pytest.fixture
def saved(tmp_path):
    model = mc.Sequential([mc.Conv2D(2, 3), mc.ReLU(), mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build(
        (5, 5, 1)
    )
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def rewrite(path, change_tensors=lambda t: t, change=lambda d: d, metadata=None):
    """Save the file again with changed tensors or description."""
    tensors, description = serialization.read(path)
    header = metadata or {"minicnn": json.dumps({"version": 1} | change(description))}
    save_file(change_tensors(tensors), path, header)


def test_all_wrong_weights_are_listed_in_one_error(saved):
    def change(tensors):
        tensors["extra"] = np.zeros(2, "float32")
        del tensors["conv2d_1/bias"]
        tensors["dense_1/weight"] = np.zeros((18, 2), "float32")
        return tensors

    rewrite(saved, change)
    with pytest.raises(mc.ModelFileError) as caught:
        mc.load_model(saved)
    for part in (
        "missing conv2d_1/bias (2,)",
        "unexpected extra (2,)",
        "dense_1/weight (18, 2) in place of (18, 1)",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(mc.ModelFileError, match="damaged or foreign"):
        mc.load_model(saved)


@pytest.mark.parametrize(
    "content", [b"\x80\x04\x95pickle", b"PK\x03\x04zip", b"\xff" * 64, struct.pack("<Q", 2**60) + b"{}"]
)
def test_files_of_other_formats_are_refused(saved, content):
    saved.write_bytes(content)
    with pytest.raises(mc.ModelFileError):
        mc.load_model(saved)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path, message in (
        (tmp_path / "none.safetensors", "Train one first"),
        (tmp_path, "Give a file in it"),
    ):
        with pytest.raises(mc.ModelFileError, match=message):
            mc.load_model(path)


def test_a_checkpoint_and_weights_alone_are_named(tmp_path):
    model = mc.Sequential([mc.Dense(1), mc.Sigmoid()], kernels="reference").build((2,))
    model.compile(metrics=["accuracy"])
    model.save_weights(tmp_path / "weights")
    callback = mc.Checkpoint(tmp_path / "checkpoint", seconds=0)
    stop = mc.LambdaCallback(on_train_batch_end=lambda batch: 1 / 0)  # so that integers are in the checkpoint
    callback.priority = -1
    with pytest.raises(ZeroDivisionError):
        model.fit(np.eye(2), np.arange(2), verbose=0, callbacks=[callback, stop])
    with pytest.raises(mc.ModelFileError, match="received a checkpoint, .* such as model.safetensors"):
        mc.load_model(tmp_path / "checkpoint")
    with pytest.raises(mc.ModelFileError, match="weights without a model. Build the model and call"):
        mc.load_model(tmp_path / "weights")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_file_that_cannot_be_opened_is_named_with_the_reason(saved, monkeypatch):
    def refuse(*arguments, **settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(mc.ModelFileError, match=r"one that cannot be opened \(Permission denied\)"):
        mc.load_model(saved)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MINICNN_THREADS", "two"),
        ("MINICNN_THREADS", "0"),
        ("NUMBA_NUM_THREADS", "0"),
        ("NUMBA_DISABLE_JIT", "1"),
    ],
)
def test_a_wrong_environment_variable_is_not_blamed_on_the_file(saved, name, value):
    """In a separate process, because the variables are read when numba is imported."""
    rewrite(saved, change=lambda description: description | {"kernels": "fast"})
    code = "import sys\nimport minicnn\nminicnn.load_model(sys.argv[1])"
    command, environment = [sys.executable, "-c", code, str(saved)], os.environ | {name: value}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    error = done.stderr.splitlines()[-1]
    assert error.startswith("minicnn.errors.ArgumentError") and name in error and str(saved) not in error


@pytest.mark.parametrize(
    "metadata",
    [
        {"format": "pt"},
        {"minicnn": '{"version": 3}'},
        {"minicnn": '{"version": 2}'},
        {"minicnn": '{"version": true}'},
        {"minicnn": '{"version": 0}'},
        {"minicnn": '{"version": 1' + "0" * 5000 + "}"},
        {"minicnn": '{"version": "one"}'},
        {"minicnn": '{"layers": []}'},
        {"minicnn": '{"version": 1}'},
        {"minicnn": "{"},
        {"minicnn": "[]"},
        {"minicnn": "[" * 100_000},
    ],
)
def test_foreign_metadata_is_refused(saved, metadata):
    rewrite(saved, metadata=metadata)
    with pytest.raises(mc.ModelFileError):
        mc.load_model(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"layers": []},
        lambda d: d | {"layers": 7},
        lambda d: d | {"layers": [{"class": "Layer", "config": {}}]},
        lambda d: d | {"layers": [{"class": "__builtins__", "config": {}}]},
        lambda d: (
            d | {"layers": [{"class": "Conv2D", "config": {"filters": 2, "kernel_size": 3, "evil": 1}}]}
        ),
        lambda d: d | {"layers": [{"class": "Conv2D", "config": {"filters": 10**30, "kernel_size": 3}}]},
        lambda d: d | {"layers": [{"class": "Dense", "config": {"units": 1}}]},
        lambda d: (
            d | {"layers": [{"class": "Residual", "config": {"layers": [{"class": "Layer", "config": {}}]}}]}
        ),
        lambda d: d | {"layers": [{"class": "Residual", "config": {"layers": [["Dense", 1]]}}]},
        lambda d: d | {"layers": [{"class": "Residual", "config": {"layers": 3}}]},
        lambda d: (
            d | {"layers": [{"class": "Residual", "config": {"layers": d["layers"][:1], "shortcut": {}}}]}
        ),
        lambda d: d | {"layers": [{"class": "Dropout", "config": {"rate": d["layers"][0]}}]},
        lambda d: d | {"input_shape": [5, 5]},
        lambda d: d | {"input_shape": [10**9, 10**9, 1]},
        lambda d: d | {"input_shape": "large"},
        lambda d: d | {"class_names": ["cat"]},
        lambda d: d | {"class_names": "cd"},
        lambda d: d | {"preprocessing": [1]},
        lambda d: d | {"dtype": "object"},
        lambda d: d | {"kernels": "os.system"},
        lambda d: {key: value for key, value in d.items() if key != "class_names"},
    ],
)
def test_a_hostile_description_is_refused(saved, change):
    rewrite(saved, change=change)
    with pytest.raises(mc.ModelFileError):
        mc.load_model(saved)


def test_integers_are_refused_as_weights(saved):
    rewrite(saved, lambda tensors: tensors | {"conv2d_1/bias": np.zeros(2, "int32")})
    with pytest.raises(mc.ModelFileError, match="float32 or float64"):
        mc.load_model(saved)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_byte_gives_the_same_model_or_an_error(saved, place, flip):
    content = bytearray(saved.read_bytes())
    content[place % len(content)] ^= flip
    damaged = saved.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    try:
        model = mc.load_model(damaged)
    except mc.ModelFileError:
        return
    whole = mc.load_model(saved)  # the byte had no meaning, so the model is the same
    for one, other in zip(model.parameters, whole.parameters, strict=True):
        np.testing.assert_array_equal(one.value, other.value)


def test_the_old_file_survives_a_failed_write(saved, monkeypatch):
    before = load_file(saved)
    model = mc.load_model(saved)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space"):
        model.save(saved)
    after = load_file(saved)
    assert all((before[name] == after[name]).all() for name in before)
    assert [path.name for path in saved.parent.iterdir()] == ["model.safetensors"]


def test_the_old_file_is_replaced_and_not_overwritten(saved):
    """A second name of the old file still holds the old bytes."""
    before, other_name = saved.read_bytes(), saved.with_name("other name")
    os.link(saved, other_name)
    model = mc.load_model(saved)
    model.parameters[0].value += 1
    model.save(saved)
    assert other_name.read_bytes() == before != saved.read_bytes()


# ------------------------------------------------------------------------------- float16
def small_network(pixels=8):
    layers = [mc.Conv2D(8, 3, use_bias=False), mc.BatchNormalization(), mc.ReLU(), mc.GlobalAveragePool2D()]
    return mc.Sequential([*layers, mc.Dense(1), mc.Sigmoid()], kernels="im2col").build((pixels, pixels, 3))


def test_float16_halves_the_file_and_is_loaded_as_float32(tmp_path, rng):
    model, paths = small_network(), [tmp_path / "whole.safetensors", tmp_path / "half.safetensors"]
    for parameter in model.parameters:
        parameter.value = (rng.standard_normal(parameter.shape) ** 2 + 0.1).astype("float32")
    model.save(paths[0])
    model.save(paths[1], dtype="float16")
    whole, half = map(load_file, paths)
    assert {value.dtype.name for value in half.values()} == {"float16"}
    assert {name: value.nbytes for name, value in half.items()} == {
        name: value.nbytes // 2 for name, value in whole.items()
    }
    loaded = mc.load_model(paths[1])
    for parameter, before in zip(loaded.parameters, model.parameters, strict=True):
        assert parameter.value.dtype == np.float32 and parameter.value.flags.writeable
        np.testing.assert_array_equal(parameter.value, before.value.astype("float16"))
        np.testing.assert_allclose(parameter.value, before.value, rtol=2**-11)
    x = rng.random((5, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(loaded.predict(x), model.predict(x), atol=3e-3)
    loaded.compile()
    loaded.train_step(x, np.arange(5) % 2)  # it can be trained further


def test_weights_too_large_for_float16_are_refused_and_the_old_file_stays(saved):
    before, model = saved.read_bytes(), mc.load_model(saved)
    model.parameters[0].value[0, 0, 0, 1] = 7e4
    with pytest.raises(mc.ArgumentError, match="conv2d_1/weight: expected numbers that float16 can hold.*7e"):
        model.save(saved, dtype="float16")
    for dtype in ("int8", np.int8, "large", 7, object):
        with pytest.raises(mc.ArgumentError, match="dtype of a model file"):
            model.save(saved, dtype=dtype)
    assert saved.read_bytes() == before


# ------------------------------------------------------------------------------- tensors and dictionaries
TENSORS = {"a/weight": np.arange(24, dtype="float32").reshape(4, 6), "a/bias": np.ones(6, "float32")}
DESCRIPTION = {"name": "x", "layers": [{"class": "Dense", "config": {"units": 6, "rate": 0.1}}], "none": None}


@pytest.fixture
def file(tmp_path):
    serialization.write(tmp_path / "x.safetensors", TENSORS, DESCRIPTION)
    return tmp_path / "x.safetensors"


def same(tensors, description, wanted=TENSORS):
    assert description == DESCRIPTION and tensors.keys() == wanted.keys()
    return all((tensors[name] == wanted[name]).all() for name in wanted)


def test_tensors_and_description_are_read_as_they_were_written(file, tmp_path, monkeypatch):
    assert same(*serialization.read(file))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    serialization.write("~/deep/y", TENSORS, DESCRIPTION)
    assert same(*serialization.read("~/deep/y")) and (tmp_path / "deep" / "y").is_file()
    others = {
        "big-endian": np.arange(3, dtype=">i4"), "none": np.zeros((0, 3), bool), "every other": np.arange(9)[::2],
        "turned": np.arange(6.0).reshape(2, 3).T,
    }  # fmt: skip
    serialization.write(file, others, {"tuple": (1, np.float32(0.5)), 7: "a"})
    tensors, description = serialization.read(file, serialization.NUMBERS)
    assert description == {"tuple": [1, 0.5], "7": "a"}
    for name, value in others.items():
        np.testing.assert_array_equal(tensors[name], value)


def test_the_checksum_covers_the_description_and_every_tensor(file):
    """The expected checksum is computed here from what the safetensors library reads."""
    with safe_open(file, "numpy") as opened:
        description = json.loads(opened.metadata()["minicnn"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    checksum = description.pop("sha256")
    digest = hashlib.sha256(json.dumps({"version": 2, **DESCRIPTION}, sort_keys=True).encode())
    for name, shape in (("a/bias", "[6]"), ("a/weight", "[4, 6]")):
        digest.update(f'["{name}", "float32", {shape}]'.encode() + tensors[name].tobytes())
    assert digest.hexdigest() == checksum and description == {"version": 2, **DESCRIPTION}


def test_flipped_bytes_of_weights_and_description_are_noticed(file, rng):
    content = file.read_bytes()
    begin = content.index(b"minicnn")
    places = [*range(len(content) - 4 * 30, len(content)), *rng.integers(begin, len(content), 100)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        with pytest.raises(
            mc.ModelFileError, match="damaged|description|version|checksum|something else|weights"
        ):
            serialization.read(file)


def test_mixed_and_reordered_files_are_noticed(file):
    """A file made of the halves of two others; and two tensors of the same size that are swapped."""
    content = file.read_bytes()
    serialization.write(file, {name: value + 1 for name, value in TENSORS.items()}, DESCRIPTION)
    other = file.read_bytes()
    assert len(content) == len(other)
    file.write_bytes(content[:-40] + other[-40:])
    with pytest.raises(mc.ModelFileError, match="its checksum differs"):
        serialization.read(file)
    pair = {"a": np.zeros(2, "float32"), "b": np.ones(2, "float32")}
    serialization.write(file, pair, DESCRIPTION)
    content = file.read_bytes()
    file.write_bytes(content[:-16] + content[-8:] + content[-16:-8])
    with pytest.raises(mc.ModelFileError, match="its checksum differs"):
        serialization.read(file)


def test_a_file_of_version_1_is_read_without_a_checksum(file, root):
    save_file(TENSORS, file, {"minicnn": json.dumps({"version": 1} | DESCRIPTION)})
    assert same(*serialization.read(file))
    save_file(TENSORS, file, {"minicnn": json.dumps({"version": 2} | DESCRIPTION)})
    with pytest.raises(mc.ModelFileError, match="expected a checksum, received none"):
        serialization.read(file)
    tensors, description = serialization.read(root / "minicnn" / "models" / "weights" / "catdog.safetensors")
    assert description["class_names"] == ["cat", "dog"] and len(tensors) == 47


def test_eight_threads_save_to_one_path_while_another_loads(file):
    failures, loads, done = [], [], threading.Event()

    def save_often(number):
        try:
            for _ in range(20):
                tensors = {"x": np.full(50_000, number, "float32")}
                serialization.write(file, tensors, {"number": number})
        except Exception as error:
            failures.append(error)

    def load_often():
        while not done.is_set():
            try:
                tensors, description = serialization.read(file)
            except Exception as error:
                failures.append(error)
            else:
                loads.append("number" not in description or (tensors["x"] == description["number"]).all())

    threads = [threading.Thread(target=save_often, args=[number]) for number in range(8)]
    loader = threading.Thread(target=load_often)
    for thread in (*threads, loader):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    loader.join()
    assert not failures and loads and all(loads)
    assert [path.name for path in file.parent.iterdir()] == ["x.safetensors"]


def header(tensors, metadata=None):
    """The start of a safetensors file with any header."""
    text = {"__metadata__": metadata or {"minicnn": json.dumps({"version": 1} | DESCRIPTION)}} | tensors
    text = text if isinstance(text, str) else json.dumps(text)
    return struct.pack("<Q", len(text)) + text.encode()


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [1] * 65, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1] * 5000, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**64]},
        {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]},
        {"dtype": "object", "shape": [1], "data_offsets": [0, 4]},
    ],
    ids=str,
)
def test_impossible_tensors_are_refused(file, tensor):
    file.write_bytes(header({"x" * 1000: tensor}) + bytes(tensor["data_offsets"] != [0, 0] and 4))
    with pytest.raises(mc.ModelFileError) as caught:
        serialization.read(file)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("depth", [150, 198, 250, 900, 5000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", '{"a":}'])
def test_a_description_may_be_nested_up_to_200_levels(file, depth, brackets):
    begin, end = brackets[:-1] * depth, "1" * (brackets != "[]") + brackets[-1] * depth
    save_file(TENSORS, file, {"minicnn": f'{{"version": 1, "x": {begin}{end}}}'})
    if depth < 200:
        assert "x" in serialization.read(file)[1]
        return
    with pytest.raises(mc.ModelFileError) as caught:
        serialization.read(file)
    assert len(str(caught.value)) < 1000


@pytest.mark.skipif(os.name == "nt", reason="no named pipes in the file system")
def test_the_error_says_what_is_at_the_path_instead_of_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path, received in (
        (tmp_path / "pipe", "no regular file"), ("/dev/zero", "no regular file"), (tmp_path, "a folder"),
        (tmp_path / "none", "nothing there"), (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "file" / "x", "nothing there"), (tmp_path / "file", "damaged or foreign"),
    ):  # fmt: skip
        with pytest.raises(mc.ModelFileError, match=f"received .*{received}"):
            serialization.read(path)
    for path in (None, 7, "", b"x", "a\0b"):
        with pytest.raises(mc.ArgumentError, match="expected a path"):
            serialization.read(path)


def test_values_that_cannot_be_stored_are_refused_and_the_old_file_stays(file, tmp_path):
    before = file.read_bytes()
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for tensors, description in (
        ({"x": np.array(["a"])}, {}), ({"x": np.array([None])}, {}), ({"x": np.zeros(2, complex)}, {}),
        ({}, {"x": object()}), ({}, {"x": {1, 2}}), ({}, {"x": deep}), ({}, {(1, 2): 3}), ({}, {"x": np.zeros(2)}),
    ):  # fmt: skip
        with pytest.raises(mc.ArgumentError):
            serialization.write(file, tensors, description)
    for path in ("", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(mc.ArgumentError):
            serialization.write(path, TENSORS, DESCRIPTION)
    assert file.read_bytes() == before


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("float16"), np.dtype(">f2")])
def test_a_type_is_a_name_or_a_numpy_type(dtype):
    stored = serialization.stored_as(TENSORS, dtype)
    assert {value.dtype.name for value in stored.values()} == {"float16"}
    with np.errstate(all="raise"):
        assert serialization.stored_as({"x": np.float64([1e-300])}, dtype)["x"] == 0
        with pytest.raises(mc.ArgumentError, match="x: expected numbers that float16 can hold, received 1e"):
            serialization.stored_as({"x": np.float64([1e300])}, dtype)
    for wrong in (None, "int8", int, "x", [], object):
        with pytest.raises(mc.ArgumentError, match="dtype of a model file"):
            serialization.stored_as(TENSORS, wrong)


def test_a_long_list_of_wrong_weights_is_shortened():
    with pytest.raises(mc.ModelFileError, match="and 80 more") as caught:
        serialization.check_shapes("m", {}, {"x" * 10_000 + str(n): (1,) for n in range(100)})
    assert len(str(caught.value)) < 10_000


def test_a_hundred_damaged_files_give_the_same_content_or_an_error(file, rng):
    content, refused = file.read_bytes(), 0
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            place = rng.integers(len(damaged))
            how = rng.integers(4)
            if how == 0:
                damaged[place] = rng.integers(256)
            elif how == 1:
                del damaged[place : place + rng.integers(1, 20)]
            elif how == 2:
                damaged[place:place] = damaged[: rng.integers(1, 20)]
            else:
                damaged[place : place + 1] = rng.choice([b"9", b"[", b"{", b'"', b"\xff"])
        file.write_bytes(damaged)
        try:
            assert same(*serialization.read(file))
        except mc.ModelFileError:
            refused += 1
    assert refused > 90
