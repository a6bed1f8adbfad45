"""``ipvssim lab``: a comparison, a sweep, traces, the gallery; what is wrong is one line and a status."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ipvssim.command import main

FEW = ["--small", "--quiet", "--set", "traffic.seconds=5", "--set", "events=[]"]


def test_a_comparison(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``run`` prints a row for each scheduler and writes the reports that were asked for."""
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["lab", "run", "herd", *FEW, "--jobs", "1", "--out", str(tmp_path), "--formats", "html"]) == 0
    out = capsys.readouterr().out
    assert all(f" {name} " in out for name in ("rr", "wrr", "wlc", "sh", "mh"))
    assert "100.0 %" in out
    assert [path.name for path in tmp_path.iterdir()] == ["herd.html"]


def test_a_sweep(tmp_path: Path) -> None:
    """``sweep`` writes a row for each run, over ranges given on the command line too."""
    out = tmp_path / "out.csv"
    assert (
        main(
            [
                "lab",
                "sweep",
                "herd",
                *FEW,
                "--set",
                "sweep={directors=[1,2]}",
                "--set",
                'compare=["rr"]',
                "--out",
                str(out),
            ]
        )
        == 0
    )
    with out.open(newline="") as file:
        assert [row["directors"] for row in csv.DictReader(file)] == ["1", "2"]


def test_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``trace`` writes a trace for each director and variant, in the format that recorder and replay read."""
    assert (
        main(
            [
                "lab",
                "trace",
                "herd",
                "--small",
                "--set",
                "traffic.seconds=2",
                "--set",
                "events=[]",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    paths = sorted(map(Path, capsys.readouterr().out.split()))
    assert paths == sorted(tmp_path.iterdir())
    assert len(paths) == 5 * 4
    header, *steps = map(json.loads, paths[0].read_text().splitlines())
    assert header["trace"] == 1
    assert {step["do"] for step in steps} == {"ipvsadm", "packet", "stats"}
    assert main(["replay", *map(str, paths[:3])]) == 0


def test_the_gallery_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """``gallery`` names the six scenarios with their questions."""
    assert main(["lab", "gallery"]) == 0
    out = capsys.readouterr().out
    assert all(
        name in out for name in ("failure", "herd", "nat-client", "new-server", "persistence", "short-connections")
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nothing"], "no such file"),
        (["run", "herd", "--set", "seeds"], "PATH=VALUE is wanted"),
        (["run", "herd", "--set", "table.server=3"], "table.server: unknown"),
        (["run", "herd", "--executor", "elsewhere"], "is no executor"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario that can't be run is status 2, and a line that says why."""
    assert main(["lab", *arguments, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
