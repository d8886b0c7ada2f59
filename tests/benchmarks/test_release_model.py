"""The bundled model's card says what `predict` says, and nothing is released that its report does not describe."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minicnn import cli
from minicnn.data import draw_folder


@pytest.fixture(scope="module")
def finished(drawn, tmp_path_factory):
    """A finished run's folder, and the images that it was validated on."""
    out, validation = tmp_path_factory.mktemp("finished"), tmp_path_factory.mktemp("validation")
    draw_folder(validation, 10, 48, seed=9)
    words = [
        "train",
        "--data",
        drawn,
        "--val-data",
        validation,
        "--image-size",
        48,
        "--epochs",
        3,
        "--out",
        out,
    ]
    assert cli.main([*map(str, words), "--kernels", "im2col", "--quiet"]) == 0
    return out, validation


@pytest.fixture
def release(root):
    def run(*words):
        line = [
            sys.executable,
            root / "benchmarks" / "release_model.py",
            *words,
            "--source",
            "Synthetic heads",
        ]
        return subprocess.run(line, capture_output=True, encoding="utf-8")

    return run


def test_the_card_says_what_predict_says(finished, release, tmp_path, capsys):
    (out, validation), model = finished, tmp_path / "catdog.safetensors"
    done = release(out, validation, "--out", model)
    assert done.returncode == 0 and "0 of 20 answers changed" in done.stdout, done.stderr
    assert 0.4 < model.stat().st_size / (out / "model.safetensors").stat().st_size < 0.6
    capsys.readouterr()
    assert cli.main(["predict", str(validation), "--model", str(model), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    wrong = [(a["file"], a["class"], a["confidence"]) for a in answers]
    wrong = sorted(
        ((Path(f).name, c, p) for f, c, p in wrong if c not in Path(f).name), key=lambda row: -row[2]
    )
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    listed = re.findall(r"\| ((?:cat|dog)\.\d+\.png) \| (cat|dog) \| (cat|dog) \| ([01]\.\d+) \|", card)
    assert sorted((name, called) for name, _, called, _ in listed) == sorted((f, c) for f, c, _ in wrong)
    assert [float(p) for *_, p in listed] == pytest.approx([p for *_, p in wrong], abs=6e-4)
    share = 1 - len(wrong) / 20
    error = (share * (1 - share) / 20) ** 0.5
    assert f"**{100 * share:.2f} ± {100 * error:.2f} %**" in card
    for part in (
        "Synthetic heads",
        "48 of them; epochs: 1 at 32x32",
        "20 others, each and its mirror image",
        "## Limits",
    ):
        assert part in card
    assert str(validation.parent) not in card and "/" not in re.search("made with.*minicnn (.*)", card)[1]


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
            "the images that the run was validated on",
        ),
    ],
)
def test_nothing_is_released_that_its_report_does_not_describe(finished, release, tmp_path, change, message):
    out, validation = finished
    shutil.copy(out / "model.safetensors", tmp_path)
    report = json.loads((out / "report.json").read_text()) | change
    (tmp_path / "report.json").write_text(json.dumps(report))
    done = release(tmp_path, validation, "--out", tmp_path / "released.safetensors")
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("released*"))
