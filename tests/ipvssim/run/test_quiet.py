"""Runs in which only passing calls come for long, so that calls alone are awaited: what else happens is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ipvssim.run.programs import ROOT, RUN, WAYS, needs, run

LOOKS = "import os, signal, sys\ndef look(times=100):\n    for _ in range(times): os.access('/nothing/here', 0)\n"
"""A program that asks for paths and nothing else: more often than it takes until only calls are awaited."""


def begun(program: str, way: str, *options: str) -> subprocess.Popen[str]:
    """A run of a Python program that begins with LOOKS."""
    return subprocess.Popen(
        [*RUN, *options, "--", sys.executable, "-c", LOOKS + program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sim'}", "IPVSSIM_HELD": way},
    )  # fmt: skip


def line_of(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


@needs()
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("meanwhile", ["look(1)", "signal.pause()"])
def test_each_signal_arrives(way: str, meanwhile: str) -> None:
    """A signal for the command is its program's, whether calls come all the time or none do: none is lost."""
    program = f"""
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"heard\\n"))  # print() must not be interrupted by another
look()
print("ready", flush=True)
while True: {meanwhile}
"""
    with begun(program, way) as started:
        assert line_of(started) == "ready"
        for _ in range(100):
            started.send_signal(signal.SIGUSR1)
            assert line_of(started) == "heard"
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == -signal.SIGTERM


@needs()
@pytest.mark.parametrize("way", WAYS)
def test_what_was_written_comes_before_what_is_asked(way: str) -> None:
    """A tunable that a program writes has its value when the program opens it again at once."""
    program = """
for value in range(50):
    look(40)
    with open("/proc/sys/net/ipv4/vs/nat_icmp_send", "w") as file: file.write(str(value % 2))
    assert int(open("/proc/sys/net/ipv4/vs/nat_icmp_send").read()) == value % 2, value
"""
    done = run(sys.executable, "-c", LOOKS + program, way=way)
    assert done.returncode == 0, done.stderr


@needs()
@pytest.mark.parametrize("way", WAYS)
def test_the_end_is_seen(way: str) -> None:
    """The run ends with its program, and goes on for what that left behind."""
    program = """
look()
if not os.fork():
    look()
    print(sys.stdin.readline().strip(), flush=True)
    look()
    print("end", flush=True)
    os._exit(0)
os._exit(3)
"""
    with begun(program, way) as started:
        assert started.stdin is not None
        started.stdin.write("later\n")
        started.stdin.flush()
        assert [line_of(started), line_of(started)] == ["later", "end"]
        assert started.wait(20) == 3


@needs("ipvsadm")
@pytest.mark.parametrize("way", WAYS)
def test_others_who_share_the_table_are_heard(way: str, tmp_path: Path) -> None:
    """Another command joins a run whose program asks for paths all the time, and one whose program is silent."""
    place = str(tmp_path / "kernel")
    program = 'look()\nprint("ready", flush=True)\nsys.stdin.readline()\nwhile True: look()'
    with begun(program, way, "--serve", place) as started:
        assert line_of(started) == "ready" and started.stdin is not None
        assert run("ipvsadm", "-A", "-t", "192.0.2.1:80", options=("--join", place), timeout=20).returncode == 0
        started.stdin.write("\n")
        started.stdin.flush()
        joined = run("ipvsadm", "-Sn", options=("--join", place), timeout=20)
        started.terminate()
    assert joined.stdout == "-A -t 192.0.2.1:80 -s wlc\n"
