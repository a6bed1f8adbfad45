"""A wanted table as the kernel's own file ``/proc/net/ip_vs`` shows it (``ip_vs_info_seq_show``, ip_vs_ctl.c, Linux 6.1)."""

from __future__ import annotations

import sys
from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_pton

from ipvsnl.consts import AF_INET, AF_INET6
from ipvsnl.procfs import METHODS, PROTOCOL_WORDS
from ipvsnl.tables.listing_out import NEW
from ipvsnl.tables.proc_in import TICKS, family_of_mark
from ipvsnl.tables.table import normal_server
from ipvsnl.tables.untold import name_of, note_fields
from ipvsnl.text.listed import THRESHOLDS, TUNNEL
from ipvsnl.text.listing import version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvsnl.model import Destination, Service
    from ipvsnl.tables.table import Table

_TITLES = ("Prot LocalAddress:Port Scheduler Flags", "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn")
_WORDS = {method: word for word, method in METHODS.items()}
_PROTOCOLS = {protocol: word for word, protocol in PROTOCOL_WORDS.items()}


def write(table: Table, untold: list[str], hz: int | None) -> Iterator[str]:
    """The lines, in the table's order; nothing is connected. What they do not tell is added to ``untold``, a line each.

    ``hz`` are the ticks a second that persistence is counted in; None: :data:`~ipvsnl.tables.proc_in.TICKS`.
    """
    yield version(NEW)[:-1]
    yield from _TITLES
    for key, service in table.services.items():
        servers = [normal_server(one) for one in table.servers[key].values()]
        yield _service(service, hz or TICKS)
        _note_service(service, servers, untold)
        for server in servers:
            named = name_of(service, server)
            if server.forwarding not in _WORDS:
                untold.append(f"{named}: the method {server.forwarding} has no word: left out")
                continue
            note_fields(server, THRESHOLDS | TUNNEL, named, untold)
            where, method = _endpoint(server.address, server.port), _WORDS[server.forwarding]
            yield f"  -> {where}      {method:<7} {server.weight:<6} {0:<10} {0:<10}"


def _note_service(of: Service, servers: list[Destination], untold: list[str]) -> None:
    fields = {"flags", "persistence_engine"}
    if of.fwmark:
        word = "" if of.persistence is None else _mask(of)
        if of.family != family_of_mark([one for one in servers if one.forwarding in _WORDS], word):
            untold.append(f"{name_of(of)}: not told: its address family")
    elif of.family == AF_INET6:
        fields.add("one_packet")
    note_fields(of, fields, name_of(of), untold)


def _service(of: Service, hz: int) -> str:
    packets = "ops " if of.one_packet else ""
    if of.fwmark:
        line = f"FWM  {of.fwmark:08X} {of.scheduler} {packets}"
    else:
        word = _PROTOCOLS.get(of.protocol) or f"IP_{of.protocol}"
        line = f"{word}  {_endpoint(of.address, of.port)} {of.scheduler} "
        if of.family == AF_INET:
            line += f"{packets} "
    return line if of.persistence is None else f"{line}persistent {of.persistence * hz} {_mask(of)}"


def _mask(of: Service) -> str:
    """Eight digits: of IPv4 the mask, of IPv6 the prefix length with its bytes as they lie in memory."""
    if of.family == AF_INET6:
        return int(of.netmask or 128).to_bytes(4, sys.byteorder).hex().upper()
    return inet_pton(AF_INET, str(of.netmask or "255.255.255.255")).hex().upper()


def _endpoint(address: str, port: int) -> str:
    if ":" in address:
        return f"[{inet_pton(HOST_AF_INET6, address).hex(':', 2)}]:{port:04X}"
    return f"{inet_pton(AF_INET, address).hex().upper()}:{port:04X}"
