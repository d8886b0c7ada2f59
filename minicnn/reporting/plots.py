"""Pictures of a training run: samples, curves, predictions, confusion matrix; each is one PNG file.

Matplotlib's figures are used directly, without pyplot, so that nothing global is set and no window opens.
Colours are Okabe and Ito's, which the colour-blind can tell apart; right and wrong also differ by a mark.
Called by examples/catdog.py.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..metrics import Proportion
from ..saving import files

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"


def samples(
    path: str | Path,
    pictures: np.ndarray,
    augmented: np.ndarray | None,
    titles: Sequence[str],
    note: str = "",
) -> None:
    """Labelled pictures as the network sees them, each with an augmented copy beside it.

    Parameters
    ----------
    path : str or Path
    pictures : array (N, H, W, 3), float32 in [0, 1]
    augmented : array of the same shape, optional
    titles : sequence of str (N,)
    note : str
        Added to the heading.
    """
    shown = (
        pictures if augmented is None else np.stack([pictures, augmented], 1).reshape(-1, *pictures.shape[1:])
    )
    words = list(titles) if augmented is None else [word for title in titles for word in (title, "augmented")]
    figure, axes = _grid(len(shown), columns=8)
    for axis, picture, word in zip(axes, shown, words, strict=False):
        axis.imshow(picture)
        axis.set_title(word, parse_math=False, fontsize=11, color="0.45" if word == "augmented" else "black")
    figure.suptitle(
        f"What the network sees: {pictures.shape[2]} x {pictures.shape[1]} pixels{note}", fontsize=14
    )
    _save(figure, path)


def predictions(
    path: str | Path, pictures: np.ndarray, titles: Sequence[str], right: Sequence[bool], heading: str
) -> None:
    """Pictures with what was predicted; mistakes stand in an orange frame under a cross.

    Parameters
    ----------
    path : str or Path
    pictures : array (N, H, W, 3), float32 in [0, 1]
    titles : sequence of str (N,)
    right : sequence of bool (N,)
    heading : str
    """
    figure, axes = _grid(len(pictures), columns=6)
    for axis, picture, title, good in zip(axes, pictures, titles, right, strict=False):
        colour = BLUE if good else ORANGE
        axis.imshow(picture)
        axis.set_title(f"{'✓' if good else '✗'} {title}", parse_math=False, fontsize=11, color=colour)
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        for side in axis.spines.values():
            side.set(color=colour, linewidth=1 if good else 4)
    figure.suptitle(heading, fontsize=14)
    _save(figure, path)


def curves(path: str | Path | None, history: dict[str, list], best_epoch: int | None = None) -> Figure:
    """Loss and accuracy over epochs, in training and validation.

    Parameters
    ----------
    path : str, Path or None
        None writes no file.
    history : dict of lists
        As `History.history`.
    best_epoch : int, optional
        From 0; marked by a line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label, colour, style in (
            (name, "training", BLUE, "o-"),
            (f"val_{name}", "validation", ORANGE, "s--"),
        ):
            values = history.get(key, [])
            epochs = np.arange(1, len(values) + 1)
            axis.plot(epochs, values, style, color=colour, label=label, markersize=4)
            if values and all(isinstance(value, Proportion) for value in values):
                error = np.array([value.standard_error for value in values])
                middle = np.array(values, float)
                axis.fill_between(
                    epochs, middle - error, middle + error, color=colour, alpha=0.2, linewidth=0
                )
        if best_epoch is not None:
            axis.axvline(best_epoch + 1, color=GREEN, linestyle=":", label=f"saved: epoch {best_epoch + 1}")
        axis.set_xlabel("epoch", fontsize=12)
        axis.set_ylabel("loss" if name == "loss" else "accuracy (band: standard error)", fontsize=12)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=11)
    if path is not None:
        _save(figure, path)
    return figure


