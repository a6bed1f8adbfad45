"""Where things are: the one place of the tests that counts folders."""

from __future__ import annotations

import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The root of the clone."""
DATA = ROOT / "tests" / "data"
"""Recorded answers, traces, rule files."""


def unpacked(archive: Path, place: Path) -> None:
    """Unpack an archive of the repository's own; Python 3.11.2 (Debian 12's) knows no filters yet, and needs none here."""
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):
            opened.extractall(place, filter="data")
        else:
            opened.extractall(place)
