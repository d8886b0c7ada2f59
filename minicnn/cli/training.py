"""The command `train`: find, build, load, fit, evaluate, draw, save; one function for each.

examples/catdog.py calls the same functions one after the other, as a story.  What is trained with which settings is in
models/recipes.py, the epochs are in training/loop.py, the plots in reporting/.
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import minicnn as mc

from .. import data
from ..data.directory import DRAFT
from ..errors import ArgumentError
from ..inference.tta import predict_with_tta
from ..models.recipes import AUGMENTATIONS, settings
from ..reporting import reports
from ..saving.files import atomic_write
from ..saving.locks import alone
from . import folders
from .options import PATIENCE, choose

INTERRUPTED = 130  # exit status


@dataclass
class Run:
    """What a training run is made of; each function below adds its part.

    Attributes
    ----------
    options : Namespace
        As the command line gave them.
    files : (ImageFiles, ImageFiles)
        For training and for validation.
    recipe : Recipe
    model : Sequential
        First as it is trained, then as it was saved and calibrated.
    training, validation : Loader
    prediction : array (N, K)
        The saved model's outputs for the validation images.
    report : dict
        What report.json holds.
    """

    options: Any
    started: float = field(default_factory=time.perf_counter)
    files: Any = None
    recipe: Any = None
    model: Any = None
    training: Any = None
    validation: Any = None
    prediction: Any = None
    report: dict = field(default_factory=dict)

    @property
    def model_file(self) -> Path:
        """Where the weights are saved."""
        return self.options.out / "model.safetensors"

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, in the order of their numbers."""
        return self.files[0].class_names


def train(options: Any) -> int:
    """Train a network, and leave model, history, report and plots in --out; returns the exit status."""
    run = Run(options)
    with out_folder(options):
        find(run)
        build(run)
        load(run)
        if options.lr_find:
            return find_learning_rate(run)
        if not fit(run):
            return INTERRUPTED
        evaluate(run)
        save(run)
        draw(run)
    return INTERRUPTED if run.report["interrupted"] else 0


@contextlib.contextmanager
def out_folder(options: Any) -> Iterator[None]:
    """Make --out, see that it can be written, and keep other runs out of it while this one lasts."""
    folders.check_folders(options)
    choose(options, 1)  # refuses options that contradict each other before anything is drawn or decoded
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=options.out):
            pass
    except OSError as error:
        found = f"{options.out} ({error.strerror})"
        raise ArgumentError(
            "--out", "a folder that can be written", found, "Choose another folder."
        ) from error
    with alone(options.out / ".lock", "--out", f"another training run in {options.out}"):
        yield


def find(run: Run) -> None:
    """Find the images of each class, and choose the recipe for so many."""
    run.files = folders.find_data(run.options)
    run.options.say("; ".join(f"class {k} is {name}" for k, name in enumerate(run.class_names)))
    run.recipe = choose(run.options, len(run.files[0]))
    run.recipe.optimizer(1)  # refuses a wrong setting before anything is decoded
    if run.recipe.mixup and len(run.class_names) > 2:  # blended targets are rows; these labels are numbers
        raise ArgumentError("--mixup", "two classes", str(len(run.class_names)), "Leave it out.")
    run.options.say(run.recipe)


def build(run: Run) -> None:
    """Build the network: its layers, shapes and random weights."""
    size, names = run.recipe.image_size, run.class_names
    run.model = run.recipe.build_network(len(names), run.options.kernels)
    run.model.build((size, size, 3), run.options.seed)
    run.model.class_names, run.model.tta = names, run.recipe.tta
    run.model.preprocessing = asdict(data.Preprocessing(size, size, draft=DRAFT))
    if not run.options.quiet:
        run.model.summary()


def load(run: Run) -> None:
    """Decode the images, or find them in the cache."""
    preprocessing, (training, validation) = data.Preprocessing.of(run.model), run.files
    cached = run.options.data is not None  # synthetic images are read as quickly as the cache
    order = {"shuffle": True, "seed": run.options.seed}
    run.training = folders.load(
        training, preprocessing, run.options, cached, **order, **run.recipe.loader_settings
    )
    run.validation = folders.load(validation, preprocessing, run.options, cached)


