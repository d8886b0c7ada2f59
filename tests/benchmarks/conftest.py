"""Shared by the tests of benchmarks/."""

import importlib
import sys

import pytest


@pytest.fixture
def programs(root, monkeypatch):
    """A function that imports a file of benchmarks/ by its name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(root / "benchmarks")
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root / "benchmarks")):
            del sys.modules[name]
