"""The sub-command ``lab-kernel``: a command in a kernel of its own, between the caller's own streams."""

from __future__ import annotations

import os
import signal
import sys
from argparse import REMAINDER, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ipvsnl.lab_kernel.choosing import chosen
from ipvsnl.lab_kernel.conversation import BootError
from ipvsnl.lab_kernel.frames import write_all
from ipvsnl.lab_kernel.image import Image, MissingError, travelling
from ipvsnl.lab_kernel.running import boot
from ipvsnl.lab_kernel.users import User, UserError
from ipvsnl.lab_kernel.users import chosen as whose

PROG = "ipvsnl lab-kernel"
EXIT_TIMEOUT, EXIT_MISSING, EXIT_BOOT = 124, 69, 70
_ABOUT = """\
Boots a real Linux kernel with IPVS (user-mode-linux) over this machine's own files, and runs COMMAND in it as root. Any user
may do it; started by root, the kernel is the process of an ordinary user. COMMAND has the caller's working directory,
environment, input and output; the kernel's own messages are not shown. When COMMAND ends, so does the kernel, and the exit
status is COMMAND's.
"""
_MORE = """\
examples:
  ipvsnl lab-kernel -- ipvsadm -Ln
  ipvsnl lab-kernel --timeout 600 -- python -m pytest tests/
  ipvsnl lab-kernel --release trixie -- ipvsadm -Ln
  ipvsnl lab-kernel --release qemu:6.12 -- uname -a
  ipvsnl lab-kernel --release qemu:6.12 --time-travel -- sleep 3600

exit status, where it is not COMMAND's:
  69  something is not installed, or not to be read: the message says what, and how to get it
  70  the kernel did not boot, or died: its console's last lines are printed
  124 --timeout is over
  125 the guest could not be furnished; 126, 127: COMMAND can't be executed, was not found

environment:
  IPVSNL_LAB_KERNEL   the kernel, a program (linux.uml, of Debian's package user-mode-linux)
  IPVSNL_LAB_MODULES  the directory with RELEASE/ and its modules (/usr/lib/uml/modules)
  IPVSNL_LAB_CACHE    where kernels that --release fetched are kept (~/.cache/ipvsnl/kernels, or for root
                      /var/cache/ipvsnl/kernels)
  IPVSNL_LAB_ARCHIVE  the address of Debian's archive, as in sources.list, if this machine's apt has none
  IPVSNL_LAB_SPREAD   1: leave it to the host on which processors the kernel runs (it stays on one)
"""


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command with these arguments; the exit status. Writes to the descriptors 1 and 2 themselves."""
    options = _options(arguments)
    if sys.platform != "linux":
        print(f"{PROG}: user-mode-linux runs on Linux, and this system is {sys.platform}", file=sys.stderr)
        return EXIT_MISSING
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        if options.renew:
            from ipvsnl.lab_kernel.fetched import forget

            forget(options.release)
        image = chosen(options.release)
        if options.time_travel:
            image = travelling(image)
        user = whose(options.user, options.as_root)
        if user is not None:
            print(
                f"{PROG}: the kernel is a process of {user.name}, not of root (--as-root keeps root)", file=sys.stderr
            )
        return _between_streams(options, image, user)
    except ValueError as error:
        parser().error(str(error))
    except (MissingError, BootError, UserError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return EXIT_BOOT if isinstance(error, BootError) else EXIT_MISSING
    except TimeoutError:
        print(f"{PROG}: not done after {options.timeout:g} seconds", file=sys.stderr)
        return EXIT_TIMEOUT
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def parser() -> ArgumentParser:
    """What reads the arguments."""
    parser = ArgumentParser(
        prog=PROG, usage=f"{PROG} [OPTIONS] [--] COMMAND [ARG ...]", description=_ABOUT, epilog=_MORE,
        formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="end it all after so long, the boot included")
    parser.add_argument("--memory", default="512M", metavar="SIZE", help="the kernel's memory (512M)")
    parser.add_argument(
        "--module", action="append", default=[], metavar="NAME", help="load this kernel module, too (again for more)"
    )
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--user", metavar="NAME", help="started by root: whose process the kernel is (nobody, or sudo's user)"
    )
    whose.add_argument(
        "--as-root", action="store_true", help="leave it root's: COMMAND may do to the host what root may"
    )
    parser.add_argument(
        "--release", metavar="NAME", help="boot a kernel of Debian's: a suite (bullseye, bookworm, trixie, sid, ...) or a"
        " series (6.12); by QEMU's emulation with qemu: before it (the installed user-mode-linux)",
    )  # fmt: skip
    parser.add_argument(
        "--time-travel", action="store_true", help="with qemu: waiting takes no time; the kernel's clock leaps to the next"
        " timer whenever nothing is to do",
    )  # fmt: skip
    parser.add_argument("--renew", action="store_true", help="look for a newer one than was fetched before")
    parser.add_argument("command", nargs=REMAINDER, metavar="COMMAND", help="what to run, and its arguments")
    return parser


def _options(arguments: Sequence[str]) -> Namespace:
    reader = parser()
    chosen = reader.parse_args(arguments)
    if chosen.command[:1] == ["--"]:
        del chosen.command[0]
    if not chosen.command:
        reader.error("there is no COMMAND")
    if chosen.renew and not chosen.release:
        reader.error("--renew is about --release")
    return chosen


def _between_streams(chosen: Namespace, image: Image, user: User | None) -> int:
    """Terminals inside where there are terminals outside; input as typed where this process is in the foreground."""
    foreground = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    terminals = "".join(name for name, fd in zip("OE", (1, 2), strict=True) if os.isatty(fd))
    terminals += "I" if foreground and "O" in terminals else ""
    with _raw_input("I" in terminals):
        return boot(
            chosen.command,
            lambda kind, data: write_all(1 if kind == b"O" else 2, data),
            env=None,
            cwd=None,
            source=0 if foreground or not os.isatty(0) else None,
            timeout=chosen.timeout,
            modules=chosen.module,
            memory=chosen.memory,
            terminals=terminals,
            user=user,
            image=image,
        )


@contextmanager
def _raw_input(wanted: bool) -> Iterator[None]:
    """If wanted, the terminal passes each key on as it is typed, and is as it was afterwards."""
    if not wanted:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _stop(number: int, _: object) -> None:
    raise SystemExit(128 + number)
