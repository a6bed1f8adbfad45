"""Values as JSON objects, and documents a line at a time: the writing half of :mod:`ipvsnl.tables.json_in`."""

from __future__ import annotations

import json

from ipvsnl.consts import GENERIC_SCHEDULER_FLAGS, SCHEDULER_FLAGS
from ipvsnl.model import Destination, DestinationStatus, Service, Statistics
from ipvsnl.tables.json_in import FAMILIES, TUNNEL_FLAGS, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from ipvsnl.model import Daemon, Entry, Info, Timeouts
    from ipvsnl.procfs import Connection, Trashed
    from ipvsnl.tables.plan import Operation, Plan

    Object = dict[str, Any]

_FAMILY_WORDS = {number: word for word, number in FAMILIES.items()}
COUNTERS = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")


def dumps(value: object) -> str:
    """One line of JSON; counters stay whole numbers, addresses and names are text."""
    return json.dumps(value, ensure_ascii=True, separators=(", ", ": "))


def stream(name: str, objects: Iterable[Object], **parts: object) -> Iterator[str]:
    """A document with a large array ``name``, an element a line, after its other parts."""
    head = dumps({"ipvsnl": VERSION, **parts})
    yield f"{head[:-1]}, {dumps(name)}: ["
    separator = "\n"
    for one in objects:
        yield separator + dumps(one)
        separator = ",\n"
    yield "\n]}\n"


def document(**parts: object) -> str:
    """A small document, on a line."""
    return dumps({"ipvsnl": VERSION, **parts}) + "\n"


def kernel(info: Info) -> Object:
    """The part ``kernel``."""
    return {"version": ".".join(map(str, info.version)), "connection_table_size": info.connection_table_size}


def wanted(of: Service, servers: Iterable[Destination]) -> Object:
    """A service of a wanted table with its servers."""
    return {**service(of), "servers": [server(one) for one in servers]}


def entry(of: Entry) -> Object:
    """A service with its servers and all that is known of them."""
    return {
        **service(of.service),
        "statistics": statistics(of.status.statistics),
        "servers": [server_status(one) for one in of.destinations],
    }


def key(of: Service) -> Object:
    """What a service is found by."""
    if of.fwmark:
        return {"fwmark": of.fwmark, "family": _FAMILY_WORDS.get(of.family, of.family)}
    return {"protocol": of.protocol, "address": of.address, "port": of.port}


def service(of: Service) -> Object:
    """A service without its servers."""
    names = {**GENERIC_SCHEDULER_FLAGS, **SCHEDULER_FLAGS.get(of.scheduler, {})}
    return {
        **key(of),
        "scheduler": of.scheduler,
        "flags": _flags(of.flags, names),
        "one_packet": of.one_packet,
        "persistence": of.persistence,
        "netmask": of.netmask,
        "persistence_engine": of.persistence_engine or None,
    }


def server(of: Destination) -> Object:
    """A real server; ``tunnel`` is null where there is none."""
    tunnel = None
    if of.forwarding == "tunnel":
        tunnel = {"type": of.tunnel_type, "port": of.tunnel_port, "flags": _flags(of.tunnel_flags, TUNNEL_FLAGS)}
    return {
        "address": of.address,
        "port": of.port,
        "forwarding": of.forwarding,
        "weight": of.weight,
        "upper_threshold": of.upper_threshold,
        "lower_threshold": of.lower_threshold,
        "tunnel": tunnel,
    }


def server_status(of: DestinationStatus) -> Object:
    """A real server with its connections and counters."""
    connections = {"active": of.active, "inactive": of.inactive, "persistent": of.persistent}
    return {**server(of.destination), "connections": connections, "statistics": statistics(of.statistics)}


def trashed(of: Trashed) -> Object:
    """A deleted real server that is not freed yet."""
    held = {"connections": of.connections, "templates": of.templates, "caches": of.caches}
    return {
        "service": key(of.service), "address": of.address, "port": of.port, "references": of.references, **held,
        "deleted": of.deleted, "idle": of.idle, "freed_in": of.freed_in,
    }  # fmt: skip


def statistics(of: Statistics) -> Object:
    """Counters, and rates a second."""
    values = of.astuple()
    return {
        **dict(zip(COUNTERS, values[:5], strict=True)),
        "rates": dict(zip(COUNTERS, values[5:], strict=True)),
    }


def _flags(bits: int, names: Mapping[str, int]) -> list[str | int]:
    """The names of bits (a scheduler's own before the general ones), and a number for those without."""
    found: list[str | int] = []
    for name, bit in reversed(tuple(names.items())):
        if bits & bit:
            found.insert(0, name)
            bits &= ~bit
    return [*found, bits] if bits else found


def timeouts(of: Timeouts) -> Object:
    """Seconds."""
    return {"tcp": of.tcp, "tcp_fin": of.tcp_fin, "udp": of.udp}


def daemon(of: Daemon) -> Object:
    """A synchronisation daemon."""
    return dict(zip(of.__fields__, of.astuple(), strict=True))


def connection(of: Connection) -> Object:
    """A connection, or a template."""
    shown = dict(zip(of.__fields__, of.astuple(), strict=True))
    shown["persistence_engine"] = of.persistence_engine or None
    shown["persistence_data"] = of.persistence_data or None
    return shown


# --- plans ---


def plan(of: Plan) -> Object:
    """A plan: its operations in order, and what stays though it is not wanted."""
    return {
        "prune": of.prune,
        "drain": of.drain,
        "operations": [operation(one) for one in of.operations],
        "stays": [operation(one) for one in of.stays],
        "left_out": [operation(one) for one in of.left_out],
    }


def operation(of: Operation) -> Object:
    """One operation: ``do``, the rule as ipvsadm's command line and as values, and of an edit what it replaces."""
    shown: Object = {"do": of.kind, "rule": str(of), "line": of.line or None}
    if of.timeouts is not None:
        return {**shown, "timeouts": timeouts(of.timeouts)}
    if of.service is not None:
        whole = of.kind in ("add-service", "edit-service")
        shown["service"] = service(of.service) if whole else key(of.service)
    if of.destination is not None:
        shown["server"] = server(of.destination)
    changes = of.changes()
    if changes:
        shown["changes"] = {name: {"from": old, "to": new} for name, (old, new) in changes.items()}
    if of.servers:
        shown["servers"] = [server(one) for one in of.servers]
    return shown
