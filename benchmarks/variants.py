"""examples/catdog.py with networks that differ from its own in one thing, so that what the thing is worth can be asked.

    python benchmarks/variants.py train --network NAME ...

All else, the recipe too, is as for `--network catdog`, which is drawn in minicnn/networks.py.  Called by ablations.py.
"""

import sys
from pathlib import Path

import minicnn as mc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
import catdog
import catdog_options

WIDTHS = (48, 96, 192, 256)


def convolution(filters, pool=(), pool_first=True):
    """Convolution, normalisation and ReLU; with a pool before them, or behind."""
    layers = [mc.Conv2D(filters, 3, padding="same", use_bias=False)]
    others = [mc.BatchNormalization(), mc.ReLU()]
    return [*layers, *pool, *others] if pool_first else [*layers, *others, *pool]


def network(widths=WIDTHS, residuals=1, plain=0, pool_first=True):
    """A maker of `catdog` as its recipe calls it; `plain` convolutions stand in place of residual ones."""

    def make(classes=2, dropout=0.0, kernels="fast"):
        layers = convolution(widths[0] // 2, [mc.MaxPool2D(2)], pool_first)
        for filters in widths:
            layers += convolution(filters, [mc.MaxPool2D(2)], pool_first)
            layers += [mc.Residual(convolution(filters)) for _ in range(residuals)]
            for _ in range(plain):
                layers += convolution(filters)
        layers += [mc.GlobalAveragePool2D(), *([mc.Dropout(dropout)] if dropout else [])]
        layers += [mc.Dense(1), mc.Sigmoid()] if classes == 2 else [mc.Dense(classes), mc.Softmax()]
        return mc.Sequential(layers, kernels, "catdog")

    return make


VARIANTS = {
    "no-second-convolutions": network(residuals=0),
    "no-shortcuts": network(residuals=0, plain=1),
    "two-residuals": network(residuals=2),
    "half-as-wide": network(tuple(width // 2 for width in WIDTHS)),
    "pool-last": network(pool_first=False),
}


def introduce() -> None:
    """Let catdog.py know the variants."""
    for name, make in VARIANTS.items():
        catdog_options.NETWORKS[name] = make
        catdog_options.RECIPES[name] = catdog_options.RECIPES["catdog"]


if __name__ == "__main__":
    introduce()
    sys.exit(catdog.main())
