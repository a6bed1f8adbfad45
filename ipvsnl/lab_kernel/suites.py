"""Debian's suites, and which of their kernels a name means."""

from __future__ import annotations

from typing import NamedTuple

EMULATED = "qemu:"


class Suite(NamedTuple):
    """A suite of Debian that has kernels."""

    name: str
    series: str
    """The series of its user-mode-linux; "" where that moves on."""
    target: bool = False
    """Whether apt takes its packages only where it is told to (-t); it builds upon the one in ``beside``."""
    beside: tuple[str, ...] = ()
    """Other suites of the same archive whose packages are taken, too."""
    security: bool = False
    """Whether there is NAME-security."""


SUITES = (
    Suite("bullseye", "5.10", security=True),
    Suite("bookworm", "6.1", beside=("bookworm-updates",), security=True),
    Suite("bookworm-backports", "6.12", target=True, beside=("bookworm",)),
    Suite("trixie", "6.12", beside=("trixie-updates",), security=True),
    Suite("sid", ""),
    Suite("experimental", "", target=True, beside=("sid",)),
)
_BY_SERIES = {suite.series: suite for suite in SUITES if suite.name != "bookworm-backports"}
"""Of a series that two suites have, the newer suite is taken; "" is sid or what builds upon it."""


class Wanted(NamedTuple):
    """A kernel as it was asked for."""

    suite: Suite
    release: str
    """What its release has to begin with; "" where any will do."""
    emulated: bool
    """Whether it is Debian's ordinary kernel, booted by QEMU; else its user-mode-linux."""


def named(text: str) -> Wanted:
    """What ``bookworm``, ``6.12``, ``6.12.118``, ``qemu:trixie`` and ``qemu:7.3`` mean; ValueError for what means nothing.

    A series that no stable suite has is looked for in sid, or in experimental where QEMU boots it.
    """
    emulated, name = text.startswith(EMULATED), text.removeprefix(EMULATED)
    for suite in SUITES:
        if name == suite.name:
            return Wanted(suite, "", emulated)
    numbers = name.split(".")
    if len(numbers) not in (2, 3) or not all(part.isascii() and part.isdigit() for part in numbers):
        names = ", ".join(suite.name for suite in SUITES)
        raise ValueError(
            f"--release {text}: neither a suite ({names}) nor a series such as 6.12; qemu: may stand before"
        )
    series = ".".join(numbers[:2])
    suite = _BY_SERIES.get(series) or next(one for one in SUITES if one.name == ("experimental" if emulated else "sid"))
    return Wanted(suite, name, emulated)


def fits(release: str, wanted: str) -> bool:
    """Whether ``release`` (6.12.118+deb13-amd64) is of the series or the release that is wanted (6.12, 6.12.118)."""
    return not wanted or (release.startswith(wanted) and not release[len(wanted) :][:1].isdigit())
