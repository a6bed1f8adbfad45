"""The documents' examples are run: what they show is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SKIPPED = ("make ", "ipvsnl lab-kernel", "pip ")
"""Commands that set up, boot a kernel or install: shown, and proved elsewhere."""


def environment(home: Path) -> dict[str, str]:
    """A user's own environment in a home of its own, with this environment's commands, on the simulated kernel."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "IPVSNL_TARGET": f"sim:{home}/tutorial.table", "LC_ALL": "C.UTF-8"}


def test_the_tutorials_session_prints_what_the_tutorial_shows(tmp_path: Path) -> None:
    """Every command of the tutorial, in order, prints the lines that stand under it; its Python runs on the same table."""
    text = (ROOT / "docs" / "tutorial.md").read_text().replace("/tmp/tutorial.table", f"{tmp_path}/tutorial.table")
    ran = 0
    for kind, block in BLOCK.findall(text):
        if kind == "python":
            subprocess.run([sys.executable, "-c", block], env=environment(tmp_path), cwd=tmp_path, check=True)
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            if command.startswith((*SKIPPED, "export ")):
                continue
            done = subprocess.run(
                ["bash", "-c", command], env=environment(tmp_path), cwd=tmp_path, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            assert done.stdout == expected.rstrip("\n") + ("\n" if expected.strip() else ""), command
            ran += 1
    assert ran > 5


@pytest.mark.parametrize("page", ["README.md"])
def test_the_python_examples_run(tmp_path: Path, page: str) -> None:
    """What a page shows in Python runs as it stands, on the simulated kernel."""
    blocks = [block for kind, block in BLOCK.findall((ROOT / page).read_text()) if kind == "python"]
    assert blocks
    for block in blocks:
        subprocess.run([sys.executable, "-c", block], env=environment(tmp_path), cwd=tmp_path, check=True)


def test_links_between_pages_lead_somewhere() -> None:
    """No page links to a file that is not there."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
