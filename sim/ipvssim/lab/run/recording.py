"""Packets of a capture as traffic: any file and any link type that ``ipvssim pcap`` reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ipvssim.doors.captures import files, links
from ipvssim.lab.scenario.reader import ScenarioError


def packets(path: str) -> Iterator[tuple[int, bytes]]:
    """Microseconds since the first packet, and the IP packet; what is no IP, or was cut, is left out."""
    first = None
    try:
        with files.opened(Path(path)) as stream:
            for frame in files.Reader(stream, path):
                link = links.unwrap(frame)
                if link is None:
                    raise ScenarioError(f"{path}: packet {frame.number}: link type {frame.link} is unknown")
                if link.data and len(frame.data) == frame.size:
                    first = frame.when if first is None else first
                    yield max(frame.when - first, 0), link.data
    except OSError as wrong:
        raise ScenarioError(f"{path}: {wrong.strerror}") from wrong
    except files.CaptureError as wrong:
        raise ScenarioError(str(wrong)) from wrong
