"""One framework with one network in a process of its own: `Worker` is this end of the pipe, `work` the other.

peers.py asks through `Worker`; run as a script this file answers.  A question is a line of JSON, an answer another.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
from peer_frameworks import FRAMEWORKS
from peer_networks import NETWORKS

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "JAX_PLATFORMS": "cpu"}


class Worker:
    """The process of one framework with one network.

    Attributes
    ----------
    waited, idle : float
        Seconds that it was not asked for anything, and processor seconds that it used in these all the same.
    imported : float
        Peak memory in MB when its framework was imported and nothing done.
    """

    def __init__(self, name: str, network: str, problem: Path, environment: dict[str, str] | None = None):
        self.network, self.errors = network, problem.with_name(f"{name.replace('/', ' ')}.err")
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, __file__, name, network, str(problem)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=os.environ | QUIET | (environment or {}),
            )  # fmt: skip
        self.waited = self.idle = 0.0
        self.imported: float | None = None
        self.answered = time.perf_counter()

    def send(self, command: list) -> None:
        """Ask, without waiting for the answer."""
        self.waited += time.perf_counter() - self.answered
        with contextlib.suppress(BrokenPipeError):  # receive says what happened
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()

    def receive(self) -> object:
        """The answer; ConnectionError, with the reason, if the process has ended instead."""
        if self.imported is None:
            self.imported = self._line()
        answer = self._line()
        self.answered = time.perf_counter()
        return answer

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            said = self.errors.read_text(errors="replace").strip().splitlines() or ["no message"]
            raise ConnectionError(said[-1])
        return json.loads(line)

    def time(self, command: list) -> float:
        """Seconds that the worker needs for a command."""
        self.send(command)
        seconds, idle = self.receive()
        self.idle += idle
        return seconds

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.process.communicate()  # the end of its input is the end of its work


def work(name: str, network: str, problem: str) -> None:
    """Answer lines of JSON until standard input ends.

    ["predictions", batch size] -> probabilities of all pictures, batch by batch.
    ["predict", batch size, times] and ["train", steps] -> [seconds, processor seconds burnt since the last answer].
    ["peak"] -> peak resident memory so far, in MB.
    """
    answers = os.fdopen(os.dup(1), "w")  # what a framework prints must not mix with the answers
    os.dup2(2, 1)

    def say(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    module, make, variant = FRAMEWORKS[name]
    __import__(module)
    say(peak())
    arrays = np.load(problem)
    x, y = arrays["x"], arrays["y"]
    framework = make(NETWORKS[network], [arrays[f"w{i}"] for i in range(len(arrays.files) - 2)], variant)
    prepared, burnt = {}, time.process_time()
    for line in sys.stdin:
        idle, answer = time.process_time() - burnt, None
        match json.loads(line):
            case ["predictions", size]:
                batches = [x[first : first + size] for first in range(0, len(x), size)]
                answer = [framework.predict(framework.prepare(batch)).ravel().tolist() for batch in batches]
            case ["predict", size, times]:
                if size not in prepared:
                    prepared[size] = framework.prepare(x[:size])
                begin = time.perf_counter()
                for _ in range(times):
                    framework.predict(prepared[size])
                answer = [time.perf_counter() - begin, idle]
            case ["train", steps]:
                if "training" not in prepared:
                    prepared["training"] = True
                    framework.prepare_training(x, y)
                begin = time.perf_counter()
                framework.train(steps)
                answer = [time.perf_counter() - begin, idle]
            case ["peak"]:
                answer = peak()
        rest()
        burnt = time.process_time()
        say(answer)
    os._exit(0)  # at once: nothing is to be saved, and tearing a framework down takes a second


def rest() -> None:
    """Wait until the threads of this process do: some look out for new work a while before they sleep."""
    for _ in range(50):
        before = time.process_time()
        time.sleep(0.02)
        if time.process_time() - before < 0.001:
            return


def peak() -> float:
    """Peak resident memory of this process in MB, from the kernel's own count where there is one."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would begin with the peak of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows does not tell
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    try:
        work(*sys.argv[1:])
    except Exception as error:
        traceback.print_exc()
        first = next(iter(str(error).splitlines()), "")
        print(f"{type(error).__name__}: {first}", file=sys.stderr, flush=True)  # the line that is passed on
        sys.exit(1)
