"""What the old interface (:mod:`ipvsnl.sockopt`) tells, as the records of netlink's replies.

A record says which of its attributes are there (``present``), so what the old interface does not tell is absent, as it is in
the replies of older kernels: 64-bit statistics, types of tunnels, persistence engines, most of a daemon.
"""

from __future__ import annotations

from _socket import ntohs
from struct import Struct

from ipvsnl import sockopt
from ipvsnl.consts import AF_INET, FWD_MASK
from ipvsnl.family import CONFIG, DAEMON, DEST, SERVICE, STATS, Group, Kind
from ipvsnl.sockopt import DestEntry, ServiceEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COUNTERS = tuple(f"stats_{one.name}" for one in STATS.attributes if one.kind != Kind.PAD)
_SERVICE_FIELDS, _DEST_FIELDS = len(ServiceEntry._fields), len(DestEntry._fields)
_BY_ADDRESS, _BY_MARK = ("af", "protocol", "addr", "port"), ("af", "fwmark")


class _Writer:
    """Writes the records of one group that have the same attributes."""

    def __init__(self, group: Group, *names: str) -> None:
        self._struct = Struct(group.record_format)
        self._nothing = {one.name: b"" if one.format.endswith("s") else 0 for one in group.fields if one.name}
        self._nothing["present"] = group.bits(*names)

    def __call__(self, **values: Any) -> bytes:
        return self._struct.pack(*{**self._nothing, **values}.values())


_REST = ("sched_name", "flags", "timeout", "netmask", "stats")
_by_address, _by_mark = _Writer(SERVICE, *_BY_ADDRESS, *_REST), _Writer(SERVICE, *_BY_MARK, *_REST)
_dest = _Writer(
    DEST, "addr", "port", "fwd_method", "weight", "u_thresh", "l_thresh", "active_conns", "inact_conns", "persist_conns",
    "stats", "addr_family",
)  # fmt: skip
_daemon = _Writer(DAEMON, "state", "mcast_ifn", "sync_id")
_config = _Writer(CONFIG, "timeout_tcp", "timeout_tcp_fin", "timeout_udp")


def service_record(entry: tuple[Any, ...]) -> bytes:
    """The record of a service; ``entry`` is what :data:`ipvsnl.sockopt.SERVICE_ENTRY` unpacks."""
    one = ServiceEntry(*entry[:_SERVICE_FIELDS])
    write = _by_mark if one.fwmark else _by_address
    return write(
        af=AF_INET, protocol=one.protocol, addr=one.addr, port=ntohs(one.port), fwmark=one.fwmark,
        sched_name=one.sched_name.split(b"\0")[0], flags=one.flags, flags_mask=0xFFFFFFFF, timeout=one.timeout,
        netmask=one.netmask, **dict(zip(_COUNTERS, entry[_SERVICE_FIELDS:], strict=True)),
    )  # fmt: skip


def dest_record(entry: tuple[Any, ...]) -> bytes:
    """The record of a destination; ``entry`` is what :data:`ipvsnl.sockopt.DEST_ENTRY` unpacks."""
    one = DestEntry(*entry[:_DEST_FIELDS])
    return _dest(
        addr=one.addr, port=ntohs(one.port), fwd_method=one.conn_flags & FWD_MASK, weight=one.weight,
        u_thresh=one.u_threshold, l_thresh=one.l_threshold, active_conns=one.activeconns, inact_conns=one.inactconns,
        persist_conns=one.persistconns, addr_family=AF_INET, **dict(zip(_COUNTERS, entry[_DEST_FIELDS:], strict=True)),
    )  # fmt: skip


def daemon_records(answer: bytes) -> list[bytes]:
    """The records of the daemons that run."""
    return [
        _daemon(state=state, mcast_ifn=interface.split(b"\0")[0], sync_id=sync_id)
        for state, interface, sync_id in sockopt.DAEMON.iter_unpack(answer)
        if state
    ]


def config_record(answer: bytes) -> bytes:
    """The record of the timeouts."""
    tcp, tcp_fin, udp = sockopt.TIMEOUT.unpack(answer)
    return _config(timeout_tcp=tcp, timeout_tcp_fin=tcp_fin, timeout_udp=udp)
