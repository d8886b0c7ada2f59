"""What a run is made with when nobody says: recipes, how they stretch, and what others published."""

import doctest
import importlib.util
import sys
from pathlib import Path

import pytest

import minicnn as mc


@pytest.fixture(scope="module")
def catdog_options(root):
    spec = importlib.util.spec_from_file_location("catdog_options", root / "examples" / "catdog_options.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def settled(catdog_options):
    def settle(words, pictures):
        options = catdog_options.parser("About.\n\nCommands", Path("m")).parse_args(["train", *words.split()])
        catdog_options.settle(options, pictures)
        return options

    return settle


# Keras's defaults, which both published networks were trained with where their authors say nothing.
PUBLISHED = {
    "batch_size": 32,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "warm_up": 0,
    "weight_decay": 0,
    "average": 0,
    "mixup": 0,
    "label_smoothing": 0,
    "dropout": 0,
    "flip": False,
    "keep": "best",
}


@pytest.mark.parametrize(
    ("words", "pictures", "expected"),
    [
        ("", 3000, {"network": "two-block", "image_size": 64, "epochs": 10, "augment": "none"}),
        (
            "--data x --network two-block --augment --epochs 25 --patience 25 --learning-rate 5e-4",
            8000,
            {"image_size": 64, "epochs": 25, "augment": "light", "learning_rate": 5e-4},
        ),
        (
            "--data x --network four-block --epochs 30 --patience 30 --batch-size 20 --learning-rate 1e-4",
            2000,
            {"image_size": 150, "epochs": 30, "augment": "none", "batch_size": 20, "learning_rate": 1e-4},
        ),
        ("--data x --network two-block", 8000, {"image_size": 64, "epochs": 25, "augment": "none"}),
    ],
)
def test_the_drawn_job_and_the_published_ones_are_what_they_were(settled, words, pictures, expected):
    options = vars(settled(words, pictures))
    wanted = PUBLISHED | expected
    assert {name: options[name] for name in wanted} == wanted and not options["progressive"]


def test_photographs_get_the_projects_own_network_for_as_many_epochs_as_they_need(settled, catdog_options):
    own = catdog_options.OWN
    few, many = settled("--data x", 2000), settled("--data x", 20_000)
    assert few.network == many.network == "catdog"
    assert few.epochs >= many.epochs >= settled("--data x", 10**9).epochs >= 1
    for options in (few, many):
        assert sum(epochs for _, epochs in options.progressive) == options.epochs
        assert [size for size, _ in options.progressive] == [size for size, _ in own["progressive"]]
        for name in own.keys() - {"epochs", "batch_size", "progressive"}:
            assert getattr(options, name) == own[name]
    assert few.batch_size <= many.batch_size


def test_every_choice_of_a_recipe_can_be_made_otherwise(settled, catdog_options):
    chosen = {
        "image_size": 96, "epochs": 7, "batch_size": 8, "learning_rate": 0.1, "schedule": "one-cycle", "warm_up": 2.0,
        "weight_decay": 0.0, "average": 0.0, "augment": "none", "mixup": 0.2, "label_smoothing": 0.0, "dropout": 0.5,
        "keep": "best",
    }  # fmt: skip
    assert catdog_options.OWN.keys() == chosen.keys() | {"progressive", "flip"}
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in chosen.items())
    options = vars(settled(f"--data x --progressive off --flip {words}", 20_000))
    assert {name: options[name] for name in chosen} == chosen
    assert options["flip"] is True and not options["progressive"]
    assert settled("--data x --no-flip", 20_000).flip is False


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 24, 139])
@pytest.mark.parametrize("size", [32, 40, 64, 112, 160, 224])
def test_sizes_share_any_number_of_epochs_and_never_shrink(settled, size, epochs):
    options = settled(f"--data x --epochs {epochs} --image-size {size}", 20_000)
    sizes, shares = zip(*options.progressive, strict=True)
    assert sum(shares) == epochs == options.epochs and min(shares) >= 1
    assert list(sizes) == sorted(sizes) and sizes[0] >= 32 and sizes[-1] <= size
    assert all(part % 8 == 0 for part in sizes)


def test_stages_that_are_asked_for_say_how_many_epochs_there_are(settled):
    options = settled("--data x --progressive 48:3,64:4 --image-size 80", 20_000)
    assert options.epochs == 7 and list(options.progressive) == [(48, 3), (64, 4)]
    with pytest.raises(mc.ArgumentError, match="sizes up to --image-size 64, received 80. Raise"):
        settled("--data x --progressive 80:3 --image-size 64", 20_000)


def test_help_lists_every_recipe(catdog_options):
    table = catdog_options.recipe_table()
    stages = ",".join(f"{size}:{epochs}" for size, epochs in catdog_options.OWN["progressive"])
    assert all(name in table for name in catdog_options.RECIPES) and stages in table
    assert str(catdog_options.OWN["label_smoothing"]) in table.split("--label-smoothing")[1].split("--")[0]


def test_the_examples_in_its_docstrings(catdog_options, monkeypatch):
    # doctest looks there to see whose a function is
    monkeypatch.setitem(sys.modules, "catdog_options", catdog_options)
    tried = doctest.testmod(catdog_options)
    assert tried.attempted >= 3 and tried.failed == 0
