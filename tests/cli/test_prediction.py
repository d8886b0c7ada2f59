"""`minicnn predict` and `minicnn evaluate`: answers, figures, and photos that cannot be read."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import minicnn as mc
from minicnn import data


def probabilities(text):
    return [answer["probabilities"] for answer in json.loads(text)]


def test_predict_prints_one_line_per_image_and_json(trained, succeed, drawn):
    model = ("--model", trained[0] / "model.safetensors")
    photos = [drawn / "cat.0.png", drawn / "dog.1.png"]
    lines = succeed("predict", *photos, *model).splitlines()
    answers = json.loads(succeed("predict", *photos, *model, "--json"))
    for line, answer, photo in zip(lines, answers, photos, strict=True):
        assert re.fullmatch(rf"(cat|dog) [01]\.\d\d\d {re.escape(str(photo))}", line)
        assert line == f"{answer['class']} {answer['confidence']:.3f} {photo}"
        assert answer["confidence"] == max(answer["probabilities"].values()) >= 0.5
        assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)


def test_prediction_repeats_the_training_preprocessing(trained, succeed, drawn):
    """The command's probability is what the model gives for the array that the training loader would have made."""
    file = trained[0] / "model.safetensors"
    model = mc.load_model(file)
    assert data.Preprocessing.of(model) == data.Preprocessing(24, 24, draft=2)
    image = data.to_float(data.decode(drawn / "cat.3.png", data.Preprocessing(24, 24, draft=2)))
    p = float(model.predict(image[None])[0, 0])
    (answer,) = probabilities(succeed("predict", drawn / "cat.3.png", "--model", file, "--json"))
    assert answer["dog"] == pytest.approx(p, abs=1e-6) and answer["cat"] == pytest.approx(1 - p, abs=1e-6)


def test_test_time_augmentation_is_the_mean_over_the_mirror_image(trained, succeed, drawn, tmp_path):
    model, photo, mirrored = trained[0] / "model.safetensors", drawn / "dog.3.png", tmp_path / "mirrored.png"
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    one, other, both, former = (
        probabilities(succeed("predict", *words, "--model", model, "--json"))[0]["dog"]
        for words in ((photo,), (mirrored,), (photo, "--tta"), (photo, "--flip"))
    )
    assert abs(one - other) > 1e-4 and both == former == pytest.approx((one + other) / 2, abs=1e-6)


def test_a_model_predicts_as_it_was_evaluated(own, succeed):
    """With test-time augmentation, as the recipe of its network has it, unless an option says otherwise."""
    out, validation, text = own
    model = ("--model", out / "model.safetensors")
    default, with_tta, without = (
        succeed("evaluate", "--data", validation, *model, *tta).splitlines()[-4:]
        for tta in ((), ("--tta",), ("--no-tta",))
    )
    assert default == with_tta != without and default[0] in text


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_a_bad_image_is_named_the_others_are_predicted_and_the_status_is_1(
    trained, command, drawn, tmp_path, extra
):
    (tmp_path / "empty.jpg").write_bytes(b"")
    photos = tmp_path / "empty.jpg", drawn / "cat.0.png", tmp_path / "none.jpg", "x" * 300, ""
    done = command("predict", *photos, "--model", trained[0] / "model.safetensors", *extra)
    assert done.status == 1 and len(done.err.splitlines()) == 4
    assert "empty.jpg: expected an image, received an empty file" in done.err and "no such file" in done.err
    assert "cat.0.png" in done.out


def test_folders_and_patterns_stand_for_their_images(trained, succeed, drawn, tmp_path):
    for name in ("b.png", "a.png"):
        shutil.copy(drawn / "cat.0.png", tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    model = ("--model", trained[0] / "model.safetensors")
    for name in (tmp_path, tmp_path / "*.png"):
        lines = succeed("predict", name, *model).splitlines()
        assert [Path(line.split()[-1]).name for line in lines] == ["a.png", "b.png"]


def test_an_image_is_read_from_standard_input(trained, process, drawn):
    photo, model = drawn / "cat.0.png", ("--model", trained[0] / "model.safetensors")
    done = process("predict", "-", *model, input=photo.read_bytes(), encoding=None)
    assert done.status == 0 and done.out.split()[-1] == b"-"


def test_evaluate_prints_every_figure(trained, succeed, drawn, tmp_path):
    for name, old in (("Cats", "cat"), ("Dogs", "dog")):  # another layout, other capitals, plural
        (tmp_path / name).mkdir()
        for n in range(4):
            shutil.copy(drawn / f"{old}.{n}.png", tmp_path / name)
    words = ("evaluate", "--data", tmp_path, "--model", trained[0] / "model.safetensors")
    text = succeed(*words)
    assert re.search(
        r"accuracy [01]\.\d{4} ± 0\.\d{4} on 8 images, log-loss \d\.\d{4}, AUC [01]\.\d{4}", text
    )
    assert "true cat" in text and "as dog" in text
    report = json.loads(succeed(*words, "--json"))
    assert f"accuracy {report['accuracy']:.4f}" in text


def test_photos_are_decoded_once(trained, succeed, drawn, tmp_path):
    def evaluate(*options):
        text = succeed("evaluate", "--data", drawn, "--model", trained[0] / "model.safetensors", *options)
        return "Read 48 images in" in text, re.search(r"accuracy.*", text)[0]

    folder = ("--cache-dir", tmp_path / "cache")
    read, accuracy = evaluate(*folder)
    assert read and evaluate(*folder) == (False, accuracy) and evaluate("--no-cache") == (True, accuracy)
    assert f"{tmp_path / 'cache'}: 0.1 MB" in succeed("cache", *folder)
    assert "Removed 0.1 MB" in succeed("cache", "--clear", *folder)
    assert not list((tmp_path / "cache").iterdir()) and evaluate(*folder) == (True, accuracy)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "x.jpg", "--model", "NOWHERE"), "nothing there"),
        (("evaluate", "--data", "NOWHERE"), "nothing there"),
        (("predict", "x.jpg", "--model", "CHECKPOINT"), "checkpoint"),
    ],
)
def test_mistakes_get_a_sentence_and_status_2(words, message, command, trained, tmp_path):
    places = {"NOWHERE": tmp_path / "nowhere", "CHECKPOINT": trained[0] / "checkpoint.safetensors"}
    done = command(*(places.get(word, word) for word in words))
    assert done.status == 2 and message in done.err and len(done.err.splitlines()) == 1


def test_the_bundled_model_is_the_default_and_tells_real_photos(succeed, photos):
    photos = sorted((photos / "val").iterdir())[::125]  # ten cats, then ten dogs
    answers = json.loads(succeed("predict", *photos, "--json"))
    assert sum(answer["class"] == Path(answer["file"]).name[:3] for answer in answers) >= 18
    bundled = mc.Predictor(mc.pretrained("catdog"))
    assert bundled(str(photos[0])) == answers[0]["probabilities"]


def test_names_that_the_terminal_cannot_show_do_not_end_the_run(trained, process, drawn, tmp_path):
    photo = tmp_path / "щенок.png"
    shutil.copy(drawn / "dog.0.png", photo)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUTF8"}
    words = ("predict", photo, "--model", trained[0] / "model.safetensors")
    done = process(*words, environment=environment | {"PYTHONIOENCODING": "ascii"})
    assert done.status == 0 and "\\u0449" in done.out
