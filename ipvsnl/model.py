"""What a table is made of, as frozen values with Python names.

Words stand for the numbers that have one (``"tcp"``, ``"masq"``, ``"gue"``); a number stands for itself where the kernel
holds one that has no word, so that nothing read is lost.
"""

from __future__ import annotations

from ipvsnl._value import Value, value
from ipvsnl.address import canonical, family_of
from ipvsnl.consts import AF_INET, AF_INET6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Assign = Callable[[object, str, object], None]


@value
class Service(Value):
    """A virtual service: the key (``protocol``, ``address``, ``port``), or (``fwmark``, ``family``); and how it schedules.

    ``protocol`` is ``"tcp"``, ``"udp"``, ``"sctp"`` or a number; with ``fwmark`` it, ``address`` and ``port`` are empty.
    ``family`` is AF_INET or AF_INET6 and follows from the address. ``persistence`` is the template timeout in seconds,
    None where the service is not persistent; ``netmask`` groups clients for it (``"255.255.255.0"``, or an IPv6 prefix
    length; None is every address for itself). ``flags`` are the scheduler flags (``consts.SVC_F_SCHED1`` ...) and any
    other bit the kernel holds, without the persistent, hashed and one-packet bits, which are fields of their own.
    """

    protocol: str | int = ""
    address: str = ""
    port: int = 0
    fwmark: int = 0
    family: int = 0
    scheduler: str = "wlc"
    flags: int = 0
    one_packet: bool = False
    persistence: int | None = None
    netmask: str | int | None = None
    persistence_engine: str = ""

    def _derive(self, assign: Assign) -> None:
        if ":" in self.address:
            assign(self, "address", canonical(self.address))
        if not self.family:
            assign(self, "family", family_of(self.address))

    @property
    def key(self) -> tuple[int, str | int, str, int, int]:
        """What the kernel finds the service by: equal for two values that are the same service."""
        return (self.family, self.protocol, self.address, self.port, self.fwmark)

    def __str__(self) -> str:
        if self.fwmark:
            return f"FWM {self.fwmark}{' IPv6' if self.family == AF_INET6 else ''}"
        return f"{str(self.protocol).upper()} {endpoint(self.address, self.port)}"


@value
class Destination(Value):
    """A real server of a virtual service: the key (``address``, ``port``), and what it gets.

    ``forwarding`` is ``"masq"``, ``"tunnel"``, ``"route"``, ``"local"``, ``"bypass"`` or a number. Thresholds count
    connections; 0 is none. ``tunnel_type`` is ``"ipip"``, ``"gue"``, ``"gre"`` or a number; ``tunnel_flags`` are
    ``consts.TUNNEL_F_CSUM`` and ``TUNNEL_F_REMCSUM``.
    """

    address: str
    port: int = 0
    forwarding: str | int = "route"
    weight: int = 1
    upper_threshold: int = 0
    lower_threshold: int = 0
    tunnel_type: str | int = "ipip"
    tunnel_port: int = 0
    tunnel_flags: int = 0

    def _derive(self, assign: Assign) -> None:
        if ":" in self.address:
            assign(self, "address", canonical(self.address))

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6; it may differ from the service's where the forwarding is a tunnel."""
        return family_of(self.address)

    @property
    def key(self) -> tuple[str, int]:
        """What the kernel finds the destination by within its service."""
        return (self.address, self.port)

    def __str__(self) -> str:
        return f"-> {endpoint(self.address, self.port)}"


@value
class Statistics(Value):
    """Counters and rates as of the kernel's last estimator tick (every 2 s); bytes are IP lengths, rates are a second's."""

    conns: int = 0
    inpkts: int = 0
    outpkts: int = 0
    inbytes: int = 0
    outbytes: int = 0
    cps: int = 0
    inpps: int = 0
    outpps: int = 0
    inbps: int = 0
    outbps: int = 0


@value
class ServiceStatus(Value):
    """A virtual service as read, with its statistics."""

    service: Service
    statistics: Statistics


@value
class DestinationStatus(Value):
    """A real server as read: its connections at this moment, and its statistics as of the last tick."""

    destination: Destination
    active: int
    inactive: int
    persistent: int
    statistics: Statistics


@value
class Entry(Value):
    """One virtual service of a snapshot, with its real servers in the kernel's order (newest first)."""

    status: ServiceStatus
    destinations: tuple[DestinationStatus, ...]

    @property
    def service(self) -> Service:
        """The virtual service itself."""
        return self.status.service


@value
class Timeouts(Value):
    """Connection timeouts in seconds; None (and 0) leaves one as it is when they are set."""

    tcp: int | None = None
    tcp_fin: int | None = None
    udp: int | None = None


@value
class Daemon(Value):
    """A connection synchronisation daemon: ``role`` is ``"master"``, ``"backup"`` or a number.

    None in the optional fields takes the kernel's default: message length from the device's MTU, group 224.0.0.81,
    port 8848, TTL 1.
    """

    role: str | int
    interface: str
    sync_id: int = 0
    max_length: int | None = None
    group: str | None = None
    port: int | None = None
    ttl: int | None = None

    def _derive(self, assign: Assign) -> None:
        if self.group is not None and ":" in self.group:
            assign(self, "group", canonical(self.group))


@value
class Info(Value):
    """The kernel's IPVS: version (major, minor, patch) and buckets of the connection table."""

    version: tuple[int, int, int]
    connection_table_size: int


def endpoint(address: str, port: int) -> str:
    """``10.0.0.1:80``, ``[2001:db8::1]:80``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


__all__ = [
    "AF_INET", "AF_INET6", "Daemon", "Destination", "DestinationStatus", "Entry", "Info", "Service", "ServiceStatus",
    "Statistics", "Timeouts", "endpoint",
]  # fmt: skip
