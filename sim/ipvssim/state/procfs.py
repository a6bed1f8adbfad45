"""The files of ``/proc/net`` that IPVS has, as text.

``ip_vs_info_seq_show`` and its siblings in net/netfilter/ipvs/ip_vs_ctl.c and ip_vs_conn.c, Linux 6.1. ``ip_vs_trash`` is
the simulator's own: Linux tells nobody of its trash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from errno import ENOENT
from os import strerror
from typing import Any

from ipvsnl.consts import AF_INET
from ipvssim.clock import SECOND
from ipvssim.state.namespace import Namespace
from ipvssim.state.services import RealServer, VirtualService

_PROTOCOLS = {0: "IP", 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}
_METHODS = {1: "Local", 2: "Tunnel", 3: "Route"}
_TITLES = (
    "   Total Incoming Outgoing         Incoming         Outgoing\n",
    "   Conns  Packets  Packets            Bytes            Bytes\n",
    " Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n",
)
_TRASH = "Pro ToIP     TPrt FWMark   DestIP   DPrt RefCnt Conns Templates Caches Deleted Idle FreedIn\n"
_ORIGINS = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n"
_CONNECTIONS = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"


def lines(namespace: Namespace, name: str) -> Iterable[str]:
    """The lines of one file, with their newlines; FileNotFoundError where there is no such file."""
    try:
        return _FILES[name](namespace)
    except KeyError:
        raise FileNotFoundError(ENOENT, strerror(ENOENT), f"/proc/net/{name}") from None


def exists(name: str) -> bool:
    """Whether there is such a file in ``/proc/net``."""
    return name in _FILES


def protocol_name(number: int) -> str:
    """``TCP``, ``UDP``... or ``IP_47``."""
    return _PROTOCOLS.get(number) or f"IP_{number}"


def endpoint(address: bytes, port: int) -> str:
    """``0A000001:0050``, ``[2001:0db8:...]:0050``."""
    text = hex_address(address)
    return f"{text}:{port:04X}" if len(address) == 4 else f"[{text}]:{port:04X}"


def hex_address(address: bytes) -> str:
    """Eight upper-case digits for IPv4, eight groups of four lower-case ones for IPv6."""
    return address.hex().upper() if len(address) == 4 else address.hex(":", 2)


def _table(namespace: Namespace) -> Iterator[str]:
    yield f"IP Virtual Server version 1.2.1 (size={namespace.connection_table_size})\n"
    yield "Prot LocalAddress:Port Scheduler Flags\n"
    yield "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
    for service in namespace.table.services():
        yield _service(service)
        for server in service.servers():
            yield _server(server)


def _service(service: VirtualService) -> str:
    name = service.scheduler_name
    ops = "ops " if service.one_packet else ""
    if service.fwmark:
        start = f"FWM  {service.fwmark:08X} {name} {ops}"
    elif service.family == AF_INET:
        start = f"{protocol_name(service.protocol)}  {endpoint(service.address, service.port)} {name} {ops} "
    else:
        start = f"{protocol_name(service.protocol)}  {endpoint(service.address, service.port)} {name} "
    if not service.persistent:
        return start + "\n"
    mask = int.from_bytes(service.netmask.to_bytes(4, "little"), "big")
    return f"{start}persistent {service.timeout} {mask:08X}\n"


def _server(server: RealServer) -> str:
    method = _METHODS.get(server.forwarding, "Masq")
    where = endpoint(server.address, server.port)
    return f"  -> {where}      {method:<7} {server.weight:<6} {server.active:<10} {server.inactive:<10}\n"


def _counters(values: Iterable[int]) -> str:
    conns, inpkts, outpkts, inbytes, outbytes = values
    return f"{conns:8X} {inpkts:8X} {outpkts:8X} {inbytes:16X} {outbytes:16X}\n"


def _statistics(namespace: Namespace) -> Iterator[str]:
    shown = namespace.table.total.shown()
    yield from _TITLES[:2]
    yield _counters(shown[:5])
    yield "\n"
    yield _TITLES[2]
    yield _counters(shown[5:])


def _statistics_per_cpu(namespace: Namespace) -> Iterator[str]:
    total = namespace.table.total
    shown = total.shown()
    yield "    " + _TITLES[0]
    yield "CPU " + _TITLES[1]
    yield f"{0:3X} {_counters(total.live())}"
    yield f"  ~ {_counters(shown[:5])}"
    yield "\n"
    yield "    " + _TITLES[2]
    yield f"    {_counters(shown[5:])}"


def _applications(namespace: Namespace) -> Iterator[str]:
    yield "prot port    usecnt name\n"
    if namespace.applications is not None:
        for port, used in namespace.applications():
            yield f"TCP  {port:<7} {used:<6} {'ftp':<17}\n"


def _row(one: Mapping[str, Any]) -> str:
    return (
        f"{one['proto']:<3} {one['client']} {one['cport']} {one['virtual']} {one['vport']} {one['dest']} {one['dport']} "
        f"{one['state']:<11}"
    )


def _connections(namespace: Namespace) -> Iterator[str]:
    yield _CONNECTIONS
    if namespace.connections is not None:
        for one in namespace.connections():
            yield f"{_row(one)} {one['expires']:7}{one.get('engine', '')}\n"


def _connections_by_origin(namespace: Namespace) -> Iterator[str]:
    """Whether this host made a connection, or the synchronisation daemon told of it: here all are its own."""
    yield _ORIGINS
    if namespace.connections is not None:
        for one in namespace.connections():
            yield f"{_row(one)} LOCAL  {one['expires']:7}\n"


def _trash(namespace: Namespace) -> Iterator[str]:
    yield _TRASH
    trash, now = namespace.table.trash, namespace.clock.now
    for server in trash:
        family, fwmark, protocol, address, port = server.of
        since, freed = server.idle_since, trash.freed(server)
        virtual = hex_address(address or bytes(4 if family == AF_INET else 16))
        yield (
            f"{protocol_name(protocol):<3} {virtual} {port:04X} {fwmark:08X} {hex_address(server.address)} "
            f"{server.port:04X} {server.references} {server.conns} {server.persistent} {server.holders} "
            f"{_seconds(now - trash.deleted(server))} {_seconds(None if since is None else now - since)} "
            f"{_seconds(None if freed is None else freed - now)}\n"
        )


def _seconds(microseconds: int | None) -> str:
    return "-" if microseconds is None else f"{microseconds / SECOND:.2f}"


_FILES: dict[str, Callable[[Namespace], Iterable[str]]] = {
    "ip_vs": _table,
    "ip_vs_stats": _statistics,
    "ip_vs_stats_percpu": _statistics_per_cpu,
    "ip_vs_app": _applications,
    "ip_vs_conn": _connections,
    "ip_vs_conn_sync": _connections_by_origin,
    "ip_vs_trash": _trash,
}
