"""The old interface to the simulated table: ``setsockopt`` and ``getsockopt`` ``IP_VS_SO_*``, checked in the kernel's order.

``do_ip_vs_set_ctl`` and ``do_ip_vs_get_ctl`` of net/netfilter/ipvs/ip_vs_ctl.c, ``nf_sockopt_find`` of
net/netfilter/nf_sockopt.c, Linux 6.1. The structures are :mod:`ipvsnl.sockopt`'s. The same
:class:`~ipvssim.netlink.commands.Commands` make the changes that come this way and those that come by netlink. Whoever calls
asks before whether that is allowed (CAP_NET_ADMIN in the user namespace that owns the network namespace, else EPERM).

A destination's flags that only this interface can give are kept and told. IP_VS_CONN_F_ONE_PACKET is obeyed (UDP connections
are not kept); IP_VS_CONN_F_NFCT, which asks for connection tracking, changes nothing here.
"""

from __future__ import annotations

from _socket import ntohs
from collections.abc import Callable, Iterator
from errno import EEXIST, EFAULT, EINVAL, ENOPROTOOPT, ESRCH
from itertools import islice
from typing import Protocol

from ipvsnl import sockopt
from ipvsnl.consts import (
    AF_INET,
    CONN_F_INACTIVE,
    CONN_F_NOOUTPUT,
    DEST_FLAGS,
    FORWARDING,
    FWD_MASK,
    PROTOCOLS,
    SCHEDULER_NAME_MAX,
)
from ipvsnl.sockopt import DaemonUser, DestUser, Get, ServiceUser, Set
from ipvssim.clock import HZ
from ipvssim.netlink.commands import Commands
from ipvssim.netlink.replies import IPVS_VERSION
from ipvssim.state.daemons import BACKUP, MASTER, Daemon
from ipvssim.state.namespace import Namespace
from ipvssim.state.services import RealServer, VirtualService

_U32 = 0xFFFFFFFF
_WORD = 8
"""Bytes that the kernel copies at once where it copies a name (``strscpy`` on x86-64); those behind the NUL become 0."""
_TEXT = "IP Virtual Server version %d.%d.%d (size=%d)"


class HasNamespace(Protocol):
    """Whatever has a namespace: a kernel, a netlink socket."""

    @property
    def namespace(self) -> Namespace:
        """The network namespace that is asked and changed."""


