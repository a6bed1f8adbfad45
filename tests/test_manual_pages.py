"""The manual pages are those of the programs as they are, and typeset without a complaint."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.manual_pages import FOLDER, pages


def test_the_pages_are_current() -> None:
    """What an option is called and does stands in one place; ``make man`` carries it over."""
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.1")}
    assert written == pages()


@pytest.mark.parametrize("name", ["ipvsnl.1", "ipvssim.1"])
@pytest.mark.parametrize("command", ["mandoc -Tlint -W warning", "groff -ww -b -man -Tutf8 -z"])
def test_they_are_typeset_without_warnings(command: str, name: str) -> None:
    """No line is taken for a request, and no request is wrong."""
    program, *options = command.split()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *options, str(FOLDER / name)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
