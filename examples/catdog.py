"""Train a network that tells cats from dogs, evaluate it, draw what it saw and learned, predict new pictures.

    python examples/catdog.py                                    train on drawn animals, no data needed
    python examples/catdog.py --data DIR                         train on your own photographs
    python examples/catdog.py download                           fetch photographs to train on
    python examples/catdog.py predict PHOTO ...                  ask the model that ships, or --model FILE
    python examples/catdog.py evaluate --data DIR                judge the model that ships, or --model FILE
    python examples/catdog.py cache [--clear]                    decoded photographs that are kept

Here are the commands and what they print; their options, and what is chosen where none is given, are in
catdog_options.py beside this file, the networks in minicnn/networks.py, the pictures that are drawn in
minicnn/plots.py, the reading of folders in minicnn/data/.
"""

import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn import data, metrics, schedules
from minicnn.reporting import reports

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where `python -m` and `python -P` do not look
import catdog_options  # noqa: E402
from catdog_options import AUGMENTATIONS, NETWORKS, RECIPES  # noqa: E402

SHIPPED = Path(__file__).resolve().with_name("catdog.safetensors")  # its card is beside it
DRAFT = 2  # JPEG decoders may shrink photographs to twice the size: quick, and hard to tell apart
DRAWN = (1500, 400)  # animals of each kind, to learn from and to judge by


