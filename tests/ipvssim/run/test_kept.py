"""A descriptor that was asked about just now may be another file's at the next call, or nobody's: both are seen at once."""

from __future__ import annotations

import sys

import pytest

from tests.ipvssim.run.programs import WAYS, needs, run

_CLOSED = """
import socket
for _ in range(50):
    one, other = socket.socket(16, 3, 16), socket.socket(16, 3, 16)
    one.bind((4000, 0))
    one.getsockname()
    one.close()
    other.bind((4000, 0))  # EADDRINUSE, were the first one thought to be there
    other.close()
"""
_REPLACED = """
import os, socket
for port in range(4000, 4100, 2):
    one, other = socket.socket(16, 3, 16), socket.socket(16, 3, 16)
    one.bind((port, 0))
    other.bind((port + 1, 0))
    assert one.getsockname() == (port, 0)
    os.dup2(other.fileno(), one.fileno())
    assert one.getsockname() == (port + 1, 0)
    plain = socket.socket(socket.AF_UNIX)
    plain.bind("")
    os.dup2(plain.fileno(), one.fileno())
    assert one.getsockname() == plain.getsockname() != (port + 1, 0)
"""
_FORKED = """
import os, socket
one = socket.socket(16, 3, 16)
one.bind((4000, 0))
for _ in range(20):
    one.getsockname()
    child = os.fork()
    if child == 0:
        os._exit(one.getsockname() != (4000, 0))
    assert os.waitpid(child, 0)[1] == 0
one.close()
two = socket.socket(16, 3, 16)
two.bind((4000, 0))
"""


@needs()
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", [_CLOSED, _REPLACED, _FORKED], ids=["closed", "replaced", "forked"])
def test_a_descriptor_is_what_it_is_now(program: str, way: str) -> None:
    """Closed, replaced by dup2 or inherited after a call about it: the next call is about what it is then."""
    done = run(sys.executable, "-c", program, way=way)
    assert (done.returncode, done.stderr) == (0, "")
