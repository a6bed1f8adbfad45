"""Replies as bytes: services, destinations, daemons, timeouts, info (``ip_vs_genl_fill_*`` in ip_vs_ctl.c, Linux 6.1).

On machines without cheap unaligned access the kernel puts an empty PAD attribute before each u64 attribute that would
start at a multiple of eight of the datagram's buffer (``nla_need_padding_for_64bit``); ``phase`` is that start modulo
eight, or :data:`UNPADDED`.
"""

from __future__ import annotations

from struct import Struct
from sys import byteorder

from ipvsnl.consts import AF_INET, GENL_HEADER, NLA_HEADER, NLMSG_HEADER
from ipvsnl.family import STATS, STATS64, VERSION, Command, Kind, Table
from ipvssim.clock import HZ
from ipvssim.netlink.validation import attribute
from ipvssim.state.daemons import Daemon
from ipvssim.state.services import RealServer, VirtualService
from ipvssim.state.statistics import Counters

UNPADDED = 1
"""A phase at which nothing is ever padded."""
_HEADERS = NLMSG_HEADER + GENL_HEADER
_ALL_BITS = 0xFFFFFFFF
IPVS_VERSION = 0x00010201
_U32_MASK, _U64_MASK = (1 << 32) - 1, (1 << 64) - 1

_STATS, _STATS64 = 10, 12
_NLMSG = Struct("=IHHIIBBH")
_SERVICE_HEAD = Struct("=HH HHH2x")  # nested header, AF
_SERVICE_ADDRESS = Struct("=HHH2x HH16s HH2s2x")  # PROTOCOL, ADDR, PORT
_MARK = Struct("=HHI")
_SERVICE_REST = Struct("=HHII HHI HHI")  # FLAGS, TIMEOUT, NETMASK
_DEST = Struct("=HH HH16s HH2s2x HHI HHi HHB3x HH2s2x HHH2x HHI HHI HHI HHI HHI HHH2x")
_TUNNEL_ATTRIBUTE, _TUNNEL_END = 8, 72
"""How long each attribute about tunnels is, and where the last of them ends in DEST."""
_DAEMON = Struct("=HHI HHH2x HHH2x HHB3x")  # SYNC_ID, SYNC_MAXLEN, MCAST_PORT, MCAST_TTL
_CONFIG = Struct("=HHI HHI HHI")
_INFO = Struct("=HHI HHI")


class _CounterLayout:
    """How one statistics group looks at one phase: a struct, its constant fields, and the bytes of all zeroes."""

    def __init__(self, number: int, table: Table, phase: int) -> None:
        self._letters = ["HH"]
        self._constants: list[int | None] = [0, number]
        self._masks: list[int] = []
        size = NLA_HEADER
        for one in table.attributes:
            wide = one.kind == Kind.U64
            if one.kind == Kind.PAD:
                continue
            if wide and (phase + size) % 8 == 0:
                self._letters.append("HH")
                self._constants += [NLA_HEADER, table.attributes[-1].number]
                size += NLA_HEADER
            self._letters.append("HHQ" if wide else "HHI")
            self._constants += [12 if wide else 8, one.number, None]
            self._masks.append(_U64_MASK if wide else _U32_MASK)
            size += 12 if wide else 8
        self._constants[0] = size
        self.size = size
        self._struct = Struct("=" + "".join(self._letters))
        self._nothing = self._packed((0,) * 10)

    def encode(self, shown: tuple[int, ...]) -> bytes:
        """The group, header and all."""
        return self._packed(shown) if any(shown) else self._nothing

    def _packed(self, shown: tuple[int, ...]) -> bytes:
        values = iter([value & mask for value, mask in zip(shown, self._masks, strict=True)])
        return self._struct.pack(*[next(values) if constant is None else constant for constant in self._constants])


class _StatisticsLayout:
    """Both statistics groups, one after the other, at one phase."""

    def __init__(self, phase: int) -> None:
        self._legacy = _CounterLayout(_STATS, STATS, phase)
        self._wide = _CounterLayout(_STATS64, STATS64, phase + self._legacy.size if phase % 4 == 0 else phase)
        self._nothing = self._legacy.encode((0,) * 10) + self._wide.encode((0,) * 10)

    def encode(self, counters: Counters) -> bytes:
        """Both groups."""
        shown = counters.shown()
        return self._legacy.encode(shown) + self._wide.encode(shown) if any(shown) else self._nothing


