"""Tables of docs/inside/performance.md that programs of their own measure and write."""

from __future__ import annotations

from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "inside" / "performance.md"


def write(file: Path, head: str, text: str, behind: str = "") -> None:
    """Print a table with what is told of it, keep it in ``file`` for ``bench/report.py``, and put it into the page: from
    the line ``head`` to the next empty line, behind which stands ``behind``."""
    print(text, end="")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    before, found, rest = PAGE.read_text().partition(head)
    if not found:
        raise SystemExit(f"{PAGE} has no such table")
    PAGE.write_text(before + text + "\n" + behind + rest.partition("\n\n" + behind)[2])


def shown(values: list[float]) -> str:
    """The median, and the range."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
