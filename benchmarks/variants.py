"""The command `minicnn` with more networks and augmentations, each of which differs from catdog's in one thing.

    python benchmarks/variants.py train --network NAME --augment NAME ...

Everything else, including the recipe, is as with `--network catdog`; that network is in minicnn/models/networks.py.
Called by ablations.py, which measures the effect of each change.
"""

import sys
from dataclasses import replace

import minicnn as mc
from minicnn import cli
from minicnn.models import recipes


def varied(change):
    """A function that makes `catdog`, as recipes call it, with its layers replaced by `change(layers)`."""

    def make(classes=2, dropout=0.0, kernels="fast"):
        layers = mc.networks.catdog(classes, dropout, kernels).layers
        return mc.Sequential(change(layers), kernels, "catdog")

    return make


def replace_residuals(replacement):
    """A change that replaces each Residual by the layers that `replacement(residual)` returns."""
    return lambda layers: [
        new for layer in layers for new in (replacement(layer) if isinstance(layer, mc.Residual) else [layer])
    ]


def copied(layers, width=1.0):
    """New layers like these, whose convolutions have `width` times as many filters."""
    copies = []
    for layer in layers:
        config = layer.config
        if isinstance(layer, mc.Residual):
            config |= {"layers": copied(layer.layers, width)}
        if isinstance(layer, mc.Conv2D):
            config |= {"filters": round(width * layer.filters)}
        copies.append(type(layer)(**config))
    return copies


def stochastic_depth(residual, rate=0.1):
    """In training, each image skips the residual's layers with this probability."""
    return [mc.Residual([*residual.layers, mc.Dropout(rate, noise_shape=(None, 1, 1, 1))])]


def pool_last(layers):
    """Move each pool behind the normalisation and the ReLU that follow it."""
    layers = list(layers)
    for place, layer in enumerate(layers[:-2]):
        if isinstance(layer, mc.MaxPool2D) and isinstance(layers[place + 1], mc.BatchNormalization):
            layers[place : place + 3] = [*layers[place + 1 : place + 3], layer]
    return layers


VARIANTS = {
    "no-second-convolutions": varied(replace_residuals(lambda residual: [])),
    "no-shortcuts": varied(replace_residuals(lambda residual: residual.layers)),
    "two-residuals": varied(replace_residuals(lambda residual: [residual, *copied([residual])])),
    "stochastic-depth": varied(replace_residuals(stochastic_depth)),
    "half-as-wide": varied(lambda layers: copied(layers, 0.5)),
    "half-wider": varied(lambda layers: copied(layers, 1.5)),
    "pool-last": varied(pool_last),
}
AUGMENTATIONS = {
    "no-crop": replace(recipes.STRONG, crop_scale=None),
    "no-turning": replace(recipes.STRONG, rotation_range=0),
    "no-mirror": replace(recipes.STRONG, horizontal_flip=False),
    "no-brightness": replace(recipes.STRONG, brightness_range=None),
    "no-contrast": replace(recipes.STRONG, contrast_range=None),
    "no-saturation": replace(recipes.STRONG, saturation_range=None),
    "no-light": replace(recipes.STRONG, **dict.fromkeys(recipes.COLOURS)),
    "cutout": replace(recipes.STRONG, cutout=0.3),
}


def introduce() -> None:
    """Add the variants to the tables from which the command line takes its choices."""
    recipes.AUGMENTATIONS.update(AUGMENTATIONS)
    for name, make in VARIANTS.items():
        recipes.NETWORKS[name] = make
        recipes.RECIPES[name] = replace(recipes.RECIPES["catdog"], network=name)


if __name__ == "__main__":
    introduce()
    sys.exit(cli.main(program="python benchmarks/variants.py"))
