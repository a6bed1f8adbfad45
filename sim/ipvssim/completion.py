"""Completion of ``ipvssim``: the shells' scripts, and what they ask for at each Tab (:mod:`ipvsnl.cli.shells`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from ipvsnl.cli.offers import of_parser
from ipvsnl.cli.shells import FILES, SHELLS, script


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    made = argparse.ArgumentParser(prog="ipvssim completion", description="The completion script of a shell.")
    made.add_argument("shell", choices=SHELLS, help="the shell")
    return made


def main(arguments: Sequence[str], whole: Callable[[], argparse.ArgumentParser]) -> int:
    """``completion SHELL``, and ``completion offers WORD...``; ``whole`` makes the parser of the whole program."""
    if arguments and arguments[0] == "offers":
        from ipvssim.lab.scenario.definition import gallery

        words = arguments[1:] or [""]
        found = of_parser(whole(), words, {"scenario": gallery})
        sys.stdout.write(found.lines(words[-1]))
        return FILES if found.files else 0
    sys.stdout.write(script(parser().parse_args(arguments).shell, "ipvssim"))
    return 0
