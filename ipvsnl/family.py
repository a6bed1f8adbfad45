"""The generic-netlink family ``IPVS`` as data: commands and attribute tables.

One line an attribute, in the order of ``include/uapi/linux/ip_vs.h`` (Linux 6.1). The tables drive the encoder and the
decoder of both backends (the C core's structures and tables are generated from them when it is built), the simulated
kernel's validation and replies, and the tests' strategies.

A *record* is the flat, fixed-size image of one nested group that backends write and read: a ``u32`` bit set of the
attributes that are present (bit *n* is attribute number *n*), then the fields of the group. Integers in it are of the
host's byte order, whatever the wire has; strings are NUL-padded. :attr:`Group.fields` is its layout.
"""

from __future__ import annotations

NAME = "IPVS"
VERSION = 1
MAX_ATTRIBUTE = 6


class Command:
    """IPVS_CMD_*: the 17 commands."""

    NEW_SERVICE = 1
    SET_SERVICE = 2
    DEL_SERVICE = 3
    GET_SERVICE = 4
    NEW_DEST = 5
    SET_DEST = 6
    DEL_DEST = 7
    GET_DEST = 8
    NEW_DAEMON = 9
    DEL_DAEMON = 10
    GET_DAEMON = 11
    SET_CONFIG = 12
    GET_CONFIG = 13
    SET_INFO = 14
    GET_INFO = 15
    ZERO = 16
    FLUSH = 17


COMMAND_NAMES = {number: name for name, number in vars(Command).items() if name.isupper()}
"""Command number to its name, for messages."""


class Kind:
    """How an attribute's payload stands on the wire, and as what in a record."""

    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    S32 = "s32"
    BE16 = "be16"
    """u16 in network byte order; of the host's order in a record."""
    STRING = "string"
    """NUL-terminated text of at most ``size`` characters."""
    BYTES = "bytes"
    """At most ``size`` bytes in network order; shorter is zero-extended."""
    FLAGS = "flags"
    """u32 flags and u32 mask; a record has both, as two fields."""
    NESTED = "nested"
    """Attributes of another table (``of``); flattened in a record."""
    PAD = "pad"
    """Empty; puts the next u64 at a multiple of eight."""


INTEGER_SIZES = {Kind.U8: 1, Kind.U16: 2, Kind.U32: 4, Kind.U64: 8, Kind.S32: 4, Kind.BE16: 2}


class Attribute:
    """One attribute: its number, its field name, how its payload stands on the wire.

    ``size`` is the payload's size in bytes: exact for integers, the largest for bytes, the most characters (without the
    NUL) for strings. ``of`` is the nested table.
    """

    __slots__ = ("kind", "name", "number", "of", "size")

    def __init__(self, number: int, name: str, kind: str, size: int = 0, of: Table | None = None) -> None:
        self.number = number
        self.name = name
        self.kind = kind
        self.size = size or INTEGER_SIZES.get(kind, 0)
        self.of = of

    def __repr__(self) -> str:
        return f"Attribute({self.number}, {self.name!r}, {self.kind})"


class Field:
    """One field of a record: ``format`` is its :mod:`struct` letter (with a count for text and arrays)."""

    __slots__ = ("attribute", "format", "name", "offset", "size")

    def __init__(self, name: str, attribute: int, format: str, offset: int, size: int) -> None:
        self.name = name
        self.attribute = attribute
        self.format = format
        self.offset = offset
        self.size = size


