"""The examples as a user runs them, each in a process of its own."""

import subprocess
import sys

import pytest

SHORT = ["--network", "two-block", "--image-size", "24", "--epochs", "2", "--limit", "12"]


def run(*words, **settings):
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, encoding="utf-8", timeout=300, **settings
    )


def test_the_story_trains_the_very_model_that_the_command_trains(root, drawn, tmp_path):
    """examples/catdog.py calls the same steps as minicnn/cli/training.py, written out."""
    models = []
    for words in ((root / "examples" / "catdog.py",), ("-m", "minicnn", "train")):
        out = tmp_path / str(len(models))
        done = run(*words, "--data", drawn, *SHORT, "--out", out)
        assert done.returncode == 0, done.stderr
        models.append((out / "model.safetensors").read_bytes())
        assert {"curves.png", "confusion.png", "report.json"} < {path.name for path in out.iterdir()}
    assert models[0] == models[1]


@pytest.mark.parametrize(
    "how", [["-OO", "examples/catdog.py"], ["-m", "examples.catdog"], ["-P", "examples/catdog.py"]]
)
def test_it_runs_however_python_is_told_to(how, root, tmp_path):
    done = run(*how, "cache", "--cache-dir", tmp_path, cwd=root)
    assert done.returncode == 0 and "MB of decoded photos" in done.stdout, done.stderr


def test_a_mistake_begins_with_the_name_of_the_example(root):
    done = run(root / "examples" / "catdog.py", "predict", "nowhere.jpg")
    assert done.returncode == 1 and done.stderr.startswith("catdog: nowhere.jpg: ")


def test_xor_learns(root):
    done = run(root / "examples" / "xor.py")
    lines = [line.split("   ")[0] for line in done.stdout.splitlines()[-4:]]
    assert lines == ["0 xor 0 = 0", "0 xor 1 = 1", "1 xor 0 = 1", "1 xor 1 = 0"]
