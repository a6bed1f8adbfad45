"""Daemons, timeouts and info to records and back; and what every value's way to a record needs (see ``wire``)."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from ipvsnl import address as addresses
from ipvsnl import family
from ipvsnl.consts import AF_INET, AF_INET6, DAEMON_ROLES, INTERFACE_NAME_MAX
from ipvsnl.errors import EncodeError
from ipvsnl.model import Daemon, Info, Timeouts

_DAEMON, _CONFIG, _INFO = (Struct(group.record_format) for group in (family.DAEMON, family.CONFIG, family.INFO))
_ROLE_WORDS = {number: word for word, number in DAEMON_ROLES.items()}


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


def record_of(structure: Struct, value: object, *fields: int | bytes) -> bytes:
    """A record; EncodeError names the value that has a field out of range."""
    try:
        return structure.pack(*fields)
    except StructError as wrong:
        raise EncodeError(f"{value!r} has a field out of range: {wrong}") from None


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
    interface = text_of(daemon.interface, INTERFACE_NAME_MAX, "interface")
    role = number_of(DAEMON_ROLES, daemon.role, "role")
    return record_of(
        _DAEMON, daemon, present, role, daemon.sync_id, daemon.max_length or 0, daemon.port or 0, daemon.ttl or 0,
        interface, group4, group6,
    )  # fmt: skip


def daemon_key(role: str | int) -> bytes:
    """The record that stops the daemon of a role."""
    return record_of(_DAEMON, role, 1 << 1, number_of(DAEMON_ROLES, role, "role"), 0, 0, 0, 0, b"", b"", b"")


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
    return record_of(_CONFIG, timeouts, present, *[seconds or 0 for seconds in values])


def read_config(record: bytes) -> Timeouts:
    """The value of a reply's record."""
    _, tcp, tcp_fin, udp = _CONFIG.unpack(record)
    return Timeouts(tcp, tcp_fin, udp)


def read_info(record: bytes) -> Info:
    """The value of a reply's record."""
    _, version, size = _INFO.unpack(record)
    return Info((version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF), size)
