"""The log of a served kernel, and its trash."""

from __future__ import annotations

import errno
import io
import time
from pathlib import Path

import pytest

import ipvsnl
from ipvsnl.cli.main import Own, execute
from ipvsnl.errors import LinkError
from ipvsnl.link.unix import _control
from ipvssim.doors import control
from ipvssim.doors.control import Waiting
from ipvssim.kernel import Kernel
from tests.ipvssim.doors.test_server import serving

RULES = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n"


def ran(place: Path, *words: str, stdin: str = "") -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = execute(list(words), lambda: ipvsnl.open(f"unix:{place}"), io.StringIO(stdin), out, err)
    return status, out.getvalue(), err.getvalue()


def test_a_served_kernel_tells_its_trash(tmp_path: Path) -> None:
    """``-L --trash`` of a ``unix:`` target lists what that of the same kernel in the process does."""
    with serving(tmp_path / "s") as server:
        assert ran(tmp_path / "s", "-R", stdin=RULES)[0] == 0
        assert ran(tmp_path / "s", "-d", "-t", "192.0.2.1:80", "-r", "10.0.0.1:80")[0] == 0
        status, text, _ = ran(tmp_path / "s", "-Ln", "--trash")
        assert status == 0 and text.splitlines()[2].split()[:4] == ["TCP", "192.0.2.1:80", "10.0.0.1:80", "1"]
        with ipvsnl.open(f"unix:{tmp_path / 's'}") as ipvs:
            (one,) = ipvs.trash()
            assert one.replace(deleted=0.0) == server.kernel.trash()[0].replace(deleted=0.0)


def test_a_client_gets_the_log_that_it_asks_for(tmp_path: Path) -> None:
    """Lines up to its level, before the answers to what caused them; another client's level is its own."""
    with serving(tmp_path / "s") as server:
        place = f"unix:{tmp_path / 's'}"
        loud: list[str] = []
        low: list[str] = []
        with ipvsnl.open(place, log=(12, loud.append)) as one, ipvsnl.open(place, log=(2, low.append)) as other:
            one.load(RULES)
            one.delete_server(*only(one))
            moving = [line for line in loud if "Moving dest 10.0.0.1:80 into trash, dest->refcnt=1" in line]
            assert len(moving) == 1 and moving[0].startswith("[ ")
            other.info()
            told = [line[15:] for line in low if "Enter: " not in line and "Leave: " not in line]
            assert told == ['IPVS: ip_vs_sched_getbyname(): sched_name "rr"'] and len(low) == 7
            assert server.kernel.debug_level == 12
        end = time.monotonic() + 30
        while server.kernel.debug_level and time.monotonic() < end:
            time.sleep(0.01)
        assert server.kernel.debug_level == 0 and server.kernel.log == []


def only(ipvs: ipvsnl.IPVS) -> tuple[ipvsnl.Service, ipvsnl.Destination]:
    (entry,) = ipvs.snapshot()
    return entry.service, entry.destinations[0].destination


def test_a_client_that_does_not_read_loses_the_newest_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many lines wait, and no more: the server's memory has a bound."""
    monkeypatch.setattr(control, "MOST_LINES", 10)
    kernel, waiting = Kernel(), Waiting()
    control.Watchers(kernel).watch(12, waiting)
    for _ in range(100):
        kernel.ipvsadm("--set", "1", "2", "3")
    assert len(waiting) == 10


def test_peers_without_the_right_get_no_log() -> None:
    """EPERM for who is neither root nor the server's user; files are for all."""
    kernel = Kernel()
    asked = control.Control(kernel, kernel.socket(privilege="none"), lambda port: True, None)
    (refused,) = asked.answers(_control('{"log":1}'))
    assert f'"error":{errno.EPERM}' in refused.decode(errors="replace")
    (lines,) = asked.answers(_control('{"proc":"ip_vs"}'))
    assert b'"lines":' in lines


def test_the_log_of_a_simulated_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ipvsnl --debug-level N`` writes it to standard error, for ``sim:FILE`` as for a served kernel."""
    err = io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    own = Own()
    rest = own.read(["--target", f"sim:{tmp_path / 't'}", "--debug-level=2", "-A", "-t", "192.0.2.1:80"])
    assert execute(rest, own.client, io.StringIO(), io.StringIO(), err) == 0
    assert err.getvalue() == '[    0.000000] IPVS: ip_vs_sched_getbyname(): sched_name "wlc"\n'
    with pytest.raises(ValueError, match="'13' is not a level from 0 to 12"):
        own.read(["--debug-level", "13", "-L"])
    with pytest.raises(LinkError, match="--debug-level: a simulated kernel's"):
        ipvsnl.open("kernel", log=(1, print))