_STATISTICS = {0: _StatisticsLayout(0), 4: _StatisticsLayout(4)}
_PLAIN = _StatisticsLayout(UNPADDED)


def _statistics(counters: Counters, phase: int) -> bytes:
    return _STATISTICS.get(phase & 7, _PLAIN).encode(counters)


def message(
    command: int, sequence: int, port: int, flags: int, kind: int, body: bytes, version: int = VERSION
) -> bytes:
    """A reply of a family: both headers and the body."""
    return _NLMSG.pack(_HEADERS + len(body), kind, flags, sequence, port, command, version, 0) + body


def service(one: VirtualService, phase: int) -> bytes:
    """The nested SERVICE of a reply whose datagram has ``phase`` at the message's start."""
    if one.fwmark:
        key = _MARK.pack(8, 5, one.fwmark)
    else:
        address = one.address if len(one.address) == 16 else one.address + bytes(12)
        key = _SERVICE_ADDRESS.pack(6, 2, one.protocol & 0xFFFF, 20, 3, address, 6, 4, one.port.to_bytes(2, "big"))
    name = attribute(6, one.scheduler_name.encode("latin-1") + b"\0")
    if one.persistence_engine:
        name += attribute(11, one.persistence_engine.encode("latin-1") + b"\0")
    rest = _SERVICE_REST.pack(12, 7, one.flags, _ALL_BITS, 8, 8, one.timeout // HZ, 8, 9, one.netmask)
    start = _HEADERS + 12 + len(key) + len(name) + len(rest)
    counters = _statistics(one.counters, phase + start)
    length = start - _HEADERS + len(counters)
    return _SERVICE_HEAD.pack(length, Command.NEW_SERVICE, 6, 1, one.family) + key + name + rest + counters


def dest(one: RealServer, phase: int, lacking: int = 0) -> bytes:
    """The nested DEST of a reply. ``lacking``: how many of the three attributes about tunnels the release does not have."""
    left_out = lacking * _TUNNEL_ATTRIBUTE
    counters = _statistics(one.counters, phase + _HEADERS + _DEST.size - left_out)
    data = (
        _DEST.pack(
            _DEST.size - left_out + len(counters), 2,
            20, 1, one.address if one.family != AF_INET else one.address + bytes(12),
            6, 2, one.port.to_bytes(2, "big"), 8, 3, one.forwarding, 8, 4, one.weight,
            5, 13, one.tunnel_type, 6, 14, one.tunnel_port.to_bytes(2, "big"), 6, 15, one.tunnel_flags,
            8, 5, one.upper, 8, 6, one.lower, 8, 7, one.active, 8, 8, one.inactive, 8, 9, one.persistent,
            6, 11, one.family,
        )
        + counters
    )  # fmt: skip
    return data[: _TUNNEL_END - left_out] + data[_TUNNEL_END:] if left_out else data


def daemon(one: Daemon) -> bytes:
    """The nested DAEMON of a reply."""
    inner = attribute(1, one.role.to_bytes(4, byteorder)) + attribute(2, one.interface + b"\0")
    inner += _DAEMON.pack(8, 3, one.sync_id, 6, 4, one.max_length, 6, 7, one.port, 5, 8, one.ttl)
    inner += attribute(5 if len(one.group) == 4 else 6, one.group)
    return attribute(3, inner)


def config(tcp: int, tcp_fin: int, udp: int) -> bytes:
    """The three timeouts in seconds."""
    return _CONFIG.pack(8, 4, tcp, 8, 5, tcp_fin, 8, 6, udp)


def info(connection_table_size: int) -> bytes:
    """The version and the size of the connection table."""
    return _INFO.pack(8, 1, IPVS_VERSION, 8, 2, connection_table_size)


__all__ = ["IPVS_VERSION", "UNPADDED", "config", "daemon", "dest", "info", "message", "service"]