class Table:
    """A table of attributes."""

    __slots__ = ("attributes", "by_number", "name")

    def __init__(self, name: str, *attributes: Attribute) -> None:
        self.name = name
        self.attributes = attributes
        self.by_number = {attribute.number: attribute for attribute in attributes}

    def bits(self, *names: str) -> int:
        """The attributes of these names as a set of a record's ``present``."""
        numbers = {attribute.name: attribute.number for attribute in self.attributes}
        return sum(1 << numbers[name] for name in names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Group(Table):
    """A table of attributes, and the record that holds one set of them."""

    __slots__ = ("fields", "record_format", "record_size")

    def __init__(self, name: str, *attributes: Attribute) -> None:
        super().__init__(name, *attributes)
        self.fields = _lay_out(attributes)
        self.record_format = "=" + "".join(field.format for field in self.fields)
        self.record_size = sum(field.size for field in self.fields)


_LETTERS = {Kind.U8: "B", Kind.U16: "H", Kind.U32: "I", Kind.U64: "Q", Kind.S32: "i", Kind.BE16: "H"}
_LETTER_SIZES = {"Q": 8, "I": 4, "i": 4, "H": 2, "B": 1}


def _lay_out(attributes: tuple[Attribute, ...]) -> tuple[Field, ...]:
    """Place the fields widest first, so that none needs padding; the end is padded to a multiple of eight."""
    wanted: list[tuple[str, int, str, int]] = [("present", 0, "I", 4)]
    for attribute in attributes:
        number, name = attribute.number, attribute.name
        if attribute.kind == Kind.NESTED and attribute.of is not None:
            for inner in attribute.of.attributes:
                if inner.kind != Kind.PAD:
                    wanted.append((f"{name}_{inner.name}", number, "Q", 8))
        elif attribute.kind == Kind.FLAGS:
            wanted += [(name, number, "I", 4), (f"{name}_mask", number, "I", 4)]
        elif attribute.kind == Kind.STRING:
            wanted.append((name, number, f"{attribute.size + 1}s", attribute.size + 1))
        elif attribute.kind == Kind.BYTES:
            wanted.append((name, number, f"{attribute.size}s", attribute.size))
        elif attribute.kind in _LETTERS:
            letter = _LETTERS[attribute.kind]
            wanted.append((name, number, letter, _LETTER_SIZES[letter]))
    wanted.sort(key=lambda field: -_LETTER_SIZES.get(field[2], 0))
    fields: list[Field] = []
    offset = 0
    for field_name, number, letter, size in wanted:
        fields.append(Field(field_name, number, letter, offset, size))
        offset += size
    if offset % 8:
        fields.append(Field("", 0, f"{8 - offset % 8}x", offset, 8 - offset % 8))
    return tuple(fields)


def _counters(name: str, count_kind: str) -> Table:
    return Table(
        name,
        Attribute(1, "conns", count_kind),
        Attribute(2, "inpkts", count_kind),
        Attribute(3, "outpkts", count_kind),
        Attribute(4, "inbytes", Kind.U64),
        Attribute(5, "outbytes", Kind.U64),
        Attribute(6, "cps", count_kind),
        Attribute(7, "inpps", count_kind),
        Attribute(8, "outpps", count_kind),
        Attribute(9, "inbps", count_kind),
        Attribute(10, "outbps", count_kind),
        Attribute(11, "pad", Kind.PAD),
    )


STATS = _counters("stats", Kind.U32)
"""IPVS_STATS_ATTR_*, the legacy set: counts cut to 32 bits."""
STATS64 = _counters("stats64", Kind.U64)
"""IPVS_STATS_ATTR_* in 64 bits."""

SERVICE = Group(
    "service",
    Attribute(1, "af", Kind.U16),
    Attribute(2, "protocol", Kind.U16),
    Attribute(3, "addr", Kind.BYTES, 16),
    Attribute(4, "port", Kind.BE16),
    Attribute(5, "fwmark", Kind.U32),
    Attribute(6, "sched_name", Kind.STRING, 15),
    Attribute(7, "flags", Kind.FLAGS, 8),
    Attribute(8, "timeout", Kind.U32),
    Attribute(9, "netmask", Kind.U32),
    Attribute(10, "stats", Kind.NESTED, of=STATS),
    Attribute(11, "pe_name", Kind.STRING, 16),
    Attribute(12, "stats64", Kind.NESTED, of=STATS64),
)
"""IPVS_SVC_ATTR_*. ``netmask`` is the wire's four bytes read as a u32 of the host's order: an IPv4 mask stands there in
network order, an IPv6 prefix length in the host's."""

DEST = Group(
    "dest",
    Attribute(1, "addr", Kind.BYTES, 16),
    Attribute(2, "port", Kind.BE16),
    Attribute(3, "fwd_method", Kind.U32),
    Attribute(4, "weight", Kind.S32),
    Attribute(5, "u_thresh", Kind.U32),
    Attribute(6, "l_thresh", Kind.U32),
    Attribute(7, "active_conns", Kind.U32),
    Attribute(8, "inact_conns", Kind.U32),
    Attribute(9, "persist_conns", Kind.U32),
    Attribute(10, "stats", Kind.NESTED, of=STATS),
    Attribute(11, "addr_family", Kind.U16),
    Attribute(12, "stats64", Kind.NESTED, of=STATS64),
    Attribute(13, "tun_type", Kind.U8),
    Attribute(14, "tun_port", Kind.BE16),
    Attribute(15, "tun_flags", Kind.U16),
)
"""IPVS_DEST_ATTR_*."""

SERVICE_ADDRESS_KEY = SERVICE.bits("af", "protocol", "addr", "port")
"""What names a service by its address."""
SERVICE_MARK_KEY = SERVICE.bits("af", "fwmark")
"""What names a service by its firewall mark."""
SERVICE_MARK = SERVICE.bits("fwmark")
"""Tells the two keys apart: only the key of a mark has it."""
SERVICE_FULL = SERVICE.bits("sched_name", "flags", "timeout", "netmask")
"""What a whole service has besides its key."""
SERVICE_ENGINE = SERVICE.bits("pe_name")
"""What a service with a persistence engine has besides."""
SERVICE_STATS64 = SERVICE.bits("stats64")
"""Present where the kernel counts in 64 bits."""

DEST_KEY = DEST.bits("addr", "port", "addr_family")
"""What names a destination of a service."""
DEST_FULL = DEST_KEY | DEST.bits("fwd_method", "weight", "u_thresh", "l_thresh", "tun_type", "tun_port", "tun_flags")
"""What a whole destination has, its key included."""
DEST_STATS64 = DEST.bits("stats64")
"""Present where the kernel counts in 64 bits."""

DAEMON = Group(
    "daemon",
    Attribute(1, "state", Kind.U32),
    Attribute(2, "mcast_ifn", Kind.STRING, 15),
    Attribute(3, "sync_id", Kind.U32),
    Attribute(4, "sync_maxlen", Kind.U16),
    Attribute(5, "mcast_group", Kind.BYTES, 4),
    Attribute(6, "mcast_group6", Kind.BYTES, 16),
    Attribute(7, "mcast_port", Kind.U16),
    Attribute(8, "mcast_ttl", Kind.U8),
)
"""IPVS_DAEMON_ATTR_*."""

CONFIG = Group(
    "config",
    Attribute(4, "timeout_tcp", Kind.U32),
    Attribute(5, "timeout_tcp_fin", Kind.U32),
    Attribute(6, "timeout_udp", Kind.U32),
)
"""The timeouts (seconds): attributes of the top level, beside :data:`TOP_LEVEL`'s nested ones."""

INFO = Group("info", Attribute(1, "version", Kind.U32), Attribute(2, "conn_tab_size", Kind.U32))
"""IPVS_INFO_ATTR_*: the reply to GET_INFO numbers its top level anew."""

TOP_LEVEL = Table(
    "top level",
    Attribute(1, "service", Kind.NESTED, of=SERVICE),
    Attribute(2, "dest", Kind.NESTED, of=DEST),
    Attribute(3, "daemon", Kind.NESTED, of=DAEMON),
    *CONFIG.attributes,
)
"""IPVS_CMD_ATTR_*."""

REPLY_GROUPS = {
    Command.NEW_SERVICE: SERVICE,
    Command.NEW_DEST: DEST,
    Command.NEW_DAEMON: DAEMON,
    Command.SET_CONFIG: CONFIG,
    Command.SET_INFO: INFO,
}
"""The command number of a reply to the group that it carries."""
REPLY_COMMANDS = {group.name: command for command, group in REPLY_GROUPS.items()}
"""A group's name to the command that a reply with it names."""
