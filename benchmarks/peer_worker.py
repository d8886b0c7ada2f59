"""One framework with one network, in a process of its own.

peers.py sends commands through a `Worker`; the process runs `work`, which executes and answers them.  Each command and
each answer is one line of JSON.
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
        Seconds between its turns, and processor seconds that it used in that time.
    imported : float
        Peak memory in MB after its framework was imported.
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
        """Send a command without waiting for the answer."""
        self.waited += time.perf_counter() - self.answered
        with contextlib.suppress(BrokenPipeError):  # receive reports the reason
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()

    def receive(self) -> object:
        """The answer.

        Raises
        ------
        ConnectionError
            If the process has ended; the message is the last line it wrote to standard error.
        """
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
        """Seconds that a command takes."""
        self.send(command)
        seconds, idle = self.receive()
        self.idle += idle
        return seconds

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.process.communicate()  # closing its input ends the process


def work(name: str, network: str, problem: str) -> None:
    """Execute commands, one line of JSON each, until standard input ends.

    ["predictions", batch size] -> probabilities of all images, batch by batch.
    ["predict", batch size, times] and ["train", steps] -> [seconds, processor seconds used since the last answer].
    ["peak"] -> peak resident memory so far, in MB.
    """
    answers = os.fdopen(os.dup(1), "w")  # a framework's own output must not mix with the answers
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
    prepared, used = {}, time.process_time()
    for line in sys.stdin:
        idle, answer = time.process_time() - used, None
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
        used = time.process_time()
        say(answer)
    os._exit(0)  # at once: nothing needs saving, and the shutdown of a framework takes a second


def rest() -> None:
    """Wait until the threads of this process sleep; some poll for new work for a while first."""
    for _ in range(50):
        before = time.process_time()
        time.sleep(0.02)
        if time.process_time() - before < 0.001:
            return


def peak() -> float:
    """Peak resident memory of this process in MB; NaN where the system does not report it."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would include the peak of the parent process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    try:
        work(*sys.argv[1:])
    except Exception as error:
        traceback.print_exc()
        first = next(iter(str(error).splitlines()), "")
        print(f"{type(error).__name__}: {first}", file=sys.stderr, flush=True)  # the line that Worker reports
        sys.exit(1)
