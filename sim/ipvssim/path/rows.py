"""The connection table as ``/proc/net/ip_vs_conn`` shows it (ip_vs_conn_seq_show, ip_vs_conn.c, Linux 6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypedDict

from ipvssim.clock import SECOND
from ipvssim.path.connections import ConnectionEntry
from ipvssim.path.protocols import Machine, sctp, tcp, udp

_TEMPLATE_STATES = ("NONE", "ASSURED")
_NAMES = {0: "IP", tcp.NUMBER: tcp.NAME, udp.NUMBER: udp.NAME, sctp.NUMBER: sctp.NAME}


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


def rows(connections: Iterable[ConnectionEntry], machines: Mapping[int, Machine], now: int) -> Iterator[Row]:
    """Every connection and template, in no particular order."""
    for connection in connections:
        yield Row(
            proto=_NAMES.get(connection.protocol, f"IP_{connection.protocol}"),
            client=address_text(connection.client),
            cport=connection.client_port.hex().upper(),
            virtual=address_text(connection.virtual),
            vport=connection.virtual_port.hex().upper(),
            dest=address_text(connection.address),
            dport=connection.port.hex().upper(),
            state=state_name(connection, machines),
            expires=max(connection.timer.expires - now, 0) // SECOND,
        )


def state_name(connection: ConnectionEntry, machines: Mapping[int, Machine]) -> str:
    """The name of a connection's state, or of a template's."""
    if connection.is_template:
        return _TEMPLATE_STATES[connection.state] if connection.state < len(_TEMPLATE_STATES) else "ERR!"
    machine = machines.get(connection.protocol)
    return machine.STATES[connection.state] if machine is not None else "NONE"


def address_text(address: bytes) -> str:
    """Eight capital hexadecimal digits for IPv4, eight groups in small ones for IPv6."""
    if len(address) == 4:
        return address.hex().upper()
    return address.hex(":", 2)
