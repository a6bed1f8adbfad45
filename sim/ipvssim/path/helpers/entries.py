"""Entries of the connection table that know more than an ordinary one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvssim.path.connections import F_NFCT, ConnectionEntry

if TYPE_CHECKING:
    from ipvssim.path.helpers.conntrack import Tracking
    from ipvssim.state.services import RealServer

ACTIVE, PASV, EPSV = range(3)
"""What an FTP client asked for last: that the server comes to it, or where it may go."""


class TrackedEntry(ConnectionEntry):
    """A connection that keeps its conntrack entry (IP_VS_CONN_F_NFCT): an FTP session's, or its data's."""

    __slots__ = ("tracking",)

    def __init__(
        self, protocol: int, key: bytes, address: bytes, port: bytes, flags: int, server: RealServer | None, mark: int
    ) -> None:
        super().__init__(protocol, key, address, port, flags | F_NFCT, server, mark)
        self.tracking: Tracking | None = None


class HelpedEntry(TrackedEntry):
    """An FTP session whose packets the helper looks into; ``mode`` is ACTIVE, PASV or EPSV."""

    __slots__ = ("mode",)

    def __init__(
        self, protocol: int, key: bytes, address: bytes, port: bytes, flags: int, server: RealServer | None, mark: int
    ) -> None:
        super().__init__(protocol, key, address, port, flags, server, mark)
        self.mode = ACTIVE
