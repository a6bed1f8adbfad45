"""``ipvssim run --packets``: packets come in while a program runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.ipvssim import worlds as w
from tests.ipvssim.doors.captured import RULES, Wire, classic
from tests.ipvssim.run.programs import RUN, needs, run
from tests.ipvssim.run.test_run import SURROUNDINGS

_LATER = 1_500_000
_COUNT = "grep -c SYN_RECV /proc/net/ip_vs_conn"


def files(folder: Path) -> tuple[str, str]:
    """Rules; and a capture of two requests that begin connections, the second 1.5 seconds after the first."""
    (folder / "rules").write_text(RULES)
    packets = [Wire(when + 10**12, w.tcp(port=port)) for when, port in ((0, 1001), (_LATER, 1002))]
    (folder / "capture").write_bytes(classic("raw", packets))
    return str(folder / "rules"), str(folder / "capture")


@needs()
def test_packets_come_in_at_their_own_pace(tmp_path: Path) -> None:
    """The program sees the first connection before the second packet comes, and both when it has."""
    rules, capture = files(tmp_path)
    until = f"until [ $({_COUNT}) -ge %d ]; do sleep 0.1; done; {_COUNT}; date +%%s%%N"
    options = ("--rules", rules, "--packets", capture)
    done = run("sh", "-c", f"{until % 1}; {until % 2}", options=options)
    assert done.stderr == ""
    first, at, second, later = map(int, done.stdout.split())
    assert (first, second) == (1, 2) and later - at > 1_000_000_000


@needs()
def test_packets_of_standard_input_come_while_it_is_open(tmp_path: Path) -> None:
    """A pipe that goes on: the program has an empty standard input, and ends although more packets could come."""
    rules, capture = files(tmp_path)
    with subprocess.Popen(
        [*RUN, "--rules", rules, "--packets", "-", "--", "sh", "-c", f"cat; until {_COUNT}; do sleep 0.1; done"],
        env=SURROUNDINGS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        assert started.stdin is not None and started.stdout is not None and started.stderr is not None
        started.stdin.write(Path(capture).read_bytes()[: 24 + 16 + 40])  # the file's header and its first packet
        started.stdin.flush()
        assert started.wait(30) == 0
        assert (started.stdout.read().split()[-1], started.stderr.read()) == (b"1", b"")


@needs()
@pytest.mark.parametrize("damaged", [b"no capture at all", b""])
def test_a_capture_that_cant_be_read_is_told_and_the_program_goes_on(tmp_path: Path, damaged: bytes) -> None:
    """In a line that names it; an empty file is none either."""
    (tmp_path / "capture").write_bytes(damaged)
    done = run("sh", "-c", "sleep 1; echo went on", options=("--packets", str(tmp_path / "capture")))
    assert done.stdout == "went on\n"
    assert done.stderr.startswith(f"ipvssim run: --packets: {tmp_path}/capture: ") and done.stderr.count("\n") == 1


@needs()
def test_what_cant_be_played_is_refused_before_the_program_begins(tmp_path: Path) -> None:
    """A file that is not there; and another run's table."""
    missing = run("echo", "begun", options=("--packets", str(tmp_path / "none")))
    assert (missing.returncode, missing.stdout) == (125, "") and "none: No such file or directory" in missing.stderr
    (tmp_path / "there").write_bytes(b"")
    joined = run("echo", "begun", options=("--packets", str(tmp_path / "there"), "--join", str(tmp_path / "path")))
    assert (joined.returncode, joined.stdout) == (125, "") and "ipvssim send" in joined.stderr
