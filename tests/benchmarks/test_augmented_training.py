"""The cost of augmentation is measured on loaders that differ in the augmentation only."""

import numpy as np


def test_all_loaders_read_the_same_images_and_each_augmentation_changes_them(programs, drawn):
    benchmark = programs("augmented_training")
    found = benchmark.loaders(drawn, 12)
    assert list(found) == ["none", "light", "strong", "everything"]
    batches = {name: next(iter(loader.batches(0))) for name, loader in found.items()}
    plain, labels, _ = batches["none"]
    assert plain.shape == (12, 150, 150, 3) and set(labels) == {0, 1}
    for name, (x, y, _) in batches.items():
        assert x.shape == plain.shape and (name == "none" or np.abs(x - plain).mean() > 0.01)
        assert (y == labels).all() or name == "everything"
    assert ((batches["everything"][1] > 0) & (batches["everything"][1] < 1)).any()
    assert (found["none"].x[[0, -1]] == found["everything"].x[[0, -1]]).all()
