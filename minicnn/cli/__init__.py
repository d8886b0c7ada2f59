"""The command `minicnn`: from photos to a trained network, and from a trained network to answers.

    minicnn train                       train on synthetic images; no data needed
    minicnn train --data DIR            train on your own photos, one folder per class
    minicnn predict PHOTO ...           class and confidence, by the bundled model or by --model FILE
    minicnn evaluate --data DIR         accuracy and confusion matrix of a model
    minicnn download                    fetch photos to train on
    minicnn cache [--clear]             size of the cache of decoded photos

The options are in options.py; the commands are in training.py, prediction.py and storage.py.  The console script
`minicnn`, `python -m minicnn` and examples/catdog.py call `main`.  The settings of training are in models/recipes.py.
"""

import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import MinicnnError
from ..runtime.threads import set_threads
from . import options as command_options
from .prediction import evaluate, predict
from .storage import cache, download
from .training import train

COMMANDS: dict[str, Callable[[Any], int]] = {
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
    "download": download,
    "cache": cache,
}
MISTAKE, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # exit statuses


def main(
    arguments: Sequence[str] | None = None,
    program: str = "minicnn",
    default: str | None = None,
    commands: Mapping[str, Callable[[Any], int]] | None = None,
) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of this process.
    program : str
        What the user types, such as "python examples/catdog.py"; messages begin with its last name.
    default : str, optional
        The command that is meant where none is named; without it, the help is printed.
    commands : mapping from name to function, optional
        Commands that replace those of `COMMANDS`.

    Returns
    -------
    int
        The exit status: 0; 1 if a photo could not be read; 2 for a mistake, which is named; 130 after Ctrl-C; 141 if
        the reader of the output went away.
    """
    words = [str(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    _escape_what_cannot_be_shown()
    parser, name = command_options.parser(program, __doc__ or ""), Path(program.split()[-1]).stem
    if words and words[0] not in COMMANDS and not words[0].startswith("-"):
        parser.error(_advice(words[0], program))
    if default and (not words or words[0] not in (*COMMANDS, "-h", "--help", "--version")):
        words.insert(0, default)
    if not words:
        parser.print_help()
        return 0
    options = parser.parse_args(words)
    options.arguments, options.program, options.name = words, program, name
    options.quiet = options.quiet or getattr(options, "json", False)  # JSON alone is on standard output
    options.say = _silent if options.quiet else print  # for progress; results are printed either way
    try:
        if options.threads is not None:
            set_threads(options.threads)
        status = {**COMMANDS, **(commands or {})}[options.command](options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # such as `minicnn predict ... | head -1`
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())  # so that nothing fails when Python flushes at its end
        if options.command == "train":
            hint = "repeat the command with --resume to continue from the last checkpoint"
            print(f"{name}: the reader of the output went away; {hint}", file=sys.stderr)
        return BROKEN_PIPE
    except MinicnnError as error:
        print(f"{name}: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"{name}: {error}. Files that were written before are kept.", file=sys.stderr)
    except MemoryError:
        print(f"{name}: not enough memory. Lower --image-size, --batch-size or --limit.", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return MISTAKE


def _silent(*words: Any, **settings: Any) -> None:
    """Print nothing, for --quiet."""


def _escape_what_cannot_be_shown():
    """A file name that the terminal cannot show is printed with escapes; it must not end the run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's stream has no such method
            stream.reconfigure(errors="backslashreplace")


def _advice(word, program):
    if Path(word).is_file():
        return f"{word!r} is no command. Did you mean: {program} predict {word}"
    if Path(word).is_dir():
        return f"{word!r} is no command. Did you mean: {program} train --data {word}"
    near = difflib.get_close_matches(word.lower(), COMMANDS, 1)
    return f"{word!r} is no command. " + (
        f"Did you mean {near[0]}?" if near else f"Commands: {', '.join(COMMANDS)}."
    )
