"""Captures of a real director (tests/kernel/captures made them): the twin chooses what it chose."""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from ipvssim.doors.pcap import main
from ipvssim.lane import compiled, lane
from tests.places import DATA

ARCHIVE = DATA / "captures" / "recorded.tar.xz"
with tarfile.open(ARCHIVE) as _archive:
    NAMES = sorted(Path(name).stem for name in _archive.getnames() if name.endswith(".json"))


@pytest.fixture(scope="session")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the archive's files lie."""
    folder = tmp_path_factory.mktemp("captures")
    with tarfile.open(ARCHIVE) as archive:
        for one in archive:
            content = archive.extractfile(one)
            assert content is not None
            (folder / one.name).write_bytes(content.read())
    return folder


def played(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was recorded beside a capture, and the report of the capture."""
    recorded = json.loads((folder / f"{name}.json").read_text())
    options = [str(folder / word) if word.endswith(".conns") else word for word in recorded["options"]]
    assert main([str(folder / f"{name}.rules"), str(folder / recorded["capture"]), "--json", *options]) == 0
    return recorded, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", NAMES)
def test_every_flow_goes_to_the_server_that_the_real_director_chose(
    captures: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The servers said who they were, and the clients noted it: flow by flow, in their order, it is the twin's choice."""
    recorded, report = played(captures, name, capsys)
    told, found = defaultdict(list), defaultdict(list)
    for protocol, client, virtual, server in recorded["answers"]:
        told[protocol, client, virtual].append(server)
    for flow in report["flows"]:
        if flow["reason"] == "known connection":  # of the start state: its answer came before the capture
            assert recorded["options"][:1] == ["--start-state"]
            continue
        found[flow["protocol"].lower(), flow["client"], flow["virtual"]].append(flow["server"])
    assert found == told
    assert report["comparison"]["differ"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_the_capture_shows_of_its_director_is_found(
    captures: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the packets that left are in the capture, every flow is compared; else none is."""
    _, report = played(captures, name, capsys)
    compared = report["comparison"]["compared"]
    assert compared in (0, len(report["flows"])), (compared, len(report["flows"]))
    assert report["packets"]["turned"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_without_the_lane_the_same_is_told_and_written(
    captures: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report, line for line, and the file of what left, byte for byte."""
    recorded = json.loads((captures / f"{name}.json").read_text())
    options = [str(captures / word) if word.endswith(".conns") else word for word in recorded["options"]]
    told = []
    for built in (compiled, False):
        monkeypatch.setattr(lane, "compiled", built)
        out = tmp_path / f"{built}"
        assert main([str(captures / f"{name}.rules"), str(captures / recorded["capture"]), str(out), *options]) == 0
        told.append((capsys.readouterr().out, out.read_bytes()))
    assert told[0] == told[1]
