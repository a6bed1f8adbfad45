"""Where things are: the one place of the tests that counts folders."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The root of the clone."""
DATA = ROOT / "tests" / "data"
"""Recorded answers, traces, rule files."""
