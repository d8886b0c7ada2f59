"""The ablations: differences and their errors, tables, and changes that the command line understands."""

import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.cli import options
from minicnn.layers.description import describe
from minicnn.models import recipes


@pytest.fixture
def ablations(programs):
    return programs("ablations")


@pytest.fixture
def variants(programs):
    """The module variants.py; what it adds to the tables of recipes.py is removed afterwards."""
    tables = recipes.NETWORKS, recipes.RECIPES, recipes.AUGMENTATIONS
    before = [dict(table) for table in tables]
    yield programs("variants")
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def row(correct):
    """A row of the results, from a mask of the images that were classified correctly."""
    return {"images": len(correct), "wrong": np.flatnonzero(~correct).tolist()}


def result(wrong):
    """A row of 100 images of which these are classified wrongly; with TTA all but the first of them."""
    return {"images": 100, "correct": 100 - len(wrong), "wrong": wrong, "wrong_with_tta": wrong[1:],
            "training_accuracy": 0.9, "seconds": 90.0}  # fmt: skip


def test_a_difference_and_its_error_are_those_of_paired_predictions(ablations, rng):
    one, other = rng.random(200) < 0.9, rng.random(200) < 0.8
    d = one.astype(float) - other
    expected = 100 * d.mean(), 100 * d.std() / np.sqrt(len(d))
    np.testing.assert_allclose(ablations.compare(row(one), row(other)), expected, rtol=1e-12)
    assert ablations.compare(row(one), row(one)) == (0, 0)


def test_every_variant_is_another_network_and_without_a_change_it_is_catdog(variants):
    def described(make):
        return [describe(layer) for layer in make().layers]

    networks = [described(make) for make in (variants.varied(list), *variants.VARIANTS.values())]
    assert networks[0] == described(mc.networks.catdog)
    assert all(networks.count(network) == 1 for network in networks)
    for make in variants.VARIANTS.values():
        model = make(3, 0.5, "im2col").build((32, 32, 3))
        assert model.output_shapes[-1] == (3,) and model.kernels_name == "im2col"


def test_the_command_line_understands_every_change_and_each_changes_the_run(ablations, variants):
    variants.introduce()
    parser = options.parser("variants.py")

    def chosen(changes):
        given = parser.parse_args(["train", *ablations.COMMON, *changes])
        return options.choose(given, 2000), given.seed

    recipe = chosen(ablations.CHANGES[ablations.RECIPE])
    for name, changes in ablations.CHANGES.items():
        assert (chosen(changes) == recipe) == (name == ablations.RECIPE), name


def test_the_page_compares_each_row_with_the_recipe(ablations):
    text = ablations.text({"no label smoothing": result([1, 2, 3]), ablations.RECIPE: result([1])})
    _, _, recipe, other = text.splitlines()
    assert recipe == "| the recipe | 99.0 ± 1.0 % |  | 100.0 ± 0.0 % |  | +1.0 ± 1.0 | 90.0 % | 1.5 |"
    assert other.startswith("| no label smoothing | 97.0 ± 1.7 % | -2.0 ± 1.4 | 98.0 ± 1.4 % | -2.0 ± 1.4 |")


def test_a_group_begins_with_the_most_harmful_change_and_ends_with_the_recipe(ablations):
    rows = {
        ablations.RECIPE: result([1]),
        "a": result([1, 2]),
        "b": result([1, 2, 3, 4]),
        "c": result([7, 8]),
    }
    names = [line.split(" | ")[0] for line in ablations.group_table(rows, ["a", "b", "missing"]).splitlines()]
    assert names[2:] == ["| b", "| a", "| the recipe"]


def test_without_photos_nothing_is_trained(ablations, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ablations.py"])
    with pytest.raises(SystemExit, match="PHOTOS"):
        ablations.main()
