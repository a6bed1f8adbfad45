"""What the family's commands do to a namespace, once their attributes have been read: checks in the kernel's order.

``ip_vs_genl_set_cmd`` and what it calls in net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1. Every command returns 0 or the errno.
Addresses come as the wire has them (16 bytes, an IPv4 address in the first four), ports as a u16 in network order read
as a number; ``fwmark`` is None where the request has none.
"""

from __future__ import annotations

from _socket import ntohs
from errno import EAFNOSUPPORT, EEXIST, EINVAL, ENOENT, ERANGE, ESRCH
from typing import Literal

from ipvsnl.consts import AF_INET, AF_INET6, FORWARDING, FWD_MASK, IPPROTO_TCP, TUNNEL_TYPES
from ipvssim import schedulers
from ipvssim.clock import HZ
from ipvssim.net import network
from ipvssim.schedulers import Scheduler
from ipvssim.state.modules import TWOS
from ipvssim.state.namespace import Namespace
from ipvssim.state.services import F_HASHED, RealServer, VirtualService

TUNNEL, GUE = FORWARDING["tunnel"], TUNNEL_TYPES["gue"]
_INT_MAX = 0x7FFFFFFF
_LONGEST_PREFIX = 128
_ANY4, _ANY6 = bytes(4), bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"


