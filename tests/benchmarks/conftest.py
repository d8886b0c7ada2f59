"""What the tests of benchmarks/ share."""

import importlib
import sys

import pytest


@pytest.fixture
def programs(root, monkeypatch):
    """Imports a file of benchmarks/ by its name, as one of them imports another."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(root / "benchmarks")
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root / "benchmarks")):
            del sys.modules[name]
