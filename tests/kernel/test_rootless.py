"""Root of a user namespace of its own, to whom the kernel refuses netlink, and takes the old interface."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from ipvssim import Kernel
from ipvssim.net.networks import default_network
from tests.kernel.rootless import changes, outcome
from tests.places import ROOT

pytestmark = pytest.mark.kernel
SEED, COUNT = int(os.environ.get("IPVSNL_SEED") or secrets.randbelow(1 << 32)), 400

ENVIRONMENT = {**os.environ, "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
"""The programs of this Python come first."""


def rootless(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command of such a user, in a network namespace of its own."""
    return subprocess.run(
        ["unshare", "-r", "-n", *words], cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=120,
        env=ENVIRONMENT,
    )  # fmt: skip


def test_random_changes_end_alike() -> None:
    """Each change and question has the outcome, and leaves the table, that netlink has with the simulated kernel."""
    done = rootless(sys.executable, "-m", "tests.kernel.rootless", str(SEED), str(COUNT))
    assert done.returncode == 0, done.stderr
    interface, outcomes = json.loads(done.stdout)
    assert interface == "sockopt"
    ours = Kernel(network=default_network(), hash_key=0).connect()
    for number, (change, theirs) in enumerate(zip(changes(SEED, COUNT), outcomes, strict=True)):
        assert outcome(ours, change) == theirs, f"IPVSNL_SEED={SEED} change {number}"


def test_the_command_line() -> None:
    """A restore, a listing, a plan, an apply and what cannot be said, by the commands themselves."""
    script = """
        ip link set lo up
        printf '%s\n' '-A -t 192.0.2.1:80 -s wrr -p 300' '-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3' '-A -f 7' |
            ipvsnl -R
        ipvsnl -a -t 192.0.2.1:80 -r 10.0.0.2:8080 -i --tun-type gue --tun-port 6080; echo $?
        ipvsnl -A -t [2001:db8::1]:80; echo $?
        ipvsnl -Ln
        printf '%s\\n' '-A -t 192.0.2.1:80 -s rr' '-a -t 192.0.2.1:80 -r 10.0.0.3:80 -g' | ipvsnl apply --prune - > /dev/null
        ipvsnl -S -n
    """
    done = rootless("sh", "-c", script)
    assert done.stdout.splitlines() == [
        "255", "255",
        "IP Virtual Server version 1.2.1 (size=4096)",
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
        "TCP  192.0.2.1:80 wrr persistent 300",
        "  -> 10.0.0.1:8080                Masq    3      0          0         ",
        "FWM  7 wlc",
        "-A -t 192.0.2.1:80 -s rr",
        "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -g -w 1",
    ]  # fmt: skip
    assert "tunnel_type: the kernel's old interface" in done.stderr
    assert "family: the kernel's old interface" in done.stderr


def test_nobody_at_all() -> None:
    """Who is not even that gets netlink's refusal, as ever."""
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", "ipvsnl", "-A", "-t", "192.0.2.1:80"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Permission denied" in done.stderr
