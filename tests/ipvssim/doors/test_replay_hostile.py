"""Hostile traces and recordings: an answer, or one line that names file, step and cause; never a traceback, never a wait."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipvssim.doors.compare import differences
from ipvssim.doors.replay import Replay, main
from ipvssim.doors.traces import ReplayError, check_answer

HUGE = 10**400
PACKET = "4500002000010000401100ddc0000201cb007101040000500000000c00000000"
STEPS: list[dict[str, Any]] = [
    {"do": "ipvsadm", "args": ["-A", "-t", "203.0.113.1:80", "-s", "rr"], "stdin": ""},
    {"do": "packet", "on": "client", "hex": PACKET, "mark": 7}, {"do": "packet", "on": "server", "hex": ""},
    {"do": "sleep", "seconds": 2.5}, {"do": "sysctl", "name": "net.ipv4.vs.sloppy_tcp", "value": 1},
    {"do": "sysctl", "name": "net.ipv4.ip_forward", "value": 1}, {"do": "conns"}, {"do": "stats"},
    {"do": "sysctl", "name": "net.ipv4.ipfrag_high_thresh", "value": 1}, {"do": "netlink", "hex": "10000000"},
]  # fmt: skip
ANSWERS: list[dict[str, Any]] = [
    {"rc": 0, "stdout": "", "stderr": ""}, {"out": [{"on": "server", "hex": PACKET}], "local": True}, {"out": []}, {},
    {"errno": 22}, {}, {"conns": [{"proto": "TCP", "expires": 1}]}, {"stdout": ""}, {}, {"replies": ["10000000"]},
]  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(
        [HUGE, -HUGE, 1e300, "0", "zz", "abc", "lo", "client", "server", "-R", "-Ln", "-Lnc", "--rate", "6f", PACKET]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["on", "hex", "expires", "do"]), inner),
    max_leaves=5,
)  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The command's status, and its complaint, which is one line."""
    status = main(list(arguments))
    said = capsys.readouterr().err
    assert (status == 2) == (said.count("\n") == 1) and said.count("\n") <= 1, said
    return status, said


def write(path: Path, *rows: object) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_any_step_has_an_answer_or_is_refused(data: st.DataObject) -> None:
    """A step with anything in it is answered in JSON's types, or a ReplayError says what is wrong with it."""
    replay = Replay({"trace": 1})
    for _ in range(data.draw(st.integers(1, 3))):
        step = dict(data.draw(st.sampled_from(STEPS)))
        name = data.draw(st.sampled_from([*step, "do", "mark"]))
        if data.draw(st.booleans()):
            step.pop(name, None)
        else:
            step[name] = data.draw(JUNK)
        try:
            json.dumps(replay.answer(step))
        except ReplayError as wrong:
            assert str(wrong) and "\n" not in str(wrong)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(range(len(STEPS))), JUNK, st.data())
