"""What netlink's requests are in the structures of the old interface (:mod:`ipvsnl.sockopt`), and what they cannot be.

``values`` are a record's fields by their names (:attr:`ipvsnl.family.Group.fields`). Where the old interface has no room for
one, the request is refused with EOPNOTSUPP; the refusal's words begin with the field's name: ``"tunnel_type: ..."``.
"""

from __future__ import annotations

import errno as _errno
from _socket import ntohs
from struct import Struct

from ipvsnl import sockopt
from ipvsnl.consts import AF_INET, FWD_MASK, IPPROTO_TCP, PROTOCOLS
from ipvsnl.family import DAEMON, DEST, SERVICE, SERVICE_MARK, Group
from ipvsnl.sockopt import DaemonUser, DestUser, ServiceUser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Key = tuple[int, bytes, int, int]
    """What names a service: protocol, address, port as it stands in memory, mark."""

_NO_ADDRESS = bytes(4)
_LACKING = "the kernel's old interface (setsockopt) "
_TUNNEL = {"tun_type": "tunnel_type", "tun_port": "tunnel_port", "tun_flags": "tunnel_flags"}
"""Fields of a destination that the old interface lacks, and what :class:`ipvsnl.model.Destination` calls them."""
_DAEMON = {
    "sync_maxlen": ("max_length", (0,)),
    "mcast_group": ("group", (bytes(4), bytes((224, 0, 0, 81)))),
    "mcast_group6": ("group", (bytes(16),)),
    "mcast_port": ("port", (0, 8848)),
    "mcast_ttl": ("ttl", (0, 1)),
}
"""The same of a daemon, with the values that the kernel takes of itself."""


class RefusedError(Exception):
    """A request is refused; ``words`` are what the kernel's own words (extack) would be."""

    def __init__(self, errno: int, words: str = "") -> None:
        super().__init__(errno, words)
        self.errno = errno
        self.words = words


def unsayable(field: str, why: str) -> RefusedError:
    """The refusal of a request that the old interface has no form for."""
    return RefusedError(_errno.EOPNOTSUPP, f"{field}: {_LACKING}{why}")


class _Reader:
    """Reads the records of one group."""

    def __init__(self, group: Group) -> None:
        self._struct = Struct(group.record_format)
        self._names = [one.name for one in group.fields if one.name]

    def __call__(self, record: bytes) -> dict[str, Any]:
        return dict(zip(self._names, self._struct.unpack(record), strict=True))


service_values, dest_values, daemon_values = _Reader(SERVICE), _Reader(DEST), _Reader(DAEMON)
"""The fields of a record by their names."""


def service_key(values: dict[str, Any], protocol_of: Callable[[int], int] | None = None) -> Key:
    """The key of a service. One of a mark goes by a protocol, too: ``protocol_of`` finds the live one's; None makes a new
    service, which gets netlink's (TCP)."""
    if values["af"] != AF_INET:
        raise unsayable("family", "knows IPv4 alone")
    if values["present"] & SERVICE_MARK:
        mark = values["fwmark"]
        return protocol_of(mark) if mark and protocol_of else IPPROTO_TCP, _NO_ADDRESS, 0, mark
    if values["protocol"] not in PROTOCOLS.values():
        raise unsayable("protocol", f"knows {', '.join(PROTOCOLS)}")
    return values["protocol"], values["addr"][:4], ntohs(values["port"]), 0


def service_user(key: Key, values: dict[str, Any], live_flags: Callable[[], int]) -> ServiceUser:
    """A whole service; ``live_flags`` asks for those that it has, where not all are written."""
    if values["pe_name"].rstrip(b"\0"):
        raise unsayable("persistence_engine", "knows no persistence engines")
    mask = values["flags_mask"]
    flags = values["flags"] & mask
    if mask != 0xFFFFFFFF:
        flags |= live_flags() & ~mask
    return ServiceUser(*key, values["sched_name"], flags, values["timeout"], values["netmask"])


def zeroed(key: Key) -> Key:
    """The key of a service whose counters are to be zeroed: 0.0.0.0:0 would be all of them."""
    if not any(key[1]) and not key[2] and not key[3]:
        raise unsayable("address", "takes 0.0.0.0:0 for every service")
    return key


def dest_user(values: dict[str, Any]) -> DestUser:
    """A destination, or its key."""
    if values["present"] & DEST.bits("addr_family") and values["addr_family"] not in (0, AF_INET):
        raise unsayable("family", "knows IPv4 alone")
    for name, field in _TUNNEL.items():
        if values[name]:
            raise unsayable(field, "knows tunnels of one type, ipip, without options")
    return DestUser(
        values["addr"][:4], ntohs(values["port"]), values["fwd_method"] & FWD_MASK, values["weight"], values["u_thresh"],
        values["l_thresh"],
    )  # fmt: skip


def daemon_user(values: dict[str, Any]) -> DaemonUser:
    """A daemon to start or to stop."""
    for name, (field, usual) in _DAEMON.items():
        if values["present"] & DAEMON.bits(name) and values[name] not in usual:
            raise unsayable(field, "leaves it to the kernel")
    return DaemonUser(values["state"], values["mcast_ifn"], values["sync_id"])


def packed_service(user: ServiceUser) -> bytes:
    """As the kernel takes it."""
    return sockopt.SERVICE.pack(*user)


def packed_dest(key: Key, user: DestUser) -> bytes:
    """As the kernel takes it, behind the key of its service."""
    return sockopt.SERVICE.pack(*ServiceUser(*key)) + sockopt.DEST.pack(*user)
