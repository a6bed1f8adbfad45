"""The campaign over readers: what it reports, what it keeps, whom it gives how much."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.fuzz.law import Reader


def _digits(data: bytes) -> None:
    """A reader of digits with three faults: it hangs on ``h``, and knows neither ``x`` nor ``y``."""
    while b"h" in data:
        pass
    if b"x" in data:
        raise KeyError("x")
    if b"y" in data:
        raise ZeroDivisionError
    if not data.isdigit():
        raise ValueError("no digits")


def _reader(*seeds: bytes, name: str = "digits") -> Reader:
    return Reader(name, _digits, (ValueError,), lambda: seeds)


def test_whatever_breaks_the_law_is_kept_and_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault is counted by its place, its input kept, its traceback shown, and the campaign goes on."""
    (share,) = campaign.run([_reader(b"1x", b"2x", b"3y")], 300, 0, 1, tmp_path)
    assert share.inputs == 300
    assert len(share.faults) == 2
    kept = [file.read_bytes() for file in (tmp_path / "fault-digits").iterdir()]
    assert sorted(kept) == [b"1x", b"3y"]
    told = capsys.readouterr().err
    assert told.count("\nKeyError") == told.count("\nZeroDivisionError") == 1


def test_a_hang_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that never ends is a fault like another, among the seeds too; the timer and its handler are put back."""
    monkeypatch.setattr(campaign, "TURN", 0.05)
    monkeypatch.setattr(campaign, "SECONDS", 0.05)
    before = signal.getsignal(signal.SIGVTALRM)
    (share,) = campaign.run([_reader(b"h")], 1, 0, 1, tmp_path)
    assert (tmp_path / "fault-digits").is_dir()
    assert len(share.faults) == 1
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_an_input_that_is_refused_at_a_new_place_is_kept(tmp_path: Path) -> None:
    """The first refusal is interesting, the next at the same line is not."""
    (share,) = campaign.run([_reader(b"123456")], 500, 0, 1, tmp_path)
    assert share.kept == 1
    (file,) = (tmp_path / "reader-digits").iterdir()
    assert not file.read_bytes().isdigit()


def test_everybody_has_the_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inputs are what was asked for, and a reader that had fewer than the least goes on."""
    monkeypatch.setattr(campaign, "TURN", 0.001)
    shares = campaign.run([_reader(b"1"), _reader(b"2", name="others")], 50, 400, 1, tmp_path)
    assert [share.inputs for share in shares] == [400, 400]
