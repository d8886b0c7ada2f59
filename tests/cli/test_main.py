"""The command as a whole: its name, version and help, mistaken commands, pipes that close, and how Python starts it."""

import os
import subprocess
import sys

import pytest

import minicnn as mc


def test_without_a_command_the_help_is_printed(command):
    done = command()
    assert done.status == 0 and "minicnn train --data DIR" in done.out and "evaluate" in done.out
    assert command("--version").out == f"minicnn {mc.__version__}\n"


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("PHOTO", "Did you mean: minicnn predict "),
        ("FOLDER", "Did you mean: minicnn train --data "),
        ("Predict", "Did you mean predict?"),
        ("trian", "Did you mean train?"),
        ("zzz", "Commands: train, predict, evaluate, download, cache."),
    ],
)
def test_a_word_that_is_no_command_gets_advice(word, advice, command, drawn):
    done = command({"PHOTO": drawn / "cat.0.png", "FOLDER": drawn}.get(word, word))
    assert done.status == 2 and advice in done.err


def test_the_thread_variable_alone_is_named_when_it_is_wrong(process, drawn):
    done = process("predict", drawn / "cat.0.png", environment=os.environ | {"MINICNN_THREADS": "two"})
    assert done.status == 2 and "MINICNN_THREADS" in done.err and len(done.err.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="pipes of Windows end otherwise")
def test_a_reader_that_goes_away_ends_the_command_quietly(drawn, trained):
    photos = " ".join(str(path) for path in sorted(drawn.iterdir()) * 3)
    words = f"{sys.executable} -u -m minicnn predict {photos} --model {trained[0] / 'model.safetensors'}"
    script = f"({words}; echo status $? >&2) | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1 and done.stderr == "status 141\n"


def test_the_output_has_no_colour(process, trained, drawn):
    done = process("predict", drawn / "cat.0.png", "--model", trained[0] / "model.safetensors")
    assert done.status == 0 and "\x1b" not in done.out + done.err


def test_it_runs_however_python_is_told_to(process, tmp_path):
    done = process("cache", "--cache-dir", tmp_path, python=["-OO"])
    assert done.status == 0 and "MB of decoded photos" in done.out, done.err


def test_help_names_every_command_and_option_once(command):
    for name in ("train", "predict", "evaluate", "download", "cache"):
        done = command(name, "--help")
        assert done.status == 0 and "--threads" in done.out and "--quiet" in done.out
    assert "--tta" in command("train", "--help").out


def test_a_tilde_is_the_home_folder(command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert command("cache", "--cache-dir", "~/kept").out.startswith(f"{tmp_path / 'kept'}: ")
    done = command("train", "--data", "~", "--out", "~/runs")
    assert done.status == 2 and f"--out: expected a folder outside of {tmp_path}" in done.err
    assert "argument --out" in command("train", "--out", "").err
