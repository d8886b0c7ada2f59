"""`minicnn train` on real files: what it prints and leaves, what it refuses, and how Ctrl-C ends it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import minicnn as mc
from minicnn.saving.locks import alone

from .conftest import ENVIRONMENT, SHORT

RESULTS = [
    ".lock", "checkpoint-previous.safetensors", "checkpoint.safetensors", "confusion.png", "curves.png", "history.csv",
    "model.safetensors", "predictions.png", "reliability.png", "report.json", "samples.png",
]  # fmt: skip
QUICK = ("--network", "two-block", "--image-size", 24, "--epochs", 1)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_training_prints_what_it_found_and_leaves_all_results(trained):
    out, text = trained
    assert names(out) == RESULTS
    for part in (
        "Found 48 files belonging to 2 classes: cat, dog", "class 0 is cat; class 1 is dog", "Total params",
        "Epoch 3/3", "accuracy 0.", "Training on 38 images, validating on 10",
        f"Next: minicnn predict PHOTO --model {out / 'model.safetensors'}",
    ):  # fmt: skip
        assert part in text
    for name in RESULTS:
        if name.endswith(".png"):
            with Image.open(out / name) as image:
                assert min(image.size) > 300


def test_the_report_and_the_history_agree_with_the_saved_model(trained):
    out, text = trained
    report = json.loads((out / "report.json").read_text())
    with (out / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert report["accuracy"] == max(accuracies) and report["best_epoch"] == 1 + int(np.argmax(accuracies))
    assert sum(map(sum, report["confusion_matrix"])) == report["validation_images"] == 10
    assert report["epochs"] == len(rows) == 3 and report["seconds"] > 0 and report["peak_memory_mb"] > 10
    assert f"accuracy {report['accuracy']:.4f}" in text
    assert report["temperature"] == mc.load_model(out / "model.safetensors").temperature != 1
    assert 0 <= report["expected_calibration_error"] < 0.5


def test_quiet_prints_the_figures_alone(command, drawn, tmp_path):
    done = command("train", "--data", drawn, *QUICK, "--out", tmp_path, "--quiet")
    assert done.status == 0 and not done.err
    lines = done.out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("accuracy ")


def test_three_classes_end_in_softmax(succeed, drawn, tmp_path):
    for name in ("bird", "cat", "dog"):
        for number in range(6):
            image = Image.open(drawn / f"{'cat' if name == 'bird' else name}.{number}.png")
            (image.rotate(180) if name == "bird" else image).save(tmp_path / f"{name}.{number}.png")
    out = tmp_path.parent / "three"
    text = succeed("train", "--data", tmp_path, *QUICK, "--out", out)
    assert "3 classes: bird, cat, dog" in text and "class 0 is bird; class 1 is cat; class 2 is dog" in text
    assert "softmax_1" in text
    answer = succeed("predict", tmp_path / "cat.0.png", "--model", out / "model.safetensors")
    assert answer.split()[0] in ("bird", "cat", "dog")


def test_val_data_limits_and_a_divided_folder(succeed, drawn, tmp_path):
    photos = tmp_path / "photos"
    for part, numbers in (("train", range(8)), ("validation", range(8, 12))):
        for kind in ("cat", "dog"):
            (photos / part / f"{kind}s").mkdir(parents=True)
            for n in numbers:
                shutil.copy(drawn / f"{kind}.{n}.png", photos / part / f"{kind}s" / f"{n}.png")
    out = ("--out", tmp_path / "out")
    assert "Training on 16 images, validating on 8" in succeed("train", "--data", photos, *QUICK, *out)
    validation = ("--val-data", photos / "validation", "--limit", 5, "--val-limit", 2)
    text = succeed("train", "--data", drawn, *validation, *QUICK, *out)
    assert "Training on 10 images, validating on 4" in text and "class 0 is cat" in text


def test_a_validation_folder_inside_the_data_is_no_class(succeed, drawn, tmp_path):
    photos = tmp_path / "photos"
    for part in ("cat", "dog", "holdout/cat", "holdout/dog"):
        (photos / part).mkdir(parents=True)
        for n in range(4):
            shutil.copy(drawn / f"{part[-3:]}.{n}.png", photos / part)
    folders = ("--data", photos, "--val-data", photos / "holdout")
    text = succeed("train", *folders, *QUICK, "--out", tmp_path / "out")
    assert "2 classes: cat, dog" in text and "Training on 8 images, validating on 8" in text


def test_a_folder_with_bad_files_trains_and_lists_them(succeed, drawn, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(drawn, photos)
    (photos / "cat.100.jpg").write_bytes(b"")
    (photos / "dog.100.jpg").write_bytes(b"<html>")
    (photos / "portrait.jpg").write_bytes(b"")
    text = succeed("train", "--data", photos, *QUICK, "--out", out)
    assert text.count("skipped: ") == 2 and "cat.100.jpg" in text and "HTML" in text
    assert "Left out, no class in their names: 1 (portrait.jpg)" in text
    assert len(json.loads((out / "report.json").read_text())["skipped_files"]) == 2


def test_a_folder_with_the_real_bad_files_trains_and_lists_them(succeed, drawn, tmp_path, photos):
    for kind, sources in (("cats", sorted((photos / "bad").iterdir())), ("dogs", [])):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for path in [*sources, *drawn.glob(f"{kind[:-1]}.*.png")]:
            shutil.copy(path, tmp_path / "photos" / kind)
    text = succeed("train", "--data", tmp_path / "photos", *QUICK, "--out", tmp_path / "out")
    assert text.count("skipped: ") == 7 and "Training on " in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--data NOWHERE", "nothing there. Check the path"),
        ("--data ONE", "at least two classes, received one, cat"),
        ("--data EMPTY", "dogs: expected images of that class, received none"),
        (
            "--data DRAWN --network two-block --image-size 7",
            "layer 4: Conv2D: expected images of at least 3x3, received",
        ),
        ("--data DRAWN --network four-block --image-size 20", "Use larger images"),
        ("--data DRAWN --validation-split 1.5", "validation_split: expected a number above 0 and below 1"),
        ("--data DRAWN --learning-rate 0", "learning_rate"),
        ("--val-data DRAWN", "--data with it"),
        ("--data DRAWN --val-data DRAWN", "--val-data: expected other images than --data"),
        ("--data DRAWN --val-data DRAWN/..", "--val-data: expected other images than --data"),
        ("--data DRAWN --seed -1", "seed: expected an int of at least 0"),
        ("--data DRAWN --out FILE", "--out: expected a folder that can be written"),
        ("--data DRAWN --out DRAWN/runs", "--out: expected a folder outside of"),
        ("--data DRAWN --cache-dir DRAWN/cache", "--cache-dir: expected a folder outside of"),
        ("--data DRAWN --limit 1", "at least 2 images"),
        ("--data DRAWN --threads 100000", "set_threads: expected an int from 1 to"),
        ("--data DRAWN --progressive 64:1 --image-size 24", "up to --image-size 24"),
        (
            "--data DRAWN --progressive 16:1 --epochs 3",
            "no --epochs, because its stages say how many there are",
        ),
        (
            "--data DRAWN --patience 3",
            "--save best with it, received --save last, the default of catdog. Add",
        ),
        ("--data DRAWN --val-limit 3", "--val-data with it, received no --val-data"),
        ("--data DRAWN --validation-split 0.2 --val-data OTHER", "only --data with it, received "),
        ("--data DRAWN --no-cache --cache-dir x", "no --cache-dir with it"),
        ("--data DRAWN --lr-find --resume", "no --resume with it"),
        ("--data DRAWN --progressive 16:1 --network two-block --image-size 24", "GlobalAveragePool2D"),
        ("--data DRAWN --warmup 900", "fewer epochs"),
    ],
)
def test_mistakes_get_a_sentence_and_status_2(words, message, command, drawn, tmp_path):
    for place in ("empty/cats", "empty/dogs", "one", "other"):
        (tmp_path / place).mkdir(parents=True)
    for place in ("empty/cats", "one", "other"):
        shutil.copy(drawn / "cat.0.png", tmp_path / place)
    shutil.copy(drawn / "dog.0.png", tmp_path / "other")
    places = {"DRAWN": drawn, "FILE": tmp_path / "one" / "cat.0.png", "NOWHERE": tmp_path / "nowhere"}
    places |= {name: tmp_path / name.lower() for name in ("ONE", "OTHER", "EMPTY")}
    for name, place in places.items():
        words = re.sub(rf"\b{name}\b", str(place), words)
    words = words.split()
    done = command("train", *words, *([] if "--out" in words else ["--out", tmp_path / "out"]))
    assert done.status == 2, done.out + done.err
    assert message in done.err and done.err.startswith("minicnn: ") and len(done.err.splitlines()) == 1


@pytest.mark.parametrize("words", [("--progressive", "16:1,24"), ("--image-size", "-1"), ("--epochs", "x")])
def test_options_that_cannot_be_read_are_named(words, command):
    done = command("train", *words)
    assert done.status == 2 and f"argument {words[0]}" in done.err.replace("/--warm-up", "")


def test_two_runs_do_not_share_a_folder(command, drawn, tmp_path):
    with alone(tmp_path / ".lock", "--out", "this test"):
        done = command("train", "--data", drawn, *QUICK, "--out", tmp_path)
    assert done.status == 2 and "another training run in" in done.err and names(tmp_path) == [".lock"]


def test_the_same_network_comes_out_of_any_number_of_threads(process, drawn, tmp_path):
    files = set()
    for n in (1, 3):
        environment = {key: value for key, value in ENVIRONMENT.items() if key != "NUMBA_NUM_THREADS"}
        out = tmp_path / str(n)
        words = ("train", "--data", drawn, *QUICK, "--threads", n, "--out", out)
        done = process(*words, environment=environment)
        assert done.status == 0, done.err
        files.add((out / "model.safetensors").read_bytes())
    assert len(files) == 1


def interrupt(drawn, out, after, *more):
    """Train until a line begins with `after`, press Ctrl-C, and return status, output and errors."""
    words = [sys.executable, "-u", "-m", "minicnn", "train", "--data", drawn, "--network", "two-block"]
    words += ["--image-size", "32", "--epochs", "9999", "--patience", "9999", "--out", out, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "env": ENVIRONMENT}
    with subprocess.Popen(words, preexec_fn=heed_ctrl_c, **pipes) as process:
        try:
            for line in process.stdout:
                if line.startswith(after):
                    process.send_signal(signal.SIGINT)
                    break
            rest, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    return process.returncode, rest, errors


def heed_ctrl_c():
    """A process that a shell starts in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_ends_training_cleanly_with_the_best_weights_saved(drawn, tmp_path):
    status, text, errors = interrupt(drawn, tmp_path, "Epoch 3/")
    assert (
        status == 130 and "--resume continues from its last checkpoint" in text and "Traceback" not in errors
    )
    assert names(tmp_path) == [name for name in RESULTS if "previous" not in name]
    assert mc.load_model(tmp_path / "model.safetensors").class_names == ["cat", "dog"]
    report = json.loads((tmp_path / "report.json").read_text())
    with (tmp_path / "history.csv").open(newline="") as file:
        accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    assert report["interrupted"] is True and report["accuracy"] == max(accuracies)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_in_the_first_epoch_keeps_what_was_there(drawn, tmp_path):
    for name in ("model.safetensors", "history.csv"):
        (tmp_path / name).write_text("of an earlier run")
    slow = "--kernels", "reference"  # the signal is there before the first epoch's end
    status, text, errors = interrupt(drawn, tmp_path, "Training on", *slow)
    assert status == 130 and "Traceback" not in errors and "Not one epoch" in text
    kept = {path.read_text() for path in tmp_path.iterdir() if path.name != ".lock"}
    assert kept == {"of an earlier run"}


