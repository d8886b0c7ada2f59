"""The command, run in this process or in one of its own, and a short training run that many tests look at."""

import contextlib
import io
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from minicnn import cli

ENVIRONMENT = os.environ | {"PYTHONUTF8": "1"}
SHORT = ["--network", "two-block", "--image-size", "24", "--epochs", "3", "--augment", "--dropout", "0.2"]


class Done(NamedTuple):
    """The exit status and what was printed."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def command():
    """Runs a command in this process."""

    def run(*words, **settings):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = cli.main([str(word) for word in words], **settings)
            except SystemExit as error:  # argparse
                status = error.code
        return Done(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def succeed(command):
    """Runs a command in this process, which must succeed, and gives what it printed."""

    def run(*words):
        done = command(*words)
        assert done.status == 0, done.out + done.err
        return done.out

    return run


@pytest.fixture(scope="session")
def process(root):
    """Runs `python -m minicnn` in a process of its own."""

    def run(*words, python=(), environment=None, **settings):
        line = [sys.executable, *python, "-m", "minicnn", *map(str, words)]
        settings = {"encoding": "utf-8", "timeout": 300} | settings
        done = subprocess.run(line, capture_output=True, env=environment or ENVIRONMENT, **settings)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def trained(succeed, drawn, tmp_path_factory):
    """One short training run: its folder, and what it printed."""
    out = tmp_path_factory.mktemp("run")
    return out, succeed("train", "--data", drawn, *SHORT, "--out", out)


@pytest.fixture(scope="session")
def own(succeed, drawn, tmp_path_factory):
    """A short run with the recipe for photos: its folder, the validation images, and what it printed."""
    from minicnn.data import draw_folder

    out, validation = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("validation")
    draw_folder(validation, 10, 48, seed=9)
    few = ("--image-size", 48, "--epochs", 3, "--kernels", "im2col")
    text = succeed("train", "--data", drawn, "--val-data", validation, *few, "--out", out)
    return out, validation, text
