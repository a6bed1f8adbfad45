"""Our command line beside the real ipvsadm, both on the same real kernel: state made by one is listed by the other."""

from __future__ import annotations

import io
import random
import subprocess

import pytest

from ipvsnl.cli.dispatch import run
from ipvsnl.client import open as open_ipvs
from tests.conftest import enter_fresh_namespace

pytestmark = pytest.mark.kernel

SCHEDULERS = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"]
SERVICES = [
    "-t 203.0.113.1:80", "-t 203.0.113.1:443", "-u 203.0.113.1:53", "--sctp-service 203.0.113.2:5060", "-f 7",
    "-f 4000000000", "-t 200.0.0.1:80", "-t 10.9.8.7:8080",
]  # fmt: skip
SERVICES6 = ["-t [2001:db8:80::1]:80", "-u [2001:db8:80::1]:53", "-f 7 -6"]
LISTINGS = [
    "-Ln", "-ln", "-Ln --stats", "-Ln --rate", "-Ln --thresholds", "-Ln --persistent-conn", "-Ln --tun-info",
    "-Ln --stats --exact", "-Ln --rate --exact", "-Ln --nosort", "-Lnc", "-L --timeout", "-L --daemon", "-Sn",
    *[f"-Ln {service}" for service in (*SERVICES, *SERVICES6)],
]  # fmt: skip


def ipvsadm(arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """The real one."""
    done = subprocess.run(["ipvsadm", *arguments.split()], input=stdin, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def ours(arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Ours, in this process, under ipvsadm's name."""
    out, err = io.StringIO(), io.StringIO()
    status = run(
        arguments.split(), client_factory=open_ipvs, stdin=io.StringIO(stdin), stdout=out, stderr=err, prog="ipvsadm"
    )
    return status, out.getvalue(), err.getvalue()


def change(chance: random.Random) -> str:
    """A random change, good or bad."""
    six = chance.random() < 0.25
    service = chance.choice(SERVICES6 if six else SERVICES)
    server = f"[fd00:10::{chance.randint(1, 6):x}]:80" if six else f"10.0.0.{chance.randint(1, 6)}:80"
    method = chance.choice(["-m", "-g", "-i", "-i --tun-type gue --tun-port 6080", "-i --tun-type gre --tun-csum"])
    limits = chance.choice(["", "", " -x 10", " -x 10 -y 5", " -y 5"])
    scheduling = chance.choice(["", f" -s {chance.choice(SCHEDULERS)}"]) + chance.choice(
        ["", "", " -p 60", " -p", " -o"]
    )
    return chance.choice([
        f"-A {service}{scheduling}", f"-A {service}{scheduling}", f"-E {service}{scheduling}",
        f"-a {service} -r {server} {method} -w {chance.randint(0, 9)}{limits}",
        f"-a {service} -r {server} {method} -w {chance.randint(0, 9)}{limits}",
        f"-e {service} -r {server} {method} -w {chance.randint(0, 9)}{limits}",
        f"-d {service} -r {server}", f"-D {service}" if chance.random() < 0.3 else f"-Z {service}",
        f"--set {chance.randint(0, 900)} 0 {chance.randint(0, 300)}",
        f"--start-daemon {chance.choice(['master', 'backup'])} --mcast-interface lo --syncid {chance.randint(0, 300)}",
        f"--stop-daemon {chance.choice(['master', 'backup'])}",
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_two_command_lines_on_one_kernel(seed: int) -> None:
    """Changes by either are seen by both, in every format, byte for byte; refusals are told in the same words."""
    enter_fresh_namespace()
    chance = random.Random(seed)
    for number in range(60):
        (one, other) = (ipvsadm, ours) if number % 2 else (ours, ipvsadm)
        line = change(chance)
        first = one(line)
        if first[0] != 0 and not line.startswith(("--st", "-Z")):
            assert other(line) == first, line
    for listing in LISTINGS:
        assert ours(listing) == ipvsadm(listing), listing


def test_what_one_saves_the_other_restores() -> None:
    """A saved table goes through either restore and comes out the same from either save."""
    enter_fresh_namespace()
    chance = random.Random(99)
    for _ in range(150):
        ipvsadm(change(chance))
    saved = ipvsadm("-Sn")[1].replace("-f -294967296", "-f 4000000000")
    for restore in (ours, ipvsadm):
        assert restore("-C")[0] == 0
        assert restore("-R", saved)[0] == 0
        for save in (ours, ipvsadm):
            assert save("-Sn")[1].replace("-f -294967296", "-f 4000000000") == saved
