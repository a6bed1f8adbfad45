"""What the kernel writes to its log about IPVS, in its own words and at its own levels: services, servers, the trash.

With ``net.ipv4.vs.debug_level`` at N a kernel with CONFIG_IP_VS_DEBUG tells what it does, in lines of levels up to N. The
texts are those that Linux 6.1.176 was seen to write (``tests/data/traces/log-*``). What happens to packets has its words in
:mod:`ipvssim.path.debug_log`. A kernel without a log has None in a log's place, and asks no more than that.
"""

from __future__ import annotations

from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_ntop
from collections.abc import Callable
from typing import NamedTuple

from ipvsnl.address import shown
from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim.clock import SECOND, Clock
from ipvssim.state.debug_places import PLACES
from ipvssim.state.services import RealServer, VirtualService

ERROR, WARNING, INFO, DEBUG = 3, 4, 6, 7
"""Severities, as syslog numbers them."""
PREFIX = "IPVS: "
"""What all lines begin with, but those of SCTP's states."""
OWN = "ipvssim: "
"""What lines begin with that no kernel writes."""
_BURST, _INTERVAL = 10, 5 * SECOND
"""So many rate-limited lines are written in such a time (net.core.message_burst, message_cost)."""


_TABLES = {
    "dh": "DH hash table (memory=2048bytes)",
    "sh": "SH hash table (memory=2048bytes)",
    "mh": "MH lookup table (memory=32744bytes)",
    "lblc": "LBLC hash table (memory=8280bytes)",
    "lblcr": "LBLCR hash table (memory=8280bytes)",
}
"""The schedulers that make a table for each service, and how the kernel calls it."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Line(NamedTuple):
    """One line of the log. ``when`` is in microseconds since the kernel began; ``level`` is the debug level from which on it
    is written (errors and information are written at any: 0); ``severity`` is syslog's: 3 errors, 6 information, 7 debug."""

    when: int
    level: int
    severity: int
    text: str

    def __str__(self) -> str:
        """As ``dmesg`` shows it."""
        return f"[{self.when / SECOND:12.6f}] {self.text}"


