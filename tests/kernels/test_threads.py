"""The fast set in processes of their own: the same bits on any number of threads, in each of numba's pools."""

import hashlib
import os
import platform
import subprocess
import sys

import pytest

TRAIN = """
import hashlib
import numpy as np
import minicnn as mc

rng = np.random.default_rng(0)
layers = [mc.Conv2D(40, 3), mc.ReLU(), mc.MaxPool2D(2), mc.Conv2D(6, 3, 2, "same"), mc.ReLU(), mc.AveragePool2D(2)]
model = mc.Sequential([*layers, mc.Flatten(), mc.Dense(9), mc.ReLU(), mc.Dense(1), mc.Sigmoid()], "fast")
model.build((17, 16, 3), seed=1)
model.compile()
model.fit(rng.random((30, 17, 16, 3)), rng.integers(0, 2, 30), batch_size=11, epochs=2, verbose=0)
print(hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest())
"""
PREDICT = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import minicnn as mc
from minicnn import networks

model = networks.two_block(kernels="fast").build((22, 22, 3))
other = networks.two_block(kernels="fast").build((22, 22, 3), seed=1)
other.compile()
x = np.random.default_rng(0).random((16, 3, 22, 22, 3))
wanted = [model.predict(one) for one in x]
with ThreadPoolExecutor(17) as threads:
    training = threads.submit(other.fit, x[0], np.array([0, 1, 1]), epochs=20, verbose=0)
    for got, one in zip(threads.map(model.predict, list(x) * 8), wanted * 8):
        assert (got == one).all()
    training.result()
print("right")
"""


def run(code, **settings):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | settings
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_same_bits_on_one_two_three_and_four_threads():
    digests = {run(TRAIN, NUMBA_NUM_THREADS=str(threads)) for threads in (1, 2, 3, 4)}
    assert len(digests) == 1 and len(digests.pop()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_sixteen_threads_may_predict_while_another_model_trains(layer):
    settings = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    try:
        from numba.np.ufunc import omppool as available
    except ImportError:
        available = None
    if layer == "omp" and not available:
        pytest.skip("numba has no OpenMP pool here")
    assert run(PREDICT, **settings) == "right"


@pytest.mark.parametrize("features", ["", "+sse2,+avx,+avx2,+fma"], ids=["128 bits", "AVX2"])
def test_narrower_vectors_give_the_same_answers(features, tmp_path):
    """The kernels compiled for another processor, in a cache of their own."""
    code = """
import numpy as np
from minicnn.kernels import fast, reference
from minicnn.kernels.fast import cpu

rng = np.random.default_rng(0)
print(cpu.VECTOR_BYTES)
for dtype in ("float32", "float64"):
    x, weight = rng.standard_normal((3, 9, 8, 5)).astype(dtype), rng.standard_normal((3, 2, 5, 19)).astype(dtype)
    bias, pads = rng.standard_normal(19).astype(dtype), ((1, 0), (0, 1))
    y = reference.conv2d_forward(x, weight, bias, (1, 1), pads)
    dy = rng.standard_normal(y.shape).astype(dtype)
    close = dict(rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fast.conv2d_forward(x, weight, bias, (1, 1), pads), y, **close)
    for got, wanted in zip(fast.conv2d_backward(dy, x, weight, (1, 1), pads),
                           reference.conv2d_backward(dy, x, weight, (1, 1), pads)):
        np.testing.assert_allclose(got, wanted, **close)
    pooled, winner = fast.block_forward(x, weight, bias, (1, 1), pads)
    z, none = np.maximum(y, 0), ((0, 0), (0, 0))
    wanted, at = reference.maxpool2d_forward(z, (2, 2), (2, 2), none)
    np.testing.assert_allclose(pooled, wanted, **close)
    dy = rng.standard_normal(wanted.shape).astype(dtype)
    dz = np.where(z > 0, reference.maxpool2d_backward(dy, at, z.shape, (2, 2), (2, 2), none), 0)
    for got, wanted in zip(fast.block_backward(dy, winner, x, weight, (1, 1), pads),
                           reference.conv2d_backward(dz, x, weight, (1, 1), pads)):
        np.testing.assert_allclose(got, wanted, **close)
"""
    settings = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("these are features of x86 processors")
    assert run(code, **settings) == ("32" if features else "16")
