"""The bundled model: small, described by its card, and the same wherever it is loaded."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import draw
from minicnn.models import pretrained


def test_it_is_small_and_the_one_of_its_card():
    path = pretrained.path_of("catdog")
    assert path.stat().st_size <= 6_000_000
    model, card = mc.pretrained(), path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"| catdog, {sum(p.value.size for p in model.parameters):,} parameters |" in card
    assert (
        f"temperature {model.temperature:.3f}" in card and model.tta and model.class_names == ["cat", "dog"]
    )


def test_its_logits_of_synthetic_images_are_what_they_were():
    """Measured once with the kernels im2col: photos are not part of the project, these images are."""
    images = [draw(kind, np.random.default_rng(seed), 96) for kind in ("cat", "dog") for seed in (0, 1)]
    model = mc.load_model(pretrained.path_of(), kernels="im2col")
    x = np.stack([mc.data.decode(image, mc.data.Preprocessing.of(model)) for image in images])
    p = model.predict(x)[:, 0].astype(float)
    np.testing.assert_allclose(np.log(p / (1 - p)), LOGITS, atol=2e-3)


LOGITS = [-5.64023, -4.744686, -2.701323, 3.088289]


def test_another_name_is_refused():
    with pytest.raises(mc.ArgumentError, match="one of catdog, received 'dogcat'"):
        mc.pretrained("dogcat")
