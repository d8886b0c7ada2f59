"""Train a network that tells cats from dogs, evaluate it, draw what it saw and learned, predict new pictures.

    python examples/catdog.py                                    train on drawn animals, no data needed
    python examples/catdog.py --data DIR                         train on your own photographs
    python examples/catdog.py download                           fetch photographs to train on
    python examples/catdog.py evaluate --data DIR --model FILE   judge a trained model
    python examples/catdog.py predict PHOTO ... --model FILE     ask a trained model
    python examples/catdog.py cache [--clear]                    decoded photographs that are kept

Here are the commands and what they print; the networks are in minicnn/networks.py, the pictures that
are drawn in minicnn/plots.py, the reading of folders in minicnn/data/.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn import data, metrics, networks, reports, schedules

NETWORKS = {
    "two-block": (networks.two_block, 64),
    "four-block": (networks.four_block, 150),
    "catdog": (networks.catdog, 64),
}
# Shear of 0.2 radians: what 0.2 meant to Keras when the cat-and-dog networks below were published.
AUGMENTATION = data.Augmentation(horizontal_flip=True, zoom_range=0.2, shear_range=math.degrees(0.2))
COLOURS = dict.fromkeys(("brightness_range", "contrast_range", "saturation_range"), (0.7, 1.3))
STRONG = data.Augmentation(rotation_range=12, horizontal_flip=True, crop_scale=(0.3, 1.0), **COLOURS)
AUGMENTATIONS = {"light": AUGMENTATION, "strong": STRONG}
KERNELS = ("fast", "im2col", "reference")
DRAFT = 2  # JPEG decoders may shrink photographs to twice the size: quick, and hard to tell apart
DRAWN = (1500, 400)  # animals of each kind, to learn from and to judge by


def main(arguments=None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments.insert(0, "train")
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show must not end the run
        stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
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


# fmt: off
def parser() -> argparse.ArgumentParser:
    """Every option, a line each."""
    description, _, commands = __doc__.partition("\n\n")
    top = argparse.ArgumentParser(
        description=description, epilog=commands, formatter_class=argparse.RawDescriptionHelpFormatter)
    subparsers = top.add_subparsers(dest="command", metavar="train (default) | download | evaluate | predict | cache")

    def command(name, what):
        formatter = argparse.ArgumentDefaultsHelpFormatter
        add = subparsers.add_parser(name, help=what, formatter_class=formatter).add_argument
        add("--threads", type=count, metavar="N", help="of the fast kernels; else MINICNN_THREADS, or all cores")
        return add

    def add_cache():
        add("--no-cache", action="store_true", help="decode photographs anew each time and keep them in memory alone")
        add("--cache-dir", type=Path, metavar="DIR", help="where; else MINICNN_CACHE_DIR, or the user's cache")

    add = command("train", "train a network (the default)")
    add("--data", type=Path, metavar="DIR", help="photographs: a folder a class, or cat.0.jpg, dog.0.jpg; else drawn")
    add("--val-data", type=Path, metavar="DIR", help="photographs to judge by; else a part of --data is set aside")
    add("--validation-split", type=float, default=0.2, metavar="SHARE", help="the part of --data to set aside")
    add("--network", choices=NETWORKS, default="two-block", help="which network")
    add("--image-size", type=int, metavar="PIXELS", help="height and width; else 64, or 150 for four-block")
    add("--epochs", type=count, help="at most this many; else 25, or 10 on drawn animals")
    add("--batch-size", type=count, default=32, help="pictures a step")
    add("--learning-rate", type=float, default=1e-3, help="of Adam")
    add("--augment", nargs="?", choices=AUGMENTATIONS, const="light",
        help="at random: light flips, zooms by 0.2, shears by 0.2 radians; strong flips, crops, turns, changes light")
    add("--mixup", type=float, default=0.0, metavar="ALPHA", help="blend pictures in pairs; 0.2 is usual")
    add("--label-smoothing", type=float, default=0.0, metavar="SHARE", help="ask for a little less than certainty")
    add("--weight-decay", type=float, default=0.0, metavar="D", help="AdamW in place of Adam")
    add("--schedule", choices=schedules.BY_NAME, default="constant", help="how the learning rate falls")
    add("--warm-up", type=float, default=0.0, metavar="EPOCHS", help="in which the learning rate rises")
    add("--average", type=float, default=0.0, metavar="DECAY", help="judge and save averaged weights; 0.999 is usual")
    add("--progressive", type=stages, metavar="SIZE:EPOCHS,...", help="sizes to train at, such as 64:10,96:10,112:4")
    add("--keep", choices=("best", "last"), default="best", help="the epoch to save; last never stops early")
    add("--flip", action="store_true", help="judge by the mean over each picture and its mirror image")
    add("--find-rate", action="store_true", help="draw loss over learning rate, suggest one, and end")
    add("--dropout", type=float, default=0.0, metavar="SHARE", help="before the last layer")
    add("--patience", type=count, default=10, metavar="EPOCHS", help="stop after so many without a better accuracy")
    add("--seed", type=int, default=0, help="of weights, order, split and augmentation")
    add("--kernels", choices=KERNELS, default="fast", help="which arithmetic; reference is very slow")
    add("--resume", action="store_true", help="go on with the run in --out that was broken off, with the same options")
    add("--checkpoint-every", type=float, default=60, metavar="SECONDS", help="how often to save the run for --resume")
    add("--limit", type=count, metavar="N", help="use the first N pictures of each class")
    add("--val-limit", type=count, metavar="N", help="judge by the first N of each class of --val-data")
    add("--out", type=Path, default=Path("runs/catdog"), metavar="DIR", help="where the results go")
    add_cache()
    add = command("evaluate", "judge a trained model")
    add("--data", type=Path, metavar="DIR", required=True, help="photographs")
    add("--model", type=Path, metavar="FILE", required=True, help="a model.safetensors")
    add("--limit", type=count, metavar="N", help="use the first N pictures of each class")
    add("--flip", action="store_true", help="take the mean over each picture and its mirror image")
    add_cache()
    add = command("predict", "ask a trained model")
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="picture files")
    add("--model", type=Path, metavar="FILE", required=True, help="a model.safetensors")
    add("--flip", action="store_true", help="take the mean over each picture and its mirror image")
    add("--json", action="store_true", help="print JSON")
    add = command("download", "fetch photographs to train on")
    add("archive", nargs="?", choices=data.ARCHIVES, default="cats_and_dogs_filtered",
        help="3,000 photographs in 69 MB, or Microsoft's 25,000 in 825 MB")
    add("--out", type=Path, default=Path("photographs"), metavar="DIR", help="where they go")
    add("--address", metavar="URL", help="of the same archive elsewhere; else where its publisher keeps it")
    add("--sha256", metavar="HEX", help="the checksum to insist on; else the published one, where there is one")
    add = command("cache", "show what is kept of decoded photographs")
    add("--clear", action="store_true", help="remove all of it")
    add("--cache-dir", type=Path, metavar="DIR", help="which; else MINICNN_CACHE_DIR, or the user's cache")
    return top
# fmt: on


def count(text: str) -> int:
    """A number of things: an int of at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected an int of at least 1, received {text}")
    return number


