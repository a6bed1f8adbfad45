"""A namespace as text: what of it outlives a process (not the trash, not connections), and back.

The text is a header line and a JSON array with one virtual service a line, so that it can be read and compared by people::

    ipvssim table 1 sha256:1f0c...
    {"hash_key":0,"timeouts":[900,120,300],...,"services":[
    [2,0,6,"10.0.0.1",80,"wlc",2,0,4294967295,"",null,[["10.1.0.1",80,0,1,0,0,0,0,0,1,null],...]],
    ...
    ]}

The checksum is over everything after the header line. Services stand in dump order, destinations oldest first.
"""

from __future__ import annotations

import gc
import hashlib
import json
from _socket import AF_INET6, inet_ntop, inet_pton
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Protocol, TypeVar

from ipvsnl.consts import AF_INET
from ipvssim import schedulers
from ipvssim.state.daemons import Daemon
from ipvssim.state.namespace import Namespace
from ipvssim.state.services import RealServer, VirtualService
from ipvssim.state.statistics import Counters
from ipvssim.state.sysctls import Sysctls, names

MAGIC = b"ipvssim table "
VERSION = 1


class HasNamespace(Protocol):
    """Whatever holds a namespace: a simulated kernel."""

    namespace: Namespace


Holder = TypeVar("Holder", bound=HasNamespace)


class StateError(Exception):
    """The text is no saved table, or a damaged one, or one of a version that this program does not know."""


def dumped(namespace: Namespace) -> bytes:
    """The namespace as text."""
    with _undisturbed():
        body = _body(namespace).encode("ascii")
    return b"%s%d sha256:%s\n" % (MAGIC, VERSION, hashlib.sha256(body).hexdigest().encode()) + body


def restored(text: bytes, make: Callable[..., Holder]) -> Holder:
    """What ``make`` makes of the hash key, its namespace filled from a text; StateError where the text is no saved table."""
    head, _, body = text.partition(b"\n")
    if not head.startswith(MAGIC):
        raise StateError("not a table of the simulator")
    version, _, checksum = head[len(MAGIC) :].partition(b" sha256:")
    if version != b"%d" % VERSION:
        raise StateError(f"version {version.decode('ascii', 'replace')!r} of the format is unknown (this is {VERSION})")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise StateError("damaged: the checksum does not match")
    with _undisturbed():
        try:
            return _filled(json.loads(body), make)
        except (ValueError, KeyError, TypeError, IndexError, OSError) as wrong:
            raise StateError(f"damaged: {wrong}") from None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hundreds of thousands of new objects, none of which is garbage: the collector would only look at them in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# --- writing ---


def _body(namespace: Namespace) -> str:
    defaults = Sysctls()
    head = json.dumps(
        {
            "hash_key": namespace.hash_key,
            "timeouts": namespace.timeouts.astuple(),
            "daemons": [
                [*one[:1], one[1].hex(), *one[2:4], one[4].hex(), *one[5:]] for one in namespace.daemons.running()
            ],
            "sysctls": {
                name: namespace.sysctls.read(name)
                for name in names()
                if namespace.sysctls.read(name) != defaults.read(name)
            },
            "total": namespace.table.total.saved(),
        },
        separators=(",", ":"),
    )
    services = ",\n".join(map(_service_row, namespace.table.services()))
    return f'{head[:-1]},"services":[\n{services}\n]}}\n'


def _service_row(one: VirtualService) -> str:
    dests = ",".join([_server_row(server) for server in one.destinations.values()])
    address = "" if one.fwmark else inet_ntop(AF_INET if len(one.address) == 4 else AF_INET6, one.address)
    return (
        f'[{one.family},{one.fwmark},{one.protocol},"{address}",{one.port},{quoted(one.scheduler_name)},{one.flags},'
        f"{one.timeout},{one.netmask},{quoted(one.persistence_engine)},{_counters(one.counters)},[{dests}]]"
    )


def _server_row(one: RealServer) -> str:
    address = inet_ntop(AF_INET if len(one.address) == 4 else AF_INET6, one.address)
    return (
        f'["{address}",{one.port},{one.forwarding},{one.weight},{one.upper},{one.lower},{one.tunnel_type},'
        f"{one.tunnel_port},{one.tunnel_flags},{one.last_weight},{_counters(one.counters)}]"
    )


def _counters(counters: Counters) -> str:
    saved = counters.saved()
    return "null" if saved is None else json.dumps(saved, separators=(",", ":"))


# --- reading ---


def _filled(whole: dict[str, Any], make: Callable[..., Holder]) -> Holder:
    holder = make(hash_key=whole["hash_key"])
    namespace = holder.namespace
    timeouts = namespace.timeouts
    timeouts.tcp, timeouts.tcp_fin, timeouts.udp = whole["timeouts"]
    for role, interface, sync_id, length, group, port, ttl in whole["daemons"]:
        namespace.daemons.restore(
            Daemon(role, bytes.fromhex(interface), sync_id, length, bytes.fromhex(group), port, ttl)
        )
    for name, value in whole["sysctls"].items():
        namespace.sysctls.write(name, value)
    if whole["total"] is not None:
        namespace.table.total.restore(whole["total"])
    for row in reversed(whole["services"]):
        _add_service(namespace, row)
    return holder


def _add_service(namespace: Namespace, row: list[Any]) -> None:
    family, fwmark, protocol, address, port, name, flags, timeout, netmask, engine, counters, dests = row
    packed = inet_pton(family, address) if address else bytes(4 if family == AF_INET else 16)
    service = VirtualService(family, fwmark, protocol, packed, port)
    service.flags, service.timeout, service.netmask, service.persistence_engine = flags, timeout, netmask, engine
    if counters is not None:
        service.counters.restore(counters)
    table = namespace.table
    for dest in dests:
        table.put_back(service, _server(dest))
    scheduler = None if name == "none" else schedulers.find(name)
    if scheduler is None and name != "none":
        raise ValueError(f"unknown scheduler {name!r}")
    table.add_service(service, scheduler)


def _server(row: list[Any]) -> RealServer:
    address = row[0]
    server = RealServer(AF_INET6, inet_pton(AF_INET6, address), row[1]) if ":" in address else RealServer(
        AF_INET, inet_pton(AF_INET, address), row[1]
    )  # fmt: skip
    (
        server.forwarding, server.weight, server.upper, server.lower, server.tunnel_type, server.tunnel_port,
        server.tunnel_flags, server.last_weight,
    ) = row[2:10]  # fmt: skip
    if row[10] is not None:
        server.counters.restore(row[10])
    return server
