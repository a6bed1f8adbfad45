"""The connection table as ``/proc/net/ip_vs_conn`` shows it (ip_vs_conn_seq_show, ip_vs_conn.c, Linux 6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NotRequired, TypedDict

from ipvssim.path.connections import ConnectionEntry, EngineTemplate
from ipvssim.path.protocols import sctp, tcp, udp

_MILLISECOND: Final = 1000
_U32: Final = 0xFFFFFFFF
_NAMES: Final = {0: "IP", tcp.NUMBER: tcp.NAME, udp.NUMBER: udp.NAME, sctp.NUMBER: sctp.NAME}


class Row(TypedDict):
    """One row: hexadecimal text but for ``expires``, whole seconds."""

    proto: str
    client: str
    cport: str
    virtual: str
    vport: str
    dest: str
    dport: str
    state: str
    expires: int
    engine: NotRequired[str]
    """A persistence engine's name and what it read, each with a blank before it."""


def rows(connections: Iterable[ConnectionEntry], now: int) -> Iterator[Row]:
    """Every connection and template, in no particular order."""
    for connection in connections:
        row = Row(
            proto=_NAMES.get(connection.protocol, f"IP_{connection.protocol}"),
            client=address_text(connection.client),
            cport=connection.client_port.hex().upper(),
            virtual=address_text(connection.virtual),
            vport=connection.virtual_port.hex().upper(),
            dest=address_text(connection.address),
            dport=connection.port.hex().upper(),
            state=connection.state_name,
            expires=_seconds(connection.expires - now),
        )
        if isinstance(connection, EngineTemplate):
            row["engine"] = f" {connection.engine} {connection.engine_data.decode('latin-1')}"
        yield row


def _seconds(left: int) -> int:
    """Whole seconds of so many microseconds: the kernel counts milliseconds, in 32 bits (``jiffies_delta_to_msecs``)."""
    return (max(left, 0) // _MILLISECOND & _U32) // 1000


def address_text(address: bytes) -> str:
    """Eight capital hexadecimal digits for IPv4, eight groups in small ones for IPv6."""
    if len(address) == 4:
        return address.hex().upper()
    return address.hex(":", 2)
