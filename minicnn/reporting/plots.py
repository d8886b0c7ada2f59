"""Plots of a training run: samples, curves, predictions, confusion matrix, reliability; each is one PNG file.

Matplotlib's Figure is used directly, without pyplot, so no global state changes and no window opens.  The colours are
those of Okabe and Ito, which colour-blind people can distinguish; a mark also shows which predictions are correct.
reports.py decides what to plot.  Called by reports.py, training/history.py and minicnn/cli/.
"""

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..metrics import Proportion
from ..runtime.printing import shortened, warn_once
from ..saving import files

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
MANY = 20  # classes; the confusion matrix of more has no numbers, and does not grow
NARROW = 8  # characters of a class name that fit under a column of the confusion matrix


def samples(
    path: str | Path,
    images: np.ndarray,
    augmented: np.ndarray | None,
    titles: Sequence[str],
    note: str = "",
) -> None:
    """Labelled images as the network sees them, each with an augmented copy next to it.

    Parameters
    ----------
    path : str or Path
    images : array (N, H, W, 3), float32 in [0, 1]
    augmented : array of the same shape, optional
    titles : sequence of str (N,)
    note : str
        Added to the heading.
    """
    shown = images if augmented is None else np.stack([images, augmented], 1).reshape(-1, *images.shape[1:])
    words = list(titles) if augmented is None else [word for title in titles for word in (title, "augmented")]
    figure, axes = _grid(len(shown), columns=8)
    for axis, image, word in zip(axes, shown, words, strict=False):
        axis.imshow(image)
        colour = "0.45" if word == "augmented" else "black"
        axis.set_title(shortened(word, 18), parse_math=False, fontsize=11, color=colour)
    figure.suptitle(f"What the network sees: {images.shape[2]} x {images.shape[1]} pixels{note}", fontsize=14)
    _save(figure, path)


def predictions(
    path: str | Path, images: np.ndarray, titles: Sequence[str], right: Sequence[bool], heading: str
) -> None:
    """Images with their predictions; a wrong one has an orange frame and a cross.

    Parameters
    ----------
    path : str or Path
    images : array (N, H, W, 3), float32 in [0, 1]
    titles : sequence of str (N,)
    right : sequence of bool (N,)
        Whether each prediction is correct.
    heading : str
    """
    figure, axes = _grid(len(images), columns=6)
    for axis, image, title, good in zip(axes, images, titles, right, strict=False):
        colour = BLUE if good else ORANGE
        axis.imshow(image)
        axis.set_title(
            f"{'✓' if good else '✗'} {shortened(title, 60)}", parse_math=False, fontsize=11, color=colour
        )
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        for side in axis.spines.values():
            side.set(color=colour, linewidth=1 if good else 4)
    figure.suptitle(heading, fontsize=14)
    _save(figure, path)


