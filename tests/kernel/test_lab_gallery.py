"""The gallery's scenarios on the real kernel: the same rules and packets, and the same connections on every server."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy", reason="the laboratory of schedulers needs numpy: pip install 'ipvsnl[lab]'")

from ipvssim.doors.replay import SAME, Job, replay
from ipvssim.lab import gallery, load
from ipvssim.lab.run.traces import Trace, opened, traces
from ipvssim.lab.scenario.definition import parted
from ipvssim.net.packets import SYN
from ipvssim.state.namespace import RELEASE
from tests.places import ROOT

pytestmark = pytest.mark.kernel
JOBS = 12
RUNS = [
    (name, variant)
    for name in gallery()
    for variant in load(name).small.variants
    if parted(variant)[1] in ("", RELEASE)
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, str], list[Trace]]]:
    """Every scenario's traces, small, put to the kernel that runs here: many at a time, since most of it is waiting."""
    folder = tmp_path_factory.mktemp("gallery")
    made = {(name, variant): traces(load(name).small, variant)[1] for name, variant in RUNS}
    paths = []
    for trace in (one for several in made.values() for one in several):
        paths.append(folder / f"{trace.name}.trace")
        paths[-1].write_text(trace.text)
    recorder = [sys.executable, "-m", "tests.kernel.recorder", "--jobs", str(JOBS)]
    subprocess.run([*recorder, *map(str, paths)], cwd=ROOT, check=True)
    return folder, made


def destinations(trace: Trace, answers: list[dict[str, Any]]) -> Counter[str]:
    """Where the kernel sent each connection's first packet: by its frame's link-layer address, which tells the server."""
    found: Counter[str] = Counter()
    port = port_of(trace)
    for step, answer in zip(trace.lines[1:], answers, strict=True):
        if step["do"] != "packet" or bytes.fromhex(step["hex"])[33] != SYN:
            continue
        for out in answer["out"]:
            if out["on"] == "server":  # and no ICMP error to the client
                mac = bytes.fromhex(out["hex"])[:6]
                found[f"10.0.{mac[4]}.{mac[5]}:{port}"] += 1
    return found


def port_of(trace: Trace) -> str:
    """The port of the trace's servers."""
    return next(iter(trace.opened)).rpartition(":")[2]


@pytest.mark.parametrize(("name", "variant"), RUNS, ids=[f"{name}: {variant}" for name, variant in RUNS])
def test_the_kernel_counts_the_same(
    name: str, variant: str, recorded: tuple[Path, dict[tuple[str, str], list[Trace]]]
) -> None:
    """Each server has as many connections on the real kernel as in the laboratory's run, exactly; and every packet that
    left the simulated director left the real one with the same bytes."""
    folder, made = recorded
    for trace in made[name, variant]:
        _, *answers = [json.loads(line) for line in (folder / f"{trace.name}.kernel").read_text().splitlines()]
        assert [answer["rc"] for answer in answers if "rc" in answer].count(0) == sum("rc" in one for one in answers)
        went = destinations(trace, answers)
        assert went
        assert went == {server: count for server, count in trace.opened.items() if count}
        if trace.lines[-1]["do"] == "stats":
            kernel = opened(answers[-1]["stdout"])
            assert kernel == {server: trace.opened[server] for server in kernel}
        differing = io.StringIO()
        job = Job(folder / f"{trace.name}.trace", folder / f"{trace.name}.kernel")
        assert replay(job, check=True, release=RELEASE, out=differing) == SAME, differing.getvalue()[:2000]
