"""The main job as a user runs it: a process of its own, real files, real signals, real exit statuses."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn as mc

RESULTS = [
    "checkpoint-previous.safetensors",
    "checkpoint.safetensors",
    "confusion.png",
    "curves.png",
    "history.csv",
    "model.safetensors",
    "predictions.png",
    "reliability.png",
    "report.json",
    "samples.png",
]
ENVIRONMENT = os.environ | {"PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def catdog(root):
    def run(*arguments):
        command = [sys.executable, str(root / "examples" / "catdog.py"), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=300, env=ENVIRONMENT
        )

    return run


def succeeded(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


SHORT = ["--network", "two-block", "--image-size", "24", "--epochs", "3", "--augment", "--dropout", "0.2"]


@pytest.fixture(scope="module")
def trained(catdog, drawn, tmp_path_factory):
    """One short training run, with all that it left behind and printed."""
    out = tmp_path_factory.mktemp("run")
    done = catdog("--data", drawn, *SHORT, "--out", out)
    return out, succeeded(done)


def test_training_prints_what_it_found_and_leaves_all_results(trained):
    out, text = trained
    assert sorted(path.name for path in out.iterdir()) == RESULTS
    for part in (
        "Found 48 files belonging to 2 classes: cat, dog",
        "class 0 is cat; class 1 is dog",
        "Total params",
        "Epoch 3/3",
        "accuracy 0.",
    ):
        assert part in text
    assert "Training on 38 pictures, validating on 10" in text
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
    assert sum(map(sum, report["confusion_matrix"])) == report["validation_pictures"] == 10
    assert report["epochs"] == len(rows) == 3 and report["seconds"] > 0 and report["peak_memory_mb"] > 10
    assert f"accuracy {report['accuracy']:.4f}" in text
    assert report["temperature"] == mc.load_model(out / "model.safetensors").temperature != 1
    assert 0 <= report["expected_calibration_error"] < 0.5


def test_photographs_are_decoded_once(trained, catdog, drawn, tmp_path):
    def evaluate(*options):
        text = succeeded(
            catdog("evaluate", "--data", drawn, "--model", trained[0] / "model.safetensors", *options)
        )
        return "Read 48 pictures in" in text, re.search(r"accuracy.*", text)[0]

    kept = ("--cache-dir", tmp_path / "cache")
    read, accuracy = evaluate(*kept)
    assert read and evaluate(*kept) == (False, accuracy) and evaluate("--no-cache") == (True, accuracy)
    size = 48 * (24 * 24 * 3 + 1) + 32
    assert [path.stat().st_size for path in (tmp_path / "cache").iterdir()] == [size]
    assert f"{tmp_path / 'cache'}: 0.1 MB" in succeeded(catdog("cache", *kept))
    assert "Removed 0.1 MB" in succeeded(catdog("cache", "--clear", *kept))
    assert not list((tmp_path / "cache").iterdir()) and evaluate(*kept) == (True, accuracy)


def test_predict_prints_a_line_a_picture_and_json(trained, catdog, drawn):
    model = trained[0] / "model.safetensors"
    photos = [drawn / "cat.0.png", drawn / "dog.1.png"]
    lines = succeeded(catdog("predict", *photos, "--model", model)).splitlines()
    for line, photo in zip(lines, photos, strict=True):
        assert re.fullmatch(rf"(cat|dog) [01]\.\d\d\d {re.escape(str(photo))}", line)
    answers = json.loads(succeeded(catdog("predict", *photos, "--model", model, "--json")))
    for line, answer, photo in zip(lines, answers, photos, strict=True):
        assert line == f"{answer['class']} {answer['confidence']:.3f} {photo}"
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)


def test_prediction_repeats_the_training_preprocessing(trained, catdog, drawn):
    """The command's confidence is what the model gives for the array that the loader would have made."""
    from minicnn import data

    model = mc.load_model(trained[0] / "model.safetensors")
    picture = data.to_float(data.decode(drawn / "cat.3.png", data.Preprocessing(24, 24, draft=2)))
    assert data.Preprocessing.of(model) == data.Preprocessing(24, 24, draft=2)
    p = float(model.predict(picture[None])[0, 0])
    answer = json.loads(
        succeeded(
            catdog("predict", drawn / "cat.3.png", "--model", trained[0] / "model.safetensors", "--json")
        )
    )[0]
    assert answer["probabilities"]["dog"] == pytest.approx(p, abs=1e-6)


