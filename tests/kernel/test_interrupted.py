"""Ctrl-C at any moment of a restore on the real kernel: the process ends in order, and what it says is true."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipvsnl.client import IPVS
from tests.conftest import ON_THE_KERNEL, enter_fresh_namespace

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(not ON_THE_KERNEL, reason="needs the kernel laboratory")]

ROUNDS = 20
MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import ipvsnl.backends.native, ipvsnl.bulk.load, ipvsnl.cli.dispatch, ipvsnl.cli.restore
from ipvsnl.cli.main import main
print(flush=True)
sys.exit(main(["-R"]))
"""
SERVERS = [f"-a -t 10.0.0.1:80 -r 10.{n // 62500 + 1}.{n // 250 % 250}.{n % 250 + 1}:80 -m" for n in range(20_000)]


def restored(rules: Path, after: float | None) -> tuple[int, str, float]:
    """Restore, with a SIGINT so many seconds after its start: the exit status, what it said, how long it took."""
    with rules.open() as source:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        begun = time.monotonic()
        if after is not None:
            time.sleep(after)
            process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        return process.returncode, said, time.monotonic() - begun


def test_an_interrupted_restore_tells_the_truth(tmp_path: Path) -> None:
    """Status 130, the line that it came to, and as many changes as the kernel has; or it was over before."""
    enter_fresh_namespace()
    rules, chance, interrupted = tmp_path / "rules", random.Random(4), 0
    rules.write_text("\n".join(["-A -t 10.0.0.1:80 -s rr", *SERVERS, ""]))
    status, said, whole = restored(rules, None)
    assert (status, said) == (0, "")
    for _ in range(ROUNDS):
        with IPVS() as ipvs:
            ipvs.flush()
        status, said, _ = restored(rules, chance.uniform(0.1, 0.9) * whole)
        if (status, said) == (0, ""):
            continue
        assert status == 130
        made = re.fullmatch(r"interrupted after line \d+: (\d+) changes made\n|interrupted\n", said)
        assert made is not None, said
        with IPVS() as ipvs:
            assert sum(1 + len(entry.destinations) for entry in ipvs.snapshot()) == int(made[1] or 0)
        interrupted += 1
    assert interrupted > ROUNDS // 2
