"""Fail unless a training run left all its results and reached an accuracy: check_run.py FOLDER ACCURACY."""

import json
import sys
from pathlib import Path

folder, least = Path(sys.argv[1]), float(sys.argv[2])
results = [
    "confusion.png",
    "curves.png",
    "history.csv",
    "model.safetensors",
    "predictions.png",
    "reliability.png",
    "samples.png",
]
missing = [name for name in results if not (folder / name).is_file() or not (folder / name).stat().st_size]
accuracy = json.loads((folder / "report.json").read_text(encoding="utf-8"))["accuracy"]
if missing or accuracy < least:
    sys.exit(f"{folder}: missing {missing or 'nothing'}, accuracy {accuracy:.4f}, wanted at least {least}")
print(f"all results are there, accuracy {accuracy:.4f}, at least {least} was wanted")
