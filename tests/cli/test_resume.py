"""Training that was killed, or ran out of disk: `--resume` ends with the very model of an uninterrupted run."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import minicnn as mc
from minicnn.training import checkpoints

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
ENVIRONMENT = os.environ | {"PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def command(drawn):
    """The same run, except where its results go."""
    words = [sys.executable, "-u", "-m", "minicnn", "train", "--data", str(drawn), "--kernels", "im2col"]
    options = "--network two-block --image-size 24 --epochs 3 --batch-size 4 --augment --dropout 0.2 --out"
    return [*words, *options.split()]


def run(command, *more):
    return subprocess.run(
        [*command, *map(str, more)], capture_output=True, text=True, env=ENVIRONMENT, timeout=120
    )


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    done = run(command, out)
    assert done.returncode == 0, done.stderr
    return {name: (out / name).read_bytes() for name in ("model.safetensors", "history.csv")}


def test_a_killed_run_is_resumed(command, uninterrupted, tmp_path):
    words = [*command, str(tmp_path), "--checkpoint-every", "0", "--resume"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Epoch 2/3"):
                process.kill()
    assert process.returncode == -signal.SIGKILL and f"No checkpoint yet ({tmp_path}" in "".join(lines)

    done = run(command, tmp_path, "--resume")
    assert done.returncode == 0 and "Resumed after " in done.stdout and "Epoch 1/3" not in done.stdout, (
        done.stderr
    )
    assert {name: (tmp_path / name).read_bytes() for name in uninterrupted} == uninterrupted
    assert json.loads((tmp_path / "report.json").read_text())["resumed"][0] >= 1

    done = run(command, tmp_path, "--resume", "--learning-rate", 0.1)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "learning_rate 0.1 in place of 0.001" in done.stderr


def test_a_killed_run_with_progressive_resizing_and_every_aid_is_resumed(command, tmp_path):
    aids = "--network catdog --progressive 32:1,40:2 --image-size 48 --augment strong --mixup 0.2 --ema 0.9"
    aids += " --schedule one-cycle --warmup 1 --save last"
    command = [word for word in command if word not in ("--epochs", "3", "--out", "--kernels", "im2col")]
    command += aids.split()
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    assert run(command, "--out", alone).returncode == 0
    words = [*command, "--out", str(killed), "--checkpoint-every", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        for line in process.stdout:
            if line.startswith("Epoch 2/3"):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    photo = command[command.index("--data") + 1] + "/cat.0.png"
    asked = run([*command[:4], "predict"], photo, "--model", killed / "model.safetensors")
    assert asked.returncode == 0 and asked.stdout.startswith(("cat", "dog")), (
        asked.stderr
    )  # though trained at 32
    done = run(command, "--out", killed, "--resume")
    assert done.returncode == 0 and "Resumed after " in done.stdout, done.stderr
    for name in ("model.safetensors", "history.csv"):
        assert (alone / name).read_bytes() == (killed / name).read_bytes()
    assert mc.load_model(killed / "model.safetensors").input_shape == (48, 48, 3)


@pytest.fixture
def small_disk(tmp_path):
    """Runs words in a shell that sees, in a folder of its own, a disk with room for one checkpoint and no more."""
    mount = f"mount -t tmpfs -o size=1500k none {tmp_path}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "sh", "-c", mount]).returncode:
        pytest.skip("a disk of its own needs unshare, and the right to mount")

    def shell(script):
        words = ["unshare", "-rm", "sh", "-c", f"{mount} && {script}"]
        return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)

    return shell


def test_a_full_disk_ends_the_run_with_a_sentence_and_is_resumed_when_there_is_room(
    command, uninterrupted, small_disk, tmp_path, tmp_path_factory
):
    saved = tmp_path_factory.mktemp("saved")
    words = " ".join([*command, str(tmp_path), "--checkpoint-every", "0"])
    done = small_disk(
        f"{words}; echo status $? && cp {tmp_path}/* {saved} && mount -o remount,size=64m {tmp_path} && "
        f"{words} --resume && cp {tmp_path}/model.safetensors {tmp_path}/history.csv {saved}"
    )
    assert "status 2" in done.stdout and done.returncode == 0, done.stderr
    sentence, *others = done.stderr.splitlines()
    assert sentence.startswith("minicnn: ") and "expected room for" in sentence and not others
    assert "received No space left on device (" in sentence and "is kept." in sentence
    whole = [checkpoints.read(path)["run"] for path in saved.glob("checkpoint*")]
    assert len(whole) >= 1 and not list(saved.glob("*.partial"))
    assert "Resumed after " in done.stdout
    assert {name: (saved / name).read_bytes() for name in uninterrupted} == uninterrupted
