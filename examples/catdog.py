"""Train a network that tells cats from dogs: find, build, load, fit, evaluate, save, draw.

    python examples/catdog.py                           train on synthetic images; no data needed
    python examples/catdog.py --data DIR                train on your own photos, one folder per class
    python examples/catdog.py predict PHOTO ...         class and confidence, by the bundled model or by --model FILE
    python examples/catdog.py evaluate --data DIR       accuracy and confusion matrix of a model
    python examples/catdog.py download                  fetch photos to train on
    python examples/catdog.py cache [--clear]           size of the cache of decoded photos

The command `minicnn` has the same commands and options.  This file is the story of `train`, to copy from; each step is
a short function in minicnn/cli/training.py, made of calls of the library.
"""

import sys
from typing import Any

from minicnn import cli
from minicnn.cli import training as steps


def train(options: Any) -> int:
    """Train a network, and leave model, history, report and plots in --out."""
    run = steps.Run(options)
    with steps.out_folder(options):
        # Find: one folder per class, or files named cat.0.jpg.  Without --data, synthetic images are drawn.
        steps.find(run)

        # Build: convolutions that find edges, then ears; pools; and one output, the probability of "dog".
        steps.build(run)

        # Load: photos are decoded once, and stay in a cache.
        steps.load(run)

        if options.lr_find:
            return steps.find_learning_rate(run)

        # Fit: forward, loss, backward, one step of Adam; for each batch, for each epoch.
        if not steps.fit(run):
            return steps.INTERRUPTED

        # Evaluate: confidences are calibrated, then the validation images are predicted.
        steps.evaluate(run)

        # Save and draw: the model file is all that `predict` needs.
        steps.save(run)
        steps.draw(run)
    return steps.INTERRUPTED if run.report["interrupted"] else 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; `train` where none is named."""
    return cli.main(
        arguments, program="python examples/catdog.py", default="train", commands={"train": train}
    )


if __name__ == "__main__":
    sys.exit(main())