def stages(text: str) -> list[tuple[int, int]]:
    """Sizes and epochs, as 64:10,96:10."""
    try:
        pairs = [tuple(map(count, pair.split(":"))) for pair in text.split(",")]
        return [(size, epochs) for size, epochs in pairs]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected SIZE:EPOCHS,..., received {text}") from None


# ----------------------------------------------------------------------------------------- train
def train(options) -> int:
    """Find, build, decode, fit, judge, draw."""
    start = time.perf_counter()
    make_network, usual_size = NETWORKS[options.network]
    size = usual_size if options.image_size is None else options.image_size
    preprocessing, epochs = data.Preprocessing(size, size, draft=DRAFT), count_epochs(options, size)
    make_optimizer(options, epochs, 1)  # refuses what is wrong before anything is drawn or decoded
    training_files, validation_files = find_data(options)
    names = training_files.class_names
    print("; ".join(f"class {k} is {name}" for k, name in enumerate(names)))

    model = make_network(len(names), options.dropout, options.kernels).build((size, size, 3), options.seed)
    model.class_names, model.preprocessing = names, asdict(preprocessing)
    if options.mixup and len(names) > 2:  # blended targets are a row a class; these labels are numbers
        raise mc.ArgumentError("--mixup", "two classes", str(len(names)), "Leave it out.")
    loss = mc.BinaryCrossEntropy if len(names) == 2 else mc.SparseCategoricalCrossEntropy
    model.summary()

    training = load(training_files, preprocessing, options, training=True)
    validation = load(validation_files, preprocessing, options)
    model.compile(
        make_optimizer(options, epochs, len(training)),
        loss(label_smoothing=options.label_smoothing),
        ["accuracy"],
    )
    if options.find_rate:
        return find_rate(model, training, options.out / "learning-rate.png")

    model_file = options.out / "model.safetensors"
    pattern = str(model_file).replace("{", "{{").replace("}", "}}")
    saved_best = mc.ModelCheckpoint(pattern, "val_accuracy", save_best_only=options.keep == "best")
    patience = options.patience if options.keep == "best" else epochs
    stopping = mc.EarlyStopping("val_accuracy", patience=patience)
    log = mc.CSVLogger(options.out / "history.csv")
    run = mc.Checkpoint(options.out / "checkpoint.safetensors", options.checkpoint_every, options.resume)
    callbacks = [mc.MovingAverage(options.average)] if options.average else []
    if options.progressive:
        callbacks.append(mc.ProgressiveSize(options.progressive, training, validation))
    callbacks += [saved_best, stopping, log, run]
    interrupted = False
    try:
        print(f"Training on {training.samples} pictures, validating on {validation.samples}", flush=True)
        model.fit(training, validation_data=validation, epochs=epochs, callbacks=callbacks)
    except KeyboardInterrupt:
        interrupted = True
        print("\nInterrupted: training ends here; --resume goes on from its last checkpoint", flush=True)
    if saved_best.saved_epoch is None:
        print("Not one epoch was finished: nothing is saved, and what was there before is kept")
        return 130

    best = mc.load_model(model_file)
    if options.progressive:  # saved with the size it was trained at
        mc.resize(best, size, size)
        best.save(model_file)
    prediction = ask(best, validation, options.flip)
    report = reports.judge(validation.y, prediction, names) | reports.run(model, training, validation)
    report |= {name: getattr(options, name) for name in ("network", "seed", "flip")}
    report |= {
        "command": ["python", "examples/catdog.py", *options.arguments],
        "image_size": size,
        "interrupted": interrupted,
        "resumed": run.resumed,
        "best_epoch": saved_best.saved_epoch + 1,
    }
    reports.draw_samples(options.out / "samples.png", training, names, AUGMENTATION)
    reports.draw_results(options.out, model.history, saved_best.saved_epoch, validation, prediction, names)
    report["seconds"] = round(time.perf_counter() - start, 1)
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(reports.table(report))
    print(f"In {report['seconds']:.0f} s. Weights, history, report and pictures: {options.out}")
    print(f"Next: python examples/catdog.py predict PHOTO --model {model_file}")
    return 130 if interrupted else 0