class OldInterface:
    """The options of an IPv4 socket of one namespace: ``of`` is a kernel, or a netlink socket."""

    def __init__(self, of: HasNamespace) -> None:
        self._namespace = of.namespace
        self._commands = Commands(self._namespace)
        commands = self._commands
        self._by_service: dict[int, Callable[..., int]] = {
            Set.EDIT: commands.set_service,
            Set.DEL: commands.del_service,
            Set.ZERO: commands.zero,
            Set.ADDDEST: commands.new_dest,
            Set.EDITDEST: commands.set_dest,
            Set.DELDEST: commands.del_dest,
        }

    # --- setsockopt ---

    def set(self, optname: int, value: bytes) -> int:
        """``setsockopt(SOL_IP, optname, value)``: 0, or the errno. ``len(value)`` is the caller's ``optlen``."""
        if not sockopt.BASE <= optname <= Set.MAX:
            return ENOPROTOOPT
        size = sockopt.SET_SIZES.get(optname, 0)
        if len(value) != size:
            self._debug(f"set_ctl: len {len(value)} != {size}")
            return EINVAL
        self._namespace.changes += 1
        if optname in (Set.STARTDAEMON, Set.STOPDAEMON):
            return self._set_daemon(optname, DaemonUser(*sockopt.DAEMON.unpack(value)))
        if optname == Set.FLUSH:
            return self._commands.flush()
        if optname == Set.TIMEOUT:
            return self._commands.set_config(*sockopt.TIMEOUT.unpack(value))
        if not value:
            return EINVAL
        service = ServiceUser(*sockopt.SERVICE.unpack_from(value))
        if optname == Set.ZERO and not service.fwmark and not any(service.addr) and not service.port:
            return self._commands.zero_all()
        return self._set_service(optname, service, value[sockopt.SERVICE.size :])

    def _set_service(self, optname: int, wanted: ServiceUser, dest: bytes) -> int:
        if optname in (Set.ADD, Set.EDIT) and b"\0" not in wanted.sched_name[: SCHEDULER_NAME_MAX + 1]:
            return EINVAL
        if wanted.protocol not in PROTOCOLS.values():
            if self._namespace.log is not None:
                where = f"{'.'.join(map(str, wanted.addr))}:{ntohs(wanted.port)}"
                self._namespace.log.error(f"set_ctl: invalid protocol: {wanted.protocol} {where}")
            return EFAULT
        service = self._found(wanted.protocol, wanted.addr, wanted.port, wanted.fwmark)
        name = wanted.sched_name.split(b"\0")[0] + b"\0"
        key = (AF_INET, wanted.protocol, _wide(wanted.addr), wanted.port, wanted.fwmark or None)
        whole = (*key, name, wanted.flags, _U32, wanted.timeout, wanted.netmask, b"")
        if optname == Set.ADD:
            return EEXIST if service is not None else self._commands.add_service(*whole)
        if service is None or service.protocol != wanted.protocol:
            return ESRCH
        if dest:
            return self._set_dest(optname, service, key, DestUser(*sockopt.DEST.unpack(dest)))
        return self._by_service[optname](*(whole if optname == Set.EDIT else key))

    def _set_dest(
        self, optname: int, service: VirtualService, key: tuple[int, int, bytes, int, int | None], wanted: DestUser
    ) -> int:
        run, dest_key = self._by_service[optname], (_wide(wanted.addr), wanted.port)
        if optname == Set.DELDEST:
            return run(*key, *dest_key, AF_INET)
        flags = wanted.conn_flags
        error = run(
            *key, *dest_key, flags & FWD_MASK, wanted.weight, wanted.u_threshold, wanted.l_threshold, AF_INET, 0, 0, 0
        )
        if not error:
            service.destinations[wanted.addr, ntohs(wanted.port)].flags = flags & DEST_FLAGS
        return error

    def _set_daemon(self, optname: int, wanted: DaemonUser) -> int:
        daemons = self._namespace.daemons
        try:
            if optname == Set.STOPDAEMON:
                daemons.stop(wanted.state)
                return 0
            interface, terminated, _ = wanted.mcast_ifn.partition(b"\0")
            if not interface or not terminated:
                return EINVAL
            daemons.start(Daemon(wanted.state, interface, wanted.syncid, 0, b"", 0, 0))
        except OSError as refused:
            return refused.errno or EINVAL
        return 0

    # --- getsockopt ---

    def get(self, optname: int, value: bytes, room: int) -> tuple[int, bytes]:
        """``getsockopt(SOL_IP, optname, value, room)``: 0 or the errno, and the buffer as the caller finds it afterwards.

        ``value`` is the whole buffer as it stands (what is asked for stands in its head), ``room`` its length, the caller's
        ``optlen``. The kernel writes what it has to say over it and leaves the rest; the bytes that come back are the buffer
        to its new ``optlen``, which stays ``room`` for all options but the version.
        """
        if room < 0:
            return EINVAL, b""
        if not sockopt.BASE <= optname <= Get.MAX:
            return ENOPROTOOPT, b""
        size = sockopt.GET_SIZES.get(optname, 0)
        if room < size:
            self._debug(f"get_ctl: len {room} < {size}")
            return EINVAL, b""
        if len(value) < size:
            return EFAULT, b""
        error, written = self._answer(optname, value, room)
        if error or optname == Get.VERSION:
            return error, written
        return 0, written + value[len(written) : room]

    def _answer(self, optname: int, value: bytes, room: int) -> tuple[int, bytes]:
        namespace = self._namespace
        if optname == Get.DAEMON:
            running = {one.role: one for one in namespace.daemons.running()}
            return 0, b"".join(_daemon(running.get(role)) for role in (MASTER, BACKUP))
        if optname == Get.VERSION:
            text = _TEXT % (*IPVS_VERSION.to_bytes(4, "big")[1:], namespace.connection_table_size)
            return 0, text.encode() + b"\0"
        if optname == Get.INFO:
            count = namespace.table.service_count(AF_INET)
            return 0, sockopt.INFO.pack(IPVS_VERSION, namespace.connection_table_size, count)
        if optname == Get.TIMEOUT:
            return 0, sockopt.TIMEOUT.pack(*namespace.timeouts.astuple())
        if optname == Get.SERVICE:
            return self._service(value[: sockopt.SERVICE_ENTRY.size])
        if optname == Get.SERVICES:
            return self._services(value[: sockopt.GET_SERVICES.size], room)
        return self._dests(value[: sockopt.GET_DESTS.size], room) if optname == Get.DESTS else (EINVAL, b"")

    def _services(self, head: bytes, room: int) -> tuple[int, bytes]:
        (count,) = sockopt.GET_SERVICES.unpack(head)
        if not self._fits(room, len(head) + count * sockopt.SERVICE_ENTRY.size):
            return EINVAL, b""
        shown: Iterator[VirtualService] = (one for one in self._namespace.table.services() if one.family == AF_INET)
        return 0, head + b"".join(_service_entry(one) for one in islice(shown, count))

    def _service(self, asked: bytes) -> tuple[int, bytes]:
        service = self._found(*sockopt.SERVICE_ENTRY.unpack(asked)[:4])
        if service is None:
            return ESRCH, b""
        name = len(service.scheduler_name) // _WORD * _WORD + _WORD
        kept = int.from_bytes(asked, "big") & _SERVICE_GAPS[name]
        return 0, (int.from_bytes(_service_entry(service), "big") | kept).to_bytes(len(asked), "big")

    def _dests(self, head: bytes, room: int) -> tuple[int, bytes]:
        protocol, address, port, fwmark, count = sockopt.GET_DESTS.unpack(head)
        if not self._fits(room, len(head) + count * sockopt.DEST_ENTRY.size):
            return EINVAL, b""
        service = self._found(protocol, address, port, fwmark)
        if service is None:
            return ESRCH, b""
        shown: Iterator[RealServer] = (one for one in service.servers() if one.family == AF_INET)
        return 0, head + b"".join(_dest_entry(one) for one in islice(shown, count))

    # --- inside ---

    def _found(self, protocol: int, address: bytes, port: int, fwmark: int) -> VirtualService | None:
        found = self._commands.find(AF_INET, protocol, _wide(address), port, fwmark or None)
        return found if isinstance(found, VirtualService) else None

    def _fits(self, room: int, size: int) -> bool:
        if room != size and self._namespace.log is not None:
            self._namespace.log.error(f"length: {room} != {size}")
        return room == size

    def _debug(self, text: str) -> None:
        if self._namespace.log is not None:
            self._namespace.log.debug(1, text)