def test_a_bad_picture_is_named_the_others_are_predicted_and_the_status_is_1(
    trained, catdog, drawn, tmp_path
):
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    for extra in ((), ("--json",)):
        done = catdog(
            "predict",
            empty,
            drawn / "cat.0.png",
            tmp_path / "none.jpg",
            "--model",
            trained[0] / "model.safetensors",
            *extra,
        )
        assert done.returncode == 1
        assert (
            "empty.jpg: expected an image, received an empty file" in done.stderr
            and "no such file" in done.stderr
        )
        assert "cat.0.png" in done.stdout and "Traceback" not in done.stderr


def test_evaluate_prints_every_figure(trained, catdog, drawn, tmp_path):
    for name, old in (("Cats", "cat"), ("Dogs", "dog")):  # another layout, other capitals, plural
        (tmp_path / name).mkdir()
        for n in range(4):
            shutil.copy(drawn / f"{old}.{n}.png", tmp_path / name)
    text = succeeded(catdog("evaluate", "--data", tmp_path, "--model", trained[0] / "model.safetensors"))
    assert re.search(
        r"accuracy [01]\.\d{4} ± 0\.\d{4} on 8 pictures, log-loss \d\.\d{4}, AUC [01]\.\d{4}", text
    )
    assert "true cat" in text and "as dog" in text


def test_three_classes_end_in_softmax(catdog, drawn, tmp_path):
    for name, number, old in [("bird", n, "cat") for n in range(6)] + [
        (k, n, k) for k in ("cat", "dog") for n in range(6)
    ]:
        picture = Image.open(drawn / f"{old}.{number}.png")
        (picture.rotate(180) if name == "bird" else picture).save(tmp_path / f"{name}.{number}.png")
    out = tmp_path / "out"
    text = succeeded(
        catdog("--data", tmp_path, "--network", "two-block", "--image-size", 24, "--epochs", 1, "--out", out)
    )
    assert (
        "3 classes: bird, cat, dog" in text
        and "class 0 is bird; class 1 is cat; class 2 is dog" in text
        and "softmax_1" in text
    )
    lines = succeeded(catdog("predict", tmp_path / "cat.0.png", "--model", out / "model.safetensors"))
    assert lines.split()[0] in ("bird", "cat", "dog")


def test_val_data_limits_and_a_divided_folder(catdog, drawn, tmp_path):
    for part, numbers in (("train", range(8)), ("validation", range(8, 12))):
        for kind in ("cat", "dog"):
            (tmp_path / part / f"{kind}s").mkdir(parents=True)
            for n in numbers:
                shutil.copy(drawn / f"{kind}.{n}.png", tmp_path / part / f"{kind}s" / f"{n}.png")
    short = ("--network", "two-block", "--image-size", 24, "--epochs", 1, "--out", tmp_path / "out")
    assert "Training on 16 pictures, validating on 8" in succeeded(catdog("--data", tmp_path, *short))
    text = succeeded(
        catdog("--data", drawn, "--val-data", tmp_path / "validation", "--limit", 5, "--val-limit", 2, *short)
    )
    assert "Training on 10 pictures, validating on 4" in text and "class 0 is cat" in text


def test_a_folder_with_bad_files_trains_and_lists_them(catdog, drawn, tmp_path):
    for n in range(6):
        for kind in ("cat", "dog"):
            shutil.copy(drawn / f"{kind}.{n}.png", tmp_path)
    (tmp_path / "cat.100.jpg").write_bytes(b"")
    (tmp_path / "dog.100.jpg").write_bytes(b"<html>")
    (tmp_path / "portrait.jpg").write_bytes(b"")
    out = tmp_path / "out"
    text = succeeded(
        catdog("--data", tmp_path, "--network", "two-block", "--image-size", 24, "--epochs", 1, "--out", out)
    )
    assert (
        text.count("skipped: ") == 3
        and "cat.100.jpg" in text
        and "HTML" in text
        and "portrait.jpg: its name tells no class" in text
    )
    assert len(json.loads((out / "report.json").read_text())["skipped_files"]) == 2


