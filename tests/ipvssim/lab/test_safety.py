"""What is refused before a run, how a run is interrupted, and what needs which package: one line and a status each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ipvsnl import _files as files
from ipvssim.command import main
from ipvssim.lab import Outcome, ScenarioError, build, compare, report, simulate
from ipvssim.lab.run.measures import interval
from ipvssim.lab.run.store import write
from ipvssim.lab.show.figures import FIGURES, summaries, title

MINE = """title = "mine"
compare = ["rr"]
[table]
servers = 3
[traffic]
arrivals = { kind = "constant", rate = 1 }
connections = 27
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", '"../evil"', "name: '../evil' is no plain file name"),
        ("name", '"/etc/evil"', "no plain file name"),
        ("name", '".."', "no plain file name"),
        ("name", '""', "no plain file name"),
        ("events", '[{do="remove", server=0, at=70000}]', "events.at: 70000 s is not before the end of the run (26 s)"),
        ("events", '[{do="remove", server=9, at=1}]', "events.server: there is no server 9 (0 to 2)"),
        ("events", '[{do="remove", server=1, at=1, directors=[3]}]', "events.directors: there is no director 3 (0 to 0)"),
        ("events", '[{do="remove", server=1, at=1, directors=["x"]}]', "events.directors[0]: 'x' is not a whole number"),
        ("events", '[{do="weight", server=1, at=1, weight=-1}]', "events.weight: -1 is not from 0 to 65,535"),
        ("traffic.seconds", "inf", "traffic.seconds: inf is not from 0 to"),
        ("traffic.seconds", "nan", "traffic.seconds: nan is not from 0 to"),
        ("traffic.seconds", "-1", "traffic.seconds: -1 is not from 0 to"),
        ("traffic.start", "-1", "traffic.start: -1 is not from 0 to"),
        ("traffic.connections", "10000000000", "traffic.connections: 10000000000 is not from 0 to 20,000,000"),
        ("traffic.arrivals.rate", "nan", "traffic.arrivals.rate: nan is not above 0"),
        ("traffic.arrivals.rate", "1e-300", "goes on for more than"),
        ("traffic.durations", '{kind="fixed", seconds=-1}', "traffic.durations.seconds: -1 is not above 0"),
        ("traffic.clients", '{kind="uniform", count=99999999999}', "traffic.clients.count: 99999999999 is not from 1 to"),
        ("table.servers", "1000000", "table.servers: 1000000 is not from 1 to 4,096"),
        ("table.weights", "[1, true]", "table.weights[1]: True is not a whole number"),
        ("table.weights", "[]", "table.weights"),
        ("compare", "[1]", "compare[0]: 1 is not a text"),
        ("compare", '["rr", "rr"]', "compare: 'rr' is there twice"),
        ("seeds", "0", "seeds: 0 is not from 1 to"),
        ("heat", "-1", "heat: -1 is not from 0 to"),
        ("sample", "1e-300", "sample: 1e-300 s would make more than"),
        ("sweep", "{seeds=3}", "sweep.seeds: 3 is no list"),
        ("sysctl", "{drop_packet={}}", "sysctl.drop_packet: {} is neither"),
        ("table.service", '"-t 203.0.113.1:99999"', "addresses are numbers"),
    ],
)  # fmt: skip
def test_a_scenario_is_refused_before_it_runs(
    key: str, value: str, words: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can't be run is status 2 and a line with file, key, value and what is allowed; nothing is written anywhere."""
    out = mine.parent / "out" / "in"
    assert main(["lab", "run", str(mine), "--set", f"{key}={value}", "--out", str(out), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ipvssim lab: {mine}: ")
    assert words in said
    assert said.count("\n") == 1
    assert list(mine.parent.rglob("*")) == [mine]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--jobs", "-1"], 2, "--jobs: '-1' is not a whole number from 1 to"),
        (["--jobs", "0"], 2, "--jobs: '0' is not a whole number from 1 to"),
        (["--seeds", "many"], 2, "--seeds: 'many' is not a whole number from 1 to"),
        (["--out", "new", "--formats", "gif"], 2, "--formats: 'gif' is none of html, png, svg, pdf"),
        (["--out", "new", "--formats", ""], 2, "--formats: '' is none of"),
        (["--out", "mine.toml"], 1, "mine.toml"),
        (["--out", "mine.toml/in"], 1, "mine.toml/in: Not a directory"),
        (["--out", "taken"], 1, "taken/mine.html: a directory, and no regular file"),
    ],
)
def test_an_option_is_refused_before_the_run(
    arguments: list[str], status: int, words: str, mine: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Counts, formats and a place that can't be written are found before anything runs."""
    monkeypatch.chdir(mine.parent)
    (mine.parent / "taken" / "mine.html").mkdir(parents=True)
    monkeypatch.setattr("ipvssim.lab.run.parts.simulate", lambda *_: pytest.fail("it ran"))
    try:
        ended = main(["lab", "run", "mine.toml", *arguments, "--quiet"])
    except SystemExit as left:
        ended = int(left.code or 0)
    said = capsys.readouterr().err
    assert (ended, said.count("\n")) == (status, 1)
    assert words in said


@pytest.mark.parametrize("out", ["results.txt", "mine.toml/results.csv", "taken"])
def test_a_sweep_s_place_is_looked_at_first(out: str, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep that could not write its results does not begin."""
    (mine.parent / "taken").mkdir()
    assert main(["lab", "sweep", str(mine), "--out", str(mine.parent / out), "--quiet"]) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1


def test_an_event_after_the_end_that_chance_makes() -> None:
    """Where only chance knows when so many connections have come, an event after the last one ends the run with its name."""
    raw = {
        "traffic": {"arrivals": {"kind": "poisson", "rate": 1}, "connections": 27},
        "events": [{"do": "reload", "at": 7000}],
    }
    with pytest.raises(ScenarioError, match=r"events\.at: 7000 s is not before the end of the run"):
        simulate(build(raw), "rr", 1)


def test_an_event_between_the_last_connection_and_the_end() -> None:
    """An event before the end that the scenario says happens, though no connection comes after it."""
    raw = {
        "traffic": {"arrivals": {"kind": "constant", "rate": 1}, "seconds": 10},
        "events": [{"do": "reload", "at": 9.9}],
    }
    assert [change.at for change in simulate(build(raw), "rr", 1).changes] == [9.9]


# --- packages ---

HIDDEN = (
    "import sys; sys.modules.update(dict.fromkeys({hidden})); from ipvssim.command import main; sys.exit(main({words}))"
)


@pytest.mark.parametrize(
    ("hidden", "words", "status", "said"),
    [
        (["numpy", "matplotlib", "pandas"], ["lab", "--help"], 0, ""),
        (["numpy", "matplotlib", "pandas"], ["lab", "run", "--help"], 0, ""),
        (["numpy", "matplotlib", "pandas"], ["lab", "gallery"], 0, ""),
        (["numpy", "matplotlib"], ["lab", "run", "herd"], 1, "needs numpy: pip install 'ipvsnl[lab]'"),
        (["numpy", "matplotlib"], ["lab", "sweep", "herd", "--out", "x.csv"], 1, "pip install 'ipvsnl[lab]'"),
        (["numpy", "matplotlib"], ["lab", "trace", "herd", "--out", "x"], 1, "pip install 'ipvsnl[lab]'"),
        (
            ["matplotlib"],
            ["lab", "run", "herd", "--out", "x"],
            2,
            "pictures need matplotlib: pip install 'ipvsnl[lab]'",
        ),
        (["rich"], ["lab", "run", "herd"], 1, "the laboratory needs rich: pip install 'ipvsnl[lab]'"),
        (["pyarrow"], ["lab", "sweep", "herd", "--out", "x.parquet"], 2, "pip install 'ipvsnl[sweep]'"),
    ],
)
def test_without_the_extra(hidden: list[str], words: list[str], status: int, said: str, tmp_path: Path) -> None:
    """Help and the gallery need nothing but the bare package; a run says in a line what to install, and does not begin."""
    code = HIDDEN.format(hidden=hidden, words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (status, status != 0), done.stderr
    assert said in done.stderr


# --- interruptions ---

# Two schedulers that the express lane has not.
SLOW = MINE.replace('["rr"]', '["sh", "mh"]').replace("27", "300000").replace("rate = 1 ", "rate = 5000 ")


_BEGINS = """
import sys
from ipvssim.command import main
print("begins", flush=True)
sys.exit(main())
"""
"""What comes before, an interrupt ends as it ends any Python program."""


@pytest.mark.parametrize(
    ("delay", "jobs", "whom"),
    [(0.1, "2", "group"), (0.4, "2", "process"), (0.8, "2", "process"), (0.8, "1", "group"), (3.0, "2", "group")],
)
def test_ctrl_c_is_one_line(delay: float, jobs: str, whom: str, tmp_path: Path) -> None:
    """Whenever it is interrupted, in imports, before its workers are there, or later, a run ends soon with 130 and one line;
    what it shows then says that it was interrupted."""
    (tmp_path / "slow.toml").write_text(SLOW)
    words = [sys.executable, "-c", _BEGINS, "lab", "run", "slow.toml", "--quiet", "--jobs", jobs, "--out", "out"]
    with subprocess.Popen(
        [*words, "--formats", "html"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None and running.stdout.readline() == "begins\n"
        time.sleep(delay)
        (os.kill if whom == "process" else os.killpg)(running.pid, signal.SIGINT)
        out, said = running.communicate(timeout=60)
    # On a slow machine the first comes before the program knows which command it is.
    assert (running.returncode, said.removeprefix("ipvssim lab: ")) == (130, "interrupted\n")
    assert not out or "(interrupted: " in out
    assert all("(interrupted: " in page.read_text() for page in tmp_path.glob("out/*.html"))


def test_every_report_says_that_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that are missing, or broke off, are in the title of page and picture, and nowhere else."""
    raw = {"title": "Mine", "seeds": 2, "compare": ["rr"], "traffic": {"arrivals": {"kind": "constant", "rate": 9}}}
    raw["traffic"]["seconds"] = 5  # type: ignore[index]
    scenario = build(raw)
    outcomes = compare(scenario, jobs=1)
    assert title(scenario, summaries(outcomes)) == "Mine"
    told: list[str] = []
    monkeypatch.setattr("matplotlib.figure.Figure.suptitle", lambda _, words, **__: told.append(words))
    page, *_ = report(scenario, outcomes[:1], tmp_path, ["html", "png"])
    assert "<h1>Mine (interrupted: 1 of 2 runs, as far as they came)</h1>" in page.read_text()
    assert len(told) == 2
    assert all("Mine (interrupted: 1 of 2 runs" in words for words in told)
    outcomes[0].complete = False
    assert "(interrupted: 2 of 2 runs" in title(scenario, summaries(outcomes))


# --- files and figures ---


def test_files_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page, pictures, traces, CSV and journal appear under their names when they are whole: all by :func:`files.replace`."""
    written: list[str] = []
    real = files.replace

    def replaced(path: Path, data: bytes) -> Any:
        written.append(path.name)
        return real(path, data)

    monkeypatch.setattr(files, "replace", replaced)
    scenario = build({"traffic": {"arrivals": {"kind": "constant", "rate": 9}, "seconds": 3}})
    report(scenario, [simulate(scenario, "rr", 1)], tmp_path, ["html", "png", "svg", "pdf"])
    write([{"a": 1}], tmp_path / "out.csv")
    (tmp_path / "mine.toml").write_text(MINE)
    assert main(["lab", "trace", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "traces")]) == 0
    assert main(["lab", "sweep", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "s.csv"), "--quiet"]) == 0
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {"mine.toml"}
    assert found == set(written)
    assert len(found) == 8 + 3


def test_intervals_stay_within_what_is_possible() -> None:
    """An interval of two seeds may reach below 0 or above 1; what is drawn of it does not."""
    low, high = FIGURES["moved"].reach(*interval([0.0, 0.02]))
    assert low == 0
    assert high == pytest.approx(0.137, abs=0.001)
    assert FIGURES["jain"].reach(*interval([0.9, 1.0]))[1] == 1
    assert FIGURES["peak"].reach(1.01, 0.5)[0] == 1
    assert FIGURES["broken"].reach(3, float("nan")) == (3, 3)


def test_titles_are_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and dollars of a title are text, for the terminal and for pictures."""
    (tmp_path / "mine.toml").write_text(MINE.replace('"mine"', '"[/b] $x^ [red]"'))
    words = ["--out", str(tmp_path), "--formats", "png", "--quiet"]
    assert main(["lab", "run", str(tmp_path / "mine.toml"), *words]) == 0
    assert "[/b] $x^ [red]" in capsys.readouterr().out


def test_a_run_of_nothing_is_shown(tmp_path: Path) -> None:
    """A run in which no connection came has no figures, and still a page and pictures."""
    scenario = build({"traffic": {"arrivals": {"kind": "poisson", "rate": 1e-6}, "seconds": 1}})
    outcomes: list[Outcome] = compare(scenario, jobs=1)
    assert len(report(scenario, outcomes, tmp_path)) == 5


def test_an_interruption_in_the_midst_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times and samples stay as many, wherever the interruption came."""
    from ipvssim.lab.run.engine import Engine

    columns, calls = Engine._columns, []

    def interrupted(self: Engine) -> Any:
        calls.append(self)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return columns(self)

    monkeypatch.setattr(Engine, "_columns", interrupted)
    traffic = {"arrivals": {"kind": "constant", "rate": 1}, "seconds": 10}
    outcome = simulate(build({"table": {"servers": 3}, "traffic": traffic}), "rr", 1)
    assert not outcome.complete
    assert len(outcome.times) == len(outcome.grids["opened"]) == 3


def test_an_interrupted_trace_is_no_trace(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was broken off writes no trace, and says so: 130, and nothing is there."""
    from ipvssim.lab.run.engine import Engine

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "_advance", interrupted)
    assert main(["lab", "trace", str(mine), "--out", str(tmp_path / "out")]) == 130
    assert not list(tmp_path.glob("out/*"))


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL to the command alone: its workers do not wait for work for ever."""
    (tmp_path / "slow.toml").write_text(SLOW)
    words = [sys.executable, "-m", "ipvssim", "lab", "run", "slow.toml", "--quiet", "--jobs", "2"]
    running = subprocess.Popen(words, cwd=tmp_path, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while len(_group(running.pid)) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        assert len(_group(running.pid)) >= 3
    finally:
        running.kill()
        running.wait()
    end = time.monotonic() + 60
    while (left := _group(running.pid)) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def _group(leader: int) -> list[int]:
    """The processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found