def count_epochs(options, size) -> int:
    """How many epochs there are at most; with --progressive, its sum."""
    if options.progressive is None:
        return options.epochs or (25 if options.data else 10)
    if options.epochs is not None or max(stage for stage, _ in options.progressive) > size:
        wanted, found = f"sizes up to --image-size {size}, and no --epochs beside it", options.progressive
        raise mc.ArgumentError("--progressive", wanted, str(found), "Raise --image-size, drop --epochs.")
    return sum(epochs for _, epochs in options.progressive)


def make_optimizer(options, epochs: int, steps: int) -> mc.optimizers.Optimizer:
    """Adam or AdamW, whose rate follows the schedule over so many epochs of so many steps."""
    warm_up = round(options.warm_up * steps)
    if not 0 <= options.warm_up < max(epochs, 2):
        raise mc.ArgumentError("--warm-up", "fewer epochs than the run", str(options.warm_up), "Lower it.")
    rate = schedules.BY_NAME[options.schedule](options.learning_rate, max(1, epochs * steps - warm_up))
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
        return data.split(files, options.validation_split, options.seed)
    return files, find(validation_folder, options.val_limit, files.class_names)


def find(folder, limit=None, class_names=None):
    """A folder's files, with a line on what was found and one on each file that tells no class."""
    files = data.find_pictures(folder, class_names)
    print(files, f"({folder})")
    for path in files.unlabelled:
        print(f"skipped: {path}: its name tells no class")
    return files if limit is None else files.limit(limit)


def load(files, preprocessing, options, training=False):
    """Decode files into a loader, by way of the cache if there is one; bad ones are listed and left out."""
    drawn = options.data is None  # these are read as quickly as what is kept
    cache = False if drawn or options.no_cache else data.PictureCache(options.cache_dir)
    settings = {} if not training else {
        "batch_size": options.batch_size,
        "shuffle": True,
        "seed": options.seed,
        "augmentation": AUGMENTATIONS.get(options.augment),
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
    model = mc.load_model(options.model)
    files = find(options.data, options.limit, class_names(model))
    loader = load(files, data.Preprocessing.of(model), options)
    print(reports.table(reports.judge(loader.y, ask(model, loader, options.flip), class_names(model))))
    return 0


def predict(options) -> int:
    """Print class and confidence of each photo; 1 if one could not be read."""
    model = mc.load_model(options.model)
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