class Commands:
    """The commands on one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._table = namespace.table
        self._by_mark = namespace.table.by_mark
        self._by_address = namespace.table.by_address
        self._schedulers: dict[bytes, type[Scheduler] | None] = {b"none\0": None}

    def find(
        self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None
    ) -> VirtualService | int | None:
        """The service of a key, None where there is none, or an errno. A mark of 0 is the service TCP 0.0.0.0:0."""
        if af == AF_INET:
            short = address[:4]
        elif af == AF_INET6 and self._namespace.ipv6:
            short = address
        else:
            return EAFNOSUPPORT
        if fwmark is None:
            return self._by_address.get((protocol, short, ntohs(port)))
        if fwmark:
            return self._by_mark.get((af, fwmark))
        return self._by_address.get((IPPROTO_TCP, _ANY4 if af == AF_INET else _ANY6, 0))

    # --- services ---

    def new_service(
        self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None, scheduler: bytes, flags: int,
        mask: int, timeout: int, netmask: int, engine: bytes,
    ) -> int:  # fmt: skip
        """NEW_SERVICE."""
        found = self.find(af, protocol, address, port, fwmark)
        if found is not None:
            return found if isinstance(found, int) else EEXIST
        if fwmark is not None:
            protocol, address, port = IPPROTO_TCP, _ANY6, 0
        return self.add_service(af, protocol, address, port, fwmark, scheduler, flags, mask, timeout, netmask, engine)

    def add_service(
        self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None, scheduler: bytes, flags: int,
        mask: int, timeout: int, netmask: int, engine: bytes,
    ) -> int:  # fmt: skip
        """A service whose key is free; one of a mark keeps protocol, address and port, too (``ip_vs_add_service``)."""
        wanted = self._scheduler(scheduler)
        if self._namespace.log is not None:
            self._namespace.log.wants(scheduler, engine, wanted is not False, self._knows_engine(engine))
        if wanted is False or not self._knows_engine(engine):
            return ENOENT
        if af == AF_INET6 and not 1 <= netmask <= _LONGEST_PREFIX:
            return EINVAL
        service = VirtualService(af, fwmark, protocol, address[:4] if af == AF_INET else address, ntohs(port))
        _write(service, flags & mask, timeout, netmask, self._namespace.clock.hz)
        service.persistence_engine = _engine(engine)
        hidden = bool(flags & mask & F_HASHED) and not self._namespace.behaviours.hashed_masked
        try:
            self._table.add_service(service, wanted, hidden=hidden)
        except ValueError:
            return EINVAL
        return 0

    def set_service(
        self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None, scheduler: bytes, flags: int,
        mask: int, timeout: int, netmask: int, engine: bytes,
    ) -> int:  # fmt: skip
        """SET_SERVICE; where it fails, everything stays as it was."""
        service = self.find(af, protocol, address, port, fwmark)
        if service is None or isinstance(service, int):
            return service or ESRCH
        wanted = self._scheduler(scheduler)
        if self._namespace.log is not None:
            self._namespace.log.wants(scheduler, engine, wanted is not False, self._knows_engine(engine))
        if wanted is False or not self._knows_engine(engine):
            return ENOENT
        if af == AF_INET6 and not 1 <= netmask <= _LONGEST_PREFIX:
            return EINVAL
        try:
            self._table.edit_service(service, wanted)
        except ValueError:
            return EINVAL
        _write(service, service.flags & ~mask | flags & mask, timeout, netmask, self._namespace.clock.hz)
        self._table.set_engine(service, _engine(engine))
        return 0

    def del_service(self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None) -> int:
        """DEL_SERVICE."""
        service = self.find(af, protocol, address, port, fwmark)
        if service is None or isinstance(service, int):
            return service or ESRCH
        self._table.delete_service(service)
        return 0

    def zero(self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None) -> int:
        """ZERO of one service and its destinations."""
        service = self.find(af, protocol, address, port, fwmark)
        if service is None or isinstance(service, int):
            return service or ESRCH
        _zero(service)
        return 0

    def zero_all(self) -> int:
        """ZERO of everything, the namespace's total too."""
        for service in self._table.services():
            _zero(service)
        self._table.total.zero()
        return 0

    # --- destinations ---

    def new_dest(
        self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None, dest_address: bytes, dest_port: int,
        method: int, weight: int, upper: int, lower: int, family: int, tunnel_type: int, tunnel_port: int,
        tunnel_flags: int,
    ) -> int:  # fmt: skip
        """NEW_DEST."""
        service = self.find(af, protocol, address, port, fwmark)
        if service is None or isinstance(service, int):
            return service or ESRCH
        family = family or af
        error = self._check_dest("ip_vs_add_dest", family, af, method, weight, upper, lower, tunnel_type, tunnel_port)
        if error:
            return error
        short = dest_address[:4] if family == AF_INET else dest_address
        host_port = ntohs(dest_port)
        if (short, host_port) in service.destinations:
            return self._told(EEXIST, "ip_vs_add_dest(): dest already exists")
        table, log = self._table, self._namespace.log
        new = not table.in_trash(service, family, short, host_port)
        if new and log is not None:
            log.enter("ip_vs_new_dest")
        if new and not self._acceptable(short):
            return EINVAL
        server = table.add_server(service, family, short, host_port)
        self._write_dest(server, method, weight, upper, lower, tunnel_type, tunnel_port, tunnel_flags)
        table.server_added(server)
        if log is not None:
            if new:
                log.leave("ip_vs_new_dest")
            log.leave("ip_vs_add_dest")
        return 0

    def set_dest(
        self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None, dest_address: bytes, dest_port: int,
        method: int, weight: int, upper: int, lower: int, family: int, tunnel_type: int, tunnel_port: int,
        tunnel_flags: int,
    ) -> int:  # fmt: skip
        """SET_DEST: overwrites everything but the key, the position and the counters."""
        service = self.find(af, protocol, address, port, fwmark)
        if service is None or isinstance(service, int):
            return service or ESRCH
        family = family or af
        error = self._check_dest("ip_vs_edit_dest", family, af, method, weight, upper, lower, tunnel_type, tunnel_port)
        if error:
            return error
        server = service.destinations.get((dest_address[:4] if family == AF_INET else dest_address, ntohs(dest_port)))
        if server is None:
            return self._told(ENOENT, "ip_vs_edit_dest(): dest doesn't exist")
        self._write_dest(server, method, weight, upper, lower, tunnel_type, tunnel_port, tunnel_flags)
        if service.scheduler is not None:
            service.scheduler.edited(server)
            if self._namespace.log is not None:
                self._namespace.log.table_filled(service)
        self._leaves("ip_vs_edit_dest")
        return 0

    def del_dest(
        self, af: int, protocol: int, address: bytes, port: int, fwmark: int | None, dest_address: bytes, dest_port: int,
        family: int,
    ) -> int:  # fmt: skip
        """DEL_DEST."""
        service = self.find(af, protocol, address, port, fwmark)
        if service is None or isinstance(service, int):
            return service or ESRCH
        family = family or af
        if family not in (AF_INET, AF_INET6):
            return EAFNOSUPPORT
        self._enters("ip_vs_del_dest")
        server = service.destinations.get((dest_address[:4] if family == AF_INET else dest_address, ntohs(dest_port)))
        if server is None:
            return self._told(ENOENT, "ip_vs_del_dest(): destination not found!")
        self._table.delete_server(server)
        self._leaves("ip_vs_del_dest")
        return 0

    # --- the rest ---

    def flush(self) -> int:
        """FLUSH."""
        self._table.flush()
        return 0

    def set_config(self, tcp: int, tcp_fin: int, udp: int) -> int:
        """SET_CONFIG, absent values filled in with the current ones; 0 keeps. Values are unsigned 32-bit numbers."""
        if self._namespace.log is not None:
            self._namespace.log.timeouts(tcp, tcp_fin, udp)
        timeouts = self._namespace.timeouts
        if max(tcp, tcp_fin, udp) > _INT_MAX // self._namespace.clock.hz and self._namespace.behaviours.timeout_limits:
            return EINVAL
        timeouts.tcp = tcp or timeouts.tcp
        timeouts.tcp_fin = tcp_fin or timeouts.tcp_fin
        timeouts.udp = udp or timeouts.udp
        return 0

    def has_mixed(self) -> bool:
        """Whether any destination is of another family than its service: sync daemons exclude that."""
        return any(
            server.family != one.family for one in self._table.services() for server in one.destinations.values()
        )

    # --- inside ---

    def _scheduler(self, name: bytes) -> type[Scheduler] | Literal[False] | None:
        """The scheduler of a name as it stood on the wire; None for ``none``, False where there is none."""
        try:
            return self._schedulers[name]
        except KeyError:
            text = name.split(b"\0")[0]
            if text == b"none":
                return None
            found = schedulers.find(text.decode("latin-1"), unbuilt=TWOS in self._namespace.modules)
            if found is None:
                return False
            self._schedulers[name] = found
            return found

    def _knows_engine(self, name: bytes) -> bool:
        text = _engine(name)
        return not text or f"ip_vs_pe_{text}" in self._namespace.modules

    def _check_dest(
        self, function: str, family: int, af: int, method: int, weight: int, upper: int, lower: int, tunnel_type: int,
        tunnel_port: int,
    ) -> int:  # fmt: skip
        """0 or the errno; ``function`` is what the kernel's log calls the command."""
        if family != af:
            if family not in (AF_INET, AF_INET6):
                return EAFNOSUPPORT
            if self._namespace.daemons or method & FWD_MASK != TUNNEL:
                return EINVAL
        if self._namespace.log is not None:
            self._namespace.log.enter(function)
        if weight < 0:
            return self._refused(function, ERANGE, "server weight less than zero")
        if lower > upper:
            return self._refused(function, ERANGE, "lower threshold is higher than upper threshold")
        if upper > _INT_MAX and self._namespace.bounds_upper_threshold:
            return EINVAL
        if tunnel_type == GUE and tunnel_port == 0:
            return self._refused(function, EINVAL, "tunnel port is zero")
        return 0

    def _enters(self, function: str) -> None:
        if self._namespace.log is not None:
            self._namespace.log.enter(function)

    def _leaves(self, function: str) -> None:
        if self._namespace.log is not None:
            self._namespace.log.leave(function)

    def _told(self, error: int, text: str) -> int:
        if self._namespace.log is not None:
            self._namespace.log.debug(1, text)
        return error

    def _refused(self, function: str, error: int, why: str) -> int:
        if self._namespace.log is not None:
            self._namespace.log.refused(function, why)
        return error

    def _acceptable(self, address: bytes) -> bool:
        """Whether the address may be a destination's (``ip_vs_new_dest``)."""
        if len(address) == 4:
            return self._namespace.network.address_type(address) in (network.UNICAST, network.LOCAL)
        first = address[0]
        if (
            first == 0xFF
            or (first == 0xFE and address[1] & 0xC0 == 0x80)
            or address == _ANY6
            or address[:12] == _MAPPED
        ):
            return self._namespace.network.is_local(address)
        return True

    def _write_dest(
        self, server: RealServer, method: int, weight: int, upper: int, lower: int, tunnel_type: int, tunnel_port: int,
        tunnel_flags: int,
    ) -> None:  # fmt: skip
        way = method & FWD_MASK, tunnel_type, ntohs(tunnel_port)
        otherwise = not server.available or way != (server.forwarding, server.tunnel_type, server.tunnel_port)
        self._table.reaches(server, way[0])
        server.forwarding, server.tunnel_type, server.tunnel_port = way
        server.flags = 0
        server.weight = weight
        if weight or not server.available:  # one that comes (back) begins with what it is given, 0 too
            server.last_weight = weight
        server.tunnel_flags = tunnel_flags
        if upper != server.upper or lower != server.lower:
            self._write_thresholds(server, upper, lower)
        self._table.server_written(server, otherwise=otherwise)

    def _write_thresholds(self, server: RealServer, upper: int, lower: int) -> None:
        if upper == 0 or (upper > server.upper and not self._namespace.behaviours.overload_by_all):
            server.overloaded = False
        elif self._namespace.behaviours.overload_by_all:
            total = server.conns
            if total >= upper:
                server.overloaded = True
            elif total < (lower or upper - upper // 4):
                server.overloaded = False
        server.upper = upper
        server.lower = lower


def _write(service: VirtualService, flags: int, timeout: int, netmask: int, hz: int) -> None:
    """The kernel keeps 32 bits of the timeout's jiffies."""
    service.flags = flags | F_HASHED
    service.timeout = (timeout * hz & 0xFFFFFFFF) * HZ // hz
    service.netmask = netmask


def _engine(name: bytes) -> str:
    """A persistence engine's name as it stood on the wire; empty for none."""
    return name.split(b"\0")[0].decode("latin-1")


def _zero(service: VirtualService) -> None:
    for server in service.destinations.values():
        server.counters.zero()
    service.counters.zero()
