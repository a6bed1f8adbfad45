"""``ipvsnl lab-kernel`` as far as it goes without a kernel: what it says of itself, and where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipvsnl.lab_kernel import command, frames

PROGRAMS = [["-m", "ipvsnl.cli", "lab-kernel"], ["-m", "ipvsnl.lab_kernel"]]


def run(program: list[str], *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program, *words], capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=["sub-command", "module"])
def test_without_the_kernel_one_line_says_what_to_install(program: list[str], tmp_path: Path) -> None:
    """Status 69, nothing on standard output, and the package's name: for the program and for its modules."""
    none = str(tmp_path / "none")
    for missing in ({"IPVSNL_LAB_KERNEL": none}, {"IPVSNL_LAB_KERNEL": sys.executable, "IPVSNL_LAB_MODULES": none}):
        done = run(program, "--", "true", **missing)
        assert (done.returncode, done.stdout) == (69, "")
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("ipvsnl lab-kernel: user-mode-linux is not installed (")
        assert done.stderr.endswith("not found): apt-get install user-mode-linux, or --release NAME\n")


def test_help_tells_options_statuses_and_environment() -> None:
    """`--help` names every option, every exit status of its own, and every variable that the room reads."""
    done = run(PROGRAMS[0], "--help")
    assert (done.returncode, done.stderr) == (0, "")
    room = Path(command.__file__).parent
    read = {word.strip("\"'") for path in room.glob("*.py") for word in path.read_text().split("environ.get(")[1:]}
    variables = {word.partition('"')[0] for word in read}
    variables -= {"IPVSNL_LAB_LINE", "XDG_CACHE_HOME"}  # the guest's own; everybody's
    assert {f"IPVSNL_LAB_{name}" for name in ("KERNEL", "MODULES", "SPREAD", "CACHE", "ARCHIVE")} == variables
    for word in (
        *variables,
        "--release",
        "--renew",
        "--timeout",
        "--memory",
        "--module",
        "69",
        "70",
        "124",
        "125",
        "126",
        "127",
    ):
        assert word in done.stdout, word


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--", "ipvsadm", "-Ln"], ["ipvsadm", "-Ln"]),
        (["ipvsadm", "-Ln"], ["ipvsadm", "-Ln"]),
        (["--timeout", "5", "--", "sh", "-c", "x", "--", "y"], ["sh", "-c", "x", "--", "y"]),
        (["--memory", "1G", "pytest", "--timeout", "5"], ["pytest", "--timeout", "5"]),
    ],
)
def test_the_command_keeps_its_words(words: list[str], expected: list[str]) -> None:
    """What stands behind the first word that is no option of ours is the command's, with and without --."""
    assert command._options(words).command == expected


def test_no_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, status 2 and the usage."""
    for words in ([], ["--"], ["--timeout", "5"]):
        with pytest.raises(SystemExit) as ended:
            command._options(words)
        assert ended.value.code == 2
        assert "there is no COMMAND" in capsys.readouterr().err


def test_frames_come_out_whole_however_they_come_in() -> None:
    """A frame that comes in pieces comes out once, when its last byte is there."""
    sent = [(b"O", b"some output"), (b"I", b""), (b"X", b"0")]
    data = b"".join(frames.frame(*one) for one in sent)
    for size in range(1, len(data) + 1):
        unframer = frames.Unframer()
        got = [one for at in range(0, len(data), size) for one in unframer.feed(data[at : at + size])]
        assert got == sent
