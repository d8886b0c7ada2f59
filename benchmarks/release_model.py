"""Make the bundled model: a finished run's weights in half precision, and a card that says what they are worth.

    python benchmarks/release_model.py RUN PHOTOS --source "Kaggle's Dogs vs. Cats, ..."

RUN is the folder that `minicnn train` left, PHOTOS the folder that it was validated on (its --val-data).  Writes
catdog.safetensors, which `minicnn predict` uses, and its card catdog.md into minicnn/models/weights/.  Every figure of
the card is measured here on the released file or taken from the run's report.  If the two disagree, nothing is written.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn import data, metrics
from minicnn.inference.calibration import divide_logits
from minicnn.inference.tta import predict_with_tta
from minicnn.models import pretrained
from minicnn.reporting import reports

LARGEST = 6_000_000  # bytes of the bundled file
CHANGED = 0.001  # share of the answers that may change by half precision, or on another machine
BOUNDS = (0.5, 0.7, 0.9, 0.97, 1.0)  # of the confidences that the card tells apart


def main(arguments=None) -> int:
    """Measure, compare, write; returns the exit status."""
    description, _, usage = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="the photos that it was validated on")
    parser.add_argument("--source", required=True, metavar="TEXT", help="what photos these are")
    parser.add_argument(
        "--out", type=Path, default=pretrained.path_of(), metavar="FILE", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        release(options.run, options.photos, options.source, options.out)
    except (mc.MinicnnError, OSError) as error:  # such as a folder in which no run has ended
        print(f"release_model: {error}", file=sys.stderr)
        return 2
    return 0


def release(run: Path, photos: Path, source: str, out: Path) -> None:
    """Write the model to `out`, and its card next to it."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    if report["interrupted"]:
        raise mc.ArgumentError(str(run), "a finished run", "one that was interrupted", "Train it to its end.")
    model = mc.load_model(run / "model.safetensors")
    files = data.find_images(photos, model.class_names)
    loader = data.Loader.from_files(files, data.Preprocessing.of(model))
    names = model.class_names
    measured = reports.classification_report(loader.y, predict_with_tta(model, loader), names)
    agree(str(photos), "the images that the run was validated on", measured, report)
    unseen = calibrate(model, files)
    before = predict_with_tta(model, loader)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / out.name
        model.save(file, dtype="float16")
        size = file.stat().st_size
        after = predict_with_tta(mc.load_model(file), loader)
    changed = int(np.sum(metrics.predicted_classes(before) != metrics.predicted_classes(after)))
    if size > LARGEST or changed > CHANGED * loader.samples:
        found = f"{size / 1e6:.2f} MB, {changed} of {loader.samples} answers changed"
        raise mc.ArgumentError(
            str(out), f"at most {LARGEST / 1e6} MB and the same answers", found, "Use another."
        )
    half = reports.classification_report(loader.y, after, names)
    text = card(report, measured, half, changed, size, source, model.temperature, unseen)
    text += confidences(loader.y, after) + mistakes(loader, after, names) + limits(report)
    mc.saving.files.atomic_write(out.with_suffix(".md"), text.encode())
    model.save(out, dtype="float16")
    print(f"{out}: {size / 1e6:.2f} MB, {changed} of {loader.samples} answers changed by half precision")


def calibrate(model: mc.Sequential, files: data.ImageFiles) -> dict:
    """Fit the model's temperature on one half of the images, and report on the other half."""
    parts = data.split(files, 0.5, seed=0)
    fitted, unseen = (data.Loader.from_files(part, data.Preprocessing.of(model)) for part in parts)
    divide_logits(model, 1 / model.temperature)  # which the run may have fitted on all of them
    mc.calibrate(model, fitted.x, fitted.y)
    return reports.classification_report(unseen.y, predict_with_tta(model, unseen), model.class_names)


def agree(where: str, expected: str, measured: dict, report: dict) -> None:
    """Refuse two reports that disagree by more than the rare answers that differ between machines."""
    counts, others = (np.array(one["confusion_matrix"]) for one in (measured, report))
    if counts.sum() != others.sum() or abs(counts - others).sum() > 2 * CHANGED * counts.sum():
        found = (
            f"accuracy {measured['accuracy']:.4f} on {counts.sum()} in place of {report['accuracy']:.4f} on "
        )
        raise mc.DataError(where, expected, found + str(others.sum()), "Give the --val-data of the run.")


