"""The one shape of a scheduler.

A scheduler is pure: no clock, no packets, no logging. It is made for one virtual service from that service's list of
real servers, is told of every change, and picks. The hooks are the kernel's (``struct ip_vs_scheduler``,
include/net/ip_vs.h, Linux 6.1), and ``loaded``, by which a pick need not scan what the kernel scans.

Whoever keeps the services makes a scheduler as ``scheduler(service, settings)``: the settings name the modelled release and
refer to the namespace's tunables. The present moment comes with each :class:`Flow`. A scheduler with ``COLLECTS`` has its
:meth:`Scheduler.collect` called every 60 s, from when it was made until it is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from ipvsnl.address import shown, unpack
from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import BEHAVIOURS, Behaviours

_NAMED: Final = 4
"""So many servers are named in words; of the others there is a number."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Server(Part):
    """What a scheduler may look at of a real server (:class:`ipvssim.state.services.RealServer`).

    ``active`` and ``inactive`` count its connections; ``last_weight`` is its last weight that was not 0; ``order`` is the
    smaller, the nearer it is to the list's head; ``available`` is False once it is deleted. ``holders`` counts what keeps a
    deleted one from being freed: a scheduler that remembers servers counts itself in.
    """

    __slots__ = (
        "active", "address", "available", "holders", "inactive", "last_weight", "order", "overloaded", "port", "weight",
    )  # fmt: skip

    def __init__(self, address: bytes, port: int) -> None:
        self.address = address
        self.port = port
        self.weight = 0
        self.last_weight = 0
        self.active = 0
        self.inactive = 0
        self.overloaded = False
        self.available = False
        self.order = 0
        self.holders = 0


class Service(Protocol):
    """What a scheduler may look at of its virtual service (:class:`ipvssim.state.services.VirtualService`)."""

    family: int
    flags: int

    @property
    def destinations(self) -> Mapping[tuple[bytes, int], Server]:
        """The real servers by address and port, oldest first."""

    def servers(self) -> Iterator[Server]:
        """The real servers in list order: newest first."""


class Flow:
    """What a scheduler may look at of the packet: addresses in network order (4 or 16 bytes), ports in host order.

    For a packet that is scheduled on behalf of an ICMP error, client and destination are those of the quoted packet's
    reply direction, as the kernel's schedulers see them. ``now`` is in jiffies.
    """

    __slots__ = ("client", "client_port", "destination", "destination_port", "now", "protocol")

    def __init__(
        self, protocol: int, client: bytes, client_port: int, destination: bytes, destination_port: int, now: int = 0
    ) -> None:
        self.protocol = protocol
        self.client = client
        self.client_port = client_port
        self.destination = destination
        self.destination_port = destination_port
        self.now = now


class Tunables(Protocol):
    """The variables ``net.ipv4.vs.*`` that schedulers read, in seconds."""

    lblc_expiration: int
    lblcr_expiration: int


@mypyc_attr(allow_interpreted_subclasses=True)
class _Defaults(Part):
    lblc_expiration = 86400
    lblcr_expiration = 86400


@mypyc_attr(allow_interpreted_subclasses=True)
class Settings(Part):
    """What schedulers see of the namespace: the release's behaviours, the tunables as they are at each moment, and the one
    source of chance, which :meth:`draw` asks for 32 bits."""

    __slots__ = ("behaviours", "draw", "tunables")

    def __init__(
        self,
        behaviours: Behaviours = BEHAVIOURS,
        tunables: Tunables | None = None,
        draw: Callable[[], int] | None = None,
    ) -> None:
        self.behaviours = behaviours
        self.draw = draw if draw is not None else _no_chance
        self.tunables = tunables if tunables is not None else _Defaults()


def _no_chance() -> int:
    return 0


