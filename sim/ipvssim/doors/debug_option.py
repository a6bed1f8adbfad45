"""``--debug-level N`` of the simulator's commands: the kernel's log on standard error, as ``dmesg`` shows it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipvssim.kernel import Kernel

HIGHEST = 12
"""No line has a higher level."""


def add(parser: argparse._ActionsContainer, where: str = "on standard error") -> None:
    """Let a command take the option; ``where`` is what becomes of the lines."""
    parser.add_argument(
        "--debug-level", metavar="N", type=int, choices=range(HIGHEST + 1),
        help=f"the kernel's log {where}: 0 errors, up to {HIGHEST} all that it does",
    )  # fmt: skip


def tell(kernel: Kernel) -> None:
    """From now on write each line as it comes, where the kernel has a log."""
    log = kernel.namespace.log
    if log is not None:
        log.lines.clear()
        log.told = lambda line: print(line, file=sys.stderr)
