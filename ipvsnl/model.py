"""What a table is made of, as frozen values with Python names.

Words stand for the numbers that have one (``"tcp"``, ``"masq"``, ``"gue"``); a number stands for itself where the kernel
holds one that has no word, so that nothing read is lost. Every value checks itself when it is made, and EncodeError
names the field, what it was given, and what it takes.
"""

from __future__ import annotations

from ipvsnl._value import Value, name_of, named, value
from ipvsnl.address import endpoint, family_of, text_of
from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    DAEMON_ROLES,
    FORWARDING,
    FWD_MASK,
    INTERFACE_NAME_MAX,
    PE_NAME_MAX,
    PROTOCOLS,
    SCHEDULER_NAME_MAX,
    TUNNEL_TYPES,
)
from ipvsnl.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address, IPv6Address
    from typing import Literal

    Address = str | IPv4Address | IPv6Address
    """An address as callers may give it (interfaces are addresses, too); values hold it as text."""
    Family = int | Literal["ipv4", "ipv6"]
    Assign = Callable[[object, str, object], None]

_U8, _U16, _U32 = (0, 255), (0, 65535), (0, 2**32 - 1)
_S32 = (-(2**31), 2**31 - 1)
_FAMILIES = {"ipv4": AF_INET, "ipv6": AF_INET6, 0: 0, AF_INET: AF_INET, AF_INET6: AF_INET6}


@value
class Service(Value):
    """A virtual service: the key (``protocol``, ``address``, ``port``), or (``fwmark``, ``family``); and how it schedules.

    ``protocol`` is ``"tcp"``, ``"udp"``, ``"sctp"`` or a number. With ``fwmark`` the mark is the key, and ``protocol``,
    ``address`` and ``port`` mean nothing. ``address`` is text or an object of :mod:`ipaddress`. ``family`` is AF_INET (or
    ``"ipv4"``) or AF_INET6 (``"ipv6"``); it
    follows from the address, and is AF_INET for a mark unless given. ``persistence`` is the template timeout in seconds,
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

    _ranges = {"port": _U16, "fwmark": _U32, "flags": _U32, "persistence": _U32}

    if TYPE_CHECKING:  # what callers may give is more than what the fields hold

        def __init__(
            self, protocol: str | int = "", address: Address = "", port: int = 0, fwmark: int = 0, family: Family = 0,
            scheduler: str = "wlc", flags: int = 0, one_packet: bool = False, persistence: int | None = None,
            netmask: str | int | None = None, persistence_engine: str = "",
        ) -> None: ...  # fmt: skip

    def _derive(self, assign: Assign) -> None:
        family = _FAMILIES.get(self.family)
        if family is None:
            raise EncodeError(f"Service.family: {self.family!r} is not AF_INET (2, 'ipv4') or AF_INET6 (10, 'ipv6')")
        if self.address:
            assign(self, "address", text_of("Service.address", self.address))
            of_address = family_of(self.address)
            if family and family != of_address:
                raise EncodeError(f"Service.family: {self.family!r} is not the family of {self.address}")
            family = of_address
        elif not self.fwmark:
            raise EncodeError("Service.address: a service needs an address (with a protocol and a port) or a fwmark")
        if self.protocol not in PROTOCOLS and not (self.fwmark and not self.protocol):
            assign(self, "protocol", named("Service.protocol", self.protocol, PROTOCOLS, 65535))
        family = family or AF_INET
        assign(self, "family", family)
        name_of("Service.scheduler", self.scheduler, SCHEDULER_NAME_MAX)
        if self.netmask is not None:
            assign(self, "netmask", _mask(self.netmask, family))
        if self.persistence_engine:
            name_of("Service.persistence_engine", self.persistence_engine, PE_NAME_MAX)

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

    ``address`` is text or an object of :mod:`ipaddress`. ``forwarding`` is ``"masq"``, ``"tunnel"``, ``"route"``,
    ``"local"``, ``"bypass"`` or a number. Thresholds count connections; 0 is none. ``tunnel_type`` is ``"ipip"``,
    ``"gue"``, ``"gre"`` or a number; ``tunnel_flags`` are
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

    _ranges = {
        "port": _U16, "weight": _S32, "upper_threshold": _U32, "lower_threshold": _U32, "tunnel_port": _U16,
        "tunnel_flags": _U16,
    }  # fmt: skip

    if TYPE_CHECKING:

        def __init__(
            self, address: Address, port: int = 0, forwarding: str | int = "route", weight: int = 1,
            upper_threshold: int = 0, lower_threshold: int = 0, tunnel_type: str | int = "ipip", tunnel_port: int = 0,
            tunnel_flags: int = 0,
        ) -> None: ...  # fmt: skip

    def _derive(self, assign: Assign) -> None:
        assign(self, "address", text_of("Destination.address", self.address))
        if self.forwarding not in FORWARDING:
            assign(self, "forwarding", named("Destination.forwarding", self.forwarding, FORWARDING, FWD_MASK))
        if self.tunnel_type not in TUNNEL_TYPES:
            assign(self, "tunnel_type", named("Destination.tunnel_type", self.tunnel_type, TUNNEL_TYPES, 255))

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

    _ranges = {"tcp": _U32, "tcp_fin": _U32, "udp": _U32}


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

    _ranges = {"sync_id": _U32, "max_length": _U16, "port": _U16, "ttl": _U8}

    def _derive(self, assign: Assign) -> None:
        assign(self, "role", named("Daemon.role", self.role, DAEMON_ROLES, 2**32 - 1))
        name_of("Daemon.interface", self.interface, INTERFACE_NAME_MAX)
        if self.group is not None:
            assign(self, "group", text_of("Daemon.group", self.group))


@value
class Info(Value):
    """The kernel's IPVS: version (major, minor, patch) and buckets of the connection table."""

    version: tuple[int, int, int]
    connection_table_size: int


def _mask(given: object, family: int) -> str | int | None:
    """A netmask as values hold it: dotted text or a prefix length by the family, None for every address for itself."""
    if family == AF_INET6:
        if isinstance(given, int) and 1 <= given <= 128:
            return None if given == 128 else int(given)
        raise EncodeError(
            f"Service.netmask: {given!r} is not the prefix length of an IPv6 service, a number from 1 to 128"
        )
    if isinstance(given, int) or family_of(text := text_of("Service.netmask", given)) != AF_INET:
        raise EncodeError(
            f"Service.netmask: {given!r} is not the mask of an IPv4 service, text such as '255.255.255.0'"
        )
    return None if text == "255.255.255.255" else text


__all__ = [
    "AF_INET", "AF_INET6", "Daemon", "Destination", "DestinationStatus", "Entry", "Info", "Service", "ServiceStatus",
    "Statistics", "Timeouts", "endpoint",
]  # fmt: skip
