"""Entries of the connection table that know more than an ordinary one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.path.connections import F_HELPED, F_TRACKED, ConnectionEntry, Keeper

if TYPE_CHECKING:
    from ipvssim.state.services import RealServer

ACTIVE: Final = 0
PASV: Final = 1
EPSV: Final = 2
"""What an FTP client asked for last: that the server comes to it, or where it may go."""


@mypyc_attr(allow_interpreted_subclasses=True)
class HelpedEntry(ConnectionEntry):
    """An FTP session whose packets the helper looks into; ``mode`` is ACTIVE, PASV or EPSV. It keeps its
    connection-tracking entries, whatever the tunable ``conntrack`` is (``ip_vs_ftp_init_conn``)."""

    __slots__ = ("mode",)

    def __init__(
        self, keeper: Keeper, protocol: int, key: bytes, address: bytes, port: bytes, flags: int,
        server: RealServer | None, mark: int,
    ) -> None:  # fmt: skip
        super().__init__(keeper, protocol, key, address, port, flags | F_HELPED | F_TRACKED, server, mark)
        self.mode = ACTIVE