def test_the_same_seed_gives_the_same_weights_in_another_process(trained, process, drawn, tmp_path):
    assert process("train", "--data", drawn, *SHORT, "--out", tmp_path).status == 0
    assert (tmp_path / "model.safetensors").read_bytes() == (trained[0] / "model.safetensors").read_bytes()


def test_every_training_aid_together_with_former_names_of_options(succeed, drawn, tmp_path):
    aids = "--augment strong --mixup 0.2 --label-smoothing 0.1 --weight-decay 0.01 --average 0.9 --schedule cosine"
    aids = f"{aids} --warm-up 0.5 --keep last --flip --no-calibrate".split()
    settings = ("--data", drawn, "--network", "two-block", "--image-size", 24, "--epochs", 3)
    assert "Epoch 3/3" in succeed("train", *settings, *aids, "--output-dir", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    chosen = {"temperature": 1, "ema": 0.9, "warmup": 0.5, "save": "last", "tta": True}
    assert {name: report[name] for name in chosen} == chosen
    with (tmp_path / "history.csv").open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates[0] > rates[1] > rates[2] == 0


def test_a_learning_rate_is_suggested_with_its_plot(succeed, drawn, tmp_path):
    options = ("--network", "two-block", "--image-size", 24, "--lr-find", "--out", tmp_path)
    text = succeed("train", "--data", drawn, *options)
    assert 1e-5 < float(re.search(r"--learning-rate (\S+);", text)[1]) < 0.1
    assert names(tmp_path) == [".lock", "learning-rate.png"]


def test_plots_that_cannot_be_drawn_cost_a_sentence(process, drawn, tmp_path):
    environment = ENVIRONMENT | {"MPLBACKEND": "nonsense"}
    done = process("train", "--data", drawn, *QUICK, "--out", tmp_path, environment=environment)
    assert done.status == 0 and "the plots could not be drawn" in done.out and "Traceback" not in done.err
    assert json.loads((tmp_path / "report.json").read_text())["accuracy"] > 0


def test_photos_are_trained_with_the_network_and_the_recipe_for_photos(own):
    out, _, text = own
    report = json.loads((out / "report.json").read_text())
    sizes = ", ".join(f"{epochs} at {size} pixels" for size, epochs in report["progressive"])
    assert f"Network: catdog. Epochs: {sizes}. Validation at 48 pixels." in text
    assert report["network"] == "catdog" and report["image_size"] == 48 and report["epochs"] == 3
    assert report["progressive"][0][0] < 48 and sum(epochs for _, epochs in report["progressive"]) == 3
    model = mc.load_model(out / "model.safetensors")
    assert model.input_shape == (48, 48, 3) and model.preprocessing["height"] == 48 and model.tta
