"""A machine without a compiler runs the tests, too: those that are about the C core are skipped there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.ipvsnl.twins import _NotBuilt
from tests.places import ROOT

IMPORT_ALL = """
import importlib, pytest, sys
for name in ("ipvsnl._native._core", "prometheus_client"):
    sys.modules[name] = None
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except pytest.skip.Exception:
        pass
"""


def test_every_test_can_be_imported() -> None:
    """No file of tests needs the C core, or a package of `export`, to be collected: else all end before the first test."""
    files = sorted(path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("tests/**/test_*.py"))
    names = [".".join(path.parts) for path in files]
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("use", [lambda native: native.split(b""), lambda native: native.name])
def test_a_use_of_the_core_is_a_skip(use: Callable[[Any], object]) -> None:
    """Where there is no C core, nothing else is tested under its name."""
    with pytest.raises(pytest.skip.Exception, match="is not built"):
        use(_NotBuilt())


AT_ONCE = """
import sys, time
from concurrent.futures import ThreadPoolExecutor

class Missing:
    def find_spec(name, *_):
        if name == "ipvsnl._native._core":
            time.sleep(0.2)  # the second thread comes while the first one looks
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing)
from ipvsnl.backends.choice import chosen
with ThreadPoolExecutor(3) as threads:
    print(*threads.map(lambda _: chosen().name, range(3)))
"""


def test_threads_that_come_at_the_same_time_find_the_same() -> None:
    """Without the C core, clients that several threads make at the same time all speak by ctypes."""
    environment = {name: value for name, value in os.environ.items() if name != "IPVSNL_BACKEND"}
    done = subprocess.run([sys.executable, "-c", AT_ONCE], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("ctypes ctypes ctypes\n", "")