def _wide(address: bytes) -> bytes:
    """An address as the commands take it."""
    return address + bytes(12)


def _stats(shown: tuple[int, ...]) -> tuple[int, ...]:
    """Statistics as they are told: bytes in 64 bits, all else cut to 32."""
    conns, inpkts, outpkts, inbytes, outbytes, *rates = shown
    return (
        conns & _U32, inpkts & _U32, outpkts & _U32, inbytes & 0xFFFFFFFFFFFFFFFF, outbytes & 0xFFFFFFFFFFFFFFFF,
        *[one & _U32 for one in rates],
    )  # fmt: skip


def _service_entry(one: VirtualService) -> bytes:
    """``ip_vs_copy_service``. A service of a mark tells the protocol, address and port that it was added with."""
    port = ntohs(one.port)
    return sockopt.SERVICE_ENTRY.pack(
        one.protocol & 0xFFFF, one.address, port, one.fwmark, one.scheduler_name.encode("latin-1"), one.flags,
        one.timeout // HZ, one.netmask, len(one.destinations), *_stats(one.counters.shown()),
    )  # fmt: skip


def _dest_entry(one: RealServer) -> bytes:
    flags = one.forwarding | one.flags | CONN_F_INACTIVE
    if one.forwarding != FORWARDING["masq"]:
        flags |= CONN_F_NOOUTPUT
    return sockopt.DEST_ENTRY.pack(
        one.address, ntohs(one.port), flags, one.weight, one.upper, one.lower, one.active, one.inactive, one.persistent,
        *_stats(one.counters.shown()),
    )  # fmt: skip


def _daemon(one: Daemon | None) -> bytes:
    return sockopt.DAEMON.pack(one.role, one.interface, one.sync_id) if one is not None else bytes(sockopt.DAEMON.size)


def _gaps(name: int) -> int:
    """The bits of a service's entry that the kernel leaves alone, where it writes so many bytes of the scheduler's name: the
    gaps between fields. (GET_SERVICE is answered in the caller's own copy.)"""
    every = (0xFFFF, b"\xff" * 4, 0xFFFF, _U32, b"\xff" * name, *[_U32] * 4)
    written = sockopt.SERVICE_ENTRY.pack(*every, *[_U32] * 3, *[(1 << 64) - 1] * 2, *[_U32] * 5)
    return int.from_bytes(bytes(one ^ 0xFF for one in written), "big")


_SERVICE_GAPS = {name: _gaps(name) for name in (_WORD, 2 * _WORD)}
