"""Reports on a trained classifier: its metrics for JSON, as a table, and as plots.

The metrics are computed in metrics.py, and the plots are drawn in plots.py; this file chooses what to show.  It is for
classifiers with one class per sample (one sigmoid or a softmax); an `Outputs` says what the outputs mean.

Called by minicnn/cli/ and benchmarks/release_model.py.
"""

import math
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..errors import ShapeError
from ..outputs import Outputs
from ..runtime.printing import shortened

SAMPLES, SHOWN, MISTAKES = 16, 24, 12  # numbers of images
WIDEST, ROWS, LONGEST = 110, 20, 32  # of a table: characters per line, classes listed, characters of a name


def classification_report(
    target: np.ndarray, prediction: np.ndarray, class_names: Sequence[str], outputs: Outputs | None = None
) -> dict:
    """All metrics of a prediction, ready for JSON.

    Parameters
    ----------
    target : array of int (N,)
    prediction : array (N, 1) or (N, K)
    class_names : sequence of str
    outputs : Outputs, optional
        The meaning of the prediction, such as `model.outputs` (default: probabilities of one sigmoid or a softmax).

    Raises
    ------
    ArgumentError
        For independent labels or numbers, which have no confusion matrix.
    ShapeError
        If there is not one name per class, or if targets and predictions do not fit together.

    Examples
    --------
    >>> report = classification_report(np.array([0, 1, 1]), np.array([[0.2], [0.9], [0.4]]), ["cat", "dog"])
    >>> report["confusion_matrix"], report["recall"]
    ([[1, 0], [1, 1]], [1.0, 0.5])
    """
    counts = metrics.confusion_matrix(target, prediction, outputs)
    if len(class_names) != len(counts):
        raise ShapeError(
            "classification_report",
            f"{len(counts)} class names",
            f"{len(class_names)}",
            "Give one name per class.",
        )
    accuracy = metrics.accuracy(target, prediction, outputs)
    report = {
        "class_names": list(class_names),
        "accuracy": float(accuracy),
        "accuracy_standard_error": accuracy.standard_error,
        "log_loss": metrics.log_loss(target, prediction, outputs),
        "expected_calibration_error": finite(metrics.expected_calibration_error(target, prediction, outputs)),
        "auc": finite(metrics.roc_auc(target, prediction, outputs)),
        "confusion_matrix": counts.tolist(),
    }
    for name, metric in (
        ("precision", metrics.precision),
        ("recall", metrics.recall),
        ("f1", metrics.f1_score),
    ):
        report[name] = [float(value) for value in metric(target, prediction, outputs)]
    return report


def training_report(model: Any, training: Any, validation: Any) -> dict:
    """The size and cost of a training run, ready for JSON.

    Parameters
    ----------
    model : Sequential
        After `fit`.
    training, validation : Loader
        The training set and the validation set.
    """
    history = model.history
    return {
        "parameters": sum(parameter.value.size for parameter in model.parameters),
        "kernels": model.kernels_name,
        "training_images": training.samples,
        "validation_images": validation.samples,
        "skipped_files": [str(error) for error in training.bad + validation.bad],
        "epochs": len(history.seconds),
        "training_accuracy": finite(history.history["accuracy"][-1]),
        "seconds_per_epoch": finite(np.median(history.seconds)),
        "peak_memory_mb": peak_memory(),
        "machine": f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}",
    }


def finite(value: float) -> float | None:
    """A number as JSON can hold it: NaN and infinity become None."""
    return float(value) if math.isfinite(value) else None


