"""How the programs end: in words, with a status, and never with a traceback."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipvsnl.cli import ending
from ipvsnl.cli import main as program
from ipvsnl.cli.dispatch import run as dispatch
from ipvsnl.cli.ending import Output
from ipvssim import command as simulator
from tests.places import ROOT

MEMORY = ["--target", "sim::memory:"]


def ours(
    *args: str, environment: dict[str, str] | None = None, stdin: bytes = b"", stdout: int = subprocess.PIPE
) -> tuple[int, str, str]:
    """``ipvsnl ARGS`` as a process: status, output, errors."""
    done = subprocess.run(
        [sys.executable, "-m", "ipvsnl", *args], input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=60,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    return done.returncode, (done.stdout or b"").decode(), done.stderr.decode()


def planted(*_: object, **__: object) -> int:
    raise RuntimeError("planted\nfault")


@pytest.mark.parametrize("which", ["ipvsnl", "ipvssim"])
def test_a_fault_of_ours_is_one_line_and_a_log(
    which: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 70, one line that names the log; the log has the traceback, and only its owner reads it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("IPVSNL_DEBUG", raising=False)
    monkeypatch.setattr(program, "_carry_out", planted)
    monkeypatch.setattr(simulator, "_run", planted)
    assert (program if which == "ipvsnl" else simulator).main(["-Ln"]) == 70
    (log,) = (tmp_path / "ipvsnl").glob("bug-*.log")
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.startswith(f"{which}: this is a bug of ours")
    assert str(log) in errors
    assert "in planted" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_fault_of_ours_without_a_state_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log is a temporary file then; with IPVSNL_DEBUG the traceback is shown, too."""
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    monkeypatch.setenv("IPVSNL_DEBUG", "1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(program, "_carry_out", planted)
    assert program.main(["-Ln"]) == 70
    assert len(list(tmp_path.glob("bug-*.log"))) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args", [["-Ln"], ["--version"], ["plan", "-"], ["top", "--once"], ["export"], ["-R", "--atomic"]]
)
def test_a_backend_that_is_none_is_one_line(args: list[str]) -> None:
    """Whatever the command, the variable and its values are named."""
    if "export" in args:  # what is missing for a command is named before the backend
        pytest.importorskip("prometheus_client")
    status, _, errors = ours(*MEMORY, *args, environment={"IPVSNL_BACKEND": "bogus"})
    assert (status, errors.count("\n")) == (1, 1)
    assert "IPVSNL_BACKEND is native or ctypes (or not set), not 'bogus'" in errors


@pytest.mark.parametrize("value", ["nan", "inf", "1e308", "-1", "0", "x"])
def test_an_interval_that_is_no_time_is_refused(value: str) -> None:
    """Before the screen is drawn."""
    status, output, errors = ours(*MEMORY, "top", f"--interval={value}")
    assert (status, output) == (1, "")
    assert f"'{value}' is not a number of seconds" in errors


@pytest.mark.parametrize("value", ["99999", "-5", "x", "80:80:80", "[::1", "::1", ":80", "[1.2.3.4]:80", "", "٣"])
def test_a_place_to_listen_that_is_none_is_refused(value: str) -> None:
    """By what it should be; bind is never asked."""
    status, _, errors = ours(*MEMORY, "export", f"--listen={value}")
    assert status == 1
    assert errors.startswith("ipvsnl export: argument --listen: ")


def test_a_refused_command_line_has_no_colours() -> None:
    """Whatever standard output is (Python 3.14 colours help on a terminal): the refusal goes to standard error."""
    status, _, errors = ours(*MEMORY, "plan", "--only", "x", "-", environment={"FORCE_COLOR": "1"})
    assert status == 1 and "usage: ipvsnl plan" in errors and "\x1b" not in errors


def test_only_a_failing_output_is_called_one(tmp_path: Path) -> None:
    """A file that can't be written is named, and so is the way out; /dev/full is the output."""
    rules = b"-A -t 10.0.0.1:80 -s rr\n"
    table = f"sim:{tmp_path / 'a.table'}"
    status, _, errors = ours("--target", table, "apply", "-", stdin=rules, environment={"XDG_STATE_HOME": "/dev/null"})
    assert (status, errors.count("\n")) == (1, 1)
    assert "/dev/null/ipvsnl/apply: " in errors
    assert "XDG_STATE_HOME" in errors
    with open("/dev/full", "wb") as full:
        status, _, errors = ours("--target", table, "plan", "-", stdin=rules, stdout=full.fileno())
    assert (status, errors) == (1, "ipvsnl: writing the output failed: No space left on device\n")


def test_an_output_writes_what_it_has_no_bytes_for_as_escapes() -> None:
    """A message about a strange name never fails for the terminal's encoding."""
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Output(text).write("a – \ud800")
    assert raw.getvalue() == b"a \\u2013 \\ud800"