def main(arguments=None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments.insert(0, "train")
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show must not end the run
        if hasattr(stream, "reconfigure"):  # a notebook's has no such method
            stream.reconfigure(errors="backslashreplace")
    options = catdog_options.parser(__doc__ or "", SHIPPED).parse_args(arguments)
    options.arguments = arguments
    try:
        if options.threads is not None:
            mc.set_threads(options.threads)
        return COMMANDS[options.command](options)
    except mc.MinicnnError as error:
        print(f"catdog: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"catdog: {error}. Nothing more was done; what was written before is kept.", file=sys.stderr)
        return 2
    except MemoryError:
        print("catdog: not enough memory. Lower --image-size, --batch-size or --limit.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("catdog: interrupted", file=sys.stderr)
        return 130


# ----------------------------------------------------------------------------------------- train
def train(options) -> int:
    """Find, build, decode, fit, judge, draw."""
    start = time.perf_counter()
    training_files, validation_files = find_data(options)
    names = training_files.class_names
    print("; ".join(f"class {k} is {name}" for k, name in enumerate(names)))
    catdog_options.settle(options, len(training_files))
    make_optimizer(options, 1)  # refuses what is wrong before anything is decoded
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=options.out):
        pass  # a folder that cannot be written ends the run here, not after its first epoch
    size, epochs = options.image_size, options.epochs
    preprocessing = data.Preprocessing(size, size, draft=DRAFT)
    print(catdog_options.describe(options))

    model = NETWORKS[options.network](len(names), options.dropout, options.kernels)
    model.build((size, size, 3), options.seed)
    model.class_names, model.preprocessing = names, asdict(preprocessing)
    if options.mixup and len(names) > 2:  # blended targets are a row a class; these labels are numbers
        raise mc.ArgumentError("--mixup", "two classes", str(len(names)), "Leave it out.")
    loss = mc.BinaryCrossEntropy if len(names) == 2 else mc.SparseCategoricalCrossEntropy
    model.summary()

    training = load(training_files, preprocessing, options, training=True)
    validation = load(validation_files, preprocessing, options)
    model.compile(
        make_optimizer(options, len(training)),
        loss(label_smoothing=options.label_smoothing),
        ["accuracy"],
    )
    if options.find_rate:
        return find_rate(model, training, options.out / "learning-rate.png")

    model_file = options.out / "model.safetensors"
    pattern = str(model_file).replace("{", "{{").replace("}", "}}")
    saved_best = mc.ModelCheckpoint(pattern, "val_accuracy", save_best_only=options.keep == "best")
    log = mc.CSVLogger(options.out / "history.csv")
    run = mc.Checkpoint(options.out / "checkpoint.safetensors", options.checkpoint_every, options.resume)
    callbacks = [mc.MovingAverage(options.average)] if options.average else []
    if options.progressive:
        callbacks.append(mc.ProgressiveSize(options.progressive, training, validation))
    if options.keep == "best":
        callbacks.append(
            mc.EarlyStopping("val_accuracy", patience=options.patience or catdog_options.PATIENCE)
        )
    callbacks += [saved_best, log, run]
    interrupted = False
    try:
        print(f"Training on {training.samples} pictures, validating on {validation.samples}", flush=True)
        model.fit(training, validation_data=validation, epochs=epochs, callbacks=callbacks)
    except KeyboardInterrupt:
        interrupted = True
        hint = "; --resume goes on from its last checkpoint" if run.saved else ""
        print(f"\nInterrupted: training ends here{hint}", flush=True)
    if saved_best.saved_epoch is None:
        print("Not one epoch was finished: nothing is saved, and what was there before is kept")
        return 130

    model_saved = mc.load_model(model_file)
    if options.calibrate:
        calibrate(model_saved, validation, options.flip)
        model_saved.save(model_file)
    prediction = ask(model_saved, validation, options.flip)
    report = {name: getattr(options, name) for name in ("network", "seed", *catdog_options.PLAIN)}
    report |= reports.judge(validation.y, prediction, names) | reports.run(model, training, validation)
    report |= {
        "command": ["python", "examples/catdog.py", *options.arguments],
        "interrupted": interrupted,
        "resumed": run.resumed,
        "best_epoch": saved_best.saved_epoch + 1,
        "temperature": model_saved.temperature,
    }
    reports.draw_samples(options.out / "samples.png", training, names, AUGMENTATIONS["light"])
    reports.draw_results(options.out, model.history, saved_best.saved_epoch, validation, prediction, names)
    report["seconds"] = round(time.perf_counter() - start, 1)
    mc.saving.files.replace(options.out / "report.json", (json.dumps(report, indent=2) + "\n").encode())
    print(reports.table(report))
    print(f"In {report['seconds']:.0f} s. Weights, history, report and pictures: {options.out}")
    print(f"Next: python examples/catdog.py predict PHOTO --model {model_file}")
    return 130 if interrupted else 0


def calibrate(model, loader, flip: bool) -> float:
    """Make confidences match how often the answers on these images are right; the answers stay the same."""
    views = [loader.x, loader.x[:, :, ::-1]] if flip else [loader.x]
    return mc.calibrate(model, views, loader.y)


def make_optimizer(options, steps: int) -> mc.optimizers.Optimizer:
    """Adam or AdamW, whose rate follows the schedule over epochs of so many steps."""
    warm_up = round(options.warm_up * steps)
    others = max(1, options.epochs * steps - warm_up)
    rate = schedules.BY_NAME[options.schedule](options.learning_rate, others)
    rate = mc.WarmUp(rate, warm_up) if warm_up else rate
    return mc.AdamW(rate, options.weight_decay) if options.weight_decay else mc.Adam(rate)


def find_rate(model, training, picture) -> int:
    """Draw the loss over the learning rate and suggest one."""
    from minicnn import plots  # here, so that training does not wait for matplotlib

    found = mc.find_learning_rate(model, training)
    plots.learning_rates(picture, found.rates, found.losses, found.smoothed, found.suggestion)
    print(f"Suggested: --learning-rate {found.suggestion:.2g}; the loss over the rate is in {picture}")
    return 0


def find_data(options):
    """The training and the validation files: found, drawn or set aside, with a line on each."""
    folder, validation_folder = options.data, options.val_data
    if folder is None and validation_folder is not None:
        raise mc.ArgumentError("--val-data", "--data beside it", "none", "Give photographs to learn from.")
    if folder is None:
        folder, validation_folder = options.out / "drawn" / "train", options.out / "drawn" / "validation"
        print(f"No --data: drawing {2 * sum(DRAWN)} cats and dogs in {folder.parent}", flush=True)
        data.draw_folder(folder, DRAWN[0], seed=1)
        data.draw_folder(validation_folder, DRAWN[1], seed=2)
    elif validation_folder is None:
        folder, validation_folder = data.find_train_and_validation(folder)
    files = find(folder, options.limit)
    if validation_folder is None:
        if options.val_limit is not None:
            found = "no folder to judge by"
            raise mc.ArgumentError("--val-limit", "--val-data beside it", found, "Lower --validation-split.")
        share = options.validation_split
        return data.split(files, catdog_options.SPLIT if share is None else share, options.seed)
    if options.validation_split is not None:
        found = f"{validation_folder} to judge by"
        raise mc.ArgumentError("--validation-split", "nothing but --data", found, "Drop one of the two.")
    return files, find(validation_folder, options.val_limit, files.class_names)


def find(folder, limit=None, class_names=None):
    """A folder's files, with a line on what was found and one on each file that tells no class."""
    files = data.find_pictures(folder, class_names)
    print(files, f"({folder})")
    for path in files.unlabelled:
        print(f"skipped: {path}: its name tells no class")
    for note in files.notes:
        print(note)
    return files if limit is None else files.limit(limit)


def load(files, preprocessing, options, training=False):
    """Decode files into a loader, by way of the cache if there is one; bad ones are listed and left out."""
    drawn = options.data is None  # these are read as quickly as what is kept
    cache = False if drawn or options.no_cache else data.PictureCache(options.cache_dir)
    settings = {} if not training else {
        "batch_size": options.batch_size,
        "shuffle": True,
        "seed": options.seed,
        "augmentation": AUGMENTATIONS[options.augment],
        "mixup": options.mixup,
    }  # fmt: skip
    loader = data.Loader.from_files(files, preprocessing, cache=cache, **settings)
    for error in loader.bad:
        print(f"skipped: {error}")
    for label, name in enumerate(files.class_names):
        if training and label not in loader.y:
            raise mc.DataError(name, "a picture that can be read", "none", "Add pictures of this class.")
    return loader


# ----------------------------------------------------------------------------- evaluate, predict
def evaluate(options) -> int:
    """Print how good a model is on a folder."""
    model = load_trained(options)
    files = find(options.data, options.limit, class_names(model))
    loader = load(files, data.Preprocessing.of(model), options)
    print(reports.table(reports.judge(loader.y, ask(model, loader, options.flip), class_names(model))))
    return 0


def predict(options) -> int:
    """Print class and confidence of each photo; 1 if one could not be read."""
    model = load_trained(options)
    preprocessing = data.Preprocessing.of(model)
    names, answers, status = class_names(model), [], 0
    for photo in options.photos:
        try:
            picture = data.decode(photo, preprocessing)[None]
        except mc.DataError as error:
            print(f"catdog: {error}", file=sys.stderr)
            status = 1
            continue
        share = metrics.probabilities(ask(model, data.Loader(picture, [0]), options.flip))[0]
        k = int(metrics.classes(share[None])[0])
        shares = dict(zip(names, map(float, share), strict=True))
        answers.append(
            {"file": str(photo), "class": names[k], "confidence": float(share[k]), "probabilities": shares}
        )
        if not options.json:
            print(f"{names[k]} {share[k]:.3f} {photo}", flush=True)
    if options.json:
        print(json.dumps(answers, indent=2))
    return status


def load_trained(options) -> mc.Sequential:
    """The model that --model names, or else the one that ships; decides on --flip where nobody did."""
    if options.model is None and not SHIPPED.is_file():
        expected = "the model that ships with the project"
        repair = "Train one, and name its file with --model."
        raise mc.ModelFileError(str(SHIPPED), expected, "nothing there", repair)
    model = mc.load_model(options.model or SHIPPED)
    if options.flip is None:
        options.flip = RECIPES.get(model.name, catdog_options.PLAIN)["flip"]
    return model


def ask(model, loader, flip: bool) -> np.ndarray:
    """The model's outputs; with `flip`, the mean of those for each picture and for its mirror image."""
    outputs = model.predict(loader)
    if not flip:
        return outputs
    mirrored = data.Loader(loader.x[:, :, ::-1], loader.y, loader.batch_size)
    return (outputs + model.predict(mirrored)) / 2


def class_names(model) -> list[str]:
    """What the model's outputs mean; numbers where it was saved without names."""
    return model.class_names or [f"class {k}" for k in range(max(2, model.output_shapes[-1][-1]))]


# ------------------------------------------------------------------------------- download, cache
def download(options) -> int:
    """Fetch an archive of photographs, and say how to train on it."""
    asked = {"address": options.address, "sha256": options.sha256}
    asked = {name: value for name, value in asked.items() if value is not None}
    archive = replace(data.ARCHIVES[options.archive], **asked)
    print(f"{archive.address}: {archive.size} bytes", flush=True)
    pictures = data.download(archive, options.out)
    print(f"Next: python examples/catdog.py --data {pictures}")
    return 0


def cache(options) -> int:
    """Say how large the cache is, or clear it."""
    kept = data.PictureCache(options.cache_dir)
    print(f"{kept.folder}: {kept.size / 1e6:.1f} MB of decoded photographs, at most {kept.limit / 1e6:.0f}")
    if options.clear:
        print(f"Removed {kept.clear() / 1e6:.1f} MB")
    return 0


COMMANDS = {"train": train, "download": download, "evaluate": evaluate, "predict": predict, "cache": cache}

if __name__ == "__main__":
    sys.exit(main())
