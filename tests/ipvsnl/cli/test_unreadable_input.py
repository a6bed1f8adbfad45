"""Standard input that can't be read: one line that says so, whatever reads it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", [("-R",), ("-R", "--atomic"), ("plan", "-"), ("apply", "-"), ("convert", "-")])
@pytest.mark.parametrize("how", [os.O_WRONLY, os.O_RDONLY])
def test_an_input_that_cannot_be_read_is_named(command: tuple[str, ...], how: int) -> None:
    """Open for writing alone, or failing: status 1 and a line, where it was called a fault of ours (status 70). (A
    directory is refused by Python itself, before any program runs.)"""
    handle = os.open("/dev/null" if how == os.O_WRONLY else "/proc/self/mem", how)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ipvsnl", "--target", "sim::memory:", *command], stdin=handle, capture_output=True,
            text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    finally:
        os.close(handle)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert "Bad file descriptor" in done.stderr or "Input/output error" in done.stderr
