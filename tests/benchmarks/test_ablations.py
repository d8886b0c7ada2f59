"""What a part of the recipe is worth: differences and their errors, and changes that catdog.py understands."""

import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.layers.description import describe


@pytest.fixture
def ablations(programs):
    return programs("ablations")


def row(right):
    """A row of the results, from which pictures were told rightly."""
    return {"pictures": len(right), "wrong": np.flatnonzero(~right).tolist()}


def test_a_difference_and_its_error_are_those_of_the_paired_answers(ablations, rng):
    one, other = rng.random(200) < 0.9, rng.random(200) < 0.8
    d = one.astype(float) - other
    expected = 100 * d.mean(), 100 * d.std() / np.sqrt(len(d))
    np.testing.assert_allclose(ablations.compare(row(one), row(other)), expected, rtol=1e-12)
    assert ablations.compare(row(one), row(one)) == (0, 0)


@pytest.fixture
def variants(programs, root, monkeypatch):
    monkeypatch.syspath_prepend(root / "examples")
    return programs("variants")


def test_every_variant_is_another_network_and_the_one_they_vary_is_catdog(variants):
    def drawn(make):
        return [describe(layer) for layer in make().layers]

    networks = [drawn(make) for make in (variants.varied(list), *variants.VARIANTS.values())]
    assert networks[0] == drawn(mc.networks.catdog)
    assert all(networks.count(network) == 1 for network in networks)
    for make in variants.VARIANTS.values():
        model = make(3, 0.5, "im2col").build((32, 32, 3))
        assert model.output_shapes[-1] == (3,) and model.kernels_name == "im2col"


def test_every_change_is_one_that_catdog_understands_and_changes_something(
    ablations, variants, root, monkeypatch
):
    import catdog_options

    for name in ("NETWORKS", "RECIPES", "AUGMENTATIONS"):
        monkeypatch.setattr(catdog_options, name, dict(getattr(catdog_options, name)))
    variants.introduce()

    def settled(changes):
        options = catdog_options.parser("what\n\nhow", root).parse_args(
            ["train", *ablations.COMMON, *changes]
        )
        catdog_options.settle(options, 2000)
        return vars(options)

    whole = settled(ablations.CHANGES[ablations.WHOLE])
    for name, changes in ablations.CHANGES.items():
        assert (settled(changes) == whole) == (name == ablations.WHOLE), name


def test_the_table_compares_each_row_with_the_recipe(ablations):
    def result(wrong):
        return {"pictures": 100, "right": 100 - len(wrong), "wrong": wrong, "wrong_flip": wrong[1:],
                "training_accuracy": 0.9, "seconds": 90.0}  # fmt: skip

    text = ablations.table({"no average": result([1, 2, 3]), ablations.WHOLE: result([1])})
    _, _, whole, other = text.splitlines()
    assert whole.startswith("| the recipe | 99.0 ± 1.0 % |  | 100.0 % (+1.0 ± 1.0) |  | 90.0 % | 1.5 |")
    assert other.startswith("| no average | 97.0 ± 1.7 % | -2.0 ± 1.4 | 98.0 % (+1.0 ± 1.0) | -2.0 ± 1.4 |")


def test_nothing_is_trained_without_photographs(ablations, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ablations.py"])
    with pytest.raises(SystemExit, match="PHOTOS"):
        ablations.main()