def test_a_folder_with_the_real_bad_files_trains_and_lists_them(catdog, drawn, tmp_path, photographs):
    for kind, sources in (("cats", sorted((photographs / "bad").iterdir())), ("dogs", [])):
        (tmp_path / kind).mkdir()
        for path in [*sources, *drawn.glob(f"{kind[:-1]}.*.png")]:
            shutil.copy(path, tmp_path / kind)
    text = succeeded(
        catdog(
            "--data",
            tmp_path,
            "--network",
            "two-block",
            "--image-size",
            24,
            "--epochs",
            1,
            "--out",
            tmp_path / "out",
        )
    )
    assert text.count("skipped: ") == 7 and "Training on " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "NOWHERE"), "nothing there. Check the path"),
        (("--data", "ONE"), "at least two classes, received one, cat"),
        (("--data", "EMPTY"), "cats: expected at least 2 pictures"),  # and the empty folder is named above
        (
            ("--data", "DRAWN", "--network", "two-block", "--image-size", "7"),
            "layer 4: Conv2D: expected images of at least 3x3, received",
        ),
        (("--data", "DRAWN", "--network", "four-block", "--image-size", "20"), "Use larger images"),
        (
            ("--data", "DRAWN", "--validation-split", "1.5"),
            "validation_split: expected a number above 0 and below 1",
        ),
        (("--data", "DRAWN", "--learning-rate", "0"), "learning_rate"),
        (("--val-data", "DRAWN"), "--data beside it"),
        (("--data", "DRAWN", "--seed", "-1"), "seed: expected an int of at least 0"),
        (
            ("--data", "DRAWN", "--network", "two-block", "--image-size", "0"),
            "image height: expected an int of at least 1",
        ),
        (
            ("--data", "DRAWN", "--network", "two-block", "--image-size", "24", "--out", "FILE"),
            "what was written before is kept",
        ),
        (("--data", "DRAWN", "--limit", "1"), "at least 2 pictures"),
        (("predict", "x.jpg", "--model", "NOWHERE"), "Train one first"),
        (("evaluate", "--data", "NOWHERE", "--model", "MODEL"), "nothing there"),
        (("--data", "DRAWN", "--threads", "100000"), "set_threads: expected an int from 1 to"),
    ],
)
def test_mistakes_get_a_sentence_and_status_2(arguments, message, catdog, drawn, trained, tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "dogs").mkdir()
    shutil.copy(drawn / "cat.0.png", tmp_path / "cats")
    (tmp_path / "one").mkdir()
    shutil.copy(drawn / "cat.0.png", tmp_path / "one")
    places = {
        "NOWHERE": tmp_path / "nowhere",
        "ONE": tmp_path / "one",
        "EMPTY": tmp_path,
        "DRAWN": drawn,
        "FILE": tmp_path / "cats" / "cat.0.png",
        "MODEL": trained[0] / "model.safetensors",
    }
    arguments = [places.get(word, word) for word in arguments]
    if arguments[0] not in ("predict", "evaluate") and "--out" not in arguments:
        arguments += ["--out", tmp_path / "out"]
    if "EMPTY" in arguments:
        shutil.rmtree(tmp_path / "one")
    done = catdog(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr.replace("\n", " ") and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_same_network_comes_out_of_any_number_of_threads(root, drawn, tmp_path):
    code = """
import sys
from pathlib import Path
import catdog

status = catdog.main(sys.argv[1:])
import numba
from minicnn.kernels.fast.threads import one_at_a_time

print("status", status, "threads", one_at_a_time(numba.get_num_threads)())
"""
    files = set()
    for n in (1, 3):
        out = tmp_path / str(n)
        command = [
            sys.executable,
            "-c",
            code,
            "--data",
            drawn,
            "--network",
            "two-block",
            "--image-size",
            "24",
            "--epochs",
            "1",
        ]
        command += ["--kernels", "fast", "--threads", str(n), "--out", out]
        environment = {key: value for key, value in ENVIRONMENT.items() if key != "NUMBA_NUM_THREADS"}
        text = succeeded(
            subprocess.run(
                command, capture_output=True, text=True, env=environment, cwd=root / "examples", timeout=300
            )
        )
        assert f"status 0 threads {n}" in text
        files.add((out / "model.safetensors").read_bytes())
    assert len(files) == 1


def interrupt(root, drawn, out, after, *more):
    """Train until a line begins with `after`, press Ctrl-C, and return status, output and errors."""
    command = [
        sys.executable,
        "-u",
        root / "examples" / "catdog.py",
        "--data",
        drawn,
        "--network",
        "two-block",
        "--image-size",
        "32",
    ]
    command += ["--epochs", "9999", "--patience", "9999", "--out", out, *more]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=ENVIRONMENT
    )
    for line in process.stdout:
        if line.startswith(after):
            process.send_signal(signal.SIGINT)
            break
    rest, errors = process.communicate(timeout=120)
    return process.returncode, rest, errors


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_ends_training_cleanly_with_the_best_weights_saved(root, drawn, tmp_path):
    status, text, errors = interrupt(root, drawn, tmp_path, "Epoch 3/")
    assert status == 130 and "--resume goes on from its last checkpoint" in text and "Traceback" not in errors
    assert (
        sorted(path.name for path in tmp_path.iterdir()) == RESULTS[1:]
    )  # one checkpoint, of the first epoch
    assert mc.load_model(tmp_path / "model.safetensors").class_names == ["cat", "dog"]
    report = json.loads((tmp_path / "report.json").read_text())
    with (tmp_path / "history.csv").open(newline="") as file:
        accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    assert report["interrupted"] is True and report["accuracy"] == max(accuracies)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_ctrl_c_in_the_first_epoch_keeps_what_was_there(root, drawn, tmp_path):
    for name in ("model.safetensors", "history.csv"):
        (tmp_path / name).write_text("of an earlier run")
    slow = "--kernels", "reference"  # the signal is there before the first epoch's end
    status, text, errors = interrupt(root, drawn, tmp_path, "Training on", *slow)
    assert status == 130 and "Traceback" not in errors and "Not one epoch" in text
    assert {path.read_text() for path in tmp_path.iterdir()} == {"of an earlier run"}


