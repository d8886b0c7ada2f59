"""Tests of progress: a bar on a terminal, lines elsewhere, and no stream that can end training."""

import io
import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.training import progress


def train(verbose="auto"):
    x, y = np.eye(3), np.array([0, 1, 1])
    model = mc.Sequential([mc.Dense(1), mc.Sigmoid()], kernels="reference").build((3,))
    model.compile(metrics=["accuracy"])
    return model.fit(x, y, epochs=2, validation_data=(x, y), verbose=verbose)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Bare:
    """A stream that can only write, as notebooks and logs sometimes use."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Closed(io.StringIO):
    def __init__(self):
        super().__init__()
        self.close()


class Refusing(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_verbose_auto_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch):
    assert [progress.check_verbose(verbose) for verbose in (0, 1, 2, np.int64(2), True)] == [0, 1, 2, 2, 1]
    for stream, verbose in ((Terminal(), 1), (io.StringIO(), 2), (None, 2), (Bare(), 2), (Closed(), 2)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert progress.check_verbose("auto") == verbose


@pytest.mark.parametrize("verbose", [3, -1, "on", None, 1.0, [1], np.array([1, 2])])
def test_an_invalid_verbose_is_refused(verbose):
    with pytest.raises(mc.ArgumentError, match='^verbose: expected "auto", 0'):
        progress.check_verbose(verbose)


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
@pytest.mark.parametrize("stream", [lambda: None, Bare, Closed, Refusing])
def test_a_stream_that_cannot_be_written_to_does_not_end_training(monkeypatch, stream, verbose):
    out, err = stream(), stream()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        history = train(verbose)
    assert len(history.history["loss"]) == 2
    if isinstance(out, Bare):
        assert out.text.count("Epoch ") == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp866", "iso8859-2", "utf-8"])
def test_the_standard_error_is_printed_in_any_encoding(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        train(2)
    text = stream.buffer.getvalue().decode(encoding)
    assert text.count(" ± " if encoding == "utf-8" else " +- ") == 4


def test_a_bar_is_shown_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    train()
    assert "Epoch 1/2" in sys.stderr.getvalue()
