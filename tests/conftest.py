"""Fixtures and settings of all tests: hypothesis, real photos if there are some, a folder of synthetic images."""

import os
import tempfile
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # before NumPy is imported: the workers share the cores
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import Phase, settings

# No shrinking, because the shapes are already small and shrinking through compiled code takes minutes.
PHASES = (Phase.explicit, Phase.generate)
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=40, phases=PHASES)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config):
    """Use a temporary cache, so that tests leave no images in the user's cache."""
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    os.environ["MINICNN_CACHE_DIR"] = folder.name


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def photos() -> Path:
    """A folder of real photos, which are not part of the repository."""
    folder = Path(os.environ.get("MINICNN_PHOTOS", ROOT.parent / "shared" / "catdog"))
    if not folder.is_dir():
        pytest.skip("no real photos here; MINICNN_PHOTOS can name their folder")
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A folder of 24 + 24 synthetic images, 48 pixels wide."""
    from minicnn.data import draw_folder

    return draw_folder(tmp_path_factory.mktemp("drawn"), 24, size=48, seed=3)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
