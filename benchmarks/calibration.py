"""How well the confidences of the model that ships match how often it is right, before and after calibration.

    python benchmarks/calibration.py PHOTOS [--model FILE]

The temperature is fitted on one half of the photographs in PHOTOS and judged on the other; the model must have learned
from neither.  The model that ships has been calibrated already, so a temperature near 1 is found for it.
Writes calibration.log into benchmarks/results.
"""

import argparse
import sys
from pathlib import Path

import measuring

import minicnn as mc
from minicnn import data
from minicnn.reporting import reports

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import catdog  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("--model", type=Path, default=catdog.SHIPPED, metavar="FILE")
    options = parser.parse_args()
    model = mc.load_model(options.model)
    parts = data.split(data.find_pictures(options.photos, model.class_names), 0.5, seed=0)
    fitted, judged = (data.Loader.from_files(part, data.Preprocessing.of(model)) for part in parts)
    lines = [
        f"{measuring.machine()}. Fitted on {fitted.samples} photographs, judged on {judged.samples} others."
    ]

    def add(when):
        report = reports.judge(judged.y, catdog.ask(model, judged, True), model.class_names)
        lines.append(
            f"{when}: accuracy {report['accuracy']:.4f}, log-loss {report['log_loss']:.4f}, "
            f"calibration error {100 * report['expected_calibration_error']:.2f} %"
        )

    add(f"as the file is, temperature {model.temperature:.3f}")
    found = catdog.calibrate(model, fitted, True)
    add(f"divided by {found:.3f}")
    text = "\n".join(lines) + "\n"
    print(text)
    (measuring.RESULTS / "calibration.log").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