@mypyc_attr(allow_interpreted_subclasses=True)
class Scheduler(Part):
    """Base of the schedulers. A subclass has ``NAME`` and :meth:`pick`; the hooks do nothing unless overridden."""

    NAME: ClassVar[str] = ""
    RULE: ClassVar[str] = ""
    """In one line, how it chooses; :meth:`explain` says it."""
    LOADS: ClassVar[bool] = False
    """Whether picks depend on connection counts. Where not, :meth:`loaded` need not be called for a change of them; for a
    change of ``overloaded`` it must be called always."""
    COLLECTS: ClassVar[bool] = False
    """Whether :meth:`collect` is to be called every 60 s."""

    loads = True
    """LOADS, where it is read four times a connection: a class's own attributes are slow to read in compiled code."""

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        """Start from ``service.servers()`` as they are. ValueError refuses the service (the kernel's EINVAL)."""
        self.loads = self.LOADS
        self.service = service
        self.settings = settings if settings is not None else Settings()

    def added(self, server: Server) -> None:
        """``server`` was put at the head of the list."""

    def removed(self, server: Server) -> None:
        """``server`` left the list (it is in the trash now)."""

    def edited(self, server: Server) -> None:
        """Weight, thresholds or forwarding of ``server`` were written, changed or not."""

    def loaded(self, server: Server) -> None:
        """Its connection counts or its overload mark changed; cheap. It may be a server that was removed."""

    def pick(self, flow: Flow) -> Server | None:
        """The server for a new connection; None where there is none to have."""
        raise NotImplementedError

    def collect(self, now: int) -> None:
        """Sixty seconds passed; ``now`` is in jiffies."""

    def idle_collections(self, now: int, period: int) -> int:
        """How many of the next collections, the first at ``now`` and the others every ``period`` jiffies, change nothing
        that anything else sees, if nothing else happens. They are not made: :meth:`skip_collections` is told of them."""
        del now, period
        return 0

    def skip_collections(self, times: int) -> None:
        """So many collections pass of those that :meth:`idle_collections` answered for."""

    def close(self) -> None:
        """The service is gone or got another scheduler: let go of servers held beyond their deletion."""

    def buckets(self) -> Sequence[Server]:
        """The table by which it chooses, where it has one: each entry is a reference to a server."""
        return ()

    def peek(self, flow: Flow) -> Server | None:
        """What :meth:`pick` would return, leaving this scheduler as it is.

        It picks on a shallow copy: a scheduler whose pick changes a container in place overrides it.
        """
        from copy import copy

        return copy(self).pick(flow)

    def state(self, flow: Flow) -> dict[str, Any]:
        """What else than the servers a pick for ``flow`` looks at, in JSON's types: a cursor, a bucket, a cache entry."""
        del flow
        return {}

    def unfit(self, server: Server) -> str:
        """All that keeps a server from being picked, as ``has weight 0 and is overloaded``; empty where nothing does."""
        reasons = ["has weight 0"] if server.weight <= 0 else []
        return " and ".join([*reasons, "is overloaded"] if server.overloaded else reasons)

    def why(self, flow: Flow, picked: Server | None) -> str:
        """A clause that tells why a pick for ``flow`` gives ``picked``: the loads, the cursor, the bucket that decide.

        This one repeats the rule and the state, which is all that is known of a scheduler that has no words of its own.
        """
        found = f"takes {label(picked)}" if picked is not None else "finds nobody"
        state = ", ".join(f"{name} {value}" for name, value in self.state(flow).items())
        return f"{self.NAME} {found} by its rule ({self.RULE or 'which it does not tell'})" + (state and f": {state}")

    def hashed(self, key: str, place: str, holder: Server | None, picked: Server | None) -> str:
        """The words of a scheduler that hashes ``key`` to a ``place``, which ``holder`` has."""
        said = f"{self.NAME} hashes {key} to {place}"
        if holder is None:
            return f"{said}, which nobody has"
        if picked is holder:
            return f"{said}, which {label(holder)} has"
        other = f"the fallback takes {label(picked)}" if picked is not None else "and no other server may take it"
        return f"{said}, which {label(holder)} has: that {self.unfit(holder)}, {other}"

    def passed_over(self, before: str = "") -> str:
        """The servers that are not to be picked and why, ``before`` in front; empty where there is none."""
        every = [f"{label(server)} {self.unfit(server)}" for server in self.service.servers() if self.unfit(server)]
        more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
        return f"{before}{', '.join(every[:_NAMED])}{more}" if every else ""

    def nobody(self) -> str:
        """A clause that tells why none of the servers is to be picked."""
        return f"{self.NAME} finds nobody: {self.passed_over() or 'the service has no server'}"

    def explain(self, flow: Flow) -> dict[str, Any]:
        """How a pick for ``flow`` would be decided, in JSON's types; asked before the pick, it tells that pick's reasons.

        It has ``scheduler``, ``rule``, ``picked`` (``address:port`` or None), ``why`` (in words), ``state``, and
        ``servers``: in list order, by ``address:port``, their weight, active, inactive and overloaded.
        """
        picked = self.peek(flow)
        return {
            "scheduler": self.NAME,
            "rule": self.RULE,
            "picked": label(picked),
            "why": self.why(flow, picked),
            "state": self.state(flow),
            "servers": {label(server): _view(server) for server in self.service.servers()},
        }


def label(server: Server | None) -> str | None:
    """A server as ``192.0.2.1:80`` or ``[2001:db8::1]:80``; None stays None."""
    return None if server is None else shown(server.address, server.port)


def address_text(address: bytes) -> str:
    """An address of 4 or 16 bytes as text."""
    return unpack(AF_INET if len(address) == 4 else AF_INET6, address)


def _view(server: Server) -> dict[str, int | bool]:
    return {
        "weight": server.weight,
        "active": server.active,
        "inactive": server.inactive,
        "overloaded": server.overloaded,
    }
