"""Captures made afresh: the twin chooses what the real director chose, whatever was drawn this time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import ON_THE_KERNEL
from tests.kernel.captures.record import made
from tests.kernel.captures.scenes import SCENES
from tests.kernel.captures.world import MODULES

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not ON_THE_KERNEL, reason="needs the kernel laboratory"),
    pytest.mark.skipif(not shutil.which("tcpdump"), reason="needs tcpdump"),
]

AFRESH = ("nat-any-v2", "nat-clients-side", "direct-one-arm", "one-packet", "tunnel-gue", "nat-qinq", "fwmark", "many")


@pytest.fixture(scope="module", autouse=True)
def modules() -> None:
    """The devices that scenes are made of."""
    subprocess.run(["modprobe", "-a", *MODULES], check=True)


@pytest.mark.parametrize("name", AFRESH)
def test_a_fresh_capture_agrees_with_its_director(tmp_path: Path, name: str) -> None:
    """Every flow that a client noted goes to the same server in the simulation."""
    assert made(SCENES[name], tmp_path) > 0
    recorded = json.loads((tmp_path / f"{name}.json").read_text())
    command = [
        sys.executable,
        "-m",
        "ipvssim",
        "pcap",
        f"{name}.rules",
        recorded["capture"],
        "--json",
        *recorded["options"],
    ]
    report = json.loads(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout)
    told, found = defaultdict(list), defaultdict(list)
    for protocol, client, virtual, server in recorded["answers"]:
        told[protocol, client, virtual].append(server)
    for flow in report["flows"]:
        found[flow["protocol"].lower(), flow["client"], flow["virtual"]].append(flow["server"])
    assert found == told