def confusion(path: str | Path, counts: np.ndarray, class_names: Sequence[str], heading: str) -> None:
    """The confusion matrix, with counts and the share of each true class.

    Parameters
    ----------
    path : str or Path
    counts : array of int (K, K)
        ``counts[i, j]``: of true class i, predicted as j.
    class_names : sequence of str (K,)
    heading : str
    """
    K = len(class_names)
    figure = Figure(figsize=(3.4 + 0.9 * min(K, 20), 2.8 + 0.8 * min(K, 20)), layout="constrained")
    axis = figure.subplots()
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(counts.shape) if K <= 20 else ():  # more would not be legible
        colour = "white" if share[i, j] > 0.5 else "black"
        axis.text(
            j, i, f"{counts[i, j]}\n{share[i, j]:.1%}", ha="center", va="center", color=colour, fontsize=12
        )
    size = 12 if K <= 20 else 240 / K
    axis.set_xticks(range(K), class_names, parse_math=False, fontsize=size)
    axis.set_yticks(range(K), class_names, parse_math=False, fontsize=size)
    axis.set_xlabel("predicted", fontsize=12)
    axis.set_ylabel("true", fontsize=12)
    axis.set_title(heading, fontsize=12)
    figure.colorbar(image, label="share of the true class")
    _save(figure, path)


def reliability(path: str | Path, confidence: np.ndarray, right: np.ndarray, heading: str) -> None:
    """How often answers of each confidence are right, and how many there are of each.

    Parameters
    ----------
    path : str or Path
    confidence : array (N,) in [0, 1]
        Of the predicted class.
    right : array of bool (N,)
    heading : str
    """
    edges = np.linspace(min(0.5, float(confidence.min(initial=0.5))), 1, 11)
    place = np.clip(np.digitize(confidence, edges) - 1, 0, 9)
    counts = np.bincount(place, minlength=10)
    some = counts > 0
    means = np.bincount(place, confidence, 10)[some] / counts[some]
    shares = np.bincount(place, right, 10)[some] / counts[some]
    spread = np.sqrt(shares * (1 - shares) / counts[some])
    figure = Figure(figsize=(7, 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot(edges[[0, -1]], edges[[0, -1]], color="0.5", linestyle="--", label="confidence = accuracy")
    above.errorbar(
        means, shares, spread, color=BLUE, marker="o", capsize=3, label="this model, with standard error"
    )
    above.set_ylabel("share that is right", fontsize=12)
    above.set_ylim(-0.02, 1.05)
    above.legend(fontsize=11, loc="lower right")
    above.grid(alpha=0.3)
    below.bar((edges[:-1] + edges[1:]) / 2, counts, width=0.9 * np.diff(edges), color=BLUE)
    below.set_xlabel("confidence of the answer", fontsize=12)
    below.set_ylabel("images", fontsize=12)
    below.set_yscale("log")  # nearly all answers are sure
    figure.suptitle(heading, fontsize=14)
    _save(figure, path)


def learning_rates(
    path: str | Path, rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float
) -> None:
    """The loss while the learning rate grew, and the rate that is suggested.

    Parameters
    ----------
    path : str or Path
    rates, losses, smoothed : array (steps,)
    suggestion : float
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axis = figure.subplots()
    axis.plot(rates, losses, ".", color=BLUE, alpha=0.5, markersize=5, label="a batch")
    axis.plot(rates, smoothed, "-", color=ORANGE, linewidth=2, label="moving average")
    axis.axvline(suggestion, color=GREEN, linestyle=":", linewidth=2, label=f"suggested: {suggestion:.2g}")
    axis.set_xscale("log")
    axis.set_xlabel("learning rate", fontsize=12)
    axis.set_ylabel("loss", fontsize=12)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=12)
    axis.set_title("The loss falls fastest where the line is dotted", fontsize=14)
    _save(figure, path)


def _grid(count, columns):
    rows = max(1, math.ceil(count / columns))
    figure = Figure(figsize=(1.75 * columns, 2.0 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def _save(figure, path):
    picture = io.BytesIO()
    figure.savefig(picture, dpi=100, format=Path(path).suffix[1:] or "png")
    files.replace(path, picture.getvalue())
