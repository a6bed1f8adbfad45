"""A machine without a compiler runs the tests, too: those that are about the C core are skipped there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.ipvsnl.twins import _NotBuilt
from tests.places import ROOT

IMPORT_ALL = """
import importlib, pytest, sys
sys.modules["ipvsnl._native._core"] = None
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except pytest.skip.Exception:
        pass
"""


def test_every_test_can_be_imported() -> None:
    """No file of tests needs the C core to be collected: else `make test` ends before its first test."""
    files = sorted(path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("tests/**/test_*.py"))
    names = [".".join(path.parts) for path in files]
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("use", [lambda native: native.split(b""), lambda native: native.name])
def test_a_use_of_the_core_is_a_skip(use: Callable[[Any], object]) -> None:
    """Where there is no C core, nothing else is tested under its name."""
    with pytest.raises(pytest.skip.Exception, match="is not built"):
        use(_NotBuilt())
