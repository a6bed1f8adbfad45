"""Values to records and back (:mod:`ipvsnl.family` says what a record is); the backends turn records into bytes.

Everything the wire is odd about ends here: byte orders of masks, flags that are fields of a value, numbers for words.
Source: net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1 (``ip_vs_genl_fill_service``, ``_parse_service`` and their siblings).
"""

from __future__ import annotations

import sys
from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_ntop
from _struct import Struct  # "struct" is one file more to open at every start
from _struct import error as StructError  # type: ignore[attr-defined]  # typeshed has it in "struct" alone

from ipvsnl import address as addresses
from ipvsnl import family
from ipvsnl._value import Value, maker, needs
from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    DAEMON_ROLES,
    FORWARDING,
    FWD_MASK,
    INTERFACE_NAME_MAX,
    PE_NAME_MAX,
    PROTOCOLS,
    SCHEDULER_NAME_MAX,
    SVC_F_HASHED,
    SVC_F_ONEPACKET,
    SVC_F_PERSISTENT,
    TUNNEL_TYPES,
)
from ipvsnl.errors import EncodeError
from ipvsnl.family import DEST_FULL, DEST_KEY, SERVICE_ADDRESS_KEY, SERVICE_ENGINE, SERVICE_FULL, SERVICE_MARK_KEY
from ipvsnl.model import (
    Daemon,
    Destination,
    DestinationStatus,
    Info,
    Service,
    ServiceStatus,
    Statistics,
    Timeouts,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def _without_counters(group: family.Group) -> Struct:
    """The record's struct with its 64-bit counters passed over: requests never carry them."""
    letters = group.record_format.lstrip("=")
    rest = letters.lstrip("Q")
    return Struct(f"={8 * (len(letters) - len(rest))}x{rest}")


_SERVICE, _DEST = _without_counters(family.SERVICE), _without_counters(family.DEST)
_COUNTERS = Struct("=10Q")
_ALL_ZERO = bytes(_COUNTERS.size)
_NO_STATISTICS = Statistics()
_make_service, _make_service_status = maker(Service), maker(ServiceStatus)
_make_destination, _make_destination_status = maker(Destination), maker(DestinationStatus)
_make_statistics, _make_daemon = maker(Statistics), maker(Daemon)
_STATS64_BIT = family.SERVICE_STATS64
_OWN_FLAGS = SVC_F_PERSISTENT | SVC_F_HASHED | SVC_F_ONEPACKET
_ALL_BITS = 0xFFFFFFFF
_NO_ADDRESS = bytes(16)

_PROTOCOL_WORDS = {number: word for word, number in PROTOCOLS.items()}
_FORWARDING_WORDS = {number: word for word, number in FORWARDING.items()}
_ROLE_WORDS = {number: word for word, number in DAEMON_ROLES.items()}
_TUNNEL_WORDS = {number: word for word, number in TUNNEL_TYPES.items()}


def number_of(words: dict[str, int], word: str | int, what: str) -> int:
    """The number of a word, or the number itself; EncodeError for a word that has none."""
    if isinstance(word, str):
        try:
            return words[word]
        except KeyError:
            raise EncodeError(f"unknown {what} {word!r}: one of {', '.join(words)}, or a number") from None
    return word


def text_of(words: str, limit: int, what: str) -> bytes:
    """Text as the wire has it; EncodeError where it does not fit."""
    data = words.encode()
    if len(data) > limit or 0 in data:
        raise EncodeError(f"{what} {words!r} is longer than {limit} bytes or holds a NUL")
    return data


def record_of(structure: Struct, value: Value, *fields: int | bytes) -> bytes:
    """A record; EncodeError for a value that was made unchecked and has a field out of range."""
    try:
        return structure.pack(*fields)
    except StructError as wrong:
        type(value)(*value.astuple())  # checked now, it names the field
        raise EncodeError(f"{value!r}: {wrong}") from None


def _own_address(value: Service | Destination, family_number: int) -> bytes:
    if addresses.family_of(value.address) != family_number:
        raise EncodeError(f"{value!r}: the address is not of family {family_number}")
    return addresses.pack(value.address)


# --- virtual services ------------------------------------------------------------------------------------------------


def service_key(service: Service) -> bytes:
    """The record of a service with its key alone; EncodeError where there is neither an address nor a mark."""
    needs(Service, service)
    if service.fwmark:
        return record_of(
            _SERVICE, service, SERVICE_MARK_KEY, service.fwmark, 0, 0, 0, 0, service.family, 0, 0, _NO_ADDRESS, b"", b""
        )
    protocol = number_of(PROTOCOLS, service.protocol, "protocol")
    packed = _own_address(service, service.family)
    return record_of(
        _SERVICE, service, SERVICE_ADDRESS_KEY, 0, 0, 0, 0, 0, service.family, protocol, service.port, packed, b"", b""
    )  # fmt: skip


def service_record(service: Service) -> bytes:
    """The whole record of a service, as NEW_SERVICE and SET_SERVICE want it."""
    needs(Service, service)
    present, protocol, packed = SERVICE_MARK_KEY, 0, _NO_ADDRESS
    if not service.fwmark:
        present, packed = SERVICE_ADDRESS_KEY, _own_address(service, service.family)
        protocol = number_of(PROTOCOLS, service.protocol, "protocol")
    flags = service.flags & ~_OWN_FLAGS
    if service.persistence is not None:
        flags |= SVC_F_PERSISTENT
    if service.one_packet:
        flags |= SVC_F_ONEPACKET
    return record_of(
        _SERVICE,
        service,
        present | SERVICE_FULL | (SERVICE_ENGINE if service.persistence_engine else 0),
        service.fwmark,
        flags,
        _ALL_BITS,
        service.persistence or 0,
        _netmask_word(service),
        service.family,
        protocol,
        service.port,
        packed,
        text_of(service.scheduler, SCHEDULER_NAME_MAX, "scheduler"),
        text_of(service.persistence_engine, PE_NAME_MAX, "persistence engine"),
    )


def _netmask_word(service: Service) -> int:
    """The wire's u32: an IPv4 mask in network order, an IPv6 prefix length in the host's."""
    mask = service.netmask
    if service.family == AF_INET6:
        if mask is None:
            return 128
        if isinstance(mask, int):
            return mask
        raise EncodeError(f"{service}: the netmask of an IPv6 service is a prefix length, not {mask!r}")
    if mask is None:
        return _ALL_BITS
    if isinstance(mask, str) and ":" not in mask:
        return int.from_bytes(addresses.pack(mask)[:4], sys.byteorder)
    raise EncodeError(f"{service}: the netmask of an IPv4 service is dotted text, not {mask!r}")


def _netmask(family_number: int, word: int) -> str | int | None:
    if family_number == AF_INET6:
        return None if word == 128 else word
    return None if word == _ALL_BITS else addresses.unpack(AF_INET, word.to_bytes(4, sys.byteorder))


def read_service(record: bytes) -> ServiceStatus:
    """The value of a reply's record."""
    return next(read_services(record))


def read_services(records: Any) -> Iterator[ServiceStatus]:
    """The values of records, one after the other in one buffer."""
    unpack_address, size = addresses.unpack, _SERVICE.size
    start = 0
    for (
        present, mark, flags, _, timeout, mask, family_number, protocol, port, packed, scheduler, engine,
    ) in _SERVICE.iter_unpack(records):  # fmt: skip
        service = _make_service(
            "" if mark else _PROTOCOL_WORDS.get(protocol, protocol),
            "" if mark else unpack_address(family_number, packed),
            port,
            mark,
            family_number,
            scheduler.rstrip(b"\0").decode(errors="replace"),
            flags & ~_OWN_FLAGS,
            bool(flags & SVC_F_ONEPACKET),
            timeout if flags & SVC_F_PERSISTENT else None,
            _netmask(family_number, mask),
            engine.rstrip(b"\0").decode(errors="replace"),
        )
        yield _make_service_status(service, _statistics(present, records, start))
        start += size


def _statistics(present: int, records: Any, start: int) -> Statistics:
    at = start + 80 if present & _STATS64_BIT else start
    if records[at : at + 80] == _ALL_ZERO:
        return _NO_STATISTICS
    return _make_statistics(*_COUNTERS.unpack_from(records, at))


# --- destinations ----------------------------------------------------------------------------------------------------


def destination_key(destination: Destination) -> bytes:
    """The record of a destination with its key alone."""
    needs(Destination, destination)
    packed = addresses.pack(destination.address)
    return record_of(
        _DEST, destination, DEST_KEY, 0, 0, 0, 0, 0, 0, 0, destination.port, destination.family, 0, 0, 0, packed
    )  # fmt: skip


def destination_record(destination: Destination) -> bytes:
    """The whole record of a destination, as NEW_DEST and SET_DEST want it (what is left out there is reset)."""
    needs(Destination, destination)
    forwarding = number_of(FORWARDING, destination.forwarding, "forwarding method")
    if not 0 <= forwarding <= FWD_MASK:
        raise EncodeError(f"{destination!r}: a forwarding method is 0 to {FWD_MASK}")
    return record_of(
        _DEST,
        destination,
        DEST_FULL,
        forwarding,
        destination.weight,
        destination.upper_threshold,
        destination.lower_threshold,
        0,
        0,
        0,
        destination.port,
        destination.family,
        destination.tunnel_port,
        destination.tunnel_flags,
        number_of(TUNNEL_TYPES, destination.tunnel_type, "tunnel type"),
        addresses.pack(destination.address),
    )


def read_destination(record: bytes) -> DestinationStatus:
    """The value of a reply's record."""
    return next(read_destinations(record))


def read_destinations(records: Any, family_of_service: int = 0) -> Iterator[DestinationStatus]:
    """The values of records, one after the other in one buffer.

    Kernels before 3.18 do not tell a server's family (it was always the service's): ``family_of_service`` holds there.
    """
    method_word, tunnel_word, size = _FORWARDING_WORDS.get, _TUNNEL_WORDS.get, _DEST.size
    start = 0
    for (
        present, method, weight, upper, lower, active, inactive, persistent, port, family_number, tunnel_port,
        tunnel_flags, tunnel_type, packed,
    ) in _DEST.iter_unpack(records):  # fmt: skip
        destination = _make_destination(
            inet_ntop(AF_INET, packed[:4])
            if (family_number or family_of_service) == AF_INET
            else inet_ntop(HOST_AF_INET6, packed),
            port,
            method_word(method, method),
            weight,
            upper,
            lower,
            tunnel_word(tunnel_type, tunnel_type),
            tunnel_port,
            tunnel_flags,
        )
        # _statistics, unrolled: this is the one loop that a listing of a large table spends its time in.
        at = start + 80 if present & _STATS64_BIT else start
        if records[at : at + 80] == _ALL_ZERO:
            counters = _NO_STATISTICS
        else:
            counters = _make_statistics(*_COUNTERS.unpack_from(records, at))
        yield _make_destination_status(destination, active, inactive, persistent, counters)
        start += size


# --- daemons, timeouts, info -----------------------------------------------------------------------------------------


_DAEMON, _CONFIG, _INFO = (Struct(group.record_format) for group in (family.DAEMON, family.CONFIG, family.INFO))
_OPTIONAL = [family.DAEMON.bits(name) for name in ("sync_maxlen", "mcast_port", "mcast_ttl")]
"""What kernels before 4.3 do not tell of a daemon, and the old interface never does."""
_GROUP4, _GROUP6 = (family.DAEMON.bits(name) for name in ("mcast_group", "mcast_group6"))


def daemon_record(daemon: Daemon) -> bytes:
    """The record of a daemon to start; fields that are None are left to the kernel."""
    needs(Daemon, daemon)
    group = daemon.group
    present = family.DAEMON.bits("state", "mcast_ifn", "sync_id")
    for name, field in (("sync_maxlen", daemon.max_length), ("mcast_port", daemon.port), ("mcast_ttl", daemon.ttl)):
        present |= family.DAEMON.bits(name) if field is not None else 0
    group4 = group6 = b""
    if group is not None:
        if addresses.family_of(group) == AF_INET6:
            present, group6 = present | _GROUP6, addresses.pack(group)
        else:
            present, group4 = present | _GROUP4, addresses.pack(group)[:4]
    interface = text_of(daemon.interface, INTERFACE_NAME_MAX, "interface")
    role = number_of(DAEMON_ROLES, daemon.role, "role")
    return record_of(
        _DAEMON, daemon, present, role, daemon.sync_id, daemon.max_length or 0, daemon.port or 0, daemon.ttl or 0,
        interface, group4, group6,
    )  # fmt: skip


def daemon_key(role: str | int) -> bytes:
    """The record that stops the daemon of a role."""
    named = Daemon(role, "")
    number = number_of(DAEMON_ROLES, named.role, "role")
    return record_of(_DAEMON, named, family.DAEMON.bits("state"), number, 0, 0, 0, 0, b"", b"", b"")


def read_daemon(record: bytes) -> Daemon:
    """The value of a reply's record."""
    present, role, sync_id, length, port, ttl, interface, group4, group6 = _DAEMON.unpack(record)
    group: str | None
    if present & _GROUP6:
        group = addresses.unpack(AF_INET6, group6)
    else:
        group = addresses.unpack(AF_INET, group4) if present & _GROUP4 else None
    name = interface.rstrip(b"\0").decode(errors="replace")
    rest = [value if present & bit else None for value, bit in zip((length, port, ttl), _OPTIONAL, strict=True)]
    return _make_daemon(_ROLE_WORDS.get(role, role), name, sync_id, rest[0], group, *rest[1:])


def read_daemons(records: Any) -> list[Daemon]:
    """The values of records, one after the other in one buffer."""
    return [read_daemon(records[at : at + _DAEMON.size]) for at in range(0, len(records), _DAEMON.size)]


def config_record(timeouts: Timeouts) -> bytes:
    """The record of timeouts to set; those that are None are left out."""
    needs(Timeouts, timeouts)
    values = (timeouts.tcp, timeouts.tcp_fin, timeouts.udp)
    numbers = [attribute.number for attribute in family.CONFIG.attributes]
    present = sum(1 << number for number, seconds in zip(numbers, values, strict=True) if seconds is not None)
    return record_of(_CONFIG, timeouts, present, *[seconds or 0 for seconds in values])


def read_config(record: bytes) -> Timeouts:
    """The value of a reply's record."""
    _, tcp, tcp_fin, udp = _CONFIG.unpack(record)
    return Timeouts(tcp, tcp_fin, udp)


def read_info(record: bytes) -> Info:
    """The value of a reply's record."""
    _, version, size = _INFO.unpack(record)
    return Info((version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF), size)
