"""The connections that a director had before its capture began, from a listing of ``ipvsadm -Lnc``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from ipvsnl.consts import PROTOCOLS
from ipvssim.clock import SECOND
from ipvssim.path.connections import (
    F_INACTIVE,
    F_NO_OUTPUT,
    F_TEMPLATE,
    MASQUERADE,
    STATES,
    TCP,
    TEMPLATE_STATES,
)
from ipvssim.path.protocols import sctp, tcp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvssim.path.director import Director
    from ipvssim.state.services import RealServer

_PROTOCOLS = {"IP": 0} | {word.upper(): number for word, number in PROTOCOLS.items()}
_LONGEST = 0xFFFFFFFF
"""Seconds that the kernel's timeouts may have, at most."""
_ACTIVE = {TCP: tcp.ACTIVE, sctp.NUMBER: sctp.ACTIVE}


def load(director: Director, listing: str) -> int:
    """Put a listing's connections and templates into the table; how many. ValueError names the line that is none, or whose
    server the rules do not have."""
    count = 0
    for number, line in enumerate(listing.splitlines(), start=1):
        words = line.split()
        if not words or words[0] in ("IPVS", "pro"):
            continue
        try:
            _open(director, words)
        except (ValueError, LookupError) as wrong:
            raise ValueError(f"line {number}: {wrong or 'no connection'}: {line.strip()!r}") from None
        count += 1
    return count


def _open(director: Director, words: list[str]) -> None:
    protocol_name, expires, state, *places = words[:6]
    protocol = _PROTOCOLS[protocol_name]
    (client, cport), (virtual, vport), (address, port) = map(_place, places)
    minutes, _, seconds = expires.partition(":")
    template = cport == 0
    server = _server(director, protocol, virtual, vport, address, port)
    if server is None:
        raise ValueError("no such server in the rules")
    names = TEMPLATE_STATES if template else STATES.get(protocol, ("NONE",))
    flags = server.forwarding | (F_TEMPLATE if template else 0)
    if names.index(state) not in _ACTIVE.get(protocol, ()) or template:
        flags |= F_INACTIVE
    if server.forwarding != MASQUERADE:
        flags |= F_NO_OUTPUT
    key = b"".join((client, virtual, cport.to_bytes(2, "big"), vport.to_bytes(2, "big")))
    entry = director.connection_table.open(protocol, key, address, port.to_bytes(2, "big"), flags, server, 0)
    entry.state = names.index(state)
    entry.timeout = (_number(minutes, _LONGEST // 60) * 60 + _number(seconds, 59)) * SECOND
    entry.start(entry.timeout)


def _place(text: str) -> tuple[bytes, int]:
    address, _, port = text.rpartition(":")
    return ip_address(address.strip("[]")).packed, _number(port, 65535)


def _number(text: str, most: int) -> int:
    """Digits as listings have them: ``int`` would take signs, underscores, other scripts' digits and any size."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= most):
        raise ValueError(f"{text!r} is no number from 0 to {most}")
    return int(text)


def _server(
    director: Director, protocol: int, virtual: bytes, vport: int, address: bytes, port: int
) -> RealServer | None:
    """The server of the rules that such a connection leads to: of its own service, else of one by firewall mark."""
    services = sorted(director.table.services(), key=lambda service: (bool(service.fwmark), not service.port))
    found: Iterator[RealServer] = (
        server
        for service in services
        if service.fwmark
        or (service.address == virtual and service.port in (vport, 0) and service.protocol == protocol)
        for server in service.servers()
        if server.address == address and server.port in (port, 0)
    )
    return next(found, None)
