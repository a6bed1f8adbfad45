"""A namespace as text: what of it outlives a process (not connections), and back.

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
from _socket import AF_INET6, inet_ntop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from ipvsnl import _json
from ipvsnl.consts import AF_INET
from ipvssim.state.loading import DamagedError, Holder, filled
from ipvssim.state.namespace import Namespace
from ipvssim.state.service_table import ServiceTable
from ipvssim.state.services import RealServer, VirtualService
from ipvssim.state.statistics import Counters
from ipvssim.state.sysctls import DEBUG_LEVEL, Sysctls
from ipvssim.state.tracking_sysctls import TrackingSysctls

MAGIC = b"ipvssim table "
VERSION = 1


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
            whole = _json.loads(body, _once)
        except ValueError as wrong:
            raise StateError(f"damaged: {wrong}") from None
        try:
            return filled(whole, make)
        except DamagedError as wrong:
            raise StateError(f"damaged: {wrong}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose fields all differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found


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
    head = json.dumps(
        {
            "hash_key": namespace.hash_key,
            "timeouts": namespace.timeouts.astuple(),
            "daemons": [
                [*one[:1], one[1].hex(), *one[2:4], one[4].hex(), *one[5:]] for one in namespace.daemons.running()
            ],
            "sysctls": {
                **_changed(namespace.sysctls, Sysctls()),
                **_changed(namespace.tracking, TrackingSysctls(namespace.behaviours)),
            },
            "total": namespace.table.total.saved(),
            **({"trash": _trash(namespace.table)} if len(namespace.table.trash) else {}),
        },
        separators=(",", ":"),
    )
    services = ",\n".join(map(_service_row, namespace.table.services()))
    return f'{head[:-1]},"services":[\n{services}\n]}}\n'


def _changed(sysctls: Sysctls | TrackingSysctls, defaults: Sysctls | TrackingSysctls) -> dict[str, str]:
    """The tunables that are no longer what they were at first."""
    names = [name for name in sysctls.names() if name != DEBUG_LEVEL]
    return {name: value for name in names if (value := sysctls.read(name)) != defaults.read(name)}


def _service_row(one: VirtualService) -> str:
    dests = ",".join([_server_row(server) for server in one.destinations.values()])
    address = _address(one.address) if any(one.address) or not one.fwmark else ""
    return (
        f'[{one.family},{one.fwmark},{one.protocol},"{address}",{one.port},{quoted(one.scheduler_name)},{one.flags},'
        f"{one.timeout},{one.netmask},{quoted(one.persistence_engine)},{_counters(one.counters)},[{dests}]]"
    )


def _server_row(one: RealServer) -> str:
    return (
        f'["{_address(one.address)}",{one.port},{one.forwarding | one.flags},{one.weight},{one.upper},{one.lower},'
        f"{one.tunnel_type},{one.tunnel_port},{one.tunnel_flags},{one.last_weight},{_counters(one.counters)}]"
    )


def _trash(table: ServiceTable) -> list[Any]:
    """Microseconds to the next sweep, then the deleted servers, the first deleted first: what each was a server of, whether
    that very service is still there, how long ago it was deleted and stamped, and its row."""
    trash, now = table.trash, table.clock.now
    rows = [
        [
            *one.of[:3], _address(one.of[3]), one.of[4], one.service is not None and table.has(one.service),
            now - trash.deleted(one), None if one.idle_since is None else now - one.idle_since,
            json.loads(_server_row(one)),
        ]
        for one in reversed(list(trash))
    ]  # fmt: skip
    return [trash.sweep, rows]


def _address(packed: bytes) -> str:
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed) if packed else ""


def _counters(counters: Counters) -> str:
    saved = counters.saved()
    return "null" if saved is None else json.dumps(saved, separators=(",", ":"))