def test_any_recorded_answer_is_compared_or_refused(number: int, value: Any, data: st.DataObject) -> None:
    """The same for a recording: it is checked, and what passes is compared without an exception."""
    recorded = dict(ANSWERS[number])
    name = data.draw(st.sampled_from(["at", "out", "rc", "local", "stdout", "conns", "replies", "errno", "x"]))
    recorded[name] = value
    try:
        check_answer(recorded)
    except ReplayError:
        return
    replay = Replay({"trace": 1})
    list(differences(STEPS[number], recorded, replay.answer(STEPS[number], recorded.get("at")), tells_local=False))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=JUNK
    | st.builds(
        lambda name, value: {"trace": 1, name: value}, st.sampled_from(["servers4", "sysctl", "trace", "marks"]), JUNK
    )
)
def test_any_header_is_taken_or_refused(header: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A first line of any kind."""
    told(capsys, write(tmp_path / "a.trace", header, {"do": "conns"}))


@pytest.mark.usefixtures("watchdog")
@pytest.mark.parametrize(
    ("step", "cause"),
    [
        ({"do": "sleep", "seconds": 1e300}, "'seconds' can't be 1e+300"),
        ('{"do": "sleep", "seconds": NaN}', "'seconds' can't be NaN"),
        ('{"do": "sleep", "seconds": Infinity}', "'seconds' can't be Infinity"),
        ({"do": "sleep", "seconds": -1}, "'seconds' can't be -1"),
        ({"do": "sleep", "seconds": HUGE}, "'seconds' can't be 1000000000000000000000000000000000000..."),
        ({"do": "sleep", "seconds": True}, "'seconds' can't be true"),
        ({"do": "sleep"}, "'seconds' is missing"),
        ({"do": ["sleep"]}, 'there is no step ["sleep"]'),
        ({"do": "dance"}, 'there is no step "dance"'),
        ({"args": []}, "a step has to have 'do'"),
        ({"do": "packet", "on": "eth7", "hex": ""}, "there is no device 'eth7'"),
        ({"do": "packet", "on": "client", "hex": "abc"}, "'hex' can't be \"abc\""),
        ({"do": "packet", "on": "client", "hex": "zz"}, "'hex' can't be \"zz\""),
        ({"do": "packet", "on": ["client"], "hex": ""}, "'on' can't be [\"client\"]"),
        ({"do": "packet", "on": "client", "hex": "", "mark": -1}, "'mark' can't be -1"),
        ({"do": "ipvsadm", "args": "-Ln"}, "'args' can't be \"-Ln\""),
        ({"do": "ipvsadm", "args": [1]}, "'args' can't be [1]"),
        ({"do": "sysctl", "name": "net.ipv4.vs.sloppy_tcp", "value": None}, "'value' can't be null"),
        ({"do": "sysctl", "name": "net.\x1b[31m", "value": 1}, "the simulator has no 'net.\\x1b[31m'"),
        ({"do": "netlink", "hex": "00" * 300_000}, "Message too long"),
    ],
)  # fmt: skip
def test_a_refusal_names_file_step_and_cause(
    step: object, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, at once, and status 2."""
    trace = write(tmp_path / "a.trace", {"trace": 1}, {"do": "conns"}, step)
    status, said = told(capsys, trace)
    assert (status, said.startswith(f"ipvssim replay: {trace}: step 1: ")) == (2, True) and cause in said, said


@pytest.mark.parametrize(
    "line", ["[1]", "nothing", '"text"', "{" * 3, "[" * 100_000, "\udcff", '{"a": ' + "9" * 5000 + "}"]
)
def test_lines_that_are_no_objects(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a trace and in a recording, the file is named."""
    for name in ("a.trace", "a.kernel"):
        write(tmp_path / "a.trace", {"trace": 1}, {"do": "conns"})
        write(tmp_path / "a.kernel", {"conns": []})
        (tmp_path / name).write_bytes((json.dumps({"trace": 1}) + "\n" + line).encode("utf-8", "surrogateescape"))
        status, said = told(capsys, "--check", str(tmp_path / "a.trace"))
        assert status == 2 and str(tmp_path / name) in said


@pytest.mark.parametrize(
    "answer", [{"at": 1e300}, {"at": "1"}, {"out": 7}, {"out": [{"on": "server"}]}, {"conns": [1]}]
)
def test_a_recording_is_named_with_its_step(
    answer: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong in a recording is not blamed on the trace."""
    write(tmp_path / "a.trace", {"trace": 1}, {"do": "conns"})
    recording = write(tmp_path / "a.kernel", answer)
    status, said = told(capsys, "--check", str(tmp_path / "a.trace"))
    assert status == 2 and f"{recording}: step 0: {next(iter(answer))!r} can't be" in said


@pytest.mark.usefixtures("watchdog")
def test_a_year_is_slept_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sleeps are bounded, and what is within the bound costs nothing."""
    trace = write(tmp_path / "a.trace", {"trace": 1}, STEPS[0], {"do": "sleep", "seconds": 366 * 86400})
    assert told(capsys, trace) == (0, "")


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    """``python -m ipvssim.replay ... | head -1``."""
    trace = write(tmp_path / "a.trace", {"trace": 1}, *[{"do": "conns"}] * 20_000)
    command = [sys.executable, "-m", "ipvssim.replay", trace]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None and running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    assert b"Traceback" not in running.stderr.read()
    running.wait()
