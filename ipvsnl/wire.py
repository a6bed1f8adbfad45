"""Values to records and back (:mod:`ipvsnl.family` says what a record is); the backends turn records into bytes.

Everything the wire is odd about ends here: byte orders of masks, flags that are fields of a value, numbers for words.
Source: net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1 (``ip_vs_genl_fill_service``, ``_parse_service`` and their siblings).
"""

from __future__ import annotations

import sys
from struct import Struct
from struct import error as StructError

from ipvsnl import address as addresses
from ipvsnl import family
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


def _without_counters(group: family.Group) -> Struct:
    """The record's struct with its 64-bit counters passed over: requests never carry them."""
    letters = group.record_format.lstrip("=")
    rest = letters.lstrip("Q")
    return Struct(f"={8 * (len(letters) - len(rest))}x{rest}")


_SERVICE, _SERVICE_READ = _without_counters(family.SERVICE), Struct(family.SERVICE.record_format)
_DEST, _DEST_READ = _without_counters(family.DEST), Struct(family.DEST.record_format)
_DAEMON, _CONFIG, _INFO = (Struct(group.record_format) for group in (family.DAEMON, family.CONFIG, family.INFO))
_STATS64_BIT = 1 << 12
_PE_BIT = 1 << 11
_MARK_KEY = 1 << 1 | 1 << 5
_ADDRESS_KEY = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4
_SERVICE_FULL = 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9
_DEST_KEY = 1 << 1 | 1 << 2 | 1 << 11
_DEST_FULL = _DEST_KEY | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 13 | 1 << 14 | 1 << 15
_OWN_FLAGS = SVC_F_PERSISTENT | SVC_F_HASHED | SVC_F_ONEPACKET
_ALL_BITS = 0xFFFFFFFF
_NO_ADDRESS = bytes(16)

_PROTOCOL_WORDS = {number: word for word, number in PROTOCOLS.items()}
_FORWARDING_WORDS = {number: word for word, number in FORWARDING.items()}
_TUNNEL_WORDS = {number: word for word, number in TUNNEL_TYPES.items()}
_ROLE_WORDS = {number: word for word, number in DAEMON_ROLES.items()}


def _number(words: dict[str, int], word: str | int, what: str) -> int:
    if isinstance(word, str):
        try:
            return words[word]
        except KeyError:
            raise EncodeError(f"unknown {what} {word!r}: one of {', '.join(words)}, or a number") from None
    return word


def _text(text: str, limit: int, what: str) -> bytes:
    data = text.encode()
    if len(data) > limit or 0 in data:
        raise EncodeError(f"{what} {text!r} is longer than {limit} bytes or holds a NUL")
    return data


def _packed(structure: Struct, value: object, *fields: int | bytes) -> bytes:
    try:
        return structure.pack(*fields)
    except StructError as wrong:
        raise EncodeError(f"{value!r} has a field out of range: {wrong}") from None


def _own_address(value: Service | Destination, family_number: int) -> bytes:
    if addresses.family_of(value.address) != family_number:
        raise EncodeError(f"{value!r}: the address is not of family {family_number}")
    return addresses.pack(value.address)


# --- virtual services ------------------------------------------------------------------------------------------------


def service_key(service: Service) -> bytes:
    """The record of a service with its key alone; EncodeError where there is neither an address nor a mark."""
    if service.fwmark:
        return _packed(
            _SERVICE, service, _MARK_KEY, service.fwmark, 0, 0, 0, 0, service.family, 0, 0, _NO_ADDRESS, b"", b""
        )
    protocol = _number(PROTOCOLS, service.protocol, "protocol")
    packed = _own_address(service, service.family)
    return _packed(
        _SERVICE, service, _ADDRESS_KEY, 0, 0, 0, 0, 0, service.family, protocol, service.port, packed, b"", b""
    )  # fmt: skip