def peak_memory() -> float | None:
    """The peak memory of this process in MB; None if the system does not report it (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform == "linux" else 1024**2), 1)


def table(report: dict) -> str:
    """The most important metrics as text, then the confusion matrix.

    If the matrix does not fit into a line of 110 characters, the classes with the lowest recall are listed instead.

    Examples
    --------
    >>> print(table(classification_report(np.array([0, 1, 1]), np.array([[0.2], [0.9], [0.4]]), ["cat", "dog"])))
    accuracy 0.6667 ± 0.2722 on 3 images, log-loss 0.4149, AUC 1.0000
                  as cat   as dog   precision   recall
    true cat           1        0       0.500    1.000
    true dog           1        1       1.000    0.500
    """
    count = int(np.sum(report["confusion_matrix"]))
    auc = "undefined" if report["auc"] is None else f"{report['auc']:.4f}"
    lines = [
        f"accuracy {report['accuracy']:.4f} ± {report['accuracy_standard_error']:.4f} on {count} images, "
        f"log-loss {report['log_loss']:.4f}, AUC {auc}"
    ]
    names = [shortened(name, LONGEST) for name in report["class_names"]]
    width = max(map(len, names)) + 3
    if (width + 5) + len(names) * (width + 3) + 21 > WIDEST:
        return "\n".join(lines + _lowest_recall(report, names))
    heads = "".join(f"{'as ' + name:>{width + 3}}" for name in names)
    lines.append(f"{'':{width + 5}}{heads}   precision   recall")
    for k, (name, row) in enumerate(zip(names, report["confusion_matrix"], strict=True)):
        cells = "".join(f"{value:>{width + 3}}" for value in row)
        precision, recall = report["precision"][k], report["recall"][k]
        lines.append(f"{'true ' + name:<{width + 5}}{cells}   {precision:9.3f}   {recall:6.3f}")
    return "\n".join(lines)


def _lowest_recall(report, names):
    """Lines on the classes with the lowest recall, each with the class that it is confused with most."""
    width = max(map(len, names)) + 3
    counts, recall = np.array(report["confusion_matrix"]), np.array(report["recall"])
    worst = np.argsort(recall, kind="stable")
    lines = [f"{'class':<{width}}images   precision   recall   most often confused with"]
    for k in worst[:ROWS]:
        others = np.where(np.arange(len(names)) == k, 0, counts[k])
        most = int(others.argmax())
        confused = f"{names[most]} ({others[most]})" if others[most] else "none"
        numbers = f"{counts[k].sum():>6}   {report['precision'][k]:9.3f}   {recall[k]:6.3f}"
        lines.append(f"{names[k]:<{width}}{numbers}   {confused}")
    if len(names) > ROWS:
        lines.append(
            f"and {len(names) - ROWS} more classes, with a recall of at least {recall[worst[ROWS]]:.3f}"
        )
    return lines


def draw_samples(path: str | Path, loader: Any, class_names: Sequence[str], augmentation: Any) -> None:
    """Draw some images of a loader, each with an augmented copy: by the loader's augmentation, or by the one given."""
    from .. import data
    from . import plots  # here, because importing matplotlib is slow

    chosen = np.linspace(0, loader.samples - 1, SAMPLES).astype(int)
    images = loader.x[chosen]
    augmented = (loader.augmentation or augmentation)(images, chosen, epoch=0)
    note = "; next to each, an augmented copy" + ("" if loader.augmentation else " (not used in this run)")
    titles = [class_names[label] for label in loader.y[chosen]]
    plots.samples(path, data.to_float(images), augmented, titles, note)


def draw_results(
    folder: Path,
    history: Any,
    best_epoch: int,
    loader: Any,
    prediction: np.ndarray,
    class_names: Sequence[str],
    outputs: Outputs | None = None,
) -> None:
    """Draw curves.png, confusion.png, reliability.png, and predictions.png with the most confident mistakes last.

    Parameters
    ----------
    folder : Path
    history : History
    best_epoch : int
        The epoch to mark in the curves, counted from 0.
    loader : Loader
        The images that were predicted, in order.
    prediction : array
    class_names : sequence of str
    outputs : Outputs, optional
        The meaning of the prediction, as in `classification_report`.
    """
    from .. import data
    from . import plots

    plots.curves(folder / "curves.png", history.history, best_epoch)
    share, guess = metrics.probabilities(prediction, outputs), metrics.predicted_classes(prediction, outputs)
    right, confidence = guess == loader.y, share[np.arange(len(share)), guess]
    wrong = np.flatnonzero(~right)
    wrong = wrong[np.argsort(-confidence[wrong])][:MISTAKES]
    good = np.flatnonzero(right)
    some = np.linspace(0, len(good) - 1, min(SHOWN - len(wrong), len(good))).astype(int)
    shown = np.concatenate([good[some], wrong])
    titles = [
        f"{shortened(class_names[guess[i]], 12)} {confidence[i]:.2f}"
        + ("" if right[i] else f"\nis {shortened(class_names[loader.y[i]], 15)}")
        for i in shown
    ]
    accuracy = metrics.accuracy(loader.y, prediction, outputs)
    heading = (
        f"Validation: accuracy {accuracy!s} on {len(share)} images; the most confident mistakes come last"
    )
    plots.predictions(
        folder / "predictions.png", data.to_float(loader.x[shown]), titles, right[shown], heading
    )
    counts = metrics.confusion_matrix(loader.y, prediction, outputs)
    plots.confusion(folder / "confusion.png", counts, class_names, f"accuracy {accuracy!s}")
    error = metrics.expected_calibration_error(loader.y, prediction, outputs)
    heading = f"Reliability: calibration error {100 * error:.1f} % on {len(share)} images"
    plots.reliability(folder / "reliability.png", confidence, right, heading)
