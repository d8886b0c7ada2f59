"""Tests of mixup: its formula, the distribution of the shares, and its use in a loader."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Augmentation, Loader
from minicnn.data.mixup import mix


def test_each_image_is_blended_with_the_one_before_it(rng):
    x, y = rng.random((5, 3, 2, 1)).astype("float32"), np.array([0, 1, 1, 0, 1])
    mixed, targets = mix(x.copy(), y, [7, 3, 9, 0, 2], epoch=4, seed=1, alpha=0.4)
    for n, index in enumerate([7, 3, 9, 0, 2]):
        share = np.random.default_rng([1, 4, index, 1]).beta(0.4, 0.4)
        np.testing.assert_allclose(mixed[n], share * x[n] + (1 - share) * x[n - 1], rtol=1e-5)
        assert targets[n] == pytest.approx(share * y[n] + (1 - share) * y[n - 1], rel=1e-5)


def test_shares_are_beta_distributed():
    y = np.zeros((2000, 1), np.float32)
    x = np.zeros((2000, 1, 1, 1), np.float32)
    x[::2] = 1
    shares = mix(x, y, range(2000), 0, 0, 0.2)[0][::2].ravel()  # 1 blended with 0 shows the share itself
    assert shares.mean() == pytest.approx(0.5, abs=0.04)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), rel=0.05)


def test_a_loader_blends_in_training_only(rng):
    images, labels = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8), np.arange(6) % 3
    loader = Loader(images, labels, 6, False, augmentation=Augmentation(), classes=3, mixup=0.5)
    x, y, _ = next(loader.batches(0))
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)
    assert ((y > 0).sum(1) == 2).all() and not np.allclose(x, images / 255, atol=0.01)
    x, y, _ = next(loader.unshuffled())
    np.testing.assert_array_equal(y, np.eye(3)[labels])
    np.testing.assert_allclose(x, images / 255, rtol=1e-6)


def test_accuracy_on_blended_labels_uses_the_larger_share():
    assert mc.metrics.true_classes([0.4, 0.6, 1.0], [0, 0, 0]).tolist() == [0, 1, 1]


def test_class_numbers_become_rows_if_the_number_of_classes_is_known(rng):
    images = rng.integers(0, 256, (3, 2, 2, 3), dtype=np.uint8)
    loader = Loader(images, [0, 1, 2], 3, False, mixup=0.2, class_names=["a", "b", "c"])
    _, y, _ = next(loader.batches(0))
    assert y.shape == (3, 3) and ((y > 0).sum(1) == 2).all()
    with pytest.raises(mc.ArgumentError, match="classes="):
        Loader(images, [0, 1, 2], mixup=0.2)
    for mixup in (-1, None, "0.2", True, np.inf):
        with pytest.raises(mc.ArgumentError, match="mixup"):
            Loader(images, [0, 1, 1], mixup=mixup)
    with pytest.raises(mc.ArgumentError, match="labels to blend"):
        Loader(images, mixup=0.2)