class DebugLog:
    """The log of one kernel. ``level`` is its debug level, and may be changed at any time."""

    def __init__(self, clock: Clock, level: int, told: Callable[[Line], object] | None = None) -> None:
        self.level = level
        self.lines: list[Line] = []
        self.told = told
        """Gets each line instead of :attr:`lines`."""
        self._clock = clock
        self._limit_began = -_INTERVAL
        self._limited = 0

    def debug(self, level: int, text: str, prefix: str = PREFIX) -> None:
        """A line of a debug level."""
        if level <= self.level:
            self._write(level, DEBUG, prefix + text)

    def enter(self, function: str) -> None:
        """The kernel enters a function of its source."""
        place = PLACES[function]
        self.debug(place.level, f"Enter: {function}, net/netfilter/ipvs/{place.file} line {place.enters}")

    def leave(self, function: str, *, failed: bool = False) -> None:
        """It leaves it, at its usual end or where it fails; some do not tell of one of them."""
        place = PLACES[function]
        line = place.fails if failed else place.leaves
        if line:
            self.debug(place.level, f"Leave: {function}, net/netfilter/ipvs/{place.file} line {line}")

    def error(self, text: str) -> None:
        """A line that is written at any level."""
        self._write(0, ERROR, PREFIX + text)

    def own(self, text: str) -> None:
        """A line of the simulator's own: what is otherwise here than in a kernel."""
        self._write(0, WARNING, OWN + text)

    def limited_error(self, text: str) -> None:
        """An error that packets cause: ten are written in five seconds."""
        if self._clock.now - self._limit_began > _INTERVAL:
            self._limit_began, self._limited = self._clock.now, 0
        self._limited += 1
        if self._limited <= _BURST:
            self.error(text)

    def _write(self, level: int, severity: int, text: str) -> None:
        line = Line(self._clock.now, level, severity, text)
        if self.told is not None:
            self.told(line)
        else:
            self.lines.append(line)

    # --- commands ---

    def wants(self, scheduler: bytes, engine: bytes, scheduler_known: bool, engine_known: bool) -> None:
        """A scheduler is looked for, then a persistence engine: by names as they stood on the wire. Where one is not there
        it is looked for once more, after its module was asked for."""
        name, engine_name = (word.split(b"\0")[0].decode("latin-1") for word in (scheduler, engine))
        if name != "none":
            self._looked_for(2, f'ip_vs_sched_getbyname(): sched_name "{name}"', scheduler_known)
            if not scheduler_known:
                self._write(0, INFO, f"{PREFIX}Scheduler module ip_vs_{name} not found")
                return
        if engine_name:
            self._looked_for(10, f'__ip_vs_pe_getbyname(): pe_name "{engine_name}"', engine_known)
            if not engine_known:
                self._write(0, INFO, f"{PREFIX}persistence engine module ip_vs_pe_{engine_name} not found")

    def _looked_for(self, level: int, text: str, known: bool) -> None:
        for _ in range(1 if known else 2):
            self.debug(level, text)

    def timeouts(self, tcp: int, tcp_fin: int, udp: int) -> None:
        """``ipvsadm --set``."""
        signed = [value - (value >> 31 << 32) for value in (tcp, tcp_fin, udp)]
        self.debug(2, "Setting timeout tcp:{} tcpfin:{} udp:{}".format(*signed))

    def refused(self, name: str, why: str) -> None:
        """A request is an error: ``name`` is the kernel's function."""
        self.error(f"{name}(): {why}")

    # --- the tables of schedulers ---

    def scheduler_bound(self, service: VirtualService) -> None:
        """A service gets its scheduler, which makes its table."""
        what = _TABLES.get(service.scheduler_name)
        if what is not None:
            self.debug(6, f"{what} allocated for current service")
            self.table_filled(service)

    def scheduler_released(self, service: VirtualService) -> None:
        """A service's scheduler goes, with its table."""
        what = _TABLES.get(service.scheduler_name)
        if what is not None:
            self.debug(6, f"{what} released")

    def table_filled(self, service: VirtualService) -> None:
        """A service's servers changed, and with them the table of sh or mh."""
        if service.scheduler_name == "mh":
            self.debug(6, f"MH: reassign lookup table of {shown(service.address, service.port)}")
        elif service.scheduler_name == "sh" and self.level >= 6:
            assert service.scheduler is not None
            for number, server in enumerate(service.scheduler.buckets()):
                self.debug(6, f"assigned i: {number} dest: {address_text(server.address)} weight: {server.weight}")

    # --- servers and services ---

    def moving(self, server: RealServer) -> None:
        """A deleted server goes to the trash."""
        self.debug(3, f"Moving dest {server.endpoint} into trash, dest->refcnt={server.references}")

    def still_there(self, server: RealServer) -> None:
        """A server in the trash is looked at, since one is added."""
        self.debug(3, f"Destination {server.of[1]}/{server.endpoint} still in trash, dest->refcnt={server.references}")

    def revived(self, server: RealServer) -> None:
        """A server comes back from the trash."""
        family, fwmark, _, address, port = server.of
        virtual = shown(address or bytes(4 if family == AF_INET else 16), port)
        self.debug(
            3,
            f"Get destination {server.endpoint} from trash, dest->refcnt={server.references}, service {fwmark}/{virtual}",
        )

    def freed(self, server: RealServer) -> None:
        """A server in the trash is freed."""
        self.debug(3, f"Removing destination {server.of[1]}/{server.endpoint} from trash")

    def service_gone(self, service: VirtualService) -> None:
        """A deleted service is freed: the last of its servers is gone, too."""
        self.debug(3, f"Removing service {service.fwmark}/{shown(service.address, service.port)}")


def address_text(address: bytes) -> str:
    """As the kernel's debug lines have it: ``10.0.0.1``, ``[2001:db8::1]``."""
    return inet_ntop(AF_INET, address) if len(address) == 4 else f"[{inet_ntop(HOST_AF_INET6, address)}]"
