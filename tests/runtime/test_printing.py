"""Tests of lines on standard output and standard error: no stream and no character is an error."""

import io
import sys

import pytest

import minicnn as mc
from minicnn.runtime import printing


class Refusing(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("make", [lambda: None, Refusing, closed, object])
def test_a_stream_that_cannot_be_written_to_is_no_error(monkeypatch, make):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", make())
        patch.setattr(sys, "stderr", make())
        printing.say("a line")
        printing.warn("a line")


def test_characters_that_the_stream_lacks_are_escaped(monkeypatch):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding) for encoding in ("ascii", "utf-8"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        printing.say("猫")
        printing.warn("caf\udce9")
        err.flush()
    assert out.buffer.getvalue() == b"\\u732b\n" and err.buffer.getvalue() == b"minicnn: caf\\udce9\n"


def test_warnings_go_to_standard_error_and_some_only_once(capsys):
    for _ in range(2):
        printing.warn("a line")
        printing.warn_once("a line of this test")
    assert capsys.readouterr() == ("", "minicnn: a line\nminicnn: a line of this test\nminicnn: a line\n")


def test_a_long_text_is_shortened_and_invalid_unicode_escaped():
    assert printing.shortened("cat", 3) == "cat" and printing.shortened("cats", 3) == "ca…"
    assert printing.shortened("caf\udce9", 20) == "caf\\udce9"


@pytest.mark.parametrize("make", [lambda: None, Refusing, closed])
def test_callbacks_that_print_do_not_end_training(monkeypatch, tmp_path, make):
    model = mc.Sequential([mc.Dense(1)], kernels="reference").build((2,))
    model.compile("sgd", "mean_squared_error")
    callbacks = [
        mc.EarlyStopping("loss", patience=0, verbose=1, restore_best_weights=True),
        mc.ModelCheckpoint(tmp_path / "model", verbose=1),
        mc.LearningRateScheduler(lambda epoch: 1e-30, verbose=1),
        mc.Checkpoint(tmp_path / "checkpoint", resume=True),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", make())
        patch.setattr(sys, "stderr", make())
        history = model.fit([[1.0, 2.0]], [1.0], epochs=3, callbacks=callbacks, verbose=2)
    assert len(history.epoch) == 2
