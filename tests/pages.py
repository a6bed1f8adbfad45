"""Runs the code blocks of a page, in order, as a reader would: ``python -m tests.pages docs/use/tutorial.md``.

A block is run by its language:

- ``python``: all of a page in one namespace. A ``text`` block right under it is what it prints. One that defines tests is
  given to pytest.
- ``console``: a line after ``$ `` is a command of bash (``> `` goes on with it); what follows is what it prints. Variables
  that are exported stay.
- ``toml``: one scenario, ``mine.toml``, that later blocks add to; it must be one that the laboratory takes.
- ``json``: a table that ``ipvsnl plan`` takes, ``table.json``.

A block that is not run says so, and why, in the line above it: ``<!-- sketch: needs a real kernel -->``. Any other language,
and code that is only indented, has no runner and is refused.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

SKETCH = re.compile(r"<!-- sketch: (.{10,}) -->")
FENCE = re.compile(r"^(\s*)```(\w*)")


class Block(NamedTuple):
    """A code block: where it begins, its language, its text, and the reason why it is not run."""

    line: int
    language: str
    text: str
    sketch: str


class BlockError(Exception):
    """A block that does not do what the page says, or that nobody can run."""


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page; BlockError for one that is only indented, where nobody can tell what it is."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    before, listed = "", False
    for number, line in lines:
        opening = FENCE.match(line)
        if opening:
            indent, language = opening.groups()
            inside = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                inside.append(inner.removeprefix(indent) + "\n")
            reason = SKETCH.fullmatch(before.strip())
            yield Block(number, language, "".join(inside), reason[1] if reason else "")
            before = "```"
            continue
        listed = bool(re.match(r"\s*([-*]|\d+\.) ", line)) or (listed and (not line or line[0] == " "))
        if not before and line.startswith(" " * (6 if listed else 4)):
            raise BlockError(f"{page}:{number}: an indented code block: fence it, and name its language")
        before = line if line.strip() or before.strip().startswith("<!-- sketch") else ""


class Runner:
    """One page's run: its namespace, its environment, and where it is."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.printed: str | None = None
        self.ran = self.sketches = 0

    def run(self) -> None:
        """Every block, in order."""
        for block in blocks(self.page):
            if block.sketch:
                self.sketches += 1
                self.printed = None
                continue
            runner = getattr(self, f"run_{block.language}", None)
            if runner is None:
                raise self.wrong(block, f"nothing runs {block.language or 'a block without a language'!r}")
            runner(block)
            self.ran += 1

    def wrong(self, block: Block, why: str) -> BlockError:
        """What is wrong with a block, by its line."""
        return BlockError(f"{self.page}:{block.line}: {why}")

    def expect(self, block: Block, found: str, wanted: str, what: str) -> None:
        """The two texts are the same."""
        if found != wanted:
            raise self.wrong(block, f"{what} printed\n{found}the page shows\n{wanted}")

    def run_python(self, block: Block) -> None:
        """In the page's namespace; tests by pytest."""
        if re.search(r"^(async )?def test_", block.text, re.MULTILINE):
            Path("test_page.py").write_text(block.text, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"],
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if done.returncode:
                raise self.wrong(block, done.stdout)
            return
        code = compile("\n" * block.line + block.text, str(self.page), "exec")  # errors name the page's own lines
        with redirect_stdout(io.StringIO()) as out:
            exec(code, self.names)  # noqa: S102
        self.printed = out.getvalue()

    def run_text(self, block: Block) -> None:
        """What the Python block right above has printed."""
        if self.printed is None:
            raise self.wrong(block, "no Python block stands right above, whose output this could be")
        self.expect(block, self.printed, block.text, "the block above")
        self.printed = None

    def run_console(self, block: Block) -> None:
        """Command by command."""
        if not block.text.startswith("$ "):
            raise self.wrong(block, "the first line is no command ('$ ...')")
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, *rest = part.splitlines(keepends=True)
            while rest and rest[0].startswith("> "):
                command += rest.pop(0).removeprefix("> ")
            self.expect(block, bash(command), "".join(rest), command)

    def run_toml(self, block: Block) -> None:
        """A scenario, or more of the page's own one."""
        from ipvssim import lab

        with Path("mine.toml").open("a", encoding="utf-8") as scenario:
            scenario.write(block.text + "\n")
        lab.load("mine.toml")

    def run_json(self, block: Block) -> None:
        """A wanted table."""
        import ipvsnl

        Path("table.json").write_text(block.text, encoding="utf-8")
        ipvsnl.read_table(block.text)


def bash(command: str) -> str:
    """What a command writes to both streams; what it exports is this process's, too."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as told:
        done = subprocess.run(
            ["bash", "-c", f"{command}\nenv -0 > {told.name}"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        exported = told.read()
    for pair in exported.split("\0"):
        name, _, value = pair.partition("=")
        if name and name not in ("_", "SHLVL"):
            os.environ[name] = value
    return done.stdout


def main(page: str) -> int:
    """Run a page, or say where it is wrong."""
    runner = Runner(Path(page).resolve())
    try:
        runner.run()
    except BlockError as wrong:
        print(wrong)
        return 1
    print(f"{runner.ran} blocks ran, {runner.sketches} are sketches")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
