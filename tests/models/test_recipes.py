"""Recipes: how they follow the number of images, and how stages stretch."""

from dataclasses import fields

import pytest

import minicnn as mc
from minicnn.models import recipes


def test_photos_get_as_many_epochs_as_they_need():
    own = recipes.RECIPES["catdog"]
    few, many = recipes.resolve("catdog", 2000), recipes.resolve("catdog", 20_000)
    assert few.epochs >= many.epochs >= recipes.resolve("catdog", 10**9).epochs >= 1
    assert few.batch_size <= many.batch_size
    for recipe in (few, many):
        assert sum(epochs for _, epochs in recipe.progressive) == recipe.epochs
        assert [size for size, _ in recipe.progressive] == [size for size, _ in own.progressive]
        for field in fields(own):
            if field.name not in ("epochs", "batch_size", "progressive"):
                assert getattr(recipe, field.name) == getattr(own, field.name)


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 24, 139])
@pytest.mark.parametrize("size", [32, 40, 64, 112, 160, 224])
def test_sizes_share_any_number_of_epochs_and_never_shrink(size, epochs):
    recipe = recipes.resolve("catdog", 20_000, {"epochs": epochs, "image_size": size})
    sizes, shares = zip(*recipe.progressive, strict=True)
    assert sum(shares) == epochs == recipe.epochs and min(shares) >= 1
    assert list(sizes) == sorted(sizes) and sizes[0] >= 32 and sizes[-1] <= size
    assert all(part % 8 == 0 for part in sizes)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_builds_its_network_and_its_optimizer(name):
    recipe = recipes.resolve(name, 1000)
    model = recipe.build_network(3, kernels="reference")
    assert type(model.layers[-1]) is mc.layers.Softmax
    optimizer = recipe.optimizer(10)
    assert type(optimizer) is (mc.AdamW if recipe.weight_decay else mc.Adam)
    assert (optimizer.learning_rate == recipe.learning_rate) is (recipe.schedule == "constant")
