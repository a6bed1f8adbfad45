"""What a kernel that ``ipvssim serve`` serves is asked beside netlink: files of ``/proc/net``, its log. For both ends.

Such a request is a netlink message of a type that no family has. Of a file come messages with pieces of its text, then
NLMSG_DONE. Of the log comes an NLMSG_ERROR without an error, and from then on a message for each line, whoever causes it,
with sequence number 0. A refusal is an NLMSG_ERROR, as everywhere.
"""

from __future__ import annotations

from struct import Struct

from ipvsnl.consts import NLM_F_REQUEST, NLMSG_HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Log = tuple[int, Callable[[str], object]]
    """The level of a simulated kernel's log that is wanted, and who gets its lines."""

FILE, LOG = 0x7F00, 0x7F01
"""Types of messages: with a file's name, or a piece of its text; with a level (u32), or a line."""
PIECE = 16384
"""Bytes of a file that one message holds."""
LEVEL = Struct("=I")
_MESSAGE = Struct("=IHHII")


def message(kind: int, sequence: int, body: bytes) -> bytes:
    """A message; such requests and their answers have no more than that."""
    return (_MESSAGE.pack(NLMSG_HEADER + len(body), kind, NLM_F_REQUEST, sequence, 0) + body).ljust(
        NLMSG_HEADER + (len(body) + 3 & ~3), b"\0"
    )


def parts(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence number and body of each message."""
    at = 0
    while len(datagram) - at >= NLMSG_HEADER:
        length, kind, _, sequence, _ = _MESSAGE.unpack_from(datagram, at)
        if length < NLMSG_HEADER:
            return
        yield kind, sequence, datagram[at + NLMSG_HEADER : at + length]
        at += (length + 3) & ~3
