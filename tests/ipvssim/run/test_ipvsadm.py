"""The real ipvsadm on the simulated kernel: what it printed on Linux 6.1.176 (recorded) is what it prints here."""

from __future__ import annotations

import json
import lzma
from typing import Any

import pytest

from tests.ipvsnl.cli.recordings import HELP, groups
from tests.ipvssim.run.programs import needs, run, session
from tests.places import DATA

pytestmark = needs("ipvsadm")

GROUPS = [group for group in groups("grammar.json", "restore.json", "listings.json") if not group.get("hosts")]
"""Those with a table of hosts' names of their own need another /etc/hosts than the machine's."""
EMPTY = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
"""


def test_an_empty_table_is_listed() -> None:
    """As an ordinary program, with nothing but the command before it."""
    done = run("ipvsadm", "-Ln")
    assert (done.returncode, done.stdout, done.stderr) == (0, EMPTY, "")


def recorded(group: Any) -> list[list[Any]]:
    """A group's steps, where the device is that the recordings name: in a network namespace of its own, whose loopback
    device (the one that there is without a module) takes the name."""
    steps = [{**step, "args": ["ipvsadm", *map(str, step["args"])]} for step in group["steps"]]
    started = [{"args": ["ip", "link", "set", "lo", "name", "d0"]}, {"args": ["ip", "link", "set", "d0", "up"]}]
    return session([*started, *steps], within=("unshare", "-rn"))[2:]


@needs("unshare", "ip")
@pytest.mark.parametrize("group", GROUPS, ids=[group["name"] for group in GROUPS])
def test_every_recorded_step_is_the_real_kernels(group: Any) -> None:
    """Output, messages and exit status of each step of a recording, from an empty table on."""
    for number, (step, got) in enumerate(zip(group["steps"], recorded(group), strict=True)):
        stdout = step.get("stdout", "")
        shown = HELP if stdout == HELP and got[1].startswith("ipvsadm ") else got[1]
        assert [got[0], shown, got[2]] == [step["rc"], stdout, step.get("stderr", "")], (number, step["args"])


def test_the_guides_session() -> None:
    """The session of the guide, recorded on the real kernel."""
    steps = json.loads((DATA / "e2e" / "guide.json").read_text())
    asked = [{"args": ["ipvsadm", *step["args"].split()], "stdin": step["stdin"] or ""} for step in steps]
    for step, got in zip(steps, session(asked), strict=True):
        assert got == [step["rc"], step["stdout"], step["stderr"]], step["args"]


SESSIONS = json.loads(lzma.decompress((DATA / "cli" / "sessions.json.xz").read_bytes()))
"""One session of 326 commands, by netlink and by the old interface (tests/kernel/ipvsadm_sessions.py)."""


def blocks(stdout: str) -> list[str]:
    """An output's services, each with its servers, in an order of their own: the kernel's hangs on a secret."""
    found: list[str] = []
    for line in stdout.splitlines():
        if found and line.startswith(("  ", "-a ")):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return sorted(found)


@pytest.mark.parametrize("recording", SESSIONS, ids=[f"netlink-{one['netlink']}" for one in SESSIONS])
def test_a_long_session_is_the_real_kernels(recording: Any) -> None:
    """Whichever interface ipvsadm speaks, it says and prints at each step what it did on the real kernel."""
    assert len(recording["steps"]) >= 300
    steps = [{"args": ["ipvsadm", *step["args"]], "stdin": step["stdin"]} for step in recording["steps"]]
    answers = session(steps, options=("--netlink", recording["netlink"]))
    for number, (step, (status, stdout, stderr)) in enumerate(zip(recording["steps"], answers, strict=True)):
        shown = HELP if step["stdout"] == HELP and stdout.startswith("ipvsadm ") else stdout
        expected = [step["rc"], blocks(step["stdout"]), step["stderr"]]
        assert [status, blocks(shown), stderr] == expected, (number, step["args"])