def test_names_that_the_terminal_cannot_show_do_not_end_the_run(root, trained, drawn, tmp_path):
    photo = tmp_path / "щенок.png"
    shutil.copy(drawn / "dog.0.png", photo)
    command = [
        sys.executable,
        root / "examples" / "catdog.py",
        "predict",
        photo,
        "--model",
        trained[0] / "model.safetensors",
    ]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"\\u0449" in done.stdout


def test_the_same_seed_gives_the_same_weights_in_another_process(trained, catdog, drawn, tmp_path):
    succeeded(catdog("--data", drawn, *SHORT, "--out", tmp_path))
    assert (tmp_path / "model.safetensors").read_bytes() == (trained[0] / "model.safetensors").read_bytes()


def test_xor_learns(root):
    done = subprocess.run(
        [sys.executable, str(root / "examples" / "xor.py")], capture_output=True, text=True, check=True
    )
    assert [line.split("   ")[0] for line in done.stdout.splitlines()[-4:]] == [
        "0 xor 0 = 0",
        "0 xor 1 = 1",
        "1 xor 0 = 1",
        "1 xor 1 = 0",
    ]


def test_every_training_aid_together_and_judging_by_both_mirror_images(catdog, drawn, tmp_path):
    aids = ["--augment", "strong", "--mixup", 0.2, "--label-smoothing", 0.1, "--weight-decay", 0.01, "--average", 0.9,
            "--schedule", "cosine", "--warm-up", 0.5, "--keep", "last", "--flip", "--no-calibrate"]  # fmt: skip
    settings = [
        "--data",
        drawn,
        "--network",
        "two-block",
        "--image-size",
        24,
        "--out",
        tmp_path,
        "--epochs",
        3,
    ]
    text = succeeded(catdog(*settings, *aids))
    assert "Epoch 3/3" in text and json.loads((tmp_path / "report.json").read_text())["temperature"] == 1
    with (tmp_path / "history.csv").open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates[0] > rates[1] > rates[2] == 0
    model, photo = tmp_path / "model.safetensors", drawn / "dog.3.png"
    mirrored = tmp_path / "mirrored.png"
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    plain, other, both = (
        json.loads(succeeded(catdog("predict", *arguments, "--model", model, "--json")))[0]["probabilities"][
            "dog"
        ]
        for arguments in ((photo,), (mirrored,), (photo, "--flip"))
    )
    assert abs(plain - other) > 0.01 and both == pytest.approx((plain + other) / 2, abs=1e-3)
    assert "accuracy" in succeeded(catdog("evaluate", "--data", drawn, "--model", model, "--flip"))


