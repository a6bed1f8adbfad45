"""A packet's way in words and JSON's types: what it was, which service matched, what the scheduler looked at, and why."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

from ipvssim.net.packets import AH, ESP, GRE, ICMP, ICMPV6, IPIP, IPV6, SCTP, TCP, UDP, WITH_PORTS, Packet
from ipvssim.path.protocols import sctp, tcp
from ipvssim.schedulers._base import label

if TYPE_CHECKING:
    from ipvssim.path.connections import ConnectionEntry
    from ipvssim.state.services import RealServer, VirtualService

    class Way(Protocol):
        """What is known of a packet's way: the fields of :class:`ipvssim.path.result.Result`."""

        @property
        def verdict(self) -> Enum:
            """What became of it."""

        reason: str
        packet: Packet | None
        service: VirtualService | None
        server: RealServer | None
        connection: ConnectionEntry | None
        opened: bool
        choice: dict[str, Any] | None
        why: tuple[str, ...]
        state_before: str
        lived: int | None
        consulted: Mapping[str, str]
        out: list[tuple[str, bytes]]


_PROTOCOLS = {
    0: "IP", ICMP: "ICMP", ICMPV6: "ICMPv6", TCP: "TCP", UDP: "UDP", SCTP: "SCTP", AH: "AH", ESP: "ESP", GRE: "GRE",
    IPIP: "IPIP", IPV6: "IPv6 in IP",
}  # fmt: skip
METHODS = ("masq", "local", "tunnel", "direct routing", "bypass")
"""How a server is reached, in few words."""
_METHODS = ("masquerade", "local", "tunnel", "direct routing", "bypass")
_STATES = {TCP: tcp.STATES, SCTP: sctp.STATES}


def explain(result: Way) -> dict[str, Any]:
    """All that is known of a packet's way.

    ``verdict`` and ``reason`` are always there; ``packet``, ``service``, ``server``, ``connection`` and ``out`` where there
    is something to say. A director that was told to explain adds ``choice`` (what the scheduler looked at), ``why``
    (sentences that name what decided), ``before`` (the connection's state before the packet, and the seconds since it
    began: None where that is not known) and ``sysctls`` (the tunables that were read on the packet's way).
    """
    told: dict[str, Any] = {"verdict": result.verdict.value, "reason": result.reason}
    if result.packet is not None:
        told["packet"] = packet_text(result.packet)
    if result.service is not None:
        told["service"] = service_text(result.service)
    if result.choice is not None:
        told["choice"] = result.choice
    if result.server is not None:
        told["server"] = label(result.server)
    if result.connection is not None:
        told["connection"] = _connection(result.connection, opened=result.opened)
    if result.state_before:
        told["before"] = {"state": result.state_before, "age": None if result.lived is None else result.lived / 1e6}
    if result.consulted:
        told["sysctls"] = dict(result.consulted)
    if result.why:
        told["why"] = list(result.why)
    if result.out:
        told["out"] = [{"on": device, "bytes": len(data)} for device, data in result.out]
    return told


def lines(result: Way) -> list[str]:
    """The same as text, a fact a line."""
    told = explain(result)
    choice: Mapping[str, Any] | None = told.pop("choice", None)
    why: list[str] = told.pop("why", [])
    text = [f"{told.pop('packet', 'bytes')}: {told.pop('verdict')}, {told.pop('reason') or 'nothing to say'}"]
    text += [f"  {name}: {_flat(value)}" for name, value in told.items()]
    if choice is not None:
        text += [f"  {name}: {_flat(value)}" for name, value in choice.items() if name not in ("servers", "why")]
        text += [f"    {name}: {_flat(value)}" for name, value in choice.get("servers", {}).items()]
    return text + [f"  why: {sentence}" for sentence in why]


def packet_text(packet: Packet) -> str:
    """``TCP 192.0.2.1:1024 -> 203.0.113.1:80``."""
    name = _PROTOCOLS.get(packet.protocol, f"protocol {packet.protocol}")
    ports = packet.key if packet.protocol in WITH_PORTS else b""
    source = endpoint(packet.source, ports[-4:-2])
    return f"{name} {source} -> {endpoint(packet.destination, ports[-2:])}"


def service_text(service: VirtualService) -> str:
    """``TCP 203.0.113.1:80 wlc``, ``FWM 5 rr``."""
    return f"{service.name} {service.scheduler_name}"


def _connection(connection: ConnectionEntry, *, opened: bool) -> dict[str, Any]:
    states = _STATES.get(connection.protocol)
    return {
        "client": endpoint(connection.client, connection.client_port),
        "virtual": endpoint(connection.virtual, connection.virtual_port),
        "server": endpoint(connection.address, connection.port),
        "method": _METHODS[connection.method] if connection.method < len(_METHODS) else str(connection.method),
        "state": states[connection.state] if states is not None else "",
        "timeout": connection.timeout / 1e6,
        "opened": opened,
        "template": connection.control is not None,
    }


def connection_text(connection: ConnectionEntry) -> str:
    """``198.51.100.7:1024 -> 192.0.2.1:80 -> 10.9.8.7:8080``: client, virtual address, server."""
    sides = (
        (connection.client, connection.client_port), (connection.virtual, connection.virtual_port),
        (connection.address, connection.port),
    )  # fmt: skip
    return " -> ".join(endpoint(*side) for side in sides)


def whom(connection: ConnectionEntry) -> str:
    """Whom a connection leads to: its server, or its own destination where it passes the servers by."""
    server = label(connection.server)
    return server if server is not None else endpoint(connection.virtual, connection.virtual_port)


def endpoint(address: bytes, port: bytes) -> str:
    """An address and a port, both in network order, as text; without a port the address alone."""
    text = str(ip_address(address))
    if not port:
        return text
    return f"[{text}]:{int.from_bytes(port, 'big')}" if ":" in text else f"{text}:{int.from_bytes(port, 'big')}"


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_flat(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_flat, value))
    return str(value)
