"""examples/catdog.py with networks and augmentations that differ from its own in one thing, to ask what it is worth.

    python benchmarks/variants.py train --network NAME --augment NAME ...

All else, the recipe too, is as for `--network catdog`, which is drawn in minicnn/networks.py.  Called by ablations.py.
"""

import sys
from dataclasses import replace
from pathlib import Path

import minicnn as mc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
import catdog
import catdog_options


def varied(change):
    """A maker of `catdog` as its recipe calls it, whose layers went through `change` before they were built."""

    def make(classes=2, dropout=0.0, kernels="fast"):
        layers = mc.networks.catdog(classes, dropout, kernels).layers
        return mc.Sequential(change(layers), kernels, "catdog")

    return make


def residuals(put):
    """A change that puts, in place of each Residual, the layers that `put` makes of it."""
    return lambda layers: [
        new for layer in layers for new in (put(layer) if isinstance(layer, mc.Residual) else [layer])
    ]


def copied(layers, width=1.0):
    """New layers like these, whose convolutions have `width` times as many filters."""
    made = []
    for layer in layers:
        config = layer.config
        if isinstance(layer, mc.Residual):
            config |= {"layers": copied(layer.layers, width)}
        if isinstance(layer, mc.Conv2D):
            config |= {"filters": round(width * layer.filters)}
        made.append(type(layer)(**config))
    return made


def stochastic(residual, rate=0.1):
    """In training, each picture goes past the residual's layers with this probability."""
    return [mc.Residual([*residual.layers, mc.Dropout(rate, noise_shape=(None, 1, 1, 1))])]


def pool_last(layers):
    """Each pool goes behind the normalisation and the ReLU that follow it."""
    layers = list(layers)
    for place, layer in enumerate(layers[:-2]):
        if isinstance(layer, mc.MaxPool2D) and isinstance(layers[place + 1], mc.BatchNormalization):
            layers[place : place + 3] = [*layers[place + 1 : place + 3], layer]
    return layers


VARIANTS = {
    "no-second-convolutions": varied(residuals(lambda residual: [])),
    "no-shortcuts": varied(residuals(lambda residual: residual.layers)),
    "two-residuals": varied(residuals(lambda residual: [residual, *copied([residual])])),
    "stochastic-depth": varied(residuals(stochastic)),
    "half-as-wide": varied(lambda layers: copied(layers, 0.5)),
    "half-wider": varied(lambda layers: copied(layers, 1.5)),
    "pool-last": varied(pool_last),
}
STRONG = catdog_options.STRONG
AUGMENTATIONS = {
    "no-crop": replace(STRONG, crop_scale=None),
    "no-turning": replace(STRONG, rotation_range=0),
    "no-mirror": replace(STRONG, horizontal_flip=False),
    "no-brightness": replace(STRONG, brightness_range=None),
    "no-contrast": replace(STRONG, contrast_range=None),
    "no-saturation": replace(STRONG, saturation_range=None),
    "no-light": replace(STRONG, **dict.fromkeys(catdog_options.COLOURS)),
    "cutout": replace(STRONG, cutout=0.3),
}


def introduce() -> None:
    """Let catdog.py know the variants."""
    catdog_options.AUGMENTATIONS.update(AUGMENTATIONS)
    for name, make in VARIANTS.items():
        catdog_options.NETWORKS[name] = make
        catdog_options.RECIPES[name] = catdog_options.RECIPES["catdog"]


if __name__ == "__main__":
    introduce()
    sys.exit(catdog.main())
