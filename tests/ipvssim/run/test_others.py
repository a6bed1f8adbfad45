"""Other people's programs under ``ipvssim run``: keepalived, pyroute2; and this project's own client of the real kernel."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from tests.ipvssim.run.programs import needs, run
from tests.places import DATA

CONFIGURATIONS = ("alpha", "checks", "groups", "marks", "masks", "flags")
"""Of tests/data/keepalived, each beside the table that keepalived made of it on the real kernel."""
_KEEPALIVED = """
import sys
from pathlib import Path
from tests.kernel.keepalived import record
for name in sys.argv[1:]:
    file = Path(name)
    made, known = record(file), file.with_suffix(".rules").read_text()
    print(file.name, "equal" if made == known else made)
"""
_PYROUTE2 = """
from socket import AF_INET, IPPROTO_TCP
from pyroute2 import IPVS, IPVSDest, IPVSService
with IPVS() as ipvs:
    ipvs.service("add", service=IPVSService(addr="192.0.2.1", port=80, protocol=IPPROTO_TCP, sched_name="rr"))
    key = IPVSService(addr="192.0.2.1", port=80, protocol=IPPROTO_TCP)
    ipvs.dest("add", service=key, dest=IPVSDest(addr="10.0.0.1", port=80))
    found = [IPVSService.from_message(one) for one in ipvs.service("dump")]
    print(len(found), found[0]["addr"], found[0]["port"], len(list(ipvs.dest("dump", service=key))))
"""


@needs("keepalived")
def test_keepalived_makes_the_table_that_it_makes_on_the_real_kernel() -> None:
    """Its tables were recorded on Linux 6.1.176; the reader of them here is our own client of the kernel."""
    files = [str(DATA / "keepalived" / f"{name}.conf") for name in CONFIGURATIONS]
    done = run(sys.executable, "-c", _KEEPALIVED, *files, timeout=120)
    lines = done.stdout.splitlines()
    assert lines == [f"{name.rpartition('/')[2]} equal" for name in files], done.stderr


@needs()
@pytest.mark.skipif(find_spec("pyroute2") is None, reason="pyroute2 is not installed")
def test_pyroute2_adds_and_lists() -> None:
    """Its own event loop, sockets and threads, unchanged."""
    done = run(sys.executable, "-c", _PYROUTE2)
    assert (done.returncode, done.stdout) == (0, "1 192.0.2.1 80 1\n"), done.stderr


@needs()
def test_our_own_client_takes_it_for_the_real_kernel() -> None:
    """``ipvsnl`` with its default target: the kernel's own socket, and the kernel's files."""
    script = "python -m ipvsnl -A -t 192.0.2.1:80 && python -m ipvsnl -Ln && python -m ipvsnl -Lnc"
    done = run("sh", "-c", script.replace("python", sys.executable))
    assert done.returncode == 0 and "TCP  192.0.2.1:80 wlc" in done.stdout, done.stderr