def service_record(service: Service) -> bytes:
    """The whole record of a service, as NEW_SERVICE and SET_SERVICE want it."""
    present, protocol, packed = _MARK_KEY, 0, _NO_ADDRESS
    if not service.fwmark:
        present, packed = _ADDRESS_KEY, _own_address(service, service.family)
        protocol = _number(PROTOCOLS, service.protocol, "protocol")
    flags = service.flags & ~_OWN_FLAGS
    if service.persistence is not None:
        flags |= SVC_F_PERSISTENT
    if service.one_packet:
        flags |= SVC_F_ONEPACKET
    return _packed(
        _SERVICE,
        service,
        present | _SERVICE_FULL | (_PE_BIT if service.persistence_engine else 0),
        service.fwmark,
        flags,
        _ALL_BITS,
        service.persistence or 0,
        _netmask_word(service),
        service.family,
        protocol,
        service.port,
        packed,
        _text(service.scheduler, SCHEDULER_NAME_MAX, "scheduler"),
        _text(service.persistence_engine, PE_NAME_MAX, "persistence engine"),
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
    fields = _SERVICE_READ.unpack(record)
    present, mark, flags, _, timeout, mask, family_number, protocol, port, packed, scheduler, engine = fields[20:]
    service = Service(
        "" if mark else _PROTOCOL_WORDS.get(protocol, protocol),
        "" if mark else addresses.unpack(family_number, packed),
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
    return ServiceStatus(service, _statistics(present, fields))


def _statistics(present: int, fields: tuple[int, ...]) -> Statistics:
    return Statistics(*fields[10:20]) if present & _STATS64_BIT else Statistics(*fields[:10])


# --- destinations ----------------------------------------------------------------------------------------------------


def destination_key(destination: Destination) -> bytes:
    """The record of a destination with its key alone."""
    packed = addresses.pack(destination.address)
    return _packed(
        _DEST, destination, _DEST_KEY, 0, 0, 0, 0, 0, 0, 0, destination.port, destination.family, 0, 0, 0, packed
    )  # fmt: skip


def destination_record(destination: Destination) -> bytes:
    """The whole record of a destination, as NEW_DEST and SET_DEST want it (what is left out there is reset)."""
    forwarding = _number(FORWARDING, destination.forwarding, "forwarding method")
    if not 0 <= forwarding <= FWD_MASK:
        raise EncodeError(f"{destination!r}: a forwarding method is 0 to {FWD_MASK}")
    return _packed(
        _DEST,
        destination,
        _DEST_FULL,
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
        _number(TUNNEL_TYPES, destination.tunnel_type, "tunnel type"),
        addresses.pack(destination.address),
    )


def read_destination(record: bytes) -> DestinationStatus:
    """The value of a reply's record."""
    fields = _DEST_READ.unpack(record)
    (present, method, weight, upper, lower, active, inactive, persistent, port, family_number,
     tunnel_port, tunnel_flags, tunnel_type, packed) = fields[20:]  # fmt: skip
    destination = Destination(
        addresses.unpack(family_number, packed),
        port,
        _FORWARDING_WORDS.get(method, method),
        weight,
        upper,
        lower,
        _TUNNEL_WORDS.get(tunnel_type, tunnel_type),
        tunnel_port,
        tunnel_flags,
    )
    return DestinationStatus(destination, active, inactive, persistent, _statistics(present, fields))


# --- daemons, timeouts, info -----------------------------------------------------------------------------------------


def daemon_record(daemon: Daemon) -> bytes:
    """The record of a daemon to start; fields that are None are left to the kernel."""
    group = daemon.group
    present = 1 << 1 | 1 << 2 | 1 << 3
    for number, field in ((4, daemon.max_length), (7, daemon.port), (8, daemon.ttl)):
        present |= 1 << number if field is not None else 0
    group4 = group6 = b""
    if group is not None:
        if addresses.family_of(group) == AF_INET6:
            present, group6 = present | 1 << 6, addresses.pack(group)
        else:
            present, group4 = present | 1 << 5, addresses.pack(group)[:4]
    interface = _text(daemon.interface, INTERFACE_NAME_MAX, "interface")
    role = _number(DAEMON_ROLES, daemon.role, "role")
    return _packed(
        _DAEMON, daemon, present, role, daemon.sync_id, daemon.max_length or 0, daemon.port or 0, daemon.ttl or 0,
        interface, group4, group6,
    )  # fmt: skip


def daemon_key(role: str | int) -> bytes:
    """The record that stops the daemon of a role."""
    return _packed(_DAEMON, role, 1 << 1, _number(DAEMON_ROLES, role, "role"), 0, 0, 0, 0, b"", b"", b"")


def read_daemon(record: bytes) -> Daemon:
    """The value of a reply's record."""
    present, role, sync_id, length, port, ttl, interface, group4, group6 = _DAEMON.unpack(record)
    if present & 1 << 6:
        group = addresses.unpack(AF_INET6, group6)
    else:
        group = addresses.unpack(AF_INET, group4)
    name = interface.rstrip(b"\0").decode(errors="replace")
    return Daemon(_ROLE_WORDS.get(role, role), name, sync_id, length, group, port, ttl)


def config_record(timeouts: Timeouts) -> bytes:
    """The record of timeouts to set; those that are None are left out."""
    values = (timeouts.tcp, timeouts.tcp_fin, timeouts.udp)
    present = sum(1 << number for number, seconds in zip((4, 5, 6), values, strict=True) if seconds is not None)
    return _packed(_CONFIG, timeouts, present, *[seconds or 0 for seconds in values])


def read_config(record: bytes) -> Timeouts:
    """The value of a reply's record."""
    _, tcp, tcp_fin, udp = _CONFIG.unpack(record)
    return Timeouts(tcp, tcp_fin, udp)


def read_info(record: bytes) -> Info:
    """The value of a reply's record."""
    _, version, size = _INFO.unpack(record)
    return Info((version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF), size)
