"""The options of a program's netlink socket that are answered here: SOL_NETLINK, the buffers, and what it is.

``netlink_setsockopt`` and ``netlink_getsockopt`` of net/netlink/af_netlink.c, ``sk_setsockopt`` of net/core/sock.c, of Linux
6.1. All other options of SOL_SOCKET are the Unix socket's, which does the same with them.
"""

from __future__ import annotations

import os
from errno import EINVAL, ENOPROTOOPT
from struct import Struct

from ipvssim.run.calls import (
    AF_NETLINK,
    NETLINK_GENERIC,
    SO_DOMAIN,
    SO_ERROR,
    SO_PROTOCOL,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SO_TYPE,
    SOL_NETLINK,
)
from ipvssim.run.endpoint import Endpoint

ADD_MEMBERSHIP, DROP_MEMBERSHIP, PKTINFO, BROADCAST_ERROR, NO_ENOBUFS = 1, 2, 3, 4, 5
LISTEN_ALL_NSID, LIST_MEMBERSHIPS, CAP_ACK, EXT_ACK, GET_STRICT_CHK = 8, 9, 10, 11, 12
_SWITCHES = (PKTINFO, BROADCAST_ERROR, NO_ENOBUFS, LISTEN_ALL_NSID, CAP_ACK, EXT_ACK, GET_STRICT_CHK)
_GROUPS = 32
_INT = Struct("=i")
_LEAST_SEND, _LEAST_RECEIVE = 4608, 2304


def set_option(endpoint: Endpoint, level: int, name: int, value: bytes) -> None:
    """Set one. OSError: EINVAL, ENOPROTOOPT."""
    if level == SOL_NETLINK:
        number = _INT.unpack_from(value)[0] if len(value) >= _INT.size else 0
        if name in _SWITCHES:
            _switch(endpoint, name, on=bool(number))
        elif name in (ADD_MEMBERSHIP, DROP_MEMBERSHIP):
            _join(endpoint, number, on=name == ADD_MEMBERSHIP)
        else:
            raise _refusal(ENOPROTOOPT)
        return
    if len(value) < _INT.size:
        raise _refusal(EINVAL)
    asked = _INT.unpack_from(value)[0]
    doubled = min(max(asked, 0), 0x3FFFFFFF) * 2
    if name == SO_SNDBUFFORCE:
        endpoint.netlink.sndbuf = max(doubled, _LEAST_SEND)
    else:
        endpoint.netlink.rcvbuf = max(doubled, _LEAST_RECEIVE)


def get_option(endpoint: Endpoint, level: int, name: int, room: int) -> bytes:
    """Its value, as long as a reader with so much room gets it. OSError: EINVAL, ENOPROTOOPT."""
    if level == SOL_NETLINK:
        if name == LIST_MEMBERSHIPS:
            return endpoint.groups.to_bytes(_GROUPS // 8, "little")[: room & ~3]
        if name not in _SWITCHES:
            raise _refusal(ENOPROTOOPT)
        if room < _INT.size:
            raise _refusal(EINVAL)
        return _INT.pack(_is_on(endpoint, name))
    values = {
        SO_TYPE: endpoint.kind, SO_DOMAIN: AF_NETLINK, SO_PROTOCOL: NETLINK_GENERIC,
        SO_SNDBUF: endpoint.netlink.sndbuf, SO_RCVBUF: endpoint.netlink.rcvbuf,
    }  # fmt: skip
    value = endpoint.netlink.take_error() if name == SO_ERROR else values[name]
    return _INT.pack(value)[:room]


HERE_TOO = frozenset((SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_SNDBUF, SO_RCVBUF, SO_ERROR))
"""Options of SOL_SOCKET that :func:`get_option` knows."""
FORCED = {SO_SNDBUFFORCE: SO_SNDBUF, SO_RCVBUFFORCE: SO_RCVBUF}
"""Those that :func:`set_option` knows, which are root's, and which size they set. What others may set, a program sets at its
own end (:meth:`ipvssim.run.endpoint.Endpoint.look`)."""


def _switch(endpoint: Endpoint, name: int, *, on: bool) -> None:
    netlink = endpoint.netlink
    if name == CAP_ACK:
        netlink.cap_ack = on
    elif name == EXT_ACK:
        netlink.ext_ack = on
    elif name == NO_ENOBUFS:
        netlink.no_enobufs = on
    else:
        endpoint.flags[name] = on


def _is_on(endpoint: Endpoint, name: int) -> bool:
    netlink = endpoint.netlink
    kept = {CAP_ACK: netlink.cap_ack, EXT_ACK: netlink.ext_ack, NO_ENOBUFS: netlink.no_enobufs}
    return kept[name] if name in kept else endpoint.flags.get(name, False)


def _join(endpoint: Endpoint, group: int, *, on: bool) -> None:
    if not 0 < group <= _GROUPS:
        raise _refusal(EINVAL)
    bit = 1 << (group - 1)
    endpoint.groups = endpoint.groups | bit if on else endpoint.groups & ~bit


def _refusal(number: int) -> OSError:
    return OSError(number, os.strerror(number))