def card(
    report: dict,
    whole: dict,
    half: dict,
    changed: int,
    size: int,
    source: str,
    temperature: float,
    unseen: dict,
) -> str:
    """The first part of the card: what it is, what it was trained on, how good it is."""
    names, count = half["class_names"], int(np.sum(half["confusion_matrix"]))
    stages = report["progressive"] or [(report["image_size"], report["epochs"])]
    trained = ", ".join(f"{epochs} at {pixels}x{pixels}" for pixels, epochs in stages)
    views = "each and its mirror image, the mean of both (`--tta`)" if report["tta"] else "each once"
    chosen = "the epoch was chosen on these very images, which flatters it"
    if report["save"] == "last":
        chosen = "the last epoch was saved; validation did not choose it"
    words = (Path(word).name if "/" in word or "\\" in word else word for word in report["command"][1:])
    auc = "undefined" if half["auc"] is None else f"{half['auc']:.4f}"
    memory = "" if report["peak_memory_mb"] is None else f", {report['peak_memory_mb']:.0f} MB at most"
    rows = {
        "network": f"{report['network']}, {report['parameters']:,} parameters",
        "file": f"{size / 1e6:.1f} MB, in half precision",
        "answers": f"{' or '.join(names)}, for images of {report['image_size']}x{report['image_size']} pixels",
        "images": source,
        "trained on": f"{report['training_images']:,} of them; epochs: {trained}",
        "evaluated on": f"{count:,} others, {views}; {chosen}",
        "accuracy": f"**{percent(half)}**",
        "in single precision": f"{percent(whole)}; {changed} of {count:,} answers differ",
        "log-loss, AUC": f"{half['log_loss']:.4f}, {auc}",
        "calibration": f"temperature {temperature:.3f}, fitted on half of these images; on the other half, "
        f"calibration error {100 * unseen['expected_calibration_error']:.2f} %, log-loss {unseen['log_loss']:.4f}",
        "made with": f"`minicnn {' '.join(words)}`",
        "which took": f"{report['seconds']:.0f} s on {report['machine']}{memory}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"# The bundled model\n\n| | |\n|---|---|\n{table}\n"


def percent(report: dict) -> str:
    """An accuracy with its standard error."""
    return f"{100 * report['accuracy']:.2f} ± {100 * report['accuracy_standard_error']:.2f} %"


def confidences(target: np.ndarray, prediction: np.ndarray) -> str:
    """How often it is right when it is how sure."""
    confidence = metrics.probabilities(prediction).max(1)
    right = metrics.predicted_classes(prediction) == target
    lines = ["\n## How sure it is\n", "| confidence | answers | correct |", "|---|---|---|"]
    for low, high in zip(BOUNDS, BOUNDS[1:], strict=False):
        inside = (confidence >= low) & ((confidence < high) | (high == BOUNDS[-1]))
        share = f"{100 * right[inside].mean():.1f} %" if inside.any() else ""
        lines.append(f"| {low} to {high} | {inside.sum()} | {share} |")
    return "\n".join(lines) + "\n"


def mistakes(loader: data.Loader, prediction: np.ndarray, names: list[str]) -> str:
    """The confusion matrix, and every image that it gets wrong, the most confident first."""
    guess, confidence = metrics.predicted_classes(prediction), metrics.probabilities(prediction).max(1)
    lines = ["\n## What it gets wrong\n"]
    for name, row in zip(names, metrics.confusion_matrix(loader.y, prediction), strict=True):
        found = ", ".join(f"{number} {other}" for number, other in zip(row, names, strict=True))
        lines.append(f"- {row.sum()} images of class {name} are classified as: {found}.")
    wrong = np.flatnonzero(guess != loader.y)
    lines += ["", "| image | true class | predicted class | confidence |", "|---|---|---|---|"]
    for place in wrong[np.argsort(-confidence[wrong], kind="stable")]:
        image, is_, called = Path(loader.names[place]).name, names[loader.y[place]], names[guess[place]]
        lines.append(f"| {image} | {is_} | {called} | {confidence[place]:.3f} |")
    return "\n".join(lines) + "\n"


def limits(report: dict) -> str:
    """What not to expect of it."""
    names, pixels = " or ".join(report["class_names"]), report["image_size"]
    return f"""
## Limits

- Its answer is always {names}, also for an image of neither, of both or of nothing; its confidence does not say which.
- It sees the whole image squashed to {pixels}x{pixels} pixels: a small animal in a wide view has few of them.
- It was evaluated on images of the same kind as it was trained on, and its recipe was chosen on these very images.
  Drawings, night scenes, unusual breeds and other cameras were not measured; accuracy there is likely lower.
- Some training images may bear the wrong name; they were not checked one by one.
"""


if __name__ == "__main__":
    sys.exit(main())