def test_the_suite_may_run_in_the_background() -> None:
    """Who starts it with `nohup` or `&` ignores interrupts, and programs inherit that: the tests' programs do not."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::test_an_interrupt_is_one_line"]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


def test_an_interrupt_is_one_line() -> None:
    """Status 130, wherever it comes; once more changes nothing."""
    command = [sys.executable, "-m", "ipvsnl", *MEMORY, "-R"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(
            b"\n" * (1 << 18)
        )  # more than a pipe holds: this returns when the program has begun to read
        process.stdin.flush()
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert errors.count(b"\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["–A", "-t", "10.0.0.1:80"], "'–A': it begins with EN DASH (U+2013), not with a hyphen: -A"),
        (["-A", "–t", "10.0.0.1:80"], "'–t': it begins with EN DASH (U+2013), not with a hyphen: -t"),
        (["-A", "-t", "10.0.0.1\xa0:80"], "'10.0.0.1\\xa0:80': it holds NO-BREAK SPACE (U+00A0)"),
        (["-A", "-t", "192.0.2,175:80"], "'192.0.2,175:80': the character ',' belongs to no address"),
        (["-A", "-t", "10.0.0.1:80\udcff"], "'10.0.0.1:80\\udcff': it holds the byte 0xff"),
        (["-a", "-t", "10.0.0.1:80", "-r", "10.0.0.300:80"], "'10.0.0.300:80' is no address[:port]"),
        (["-a", "-t", "10.0.0.1:80", "-r", "10.0.0.3:80", "-w", "x"], "'x'"),
    ],
)
def test_the_word_and_the_character_are_named(args: list[str], words: str) -> None:
    """After ipvsadm's message, under our name; under ipvsadm's there is nothing more."""
    for prog, lines in (("ipvsnl", 2), ("ipvsadm", 1)):
        errors = io.StringIO()
        factory: object = None
        assert dispatch(
            args, client_factory=factory, stdin=io.StringIO(), stdout=io.StringIO(), stderr=errors, prog=prog,  # type: ignore[arg-type]
        )  # fmt: skip
        assert errors.getvalue().count("\n") == lines
        assert (f"ipvsnl: {words}" in errors.getvalue()) is (prog == "ipvsnl")


def test_an_unknown_scheduler_is_told_once() -> None:
    """However many rules name it, and whatever servers their services would have had."""
    rules = "".join(f"-A -t 10.0.0.{n}:80 -s most\n-a -t 10.0.0.{n}:80 -r 10.1.0.1:80 -m -w 1\n" for n in range(1, 25))
    status, _, errors = ours(*MEMORY, "-R", stdin=rules.encode())
    lines = errors.splitlines()
    assert status == 255
    assert lines[0] == "Scheduler or persistence engine not found"
    assert lines[1].startswith("<stdin>:1: -A -t 10.0.0.1:80 -s most")
    assert "IPVSSIM_SCHEDULERS" in lines[2]
    assert "modprobe" not in errors
    assert lines[3:] == [
        "<stdin>: 24 rules are refused for that, lines 1 to 47",
        "<stdin>: and so are 24 rules about servers of those services, lines 2 to 48",
    ]
    status, _, errors = ours(*MEMORY, "apply", "-", stdin=rules.encode())
    assert (status, len(errors.splitlines())) == (1, 3)


def test_what_is_no_rule_is_not_sent_to_ipvsadm() -> None:
    """File, line, word, and what is accepted."""
    status, _, errors = ours(*MEMORY, "plan", "-", stdin=b"-A -t 10.0.0.1:80 -s rr\nhello\n")
    assert status == 1
    assert errors.startswith("ipvsnl plan: <stdin>:2: hello: 'hello' begins no rule; a rule is")
    assert "-h" not in errors


def test_the_log_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file can be made at all, the line says how to see the traceback."""
    out, errors = Output(io.StringIO()), io.StringIO()

    def nowhere(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ending, "_kept", nowhere)
    assert ending.guarded("ipvsnl", [], planted, out, Output(errors)) == 70
    assert "No space left on device" in errors.getvalue()
    assert "IPVSNL_DEBUG=1" in errors.getvalue()


def test_the_log_does_not_need_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where platformdirs is missing, which finds the state directory, the log is a temporary file."""
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out, errors = Output(io.StringIO()), io.StringIO()
    assert ending.guarded("ipvsnl", [], planted, out, Output(errors)) == 70
    (log,) = tmp_path.iterdir()
    assert str(log) in errors.getvalue() and "Traceback" in log.read_text()


def test_an_interrupt_where_nothing_can_be_raised_is_not_lost() -> None:
    """Ctrl-C that meets the end of an unfinished generator, or a ``__del__``, ends the command all the same, in one line."""

    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def run() -> int:
        Dying()
        time.sleep(30)
        return 0

    out, errors, before = Output(io.StringIO()), io.StringIO(), sys.unraisablehook
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert ending.guarded("ipvsnl", [], run, out, Output(errors)) == 130
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a command that ends lets nobody interrupt it
        gc.unfreeze()
    assert errors.getvalue() == "interrupted\n"
    assert sys.unraisablehook is before


_LEAVES = r"""
import os, sys
from ipvsnl.cli.main import main

class Last:
    def __del__(self, write=os.write):
        write(1, b"given back\n")

sys.last = Last()
sys.argv[1:] = {words}
{before}
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("", b""),
        ("import atexit; atexit.register(print, 'told')", b"told\ngiven back\n"),
        ("import threading", b"given back\n"),
    ],
    ids=["nobody", "atexit", "threading"],
)
def test_a_command_ends_at_once_unless_somebody_waits_for_its_end(before: str, told: bytes) -> None:
    """Nothing is given back piece by piece; what ``atexit`` was asked for is done, and the output is whole in each case."""
    code = _LEAVES.format(words=["-v"], before=before)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    version, end, rest = done.stdout.partition(b"\n")
    assert version.startswith(b"ipvsadm v1.31")
    assert end + rest == b"\n" + told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_command_that_ends_at_once_tells_of_an_output_that_is_full() -> None:
    """The status says that the output was not written."""
    code = _LEAVES.format(words=["-v"], before="")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == ending.FAILED
    assert b"No space left on device" in done.stderr