def curves(path: str | Path | None, history: dict[str, list], best_epoch: int | None = None) -> Figure:
    """Loss and accuracy over epochs, for training and validation.

    Parameters
    ----------
    path : str, Path or None
        None writes no file.
    history : dict of lists
        The attribute `history` of a History.
    best_epoch : int, optional
        The epoch to mark by a line, counted from 0.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, part, colour, style in (
            (name, "training", BLUE, "o-"),
            (f"val_{name}", "validation", ORANGE, "s--"),
        ):
            values = history.get(key, [])
            epochs = np.arange(1, len(values) + 1)
            axis.plot(epochs, values, style, color=colour, label=part, markersize=4)
            if values and all(isinstance(value, Proportion) for value in values):
                error = np.array([value.standard_error for value in values])
                middle = np.array(values, float)
                axis.fill_between(
                    epochs, middle - error, middle + error, color=colour, alpha=0.2, linewidth=0
                )
        if best_epoch is not None:
            axis.axvline(best_epoch + 1, color=GREEN, linestyle=":", label=f"saved: epoch {best_epoch + 1}")
        axis.set_xlabel("epoch", fontsize=12)
        axis.set_ylabel("loss" if name == "loss" else "accuracy (shaded: standard error)", fontsize=12)
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
        ``counts[i, j]`` is the number of samples of class i that are predicted as class j.
    class_names : sequence of str (K,)
    heading : str
    """
    K, names = len(class_names), [shortened(name, 24) for name in class_names]
    longest = max(map(len, names))
    room = 0.09 * max(longest - NARROW, 0)  # inches
    cells = min(K, MANY)
    figure = Figure(figsize=(3.4 + 0.9 * cells + room, 2.8 + 0.8 * cells + room), layout="constrained")
    axis = figure.subplots()
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(counts.shape) if K <= MANY else ():  # more numbers would not be legible
        colour = "white" if share[i, j] > 0.5 else "black"
        axis.text(
            j, i, f"{counts[i, j]}\n{share[i, j]:.1%}", ha="center", va="center", color=colour, fontsize=12
        )
    height = 0.7 * 72 * 0.8 * cells / K  # of a name in a row, in points; below 6, only every nth is shown
    shown = range(0, K, math.ceil(6 / height))
    style: dict[str, Any] = {"parse_math": False, "fontsize": min(max(height, 6), 12)}
    turned: dict[str, Any] = {"rotation": 90} if longest > NARROW or K > MANY else {}
    axis.set_xticks(shown, [names[k] for k in shown], **style, **turned)
    axis.set_yticks(shown, [names[k] for k in shown], **style)
    axis.set_xlabel("predicted", fontsize=12)
    axis.set_ylabel("true", fontsize=12)
    axis.set_title(heading, fontsize=12)
    figure.colorbar(image, label="share of the true class")
    _save(figure, path)


def reliability(path: str | Path, confidence: np.ndarray, right: np.ndarray, heading: str) -> None:
    """The share of correct predictions at each confidence, and the number of predictions.

    Parameters
    ----------
    path : str or Path
    confidence : array (N,) in [0, 1]
        The probability of the predicted class.
    right : array of bool (N,)
        Whether each prediction is correct.
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
    above.set_ylabel("share of correct predictions", fontsize=12)
    above.set_ylim(-0.02, 1.05)
    above.legend(fontsize=11, loc="lower right")
    above.grid(alpha=0.3)
    below.bar((edges[:-1] + edges[1:]) / 2, counts, width=0.9 * np.diff(edges), color=BLUE)
    below.set_xlabel("confidence of the prediction", fontsize=12)
    below.set_ylabel("images", fontsize=12)
    below.set_yscale("log")  # because nearly all predictions are confident
    figure.suptitle(heading, fontsize=14)
    _save(figure, path)


def learning_rates(
    path: str | Path, rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float
) -> None:
    """The loss over the learning rate of a range test, and the suggested rate.

    Parameters
    ----------
    path : str or Path
    rates, losses, smoothed : array (steps,)
    suggestion : float
        As in `Finding` of training/lr_finder.py.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axis = figure.subplots()
    axis.plot(rates, losses, ".", color=BLUE, alpha=0.5, markersize=5, label="one batch")
    axis.plot(rates, smoothed, "-", color=ORANGE, linewidth=2, label="moving average")
    axis.axvline(suggestion, color=GREEN, linestyle=":", linewidth=2, label=f"suggested: {suggestion:.2g}")
    axis.set_xscale("log")
    axis.set_xlabel("learning rate", fontsize=12)
    axis.set_ylabel("loss", fontsize=12)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=12)
    axis.set_title("Learning-rate range test: the dotted line marks the suggested rate", fontsize=14)
    _save(figure, path)


def _grid(count, columns):
    rows = max(1, math.ceil(count / columns))
    figure = Figure(figsize=(1.75 * columns, 2.0 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def _save(figure, path):
    image = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(image, dpi=100, format=Path(path).suffix[1:] or "png")
    files.atomic_write(path, image.getvalue())
    for warning in caught:
        if "missing from font" in str(warning.message) or "natively" in str(warning.message):
            warn_once("matplotlib's font lacks some characters of the class names: boxes are drawn for them")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
