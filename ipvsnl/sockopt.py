"""The old interface to IPVS as data: ``setsockopt`` and ``getsockopt`` ``IP_VS_SO_*`` of an IPv4 socket.

It is older than the netlink family, and says less: IPv4 alone, no persistence engines, no types of tunnels, connections and
packets in 32 bits. Root of a user namespace of its own may use it, and may not use netlink.

Numbers and structures are those of ``include/uapi/linux/ip_vs.h``, the sizes that each option has are those of
``set_arglen`` and ``get_arglen`` in net/netfilter/ipvs/ip_vs_ctl.c (Linux 6.1). A structure is a tuple of its fields, in
order, and a :class:`struct.Struct` in the machine's own layout, which puts them where its compiler would. Addresses are four
bytes, ports are numbers as they stand in memory (network order read as the machine's), names are filled with NUL.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

LEVEL = 0
"""SOL_IP: the level of all these options."""
BASE = 64 + 1024 + 64


class Set:
    """IP_VS_SO_SET_*: the options of ``setsockopt``. Numbers between that have no name are refused."""

    ADD = BASE + 2
    EDIT = BASE + 3
    DEL = BASE + 4
    FLUSH = BASE + 5
    ADDDEST = BASE + 7
    DELDEST = BASE + 8
    EDITDEST = BASE + 9
    TIMEOUT = BASE + 10
    STARTDAEMON = BASE + 11
    STOPDAEMON = BASE + 12
    ZERO = BASE + 15
    MAX = ZERO


class Get:
    """IP_VS_SO_GET_*: the options of ``getsockopt``; what the caller asks for stands in the buffer."""

    VERSION = BASE
    INFO = BASE + 1
    SERVICES = BASE + 2
    SERVICE = BASE + 3
    DESTS = BASE + 4
    TIMEOUT = BASE + 6
    DAEMON = BASE + 7
    MAX = DAEMON


class ServiceUser(NamedTuple):
    """``struct ip_vs_service_user``: a virtual service. ``fwmark`` 0 is none; ``timeout`` is in seconds."""

    protocol: int
    addr: bytes
    port: int
    fwmark: int
    sched_name: bytes = b""
    flags: int = 0
    timeout: int = 0
    netmask: int = 0


class DestUser(NamedTuple):
    """``struct ip_vs_dest_user``: a real server."""

    addr: bytes
    port: int
    conn_flags: int = 0
    weight: int = 0
    u_threshold: int = 0
    l_threshold: int = 0


class ServiceEntry(NamedTuple):
    """``struct ip_vs_service_entry`` without its statistics, which follow as ten numbers (:data:`STATS`)."""

    protocol: int
    addr: bytes
    port: int
    fwmark: int
    sched_name: bytes
    flags: int
    timeout: int
    netmask: int
    num_dests: int


class DestEntry(NamedTuple):
    """``struct ip_vs_dest_entry`` without its statistics, which follow as ten numbers (:data:`STATS`)."""

    addr: bytes
    port: int
    conn_flags: int
    weight: int
    u_threshold: int
    l_threshold: int
    activeconns: int
    inactconns: int
    persistconns: int


class DaemonUser(NamedTuple):
    """``struct ip_vs_daemon_user``: a synchronisation daemon. ``state`` is its role, 0 for none."""

    state: int
    mcast_ifn: bytes = b""
    syncid: int = 0


_SERVICE, _DEST, _STATS = "H2x4sH2xI16sIII", "4sH2xIiII", "3I2Q5I0Q"
SERVICE = Struct(f"@{_SERVICE}")
DEST = Struct(f"@{_DEST}")
STATS = Struct(f"@{_STATS}")
"""``struct ip_vs_stats_user``: conns, inpkts, outpkts, inbytes, outbytes, and the five rates."""
SERVICE_ENTRY = Struct(f"@{_SERVICE}I0Q{_STATS}")
DEST_ENTRY = Struct(f"@{_DEST}III0Q{_STATS}")
GET_SERVICES = Struct("@I0Q")
"""The head of ``struct ip_vs_get_services``: how many entries follow."""
GET_DESTS = Struct("@H2x4sH2xII0Q")
"""The head of ``struct ip_vs_get_dests``: protocol, address, port and mark of a service, and how many entries follow."""
INFO = Struct("@III")
"""``struct ip_vs_getinfo``: version, rows of the connection table, number of IPv4 services."""
TIMEOUT = Struct("@III")
"""``struct ip_vs_timeout_user``: TCP, TCP after FIN, UDP, in seconds; signed to the kernel."""
DAEMON = Struct("@I16sI")
VERSION_SIZE = 64
"""Bytes that a buffer for the version's text has at least."""

SET_SIZES = {
    Set.ADD: SERVICE.size,
    Set.EDIT: SERVICE.size,
    Set.DEL: SERVICE.size,
    Set.ADDDEST: SERVICE.size + DEST.size,
    Set.DELDEST: SERVICE.size + DEST.size,
    Set.EDITDEST: SERVICE.size + DEST.size,
    Set.TIMEOUT: TIMEOUT.size,
    Set.STARTDAEMON: DAEMON.size,
    Set.STOPDAEMON: DAEMON.size,
    Set.ZERO: SERVICE.size,
}
"""Bytes that an option takes, exactly; one that is not here takes none."""
GET_SIZES = {
    Get.VERSION: VERSION_SIZE,
    Get.INFO: INFO.size,
    Get.SERVICES: GET_SERVICES.size,
    Get.SERVICE: SERVICE_ENTRY.size,
    Get.DESTS: GET_DESTS.size,
    Get.TIMEOUT: TIMEOUT.size,
    Get.DAEMON: 2 * DAEMON.size,
}
"""Bytes that a buffer has at least; an option that is not here needs none."""