def fit(run: Run) -> bool:
    """Train; False if Ctrl-C came before the first epoch was complete."""
    options, recipe, model = run.options, run.recipe, run.model
    compile_model(run)
    pattern = str(run.model_file).replace("{", "{{").replace("}", "}}")
    saved = mc.ModelCheckpoint(pattern, "val_accuracy", save_best_only=recipe.save == "best")
    checkpoint = mc.Checkpoint(
        options.out / "checkpoint.safetensors", options.checkpoint_every, options.resume
    )
    callbacks: list[mc.Callback] = [saved, mc.CSVLogger(options.out / "history.csv"), checkpoint]
    if recipe.save == "best":
        callbacks.insert(0, mc.EarlyStopping("val_accuracy", patience=options.patience or PATIENCE))
    if recipe.progressive:
        callbacks.insert(0, mc.ProgressiveResizing(recipe.progressive, run.training, run.validation))
    if recipe.ema:
        callbacks.insert(0, mc.ExponentialMovingAverage(recipe.ema))
    interrupted = False
    try:
        counts = f"Training on {run.training.samples} images, validating on {run.validation.samples}"
        options.say(counts, flush=True)
        verbose = 0 if options.quiet else "auto"
        model.fit(
            run.training,
            validation_data=run.validation,
            epochs=recipe.epochs,
            callbacks=callbacks,
            verbose=verbose,
        )
    except KeyboardInterrupt:
        interrupted = True
        hint = "; --resume continues from its last checkpoint" if checkpoint.saved else ""
        print(f"\nInterrupted: training ends here{hint}", flush=True)
    if saved.saved_epoch is None:
        print("Not one epoch was complete: nothing is saved, and what was there before is kept")
        return False
    run.report = {
        "interrupted": interrupted,
        "resumed": checkpoint.resumed,
        "best_epoch": saved.saved_epoch + 1,
    }
    return True


def compile_model(run: Run) -> None:
    """Choose the optimizer and the loss."""
    loss = mc.BinaryCrossEntropy if len(run.class_names) == 2 else mc.SparseCategoricalCrossEntropy
    optimizer = run.recipe.optimizer(len(run.training))
    run.model.compile(optimizer, loss(label_smoothing=run.recipe.label_smoothing), ["accuracy"])


def evaluate(run: Run) -> None:
    """Calibrate the saved model, and predict the validation images with it."""
    options, trained = run.options, run.model
    run.model = mc.load_model(run.model_file)
    run.model.tta, run.model.history = run.recipe.tta, trained.history
    if options.calibrate:
        mc.calibrate(run.model, run.validation.x, run.validation.y)
    run.prediction = predict_with_tta(run.model, run.validation)
    run.report |= {"network": run.recipe.network, "seed": options.seed, "temperature": run.model.temperature}
    run.report |= {name: getattr(run.recipe, name) for name in settings()}
    run.report |= reports.classification_report(run.validation.y, run.prediction, run.class_names)
    run.report |= reports.training_report(trained, run.training, run.validation)
    run.report["command"] = [options.program, *options.arguments]


def save(run: Run) -> None:
    """Save the calibrated model and report.json, and print the figures."""
    run.model.save(run.model_file)
    write_report(run)
    print(reports.table(run.report))


def draw(run: Run) -> None:
    """Draw the plots; one that cannot be drawn costs a sentence, not the run."""
    out, names = run.options.out, run.class_names
    try:
        reports.draw_samples(out / "samples.png", run.training, names, AUGMENTATIONS["light"])
        best = run.report["best_epoch"] - 1
        reports.draw_results(out, run.model.history, best, run.validation, run.prediction, names)
    except mc.MinicnnError:
        raise
    except Exception as error:  # fonts, backends and settings of matplotlib are the user's
        print(f"{run.options.name}: the plots could not be drawn ({type(error).__name__}: {error})")
    write_report(run)
    run.options.say(f"In {run.report['seconds']:.0f} s. Weights, history, report and plots: {out}")
    run.options.say(f"Next: {run.options.program} predict PHOTO --model {run.model_file}")


def write_report(run: Run) -> None:
    """Write report.json, with the time so far."""
    run.report["seconds"] = round(time.perf_counter() - run.started, 1)
    atomic_write(run.options.out / "report.json", (json.dumps(run.report, indent=2) + "\n").encode())


def find_learning_rate(run: Run) -> int:
    """Plot the loss over the learning rate, and suggest one."""
    from ..reporting import plots  # here, so that training does not wait for matplotlib

    compile_model(run)
    found = mc.find_learning_rate(run.model, run.training)
    plot = run.options.out / "learning-rate.png"
    print(f"Suggested: --learning-rate {found.suggestion:.2g}; the loss over the learning rate is in {plot}")
    plots.learning_rates(plot, found.rates, found.losses, found.smoothed, found.suggestion)
    return 0
