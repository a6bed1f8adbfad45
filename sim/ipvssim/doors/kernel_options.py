"""What kernel a command makes: ``--kernel`` and ``--module``, the same for ``pcap``, ``why`` and ``serve``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ipvssim.behaviours import Release, resolve
from ipvssim.doors import debug_option
from ipvssim.state.namespace import RELEASE


def add(parser: argparse._ActionsContainer) -> None:
    """Let a command take them, and ``--debug-level``."""
    parser.add_argument(
        "--kernel", metavar="RELEASE", default=RELEASE, help="behave as that kernel: 6.12, debian13, here, ..."
    )
    parser.add_argument(
        "--module", metavar="NAME", action="append", default=[],
        help="load ip_vs_ftp or ip_vs_twos, too (again for more)",
    )  # fmt: skip
    debug_option.add(parser)


def release(asked: str) -> Release:
    """The kernel of that name; what had to be guessed is said on standard error. ValueError where it names none."""
    found = resolve(asked)
    if found.note:
        print(f"--kernel {asked}: {found.note}", file=sys.stderr)
    return found


def made_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """The arguments of :class:`ipvssim.Kernel` that the options tell."""
    return {"release": release(chosen.kernel), "modules": chosen.module, "debug_level": chosen.debug_level}
