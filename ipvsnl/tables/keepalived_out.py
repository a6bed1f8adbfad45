"""A wanted table as ``keepalived.conf``: the virtual servers of which keepalived makes it. No health check is written.

What keepalived can not say is named, with the reason, and left out; its limits are those that
:mod:`ipvsnl.tables.keepalived_servers` reads by, recorded of keepalived 2.2.7 in a real kernel.
"""

from __future__ import annotations

import re

from ipvsnl.consts import AF_INET6, SVC_F_HASHED, TUNNEL_F_CSUM, TUNNEL_F_REMCSUM
from ipvsnl.tables.keepalived_servers import SCHEDULERS
from ipvsnl.tables.table import normal_server
from ipvsnl.tables.untold import name_of
from ipvsnl.text.rules import ALL_SCHEDULER_FLAGS, INT_MAX, TIMEOUT_MAX, flag_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvsnl.model import Destination, Service, Timeouts
    from ipvsnl.tables.table import Table

_KINDS: dict[str | int, str] = {"masq": "NAT", "route": "DR", "local": "DR", "tunnel": "TUN"}
_SUMS = {0: "nocsum", TUNNEL_F_CSUM: "csum", TUNNEL_F_REMCSUM: "remcsum"}
_TIMEOUTS = {"tcp": "tcp", "tcp_fin": "tcpfin", "udp": "udp"}
_NAME = re.compile(r"[\w.-]+\Z", re.ASCII)


def write(table: Table, untold: list[str]) -> Iterator[str]:
    """The lines; what is not in them is added to ``untold``, a line each."""
    if table.timeouts is not None:
        yield from _timeouts(table.timeouts, untold)
    for key, service in table.services.items():
        reason = _why_no_service(service)
        if reason:
            untold.append(f"{name_of(service)}: {reason}: left out, with its servers")
            continue
        servers = list(_sayable(service, map(normal_server, table.servers[key].values()), untold))
        if servers:
            yield from _virtual(service, servers, untold)
        else:
            untold.append(f"{name_of(service)}: a virtual server without real servers is none: left out")


def _timeouts(of: Timeouts, untold: list[str]) -> Iterator[str]:
    """The block of the connections' timeouts; 0 leaves one as it is."""
    words = ""
    for name, word in _TIMEOUTS.items():
        seconds = getattr(of, name) or 0
        if seconds > TIMEOUT_MAX:
            untold.append(f"the timeout {word}, {seconds}: it takes {TIMEOUT_MAX} seconds at the most: left out")
        elif seconds:
            words += f" {word} {seconds}"
    if words:
        yield from ("global_defs {", f"    lvs_timeouts{words}", "}")


# --- what has no words ---


def _why_no_service(of: Service) -> str:
    if of.scheduler not in SCHEDULERS:
        return f"{of.scheduler!r} is none of its schedulers"
    if of.flags & ~(ALL_SCHEDULER_FLAGS | SVC_F_HASHED):
        return f"flags {of.flags:#x} have no word"
    if of.persistence is not None and not 0 < of.persistence <= TIMEOUT_MAX:
        return f"persistence is from 1 to {TIMEOUT_MAX} seconds, not {of.persistence}"
    if of.fwmark:
        return ""
    if of.protocol not in ("tcp", "udp", "sctp"):
        return f"protocol {of.protocol} is none of TCP, UDP, SCTP"
    if of.one_packet and of.protocol != "udp":
        return "one-packet scheduling is for UDP alone"
    return "" if of.port or of.persistence is not None else "without a port it is persistent"


def _sayable(service: Service, servers: Iterator[Destination], untold: list[str]) -> Iterator[Destination]:
    for server in servers:
        reason = _why_no_server(service, server)
        if reason:
            untold.append(f"{name_of(service, server)}: {reason}: left out")
            continue
        if server.forwarding == "local":
            untold.append(f"{name_of(service, server)}: written as DR: it has no word for the method local")
        yield server


def _why_no_server(service: Service, of: Destination) -> str:
    if of.forwarding not in _KINDS:
        return f"the method {of.forwarding} has no word"
    if of.forwarding != "masq" and of.port != service.port:
        return f"{_KINDS[of.forwarding]} keeps the port of the service"
    if not of.port and service.port:
        return "without a port it has that of the service"
    if of.forwarding == "tunnel" and of.tunnel_type not in ("ipip", "gue", "gre"):
        return f"a tunnel of type {of.tunnel_type} has no word"
    if of.forwarding == "tunnel" and (of.tunnel_flags not in _SUMS or (of.tunnel_type == "gue" and not of.tunnel_port)):
        return f"a {of.tunnel_type} tunnel with port {of.tunnel_port} and flags {of.tunnel_flags:#x} has no words"
    if of.forwarding != "tunnel" and of.family != service.family:
        return "only a tunnel may lead to another address family"
    if of.weight < 0 or max(of.upper_threshold, of.lower_threshold) > INT_MAX:
        return f"weights and thresholds are from 0 to {INT_MAX}"
    return ""


# --- blocks ---


def _virtual(service: Service, servers: list[Destination], untold: list[str]) -> Iterator[str]:
    usual = _method(servers[0])
    if service.fwmark:
        yield f"virtual_server fwmark {service.fwmark} {{"
        yield f"    ip_family {'inet6' if service.family == AF_INET6 else 'inet'}"
    else:
        yield f"virtual_server {service.address} {service.port} {{"
        yield f"    protocol {str(service.protocol).upper()}"
    yield f"    lb_algo {service.scheduler}"
    yield from (f"    {flag}" for flag in _flags(service))
    yield f"    lb_kind {usual}"
    if service.one_packet:
        yield "    ops"
    yield from _persistence(service, untold)
    for server in servers:
        yield f"    real_server {server.address} {server.port} {{"
        yield f"        weight {server.weight}"
        if server.upper_threshold:
            yield f"        uthreshold {server.upper_threshold}"
        if server.lower_threshold:
            yield f"        lthreshold {server.lower_threshold}"
        if _method(server) != usual:
            yield f"        lvs_method {_method(server)}"
        yield "    }"
    yield "}"


def _flags(of: Service) -> list[str]:
    """The scheduler's flags by name: its own, or the general ones."""
    return flag_names(of.scheduler, of.flags).split(",") if of.flags & ALL_SCHEDULER_FLAGS else []


def _persistence(of: Service, untold: list[str]) -> Iterator[str]:
    if of.persistence is not None:
        yield f"    persistence_timeout {of.persistence}"
    if of.netmask is not None:
        yield f"    persistence_granularity {of.netmask}"
    if of.persistence_engine and (of.persistence is None or not _NAME.match(of.persistence_engine)):
        untold.append(f"{name_of(of)}: not told: persistence_engine {of.persistence_engine}")
    elif of.persistence_engine:
        yield f"    persistence_engine {of.persistence_engine}"


def _method(of: Destination) -> str:
    """The words after ``lb_kind``."""
    kind = _KINDS[of.forwarding]
    if kind != "TUN" or of.tunnel_type == "ipip":
        return kind
    port = f" port {of.tunnel_port}" if of.tunnel_type == "gue" else ""
    return f"TUN type {of.tunnel_type}{port} {_SUMS[of.tunnel_flags]}"
