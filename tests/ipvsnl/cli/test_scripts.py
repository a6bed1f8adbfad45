"""``ipvsnl-save`` and ``ipvsnl-restore`` against the scripts of ipvsadm whose names and arguments they have; versions."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

import ipvsnl
from ipvsnl.cli.scripts import restore, save

RULES = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n"


def feed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_what_is_saved_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Restoring clears first and passes comments over; saving writes numbers with -n; whatever names the target."""
    monkeypatch.setenv("IPVSNL_TARGET", f"sim:{tmp_path / 'table'}")
    feed(monkeypatch, "-A -f 9 -s rr\n")
    assert restore([]) == 0
    feed(monkeypatch, "# saved yesterday\n" + RULES + "#-A -f 1\n")
    assert restore([]) == 0
    assert save(["-n"]) == 0
    assert capsys.readouterr() == (RULES, "")
    assert save(["--target", "sim::memory:", "-n"]) == 0
    assert capsys.readouterr() == ("", "")
    assert save([]) == 0
    assert ":http " in capsys.readouterr().out


def test_a_refused_line_has_its_number_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines that are passed over count."""
    monkeypatch.setenv("IPVSNL_TARGET", f"sim:{tmp_path / 'table'}")
    feed(monkeypatch, "# one\n# two\n-A -t 192.0.2.1:80 -s rr\n-A -t 192.0.2.1:80 -s rr\n")
    assert restore([]) != 0
    assert "<stdin>:4:" in capsys.readouterr().err


def test_without_a_kernel_nothing_is_read_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can't be cleared is not restored, and is complained of once."""
    monkeypatch.setenv("IPVSNL_TARGET", "unix:/nowhere")
    feed(monkeypatch, RULES)
    assert restore([]) == 2
    assert capsys.readouterr().err.count("/nowhere") == 1


@pytest.mark.parametrize("words", [["-x"], ["--numeric"]])
def test_other_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 and the usage on standard error, as the scripts of ipvsadm do; -h on standard output."""
    for program in (save, restore):
        assert program(words) == 1
        assert capsys.readouterr().err.startswith("ipvsnl-")
        assert program(["-h"]) == 0
        assert capsys.readouterr().out.startswith("ipvsnl-")


@pytest.mark.parametrize("module", ["ipvsnl", "ipvssim"])
def test_modules_are_programs_and_tell_their_version(module: str) -> None:
    """``python -m`` works where no script is on the path; ``--version`` is the distribution's."""
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{module} {ipvsnl.__version__}")
