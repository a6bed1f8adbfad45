"""A generic-netlink socket under ``ipvssim run`` behaves as the host kernel's does: random calls on both."""

from __future__ import annotations

import json
import sys

import pytest

from tests.ipvssim.run import socket_calls
from tests.ipvssim.run.programs import WAYS, needs, run

SEQUENCES, LENGTH = 200, 14
_PLAY = "import sys; from tests.ipvssim.run import socket_calls; socket_calls.main(*map(int, sys.argv[1:]))"


@needs()
@pytest.mark.parametrize("way", WAYS)
def test_the_same_calls_return_the_same(way: str) -> None:
    """Values, errnos and readiness after each of many random calls: on the machine's own kernel, and on ours, in C and in
    Python."""
    here = socket_calls.played(SEQUENCES, LENGTH)
    done = run(sys.executable, "-c", _PLAY, str(SEQUENCES), str(LENGTH), timeout=200, way=way)
    there = json.loads(done.stdout)
    differing = [
        (seed, step) for seed, (ours, theirs) in enumerate(zip(there, here, strict=True))
        for step in zip(ours, theirs, strict=True) if step[0] != step[1]
    ]  # fmt: skip
    assert differing == []
