"""A saved table's values put into a namespace, each looked at first: whatever the text says, the namespace is one that the
kernel could have, or :class:`DamagedError` names what is wrong.
"""

from __future__ import annotations

from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_pton
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ipvsnl.consts import AF_INET, AF_INET6, DEST_FLAGS, FWD_MASK
from ipvssim import schedulers
from ipvssim.state.daemons import BACKUP, MASTER, Daemon
from ipvssim.state.namespace import Namespace
from ipvssim.state.services import RealServer, VirtualService
from ipvssim.state.statistics import Counters

_U8, _U16, _U32, _U64, _INT = 0xFF, 0xFFFF, 0xFFFFFFFF, (1 << 64) - 1, 0x7FFFFFFF
_LONGEST_NAME = 15
_SIZES = {AF_INET: 4, AF_INET6: 16}
_SERVER = (
    ("port", _U16), ("forwarding", FWD_MASK | DEST_FLAGS), ("weight", _INT), ("upper threshold", _U32),
    ("lower threshold", _U32), ("tunnel type", _U8), ("tunnel port", _U16), ("tunnel flags", _U16), ("last weight", _INT),
)  # fmt: skip
"""A server's numbers as its row has them behind the address, and the largest that each may be."""
_TIMEOUTS = (("tcp timeout", _U32), ("tcpfin timeout", _U32), ("udp timeout", _U32))
_COUNTERS = ("live", "ticked", "zero")


class DamagedError(ValueError):
    """A value that is not what it has to be; the message names it."""


class HasNamespace(Protocol):
    """Whatever holds a namespace: a simulated kernel."""

    namespace: Namespace


Holder = TypeVar("Holder", bound=HasNamespace)


def filled(whole: object, make: Callable[..., Holder]) -> Holder:
    """What ``make`` makes of the hash key, its namespace filled; DamagedError where a value is not what it has to be."""
    if not isinstance(whole, dict):
        raise DamagedError("the table is no JSON object")
    for name in ("hash_key", "timeouts", "daemons", "sysctls", "total", "services"):
        if name not in whole:
            raise DamagedError(f"there are no {name}")
    holder = make(hash_key=_number("hash_key", whole["hash_key"], _U8))
    namespace = holder.namespace
    timeouts = namespace.timeouts
    timeouts.tcp, timeouts.tcp_fin, timeouts.udp = _numbers("timeouts", whole["timeouts"], _TIMEOUTS)
    for row in _list("daemons", whole["daemons"]):
        namespace.daemons.restore(_daemon(row))
    _write_sysctls(namespace, whole["sysctls"])
    _restore("total", namespace.table.total, whole["total"])
    rows = _list("services", whole["services"])
    for number in reversed(range(len(rows))):
        try:
            _add_service(namespace, rows[number])
        except DamagedError as wrong:
            raise DamagedError(f"services[{number}]: {wrong}") from None
    if "trash" in whole:
        _fill_trash(namespace, whole["trash"])
    return holder


# --- services and servers ---


def _add_service(namespace: Namespace, row: object) -> None:
    fields = _list("a service", row, 12)
    family, fwmark, protocol, address, port, name, flags, timeout, netmask, engine, counters, dests = fields
    if type(family) is not int or family not in _SIZES:
        raise DamagedError(f"its family is {family!r}")
    packed = _address("its address", address) if address != "" else bytes(_SIZES[family])
    if len(packed) != _SIZES[family]:
        raise DamagedError(f"its address {address!r} is of another family")
    service = VirtualService(
        family, _number("its mark", fwmark, _U32), _number("its protocol", protocol, _U16), packed,
        _number("its port", port, _U16),
    )  # fmt: skip
    service.flags = _number("its flags", flags, _U32)
    service.timeout = _number("its timeout", timeout, _U32)
    service.netmask = _number("its netmask", netmask, _U32)
    service.persistence_engine = _name("its persistence engine", engine, 0)
    _restore("its statistics", service.counters, counters)
    table = namespace.table
    if table.find(family, service.fwmark, service.protocol, packed, service.port) is not None:
        raise DamagedError("it is there twice")
    for dest in _list("its servers", dests):
        server = _server(dest)
        if (server.address, server.port) in service.destinations:
            raise DamagedError(f"its server {dest[0]}:{server.port} is there twice")
        table.put_back(service, server)
    try:
        table.add_service(service, _scheduler(_name("its scheduler", name, 1)))
    except ValueError as refused:
        raise DamagedError(f"its scheduler {name!r} refuses it: {refused}") from None


