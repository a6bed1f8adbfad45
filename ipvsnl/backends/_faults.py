"""The words of every fault, once for both backends: each name is a code of core.h's ``enum ipvsnl_code``."""

from __future__ import annotations

from ipvsnl.errors import EncodeError

FAMILY_NAME_MAX = 15
"""Bytes of a generic-netlink family's name (GENL_NAMSIZ - 1)."""
ERRNO_MAX = 4095
"""The largest errno that a kernel answers (its own MAX_ERRNO)."""


class Fault:
    """What can be wrong with a request (the first part) or with a datagram."""

    NO_ROOM = "the buffer is too small"
    RECORD_SIZE = "it ends elsewhere than its layout"
    UNKNOWN_BIT = "an attribute is marked present that does not exist"
    RECORD_TEXT = "text without NUL"
    FAMILY_NAME = "a family's name is 1 to 15 ASCII characters, none of them NUL"

    BOUNDS = "the payload leaves the datagram"
    CUT_HEADER = "the datagram ends in a netlink header"
    SHORT_MESSAGE = "the message is shorter than its header"
    LONG_MESSAGE = "the message leaves the datagram"
    CUT_GENL = "the message ends in its generic netlink header"
    STRAY = "stray bytes after the last attribute"
    SHORT_ATTRIBUTE = "the attribute is shorter than its header"
    LONG_ATTRIBUTE = "the attribute leaves its container"
    INTEGER_SIZE = "the integer is of another size"
    LONG_BYTES = "more bytes than the attribute may have"
    NO_NUL = "text without NUL"
    LONG_TEXT = "text longer than the attribute may be"
    NO_GROUP = "the reply lacks the group"
    CUT_ERROR = "the message ends in its error number or the echoed header"
    ERRNO = "no error number"
    ECHO = "the echoed request leaves the message"
    NO_FAMILY_ID = "the reply lacks the family's number"
    OTHER_REPLY = "the reply names another command than what was asked for"
    MANY_ANSWERS = "a request has more than one answer"

    COLUMN = "the column is too short, or has no place in the request"
    LOST = "replies were lost: the receive queue overran"
    SILENT = "the kernel did not answer in time"
    INTERRUPTED = "a signal came"
    SYSTEM = "the system call failed"

    RANGE = "the family's number, command, flags or sequence is out of range"
    """Of Python's unbounded integers alone: C's types are those of the wire."""


def encode_error(words: str, group: str = "", offset: int = 0) -> EncodeError:
    """The caller's mistake; in which record and where in it, if it is a record's."""
    return EncodeError(f"{group} record: {words} (at byte {offset})" if group else words)


def family_name(name: str) -> bytes:
    """A family's name as bytes; of one that is not ASCII nothing, which both backends refuse."""
    return name.encode() if name.isascii() else b""
