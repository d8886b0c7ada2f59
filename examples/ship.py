"""Make the model that ships: a finished run's weights in half precision, and a card that says what they are worth.

    python examples/ship.py RUN PHOTOS --source "Kaggle's Dogs vs. Cats, ..."

RUN is the folder that a training run of catdog.py left, PHOTOS the folder that it was judged by (its --val-data).
Beside this file it writes catdog.safetensors, which `catdog.py predict` asks, and catdog.md.  Everything in the card is
measured here on the file that ships, or taken from the run's report; where the two disagree nothing is written.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import catdog
import numpy as np

import minicnn as mc
from minicnn import data, metrics
from minicnn.inference.calibration import divide_logits
from minicnn.reporting import reports

LARGEST = 6_000_000  # bytes of the file that ships
CHANGED = 0.001  # of the answers may change by half precision, or on another machine
BOUNDS = (0.5, 0.7, 0.9, 0.97, 1.0)  # of the confidences that the card tells apart


def main(arguments=None) -> int:
    """Measure, compare, write; returns the exit status."""
    description, _, usage = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="the photographs that it was judged by")
    parser.add_argument("--source", required=True, metavar="TEXT", help="what photographs these are")
    parser.add_argument("--out", type=Path, default=catdog.SHIPPED, metavar="FILE", help="else %(default)s")
    options = parser.parse_args(arguments)
    try:
        ship(options.run, options.photos, options.source, options.out)
    except (mc.MinicnnError, OSError) as error:  # such as a folder in which no run has ended
        print(f"ship: {error}", file=sys.stderr)
        return 2
    return 0


def ship(run: Path, photos: Path, source: str, out: Path) -> None:
    """Write the model to `out`, and its card beside it."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    if report["interrupted"]:
        raise mc.ArgumentError(str(run), "a finished run", "one that was interrupted", "Train it to its end.")
    model = mc.load_model(run / "model.safetensors")
    files = data.find_pictures(photos, model.class_names)
    loader = data.Loader.from_files(files, data.Preprocessing.of(model))
    measured = reports.judge(loader.y, catdog.ask(model, loader, report["flip"]), model.class_names)
    agree(str(photos), "the pictures that the run was judged by", measured, report)
    error = calibrate(model, files, report["flip"])
    before = catdog.ask(model, loader, report["flip"])

    with tempfile.TemporaryDirectory() as folder:
        shipped = Path(folder) / out.name
        model.save(shipped, dtype="float16")
        size = shipped.stat().st_size
        after = catdog.ask(mc.load_model(shipped), loader, report["flip"])
    changed = int(np.sum(metrics.classes(before) != metrics.classes(after)))
    if size > LARGEST or changed > CHANGED * loader.samples:
        found = f"{size / 1e6:.2f} MB, {changed} of {loader.samples} answers changed"
        raise mc.ArgumentError(
            str(out), f"at most {LARGEST / 1e6} MB and the same answers", found, "Use another."
        )
    half = reports.judge(loader.y, after, model.class_names)
    text = card(report, measured, half, changed, size, source, model.temperature, error)
    text += confidences(loader.y, after) + mistakes(loader, after, model.class_names) + limits(report)
    mc.saving.files.replace(out.with_suffix(".md"), text.encode())
    model.save(out, dtype="float16")
    print(f"{out}: {size / 1e6:.2f} MB, {changed} of {loader.samples} answers changed by half precision")


def calibrate(model: mc.Sequential, files: data.PictureFiles, flip: bool) -> dict:
    """Fit the model's temperature on one half of the pictures, and judge the other half."""
    parts = data.split(files, 0.5, seed=0)
    fitted, judged = (data.Loader.from_files(part, data.Preprocessing.of(model)) for part in parts)
    divide_logits(model, 1 / model.temperature)  # which the run may have fitted on all of them
    catdog.calibrate(model, fitted, flip)
    return reports.judge(judged.y, catdog.ask(model, judged, flip), model.class_names)


