"""Where a command reads and writes, and what it says of errors."""

from __future__ import annotations

from ipvsnl.cli.ending import NO_KERNEL
from ipvsnl.errors import IPVSError, LinkError
from ipvsnl.refusals import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from ipvsnl.client import IPVS
    from ipvsnl.text.compat import Compat

    ClientFactory = Callable[[], IPVS]


class Streams:
    """Where a command reads and writes."""

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    def say(self, message: str) -> None:
        """A line on standard error."""
        self.stderr.write(message + "\n")


def printable(text: str) -> str:
    """A text with escapes for what can't be printed: it may be anything, and a terminal obeys some of it."""
    if text.isprintable():
        return text
    from ipvsnl.text.hints import printable as escaped

    return escaped(text)


def describe(command: str, streams: Streams, prog: str) -> int:
    """``-h`` and ``-v``."""
    from ipvsnl.cli.help import VERSION, usage

    streams.stdout.write(VERSION + "\n" if command == "version" else usage(prog))
    return 0


def unreachable(error: LinkError | KernelError, streams: Streams, compat: Compat) -> int:
    """What ipvsadm says without its kernel, then why, and what can be had instead; the exit status."""
    message = words(error)
    said = _INIT_WORDS.get(error.errno or 0)
    streams.say(f"Can't initialize ipvs: {said or message}")
    if said is None:
        return NO_KERNEL
    streams.say("Are you sure that IP Virtual Server is built in the kernel or as module?")
    if compat.explain:
        if message != said:
            streams.say(message)
        if isinstance(error, KernelError) and error.cause:
            streams.say(f"Likely cause: {error.cause}.")
        streams.say("Without a kernel: --target sim (or IPVSNL_TARGET=sim) works on a simulated one.")
    return NO_KERNEL


_PLAIN_ENOUGH = frozenset(("key", "service", "role"))
"""Where ipvsadm's words say it all: there already, or not there."""
EPERM, ENOPROTOOPT = 1, 92
_INIT_WORDS = {EPERM: "Permission denied (you must be root)", ENOPROTOOPT: "Protocol not available"}


def likely_cause(error: IPVSError) -> str:
    """A line that says why, where the number says more to us than ipvsadm's words do; else nothing."""
    if not isinstance(error, KernelError) or error.field in _PLAIN_ENOUGH or not error.cause:
        return ""
    return f"ipvsnl: likely cause: {f'{error.field}: ' if error.field else ''}{error.cause}"


def words(error: IPVSError) -> str:
    """What is said of a refusal: ipvsadm's words for the kernel's, our own for the rest."""
    if isinstance(error, KernelError):
        return error.message
    return (error.strerror if isinstance(error, LinkError) else "") or str(error)
