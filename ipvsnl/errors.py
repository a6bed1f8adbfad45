"""Errors by blame: the caller, the bytes, or the link. What the kernel refuses stands in :mod:`ipvsnl.refusals`."""

from __future__ import annotations


class IPVSError(Exception):
    """Any error of this package."""


class EncodeError(IPVSError, ValueError):
    """A value that the wire has no form for: the caller's mistake, nothing was sent."""


class DecodeError(IPVSError):
    """Bytes that are no netlink message of this family: the sender's mistake.

    ``offset`` is where in the datagram the trouble begins, in bytes.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(f"{message} (at byte {offset})")
        self.offset = offset


class LinkError(IPVSError, OSError):
    """The link failed: replies lost or truncated, no answer in time, no such family, no such target."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()