def agree(where: str, expected: str, measured: dict, report: dict) -> None:
    """Two reports of the same pictures, but for a rare answer that another machine gives otherwise."""
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
    """The first part of the card: what it is, what it learned from, how good it is."""
    names, count = half["class_names"], int(np.sum(half["confusion_matrix"]))
    stages = report["progressive"] or [(report["image_size"], report["epochs"])]
    trained = ", ".join(f"{epochs} at {pixels}x{pixels}" for pixels, epochs in stages)
    looked = (
        "each and its mirror image, the mean of both (`--flip`)" if report["flip"] else "each once, as it is"
    )
    chosen = "the epoch was chosen on the very pictures that judge it, which flatters it"
    if report["keep"] == "last":
        chosen = "the last epoch was saved, whatever its accuracy"
    words = (Path(word).name if "/" in word or "\\" in word else word for word in report["command"][2:])
    auc = "undefined" if half["auc"] is None else f"{half['auc']:.4f}"
    memory = "" if report["peak_memory_mb"] is None else f", {report['peak_memory_mb']:.0f} MB at most"
    rows = {
        "network": f"{report['network']}, {report['parameters']:,} parameters",
        "file": f"{size / 1e6:.1f} MB, in half precision",
        "answers": f"{' or '.join(names)}, for pictures of {report['image_size']}x{report['image_size']} pixels",
        "pictures": source,
        "trained on": f"{report['training_pictures']:,} of them; epochs: {trained}",
        "judged by": f"{count:,} others, {looked}; {chosen}",
        "accuracy": f"**{percent(half)}**",
        "in single precision": f"{percent(whole)}; {changed} of {count:,} answers differ",
        "log-loss, AUC": f"{half['log_loss']:.4f}, {auc}",
        "calibration": f"temperature {temperature:.3f}, fitted on half of these pictures; on the other half, "
        f"calibration error {100 * unseen['expected_calibration_error']:.2f} %, log-loss {unseen['log_loss']:.4f}",
        "made with": f"`python examples/catdog.py {' '.join(words)}`",
        "which took": f"{report['seconds']:.0f} s on {report['machine']}{memory}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"# The model that ships\n\n| | |\n|---|---|\n{table}\n"


def percent(report: dict) -> str:
    """An accuracy with its standard error."""
    return f"{100 * report['accuracy']:.2f} ± {100 * report['accuracy_standard_error']:.2f} %"


def confidences(target: np.ndarray, prediction: np.ndarray) -> str:
    """How often it is right when it is how sure."""
    confidence = metrics.probabilities(prediction).max(1)
    right = metrics.classes(prediction) == target
    lines = ["\n## How sure it is\n", "| confidence | answers | right |", "|---|---|---|"]
    for low, high in zip(BOUNDS, BOUNDS[1:], strict=False):
        inside = (confidence >= low) & ((confidence < high) | (high == BOUNDS[-1]))
        share = f"{100 * right[inside].mean():.1f} %" if inside.any() else ""
        lines.append(f"| {low} to {high} | {inside.sum()} | {share} |")
    return "\n".join(lines) + "\n"


def mistakes(loader: data.Loader, prediction: np.ndarray, names: list[str]) -> str:
    """The confusion matrix, and every picture that it gets wrong, the most confident first."""
    guess, confidence = metrics.classes(prediction), metrics.probabilities(prediction).max(1)
    lines = ["\n## What it gets wrong\n"]
    for name, row in zip(names, metrics.confusion_matrix(loader.y, prediction), strict=True):
        called = ", ".join(f"{number} {other}" for number, other in zip(row, names, strict=True))
        lines.append(f"- {row.sum()} pictures of class {name} are called: {called}.")
    wrong = np.flatnonzero(guess != loader.y)
    lines += ["", "| picture | is | is called | confidence |", "|---|---|---|---|"]
    for place in wrong[np.argsort(-confidence[wrong], kind="stable")]:
        picture, is_, called = Path(loader.names[place]).name, names[loader.y[place]], names[guess[place]]
        lines.append(f"| {picture} | {is_} | {called} | {confidence[place]:.3f} |")
    return "\n".join(lines) + "\n"


def limits(report: dict) -> str:
    """What nobody should expect of it."""
    names, pixels = " or ".join(report["class_names"]), report["image_size"]
    return f"""
## Limits

- Its answer is always {names}, also for a picture of neither, of both or of nothing; its confidence does not say which.
- It sees the whole picture squashed to {pixels}x{pixels} pixels: a small animal in a wide view has few of them.
- It was judged on pictures of the same kind as those it learned from, and its recipe was chosen by these very pictures.
  Drawings, night pictures, unusual breeds and other cameras were not measured, and accuracy there is likely lower.
- Some of the pictures that it learned from may bear the wrong name; nobody looked at them all.
"""


if __name__ == "__main__":
    sys.exit(main())
