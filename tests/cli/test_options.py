"""Options become a recipe: its defaults, each option in their place, and the table of --help."""

import pytest

import minicnn as mc
from minicnn.cli import options
from minicnn.models import recipes


def chosen(words, images):
    parsed = options.parser("minicnn").parse_args(["train", *words.split()])
    return options.choose(parsed, images)


@pytest.mark.parametrize(
    ("words", "images", "expected"),
    [
        ("", 3000, recipes.Recipe("two-block", epochs=10)),
        (
            "--data x --network two-block --augment --epochs 25 --patience 25 --learning-rate 5e-4",
            8000,
            recipes.Recipe("two-block", augment="light", learning_rate=5e-4),
        ),
        (
            "--data x --network four-block --epochs 30 --patience 30 --batch-size 20 --learning-rate 1e-4",
            2000,
            recipes.Recipe("four-block", image_size=150, epochs=30, batch_size=20, learning_rate=1e-4),
        ),
        ("--data x --network two-block", 8000, recipes.Recipe("two-block")),
    ],
)
def test_the_synthetic_example_and_the_published_runs_keep_their_settings(words, images, expected):
    assert chosen(words, images) == expected


def test_every_setting_of_a_recipe_has_an_option():
    values = {
        "image_size": 96, "epochs": 7, "batch_size": 8, "learning_rate": 0.1, "schedule": "one-cycle", "warmup": 2.0,
        "weight_decay": 0.0, "ema": 0.0, "augment": "none", "mixup": 0.2, "label_smoothing": 0.0, "dropout": 0.5,
        "save": "best",
    }  # fmt: skip
    assert set(recipes.settings()) == values.keys() | {"progressive", "tta"}
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in values.items())
    recipe = chosen(f"--data x --progressive off --no-tta {words}", 20_000)
    assert {name: getattr(recipe, name) for name in values} == values
    assert recipe.tta is False and not recipe.progressive and recipe.network == "catdog"


def test_stages_say_how_many_epochs_there_are():
    recipe = chosen("--data x --progressive 48:3,64:4 --image-size 80", 20_000)
    assert recipe.epochs == 7 and recipe.progressive == ((48, 3), (64, 4))
    with pytest.raises(mc.ArgumentError, match="sizes up to --image-size 64, received 80. Raise"):
        chosen("--data x --progressive 80:3 --image-size 64", 20_000)


def test_help_lists_every_recipe():
    table = options.recipe_table()
    stages = ",".join(f"{size}:{epochs}" for size, epochs in recipes.RECIPES["catdog"].progressive)
    assert all(name in table for name in recipes.RECIPES) and stages in table
    line = next(line for line in table.splitlines() if line.startswith("--epochs"))
    assert line.split()[1:] == ["25", "25", "10", "to", "150"]