def _fill_trash(namespace: Namespace, saved: object) -> None:
    sweep, rows = _list("the trash", saved, 2)
    trash = namespace.table.trash
    for row in _list("the trash", rows):
        family, fwmark, protocol, address, port, kept, deleted, idle, dest = _list("a deleted server", row, 9)
        if type(family) is not int or family not in _SIZES:
            raise DamagedError(f"a deleted server's service is of family {family!r}")
        packed = _address("a deleted server's service", address) if address != "" else b""
        server = _server(dest)
        server.of = (
            family, _number("its service's mark", fwmark, _U32), _number("its service's protocol", protocol, _U16),
            packed, _number("its service's port", port, _U16),
        )  # fmt: skip
        server.service = namespace.table.find(*server.of) if kept is True else None
        trash.put_back(
            server, _number("when it was deleted", deleted, _U64),
            None if idle is None else _number("since when it is idle", idle, _U64),
        )  # fmt: skip
    trash.resume(_number("the next sweep", sweep, _U64))


def _server(row: Any) -> RealServer:
    fields = _list("a server", row, 11)
    packed = _address("a server's address", fields[0])
    for value, (what, most) in zip(fields[1:10], _SERVER, strict=True):
        if type(value) is not int or not 0 <= value <= most:
            raise DamagedError(f"its server {fields[0]}: {_out_of_range(what, value, most)}")
    server = RealServer(AF_INET if len(packed) == _SIZES[AF_INET] else AF_INET6, packed, fields[1])
    (
        server.forwarding, server.weight, server.upper, server.lower, server.tunnel_type, server.tunnel_port,
        server.tunnel_flags, server.last_weight,
    ) = fields[2:10]  # fmt: skip
    server.flags, server.forwarding = server.forwarding & DEST_FLAGS, server.forwarding & FWD_MASK
    _restore(f"its server {fields[0]}: statistics", server.counters, fields[10])
    return server


def _scheduler(name: str) -> type[schedulers.Scheduler] | None:
    """The scheduler of that name; a stand-in where it is not known here: a table does not depend on it."""
    if name == "none":
        return None
    try:
        return schedulers.find(name) or schedulers.missing(name)
    except schedulers.LoadingError as wrong:
        return schedulers.missing(name, str(wrong))


# --- the rest ---


def _daemon(row: object) -> Daemon:
    role, interface, sync_id, length, group, port, ttl = _list("a daemon", row, 7)
    if type(role) is not int or role not in (MASTER, BACKUP):
        raise DamagedError(f"a daemon's role is {role!r}")
    try:
        device, address = bytes.fromhex(interface), bytes.fromhex(group)
    except (TypeError, ValueError):
        raise DamagedError(f"a daemon's device is {interface!r}, its group {group!r}: no hexadecimal digits") from None
    if len(address) not in _SIZES.values() or len(device) > _LONGEST_NAME:
        raise DamagedError(f"a daemon's device is {interface!r}, its group {group!r}")
    return Daemon(
        role, device, _number("a daemon's sync id", sync_id, _U32), _number("a daemon's length", length, _U16), address,
        _number("a daemon's port", port, _U16), _number("a daemon's ttl", ttl, _U8),
    )  # fmt: skip


def _write_sysctls(namespace: Namespace, values: object) -> None:
    if not isinstance(values, dict):
        raise DamagedError(f"sysctls is {values!r:.40}")
    for name, value in values.items():
        try:
            namespace.write_sysctl(name, value)
        except OSError as refused:
            raise DamagedError(f"sysctls: {name} is {value!r:.40}: {refused.strerror}") from None


def _restore(what: str, counters: Counters, saved: object) -> None:
    """Statistics: nothing, or five live values, those of the last tick, those of the zero point, and five rates."""
    if saved is None:
        return
    rows = _list(what, saved, 4)
    for name, row in zip(_COUNTERS, rows, strict=False):
        _numbers(f"{what}: {name}", row, [("a counter", _U64)] * 5)
    for rate in _list(f"{what}: rates", rows[3], 5):
        if type(rate) is not int or abs(rate) >> 80:
            raise DamagedError(f"{what}: a rate is {rate!r:.40}")
    counters.restore(rows)


# --- values ---


def _list(what: str, value: object, size: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (size is not None and len(value) != size):
        raise DamagedError(f"{what}: {value!r:.40} is no list" + (f" of {size} values" if size is not None else ""))
    return value


def _number(what: str, value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise DamagedError(_out_of_range(what, value, most))
    return value


def _numbers(what: str, values: object, fields: Sequence[tuple[str, int]]) -> list[int]:
    row = _list(what, values, len(fields))
    return [_number(f"{what}: {name}", value, most) for value, (name, most) in zip(row, fields, strict=True)]


def _out_of_range(what: str, value: object, most: int) -> str:
    return f"{what} is {value!r:.40}, and no number from 0 to {most}"


def _name(what: str, value: object, least: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= _LONGEST_NAME or not value.isascii() or "\0" in value:
        raise DamagedError(f"{what} is {value!r:.40}, and no name of {least} to {_LONGEST_NAME} characters")
    return value


def _address(what: str, value: object) -> bytes:
    try:
        if isinstance(value, str):
            return inet_pton(HOST_AF_INET6 if ":" in value else AF_INET, value)
    except (OSError, ValueError):
        pass
    raise DamagedError(f"{what} is {value!r:.60}, and no address")
