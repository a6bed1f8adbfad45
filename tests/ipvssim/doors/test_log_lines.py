"""The kernel's log: recorded lines against the simulator's. `test_traces.py` compares each recording; here is what makes
that comparison worth something."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ipvssim.doors.log_lines import UNKNOWN, UNMODELLED, comparable
from ipvssim.doors.replay import DIFFERENT, SAME, Job, Replay, replay
from tests.kernel.traces import logs
from tests.places import DATA

RECORDED = sorted((DATA / "traces").glob("log-*.trace"))
WORDS = (
    "Moving dest", "still in trash", "Get destination", "Removing destination", "Removing service", "Bind-dest",
    "Unbind-dest", "lookup/in", "lookup/out", "lookup service", "template lookup/in", "p-schedule", "Schedule fwd",
    "no dest found", "WLC:",
    "ADDing control", "DELeting control", "delayed:", "del connection", "check_template", "state: ", "Outgoing ICMP",
    "Incoming ICMP", "failed checksum", "Setting timeout", "sched_name", "pe_name", "already exists", "doesn't exist",
)  # fmt: skip
RANDOM = (
    "rr", "wlc", "lblcr", "mh", "persist", "states", "trash", "ops", "pieces", "six", "corners", "forward", "local-servers",
)  # fmt: skip


def steps(path: Path) -> list[Any]:
    """The lines of a trace or a recording, without what a recording says of itself."""
    return [row for line in path.read_text().splitlines() if "recording" not in (row := json.loads(line))]


def lines(recording: Path) -> list[str]:
    return [line for answer in steps(recording) for line in answer.get("log", ())]


def test_the_recordings_are_those_of_the_scripts() -> None:
    """Every script has its trace and a recording: a changed script is a new recording."""
    made = {f"{script.header['name']}.trace": script.text() for script in (make() for make in logs.SCRIPTS)}
    assert {path.name: path.read_text() for path in RECORDED} == made
    assert all(path.with_suffix(".kernel").exists() for path in RECORDED)


def test_the_recordings_have_every_kind_of_line() -> None:
    """What no recording shows, no comparison holds."""
    found = "\n".join(comparable(line for path in RECORDED for line in lines(path.with_suffix(".kernel"))))
    assert [word for word in WORDS if word not in found] == []


def test_what_is_left_out_is_never_written() -> None:
    """A line that the table calls unmodelled is none of the simulator's: else the table would hide differences."""
    for path in RECORDED:
        header, *rest = steps(path)
        director = Replay(header)
        for step, recorded in zip(rest, steps(path.with_suffix(".kernel")), strict=True):
            log = director.answer(step, recorded["at"])["log"]
            assert len(comparable(log)) == len(log)


def test_every_row_of_the_tables_stands_on_the_page() -> None:
    """Whatever is not compared is told to readers."""
    page = (DATA.parent.parent / "docs" / "use" / "debug-log.md").read_text()
    assert page.count("\n| `") >= len(UNMODELLED) + len(UNKNOWN)
    for word in ("Enter: ", "new dst ", "ip_vs_dest_set_max()", "selected unavailable", "filled cport=", "Bind-dest"):
        assert word in page


@pytest.mark.parametrize(
    ("old", "new"), [("refcnt:2", "refcnt:3"), ("Scheduling", "scheduling"), ("<7>IPVS: WLC", "<6>IPVS: WLC")]
)
def test_one_wrong_word_is_a_difference(tmp_path: Path, old: str, new: str) -> None:
    """A count, a word, a severity that is not the kernel's is found."""
    trace = DATA / "traces" / "log-life.trace"
    recording = tmp_path / "wrong.kernel"
    recording.write_text(re.sub(re.escape(old), new, trace.with_suffix(".kernel").read_text(), count=1))
    assert replay(Job(trace, trace.with_suffix(".kernel")), check=True, release="6.1.176", out=StringIO()) == SAME
    assert replay(Job(trace, recording), check=True, release="6.1.176", out=StringIO()) == DIFFERENT


@pytest.mark.parametrize("kind", RANDOM)
def test_a_log_changes_nothing_but_itself(kind: str) -> None:
    """With a log every packet takes the long way: its answers are those of the short one, and no line has no words."""
    trace = min((DATA / "traces").glob(f"{kind}-*.trace"))
    header, *rest = steps(trace)
    told, silent = Replay({**header, "debug_level": 12}), Replay(header)
    for step, recorded in zip(rest, steps(trace.with_suffix(".kernel")), strict=True):
        answer = told.answer(step, recorded["at"])
        log = answer.pop("log")
        assert answer == silent.answer(step, recorded["at"])
        assert all(re.fullmatch(r"<[367]>(IPVS: |SCTP ).+", line) for line in log)
