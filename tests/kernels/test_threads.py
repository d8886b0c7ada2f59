"""The fast kernels in separate processes: bit-identical results for any number of threads and each thread pool."""

import hashlib
import importlib
import os
import platform
import subprocess
import sys

import pytest

from minicnn import ArgumentError, set_threads

# `inside()` returns how many threads a kernel runs on.  The arguments are numbers of threads to set.
START = """
import sys
import minicnn as mc

for number in sys.argv[1:]:
    mc.set_threads(int(number))
from minicnn.kernels.fast.threads import serialized
import numba

inside = serialized(numba.get_num_threads)
"""
TRAIN = """
import hashlib
import numpy as np

rng = np.random.default_rng(0)
layers = [mc.Conv2D(40, 3), mc.ReLU(), mc.MaxPool2D(2)]
layers += [mc.Residual([mc.Conv2D(40, 3, padding="same"), mc.BatchNormalization(), mc.ReLU()])]
layers += [mc.Conv2D(18, 3, padding="same"), mc.MaxPool2D(2), mc.BatchNormalization(), mc.ReLU()]
layers += [mc.Conv2D(6, 3, 2, "same"), mc.ReLU(), mc.AveragePool2D(2)]
layers += [mc.Residual([mc.DepthwiseConv2D(3, padding="same"), mc.BatchNormalization()])]
model = mc.Sequential([*layers, mc.Flatten(), mc.Dense(9), mc.ReLU(), mc.Dense(1), mc.Sigmoid()], "fast")
model.build((17, 16, 3), seed=1)
model.compile()
model.fit(rng.random((30, 17, 16, 3)), rng.integers(0, 2, 30), batch_size=11, epochs=2, verbose=0)
print(inside(), hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest())
"""
PREDICT = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from minicnn import networks

model = networks.two_block(kernels="fast").build((22, 22, 3))
other = networks.two_block(kernels="fast").build((22, 22, 3), seed=1)
other.compile()
x = np.random.default_rng(0).random((16, 3, 22, 22, 3))
expected = [model.predict(one) for one in x]
with ThreadPoolExecutor(17) as threads:
    training = threads.submit(other.fit, x[0], np.array([0, 1, 1]), epochs=20, verbose=0)
    for got, one in zip(threads.map(model.predict, list(x) * 8), expected * 8):
        assert (got == one).all()
    training.result()
    for n in (3, 2):
        mc.set_threads(n)
        assert set(threads.map(lambda _: inside(), range(99))) == {n}
    assert set(threads.map(lambda _: numba.get_num_threads(), range(99))) == {numba.config.NUMBA_NUM_THREADS}
print("correct", numba.threading_layer())
"""


def run(code, *arguments, **settings):
    """The output of the code, in a process where only `settings` and `arguments` set the number of threads."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")} | settings
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_training_is_bit_identical_on_one_to_four_threads():
    lines = [run(START + TRAIN, MINICNN_THREADS=str(n)).split() for n in (1, 2, 3, 4)]
    # a call of set_threads overrides the variable
    lines += [run(START + TRAIN, str(n), MINICNN_THREADS="1").split() for n in (3, 4)]
    assert [int(threads) for threads, _ in lines] == [1, 2, 3, 4, 3, 4]
    (digest,) = {digest for _, digest in lines}
    assert len(digest) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_sixteen_threads_may_predict_while_another_model_trains(layer):
    try:
        importlib.import_module("numba.np.ufunc." + {"workqueue": layer}.get(layer, layer + "pool"))
    except ImportError:
        pytest.skip(f"numba's {layer} pool cannot be used here")
    assert run(START + PREDICT, NUMBA_THREADING_LAYER=layer, MINICNN_THREADS="3") == f"correct {layer}"


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2", None, 10**6])
def test_set_threads_refuses_invalid_numbers(n):
    with pytest.raises(ArgumentError, match="set_threads: expected an int"):
        set_threads(n)


@pytest.mark.parametrize(
    ("code", "settings", "message"),
    [
        ("", {"MINICNN_THREADS": "two"}, "MINICNN_THREADS: expected an int of at least 1, received 'two'"),
        ("", {"MINICNN_THREADS": "1000000"}, "cores here"),
        ("mc.set_threads(3)", {"NUMBA_NUM_THREADS": "2"}, "received 3. NUMBA_NUM_THREADS sets that limit"),
        (
            "import numba; mc.set_threads(3)",
            {"NUMBA_NUM_THREADS": "2"},
            "set MINICNN_THREADS=3 before Python",
        ),
        ("mc.set_threads(2 * mc.runtime.threads.cores()); import numba", {}, "numba's pool is made"),
    ],
)
def test_numbers_of_threads_that_are_impossible_raise_clear_errors(code, settings, message):
    code = f"""
import minicnn as mc
try:
    {code or "pass"}
    mc.Sequential([mc.Dense(1)], "fast")
except mc.ArgumentError as error:
    print(error)
"""
    assert message in run(code, **settings)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="features of x86 processors"
)
@pytest.mark.parametrize(("name", "size"), [("128 bits", 16), ("AVX2", 32)])
def test_narrower_vectors_give_the_same_results(narrower, name, size):
    """The kernels compiled for another processor, in a separate process with its own cache."""
    out, errors = narrower[name].communicate(timeout=300)
    assert narrower[name].returncode == 0, errors
    assert int(out) == size
