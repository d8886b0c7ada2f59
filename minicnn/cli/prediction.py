"""The commands `predict` and `evaluate`: a trained network's answers, and how good they are."""

import glob
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import data
from ..data.walking import walk
from ..errors import DataError
from ..inference.predictor import Predictor
from ..inference.tta import predict_with_tta
from ..reporting import reports
from . import folders


def predict(options: Any) -> int:
    """Print class and confidence of each photo; the status is 1 if one could not be read."""
    predictor = Predictor(folders.load_model(options))
    answers, status = [], 0
    for photo in photos(options.photos):
        try:
            probabilities: Any = predictor(sys.stdin.buffer.read() if photo == "-" else photo)
        except DataError as error:
            print(f"{options.name}: {error}", file=sys.stderr)
            status = 1
            continue
        name, confidence = max(probabilities.items(), key=lambda item: item[1])
        answers.append(
            {"file": photo, "class": name, "confidence": confidence, "probabilities": probabilities}
        )
        if not options.json:
            print(f"{name} {confidence:.3f} {photo}", flush=True)
    if options.json:
        print(json.dumps(answers, indent=2))
    return status


def photos(names: list[str]) -> Iterator[str]:
    """The image files that names stand for: themselves, those in a folder, or those that fit a pattern."""
    for name in names:
        if os.path.isdir(name):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            yield from (str(path) for path in sorted(walk(Path(name)).images))
        elif glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110
            yield from sorted(glob.glob(name)) or [name]  # noqa: PTH207 - Path.glob takes no absolute pattern
        else:
            yield name


def evaluate(options: Any) -> int:
    """Print the metrics of a model on a folder of photos."""
    model = folders.load_model(options)
    names = model.class_names or [f"class {k}" for k in range(max(2, model.output_shapes[-1][-1]))]
    files = folders.find(options.data, options, options.limit, names)
    loader = folders.load(files, data.Preprocessing.of(model), options)
    report = reports.classification_report(np.asarray(loader.y), predict_with_tta(model, loader), names)
    print(json.dumps(report, indent=2) if options.json else reports.table(report))
    return 0