@pytest.fixture(scope="module")
def own(catdog, drawn, tmp_path_factory):
    """A short run of what photographs get when nothing else is asked, with the folder it was judged by."""
    from minicnn.data import draw_folder

    out, judged = (
        tmp_path_factory.mktemp("own"),
        draw_folder(tmp_path_factory.mktemp("judged"), 10, 48, seed=9),
    )
    few = ("--image-size", 48, "--epochs", 3, "--kernels", "im2col")
    return out, judged, succeeded(catdog("--data", drawn, "--val-data", judged, *few, "--out", out))


def test_photographs_get_the_projects_own_network(own):
    out, _, text = own
    report = json.loads((out / "report.json").read_text())
    growing = ", ".join(f"{epochs} at {size} pixels" for size, epochs in report["progressive"])
    assert f"Network: catdog. Epochs: {growing}. Judged at 48 pixels." in text
    assert report["network"] == "catdog" and report["image_size"] == 48 and report["epochs"] == 3
    assert report["progressive"][0][0] < 48 and sum(epochs for _, epochs in report["progressive"]) == 3
    model = mc.load_model(out / "model.safetensors")
    assert model.input_shape == (48, 48, 3) and model.preprocessing["height"] == 48


def test_a_model_is_asked_as_it_was_judged(own, catdog):
    """By both mirror images, as the recipe of its network has it, unless somebody says otherwise."""
    out, judged, text = own
    model = ("--model", out / "model.safetensors")
    usual, both, once = (
        succeeded(catdog("evaluate", "--data", judged, *model, *flip)).splitlines()
        for flip in ((), ("--flip",), ("--no-flip",))
    )
    assert usual[-4:] == both[-4:] != once[-4:] and usual[-4] in text


@pytest.fixture
def elsewhere(root, tmp_path):
    """The command in a folder where no model ships with it."""
    for name in ("catdog.py", "catdog_options.py"):
        shutil.copy(root / "examples" / name, tmp_path)

    def run(*arguments):
        command = [sys.executable, tmp_path / "catdog.py", *arguments]
        environment = ENVIRONMENT | {"PYTHONPATH": str(root)}
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)

    return tmp_path, run


def test_without_a_name_the_model_that_ships_is_asked(own, elsewhere):
    (out, judged, _), (folder, run) = own, elsewhere
    photo = judged / "cat.0.png"
    for command in (("predict", photo), ("evaluate", "--data", judged)):
        done = run(*command)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert (
            "expected the model that ships with the project, received nothing there. Train one" in done.stderr
        )
    shutil.copy(out / "model.safetensors", folder / "catdog.safetensors")
    named = succeeded(run("predict", photo, "--model", out / "model.safetensors"))
    assert named and succeeded(run("predict", photo)) == named


def test_the_model_that_ships_is_small_and_the_one_of_its_card(root):
    model, card = (root / "examples" / f"catdog.{ending}" for ending in ("safetensors", "md"))
    assert model.stat().st_size <= 6_000_000
    loaded = mc.load_model(model)
    count = sum(parameter.value.size for parameter in loaded.parameters)
    assert f"| catdog, {count:,} parameters |" in card.read_text(encoding="utf-8")


def test_the_model_that_ships_tells_photographs(catdog, photographs):
    photos = sorted((photographs / "val").iterdir())[::125]  # ten cats, then ten dogs
    answers = json.loads(succeeded(catdog("predict", *photos, "--json")))
    assert sum(answer["class"] == Path(answer["file"]).name[:3] for answer in answers) >= 18


