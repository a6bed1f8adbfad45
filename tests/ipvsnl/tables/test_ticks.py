"""/proc/net/ip_vs counts persistence in ticks of the kernel that wrote it: what is known of them, and what is assumed."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from ipvsnl.cli.convert import rules
from ipvsnl.tables import proc_in, wanted
from ipvsnl.tables.wanted import read_file, read_table
from ipvssim import Kernel

TITLES = (
    "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"
    "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
)
TEXT = f"{TITLES}TCP  C0000201:0050 rr  persistent 75000 FFFFFFFF\n"


@pytest.mark.parametrize(("hz", "seconds"), [(100, 750), (250, 300), (300, 250), (1000, 75)])
def test_ticks_that_are_told_are_counted(hz: int, seconds: int) -> None:
    """With --hz the timeout is known: it is said in no note, and a plan changes a live service's, too."""
    table = read_table(TEXT, hz=hz)
    assert list(rules(table)) == [f"-A -t 192.0.2.1:80 -s rr -p {seconds}"]
    assert "ticks" not in table.notes[0]
    kernel = Kernel("-A -t 192.0.2.1:80 -s rr -p 9")
    assert f"persistence 9 -> {seconds}" in kernel.ipvsnl("plan", "--hz", str(hz), "-", stdin=TEXT).stdout
    assert kernel.ipvsnl("convert", "--hz", str(hz), "-", stdin=TEXT).stdout.endswith(f"-p {seconds}\n")


def test_ticks_that_are_assumed_are_named() -> None:
    """Without it the note names the assumption and the way out, and a live timeout stays."""
    kernel = Kernel("-A -t 192.0.2.1:80 -s rr -p 9")
    done = kernel.ipvsnl("plan", "-", stdin=TEXT)
    assert done.stdout == "nothing to do\n"
    assert "100 a second are assumed" in done.stderr and "--hz" in done.stderr


@pytest.mark.parametrize("word", ["0", "1201", "x", "-5", ""])
def test_a_number_that_is_no_kernels_is_refused(word: str) -> None:
    """--hz takes what CONFIG_HZ can be."""
    done = Kernel().ipvsnl("convert", "--hz", word, "-", stdin=TEXT)
    assert done.status == 1 and "100, 250, 300, 1000" in done.stderr


def test_this_kernels_own_ticks_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file under /proc is of the kernel that runs us, and the resolution of its coarse clocks is a tick."""
    monkeypatch.setattr(time, "clock_getres", lambda clock: {6: 0.004}[clock], raising=False)
    assert proc_in.own_ticks() == 250
    file = tmp_path / "ip_vs"
    file.write_text(TEXT)
    assert read_file(str(file), io.StringIO())[0].unsaid_of
    monkeypatch.setattr(wanted, "open", lambda _, **how: file.open(**how), raising=False)
    assert list(rules(read_file("/proc/net/ip_vs", io.StringIO())[0])) == ["-A -t 192.0.2.1:80 -s rr -p 300"]


def test_no_ticks_where_there_is_no_such_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux nothing is known."""

    def no_clock(_: int) -> float:
        raise OSError

    monkeypatch.setattr(time, "clock_getres", no_clock, raising=False)
    assert proc_in.own_ticks() is None
