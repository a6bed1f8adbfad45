"""The pytest plugin, in another project's test suite."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

SUITE = """
from ipvsnl.model import Destination, Service
from ipvsnl import KernelError
import pytest

WEB = Service("tcp", "203.0.113.1", 80, scheduler="rr")
SYN = bytes.fromhex("4500002800004000400603f0c0000201cb007101"
                    "04000050000000010000000050022000000000" + "00")

def fill(ipvs):
    ipvs.add_service(WEB)
    for number in (10, 11):
        ipvs.add_server(WEB, Destination(f"10.0.0.{number}", 80))

def test_a_controller(ipvs):
    fill(ipvs)
    assert len(ipvs.servers(WEB)) == 2
    with pytest.raises(KernelError):
        ipvs.add_service(WEB)

def test_fresh(ipvs):
    assert ipvs.services() == []

def test_packets(ipvs, director):
    fill(ipvs)
    from ipvssim.net.packets import sign4
    result = director.receive(sign4(SYN[:20]) + SYN[20:])
    assert result.opened, result.reason
    director.clock.advance(3_000_000)
    assert len(list(ipvs.connections())) == 1
"""


def test_another_project_s_tests_run_against_the_twin(tmp_path: Path) -> None:
    """A suite that has never heard of us gets ``ipvs`` and ``director`` on one fresh kernel for each test."""
    (tmp_path / "test_theirs.py").write_text(SUITE)
    known = any(entry.name == "ipvssim" for entry in entry_points(group="pytest11"))
    load = [] if known else ["-p", "ipvssim.doors.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *load, str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