@pytest.fixture
def ship(root):
    def run(*arguments):
        command = [sys.executable, root / "examples" / "ship.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=ENVIRONMENT)

    return run


def test_the_card_of_a_model_that_ships_says_what_predict_says(own, ship, catdog, tmp_path):
    (out, judged, _), model = own, tmp_path / "catdog.safetensors"
    text = succeeded(ship(out, judged, "--source", "Drawn heads", "--out", model))
    assert "0 of 20 answers changed" in text
    assert 0.4 < model.stat().st_size / (out / "model.safetensors").stat().st_size < 0.6
    answers = json.loads(succeeded(catdog("predict", *sorted(judged.iterdir()), "--model", model, "--json")))
    wrong = [(a["file"], a["class"], a["confidence"]) for a in answers]
    wrong = sorted(((Path(f).name, c, p) for f, c, p in wrong if c not in f), key=lambda row: -row[2])
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    listed = re.findall(r"\| ((?:cat|dog)\.\d+\.png) \| (cat|dog) \| (cat|dog) \| ([01]\.\d+) \|", card)
    assert sorted((name, called) for name, _, called, _ in listed) == sorted((f, c) for f, c, _ in wrong)
    assert [float(p) for *_, p in listed] == pytest.approx([p for *_, p in wrong], abs=6e-4)
    share = 1 - len(wrong) / 20
    error = (share * (1 - share) / 20) ** 0.5
    assert f"**{100 * share:.2f} ± {100 * error:.2f} %**" in card
    for part in (
        "Drawn heads",
        "48 of them; epochs: 1 at 32x32",
        "20 others, each and its mirror image",
        "--data",
        "## Limits",
    ):
        assert part in card
    assert str(judged.parent) not in card and "/" not in re.search("made with.*catdog.py (.*)", card)[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interrupted": True}, "a finished run, received one that was interrupted"),
        (
            {"confusion_matrix": [[10, 0], [0, 10]], "accuracy": 1.0},
            "in place of 1.0000 on 20. Give the --val-data",
        ),
        (
            {"confusion_matrix": [[10, 0], [0, 11]], "accuracy": 1.0},
            "the pictures that the run was judged by",
        ),
    ],
)
def test_nothing_ships_that_its_report_does_not_describe(own, ship, tmp_path, change, message):
    out, judged, _ = own
    shutil.copy(out / "model.safetensors", tmp_path)
    report = json.loads((out / "report.json").read_text()) | change
    (tmp_path / "report.json").write_text(json.dumps(report))
    done = ship(tmp_path, judged, "--source", "Drawn heads", "--out", tmp_path / "shipped.safetensors")
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("shipped*"))


def test_a_learning_rate_is_suggested_with_its_plot(catdog, drawn, tmp_path):
    text = succeeded(
        catdog(
            "--data", drawn, "--network", "two-block", "--image-size", 24, "--out", tmp_path, "--find-rate"
        )
    )
    assert 1e-6 < float(re.search(r"--learning-rate (\S+);", text)[1]) < 1
    assert [path.name for path in tmp_path.iterdir()] == ["learning-rate.png"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--progressive", "16:1,24"], "SIZE:EPOCHS"),
        (["--progressive", "64:1", "--image-size", "24"], "up to --image-size 24"),
        (["--progressive", "16:1", "--epochs", "3"], "no --epochs beside it, received 16:1 and --epochs 3"),
        (["--patience", "3"], "--keep best beside it, received --keep last"),
        (["--val-limit", "3"], "--val-data beside it, received no folder to judge by"),
        (["--validation-split", "0.2", "--val-data", "DRAWN"], "nothing but --data, received "),
        (["--no-cache", "--cache-dir", "x"], "no --no-cache beside it"),
        (["--find-rate", "--resume"], "no --resume beside it"),
        (["--progressive", "16:1", "--network", "two-block", "--image-size", "24"], "GlobalAveragePool2D"),
        (["--warm-up", "900"], "fewer epochs"),
    ],
)
def test_aids_that_cannot_be_are_refused(catdog, drawn, tmp_path, arguments, word):
    arguments = [drawn if argument == "DRAWN" else argument for argument in arguments]
    done = catdog("--data", drawn, "--out", tmp_path, *arguments)
    assert done.returncode == 2 and word in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "how", [["-OO", "examples/catdog.py"], ["-m", "examples.catdog"], ["-P", "examples/catdog.py"]]
)
def test_it_runs_however_python_is_told_to(how, root, tmp_path):
    command = [sys.executable, *how, "cache", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0 and "MB of decoded photographs" in done.stdout, done.stderr
