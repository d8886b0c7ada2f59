"""Measure how well the confidences of the bundled model match its accuracy, before and after calibration.

    python benchmarks/calibration.py PHOTOS [--model FILE]

The temperature is fitted on one half of the photos in PHOTOS and evaluated on the other half; the model must not have
been trained on either.  The bundled model is calibrated already, so the temperature that is found for it is near 1.
Writes calibration.log into benchmarks/results.
"""

import argparse
from pathlib import Path

import measuring

import minicnn as mc
from minicnn import data
from minicnn.inference.tta import predict_with_tta
from minicnn.models import pretrained
from minicnn.reporting import reports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument(
        "--model", type=Path, default=pretrained.path_of(), metavar="FILE", help="default: the bundled model"
    )
    options = parser.parse_args()
    model = mc.load_model(options.model)
    model.tta = True
    parts = data.split(data.find_images(options.photos, model.class_names), 0.5, seed=0)
    fitted, held_out = (data.Loader.from_files(part, data.Preprocessing.of(model)) for part in parts)
    lines = [
        f"{measuring.machine()}. Fitted on {fitted.samples} photos, evaluated on {held_out.samples} others."
    ]

    def add(when):
        prediction = predict_with_tta(model, held_out)
        report = reports.classification_report(held_out.y, prediction, model.class_names)
        lines.append(
            f"{when}: accuracy {report['accuracy']:.4f}, log-loss {report['log_loss']:.4f}, "
            f"calibration error {100 * report['expected_calibration_error']:.2f} %"
        )

    add(f"as in the file, temperature {model.temperature:.3f}")
    found = mc.calibrate(model, fitted.x, fitted.y)
    add(f"after division by {found:.3f}")
    text = "\n".join(lines) + "\n"
    print(text)
    (measuring.RESULTS / "calibration.log").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
