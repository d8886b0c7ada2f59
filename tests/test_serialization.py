"""Damaged, foreign and hostile model files: each is one clear ModelFileError, never a crash or a wrong model."""

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import minicnn as mc
from minicnn import serialization


@pytest.fixture
def saved(tmp_path):
    model = mc.Sequential([mc.Conv2D(2, 3), mc.ReLU(), mc.Flatten(), mc.Dense(1), mc.Sigmoid()]).build(
        (5, 5, 1)
    )
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def rewrite(path, change_tensors=lambda t: t, change=lambda d: d, metadata=None):
    """Save the file again with something changed."""
    tensors, description = serialization.read(path)
    header = metadata or {"minicnn": json.dumps({"version": 1} | change(description))}
    save_file(change_tensors(tensors), path, header)


def test_all_faults_of_the_weights_are_listed_together(saved):
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
def test_a_truncated_file(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(mc.ModelFileError, match="damaged or foreign"):
        mc.load_model(saved)


@pytest.mark.parametrize(
    "content", [b"\x80\x04\x95pickle", b"PK\x03\x04zip", b"\xff" * 64, struct.pack("<Q", 2**60) + b"{}"]
)
def test_other_files(saved, content):
    saved.write_bytes(content)
    with pytest.raises(mc.ModelFileError):
        mc.load_model(saved)


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(mc.ModelFileError, match="Train one first"):
            mc.load_model(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {"format": "pt"},
        {"minicnn": '{"version": 2}'},
        {"minicnn": '{"version": "one"}'},
        {"minicnn": '{"layers": []}'},
        {"minicnn": '{"version": 1}'},
        {"minicnn": "{"},
        {"minicnn": "[]"},
        {"minicnn": "[" * 100_000},
    ],
)
def test_metadata_that_is_not_ours(saved, metadata):
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
def test_a_hostile_description(saved, change):
    rewrite(saved, change=change)
    with pytest.raises(mc.ModelFileError):
        mc.load_model(saved)


def test_whole_numbers_are_no_weights(saved):
    rewrite(saved, lambda tensors: tensors | {"conv2d_1/bias": np.zeros(2, "int32")})
    with pytest.raises(mc.ModelFileError, match="float32 or float64"):
        mc.load_model(saved)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_byte_gives_the_model_or_a_clear_error(saved, place, flip):
    content = bytearray(saved.read_bytes())
    content[place % len(content)] ^= flip
    damaged = saved.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    try:
        model = mc.load_model(damaged)
    except mc.ModelFileError:
        return
    assert model.predict(np.ones((1, *model.input_shape), "float32")).shape == (1, 1)


def test_an_old_file_survives_a_write_that_fails(saved, monkeypatch):
    before = load_file(saved)
    model = mc.load_model(saved)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space"):
        model.save(saved)
    after = load_file(saved)
    assert all((before[name] == after[name]).all() for name in before)
    assert [path.name for path in saved.parent.iterdir()] == ["model.safetensors"]


def test_a_new_file_takes_the_old_ones_place_in_one_step(saved):
    """Another name for the old file still holds the old bytes: it was replaced, not written over."""
    before, other_name = saved.read_bytes(), saved.with_name("other name")
    os.link(saved, other_name)
    model = mc.load_model(saved)
    model.parameters[0].value += 1
    model.save(saved)
    assert other_name.read_bytes() == before != saved.read_bytes()


# ------------------------------------------------------------------------------- half precision
def small_network(pixels=8):
    layers = [mc.Conv2D(8, 3, use_bias=False), mc.BatchNormalization(), mc.ReLU(), mc.GlobalAveragePool2D()]
    return mc.Sequential([*layers, mc.Dense(1), mc.Sigmoid()], kernels="im2col").build((pixels, pixels, 3))


def test_half_precision_halves_the_file_and_comes_back_as_float32(tmp_path, rng):
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


def test_weights_that_half_precision_cannot_hold_are_refused_and_the_old_file_stays(saved):
    before, model = saved.read_bytes(), mc.load_model(saved)
    model.parameters[0].value[0, 0, 0, 1] = 7e4
    with pytest.raises(mc.ArgumentError, match="conv2d_1/weight: expected numbers that float16 can hold.*7e"):
        model.save(saved, dtype="float16")
    with pytest.raises(mc.ArgumentError, match="int8"):
        model.save(saved, dtype="int8")
    assert saved.read_bytes() == before
