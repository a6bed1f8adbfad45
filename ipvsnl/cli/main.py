"""The program ``ipvsnl``: our own options and sub-commands around the command line of ipvsadm.

Nothing is imported before it is needed: a command often runs for a few milliseconds, thousands of times.
"""

from __future__ import annotations

import sys
from os import environ

from ipvsnl.cli.ending import FAILED, INTERRUPTED, USAGE, Output, at_once, brief, guarded, impatient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO

    from ipvsnl.client import IPVS
    from ipvsnl.link.contract import Log

PROG = "ipvsnl"
TARGET_VARIABLE = "IPVSNL_TARGET"


_OWN = ("--target", "--netns", "--progress", "--debug-level")
HIGHEST = 12
"""No line of a kernel's log has a higher level."""


class Own:
    """Our own options, which stand before ipvsadm's."""

    def __init__(self) -> None:
        self.target = environ.get(TARGET_VARIABLE) or "kernel"
        self.netns: str | None = None
        self.progress: bool | None = None
        self.log: Log | None = None

    def read(self, argv: Sequence[str]) -> list[str]:
        """Take them off the front; what follows them. ValueError for one without its value, or with a wrong one."""
        rest = list(argv)
        while rest and (word := rest[0].partition("="))[0] in _OWN:
            name, equals, text = word
            del rest[0]
            if name == "--progress":
                self.progress = True
                continue
            if not equals:
                if not rest:
                    raise ValueError(f"{name}: missing argument")
                text = rest.pop(0)
            if name == "--debug-level":
                self.log = _level(text), _tell
            else:
                setattr(self, name[2:], text)
        return rest

    def client(self) -> IPVS:
        """The client of the target."""
        from ipvsnl.client import open as open_client

        return open_client(self.target, netns=self.netns, log=self.log)


def _level(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and int(text) <= HIGHEST):
        raise ValueError(f"--debug-level: {text!r} is not a level from 0 to {HIGHEST}")
    return int(text)


def _tell(line: str) -> None:
    """A line of a simulated kernel's log."""
    print(line, file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``; the exit status. Without one it is the process's own, and the process ends with it."""
    if argv is not None:
        return _main(list(argv))
    brief()
    try:
        status = _main(sys.argv[1:])
    finally:
        impatient()
    return at_once(status)


def _main(words: list[str]) -> int:
    try:
        stdout, stderr = Output(_text(sys.stdout)), Output(_text(sys.stderr))
        return guarded(PROG, words, lambda: _run(words, stdout, stderr), stdout, stderr)
    except KeyboardInterrupt:  # before it began, or when all was done
        return INTERRUPTED


def _run(argv: Sequence[str], stdout: Any, stderr: Any) -> int:
    own = Own()
    try:
        rest = own.read(argv)
    except ValueError as error:
        stderr.write(f"{error}\n")
        return USAGE
    return execute(rest, own.client, _text(sys.stdin), stdout, stderr, progress=own.progress)


def execute(
    rest: list[str], client_factory: Callable[[], IPVS], stdin: TextIO, stdout: TextIO, stderr: TextIO,
    *, progress: bool | None = None,
) -> int:  # fmt: skip
    """Carry out a command line behind the options of a target, on the table of the client that is made; the exit status."""
    from ipvsnl.errors import IPVSError

    try:
        return _carry_out(rest, client_factory, stdin, stdout, stderr, progress)
    except IPVSError as wrong:  # an environment that asks for what there is not
        stderr.write(f"{PROG}: {getattr(wrong, 'strerror', None) or wrong}\n")
        return FAILED


def _carry_out(
    rest: list[str], client_factory: Callable[[], IPVS], stdin: TextIO, stdout: TextIO, stderr: TextIO,
    progress: bool | None,
) -> int:  # fmt: skip
    if rest and not rest[0].startswith("-"):
        status = _sub_command(rest, client_factory, stdin, stdout, stderr)
        if status is not None:
            return status
    if rest == ["--version"]:
        stdout.write(_version())
        return 0
    if rest in (["-h"], ["--help"]):  # the shortest way, with nothing loaded
        from ipvsnl.cli.help import usage

        stdout.write(usage(PROG))
        return 0
    from ipvsnl.cli.dispatch import run

    extras = None
    if any(word.startswith("--") for word in rest):
        from ipvsnl.cli.extras import take

        try:
            rest, extras = take(rest)
        except ValueError as error:
            stderr.write(f"{error}\n")
            return USAGE
    return run(
        rest, client_factory=client_factory, stdin=stdin, stdout=stdout, stderr=stderr, prog=PROG, progress=progress,
        extras=extras,
    )  # fmt: skip


def _sub_command(
    words: list[str], client_factory: Callable[[], IPVS], stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int | None:
    """The status of a sub-command; None where the first word is none, and ipvsadm's grammar has its say."""
    if words[0] == "completion":
        from ipvsnl.cli.completion import complete

        return complete(words[1:], client_factory, stdout, stderr)
    if words[0] in ("plan", "apply", "convert", "top", "export"):
        from ipvsnl.cli.operate import operate

        return operate(words, client_factory, stdin, stdout, stderr)
    if words[0] == "lab-kernel":
        from ipvsnl.lab_kernel.command import main as lab_kernel

        return lab_kernel(words[1:])
    return None


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    from ipvsnl.backends.choice import chosen

    try:
        ours = version(PROG)
    except PackageNotFoundError:
        ours = "(not installed)"
    return f"{PROG} {ours}, backend {chosen().name}\n"


def _text(stream: TextIO | None) -> TextIO:
    """A standard stream that passes every byte through, and ends lines at line feeds alone."""
    from io import StringIO, TextIOWrapper

    if stream is None:  # closed by the shell
        return StringIO()
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="surrogateescape", newline="\n")
    return stream


if __name__ == "__main__":
    sys.exit(main())
