"""Connections and persistence templates, by the bytes that packets carry (net/netfilter/ipvs/ip_vs_conn.c, Linux 6.1).

A connection is found by a slice of the packet: source, destination and both ports as they stand in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.address import shown
from ipvsnl.consts import FORWARDING, PROTOCOLS
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import BEHAVIOURS, Behaviours
from ipvssim.clock import NEVER, SECOND, Clock, Timer

if TYPE_CHECKING:
    from ipvssim.state.services import RealServer

MASQUERADE: Final = 0
LOCAL_NODE: Final = 1
TUNNEL: Final = 2
DIRECT: Final = 3
BYPASS: Final = 4
"""The last method: netlink takes the numbers up to 7, too, for which no transmitter stands; the host gets their packets."""
METHOD: Final = 0x7
F_ALIVE: Final = 0x40
"""The kernel's HASHED: not gone yet."""
F_INACTIVE: Final = 0x100
F_NO_OUTPUT: Final = 0x80
F_TEMPLATE: Final = 0x1000
F_ONE_PACKET: Final = 0x2000
F_NO_CPORT: Final = 0x800
"""Its client's port is not known yet."""
F_TRACKED: Final = 0x10000
"""The kernel's NFCT: it keeps the connection-tracking entries of its packets."""
F_HELPED: Final = 0x1000000
"""None of the kernel's, which has a pointer for it: an application helper looks into its packets."""
TEMPLATE_ASSURED: Final = 1
"""The state of a template that is worth keeping."""
FIRST_TIMEOUT: Final = 3 * SECOND
"""The timeout of a new connection, until its first packet's transition sets another. A connection that was opened by an ICMP
error has no such packet, and keeps it."""
LATE: Final = 60 * SECOND
"""The timeout of a template whose timer fired while it still controlled connections. It keeps this timeout from then on."""
UNMEASURED: Final = 1 << 20
"""No sum of a header: nothing was translated yet."""
NO_PORTS: Final = b"\x00\x00"
GONE: Final = b"\xff\xff"
TCP: Final = 6
UDP: Final = 17
SCTP: Final = 132
STATES: dict[int, tuple[str, ...]] = {}
"""The names of each protocol's states; each protocol enters its own (:mod:`ipvssim.path.protocols`)."""
TEMPLATE_STATES: Final = ("NONE", "ASSURED")
_METHODS: Final = {number: word for word, number in FORWARDING.items()}
_PROTOCOLS: Final = {0: "IP"} | {number: word.upper() for word, number in PROTOCOLS.items()}


@mypyc_attr(allow_interpreted_subclasses=True)
class Keeper(Part):
    """Who keeps connections (:class:`ipvssim.path.connection_table.ConnectionTable`). ``template_states`` and
    ``routed_replies`` are behaviours of the release."""

    def __init__(self, clock: Clock, behaviours: Behaviours = BEHAVIOURS) -> None:
        self.clock = clock
        self.template_states = behaviours.template_states
        self.routed_replies = behaviours.routed_replies

    def expire(self, connection: ConnectionEntry) -> None:
        """A connection's timer fired."""
        raise NotImplementedError

    def activity_changed(self, connection: ConnectionEntry, active: bool) -> None:
        """A connection that has a server became active or inactive."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class ConnectionEntry(Timer):
    """One entry of the connection table, and its own timer.

    ``key`` is client, virtual address, client port, virtual port; ``reply_key`` what a reply carries: server (or virtual)
    address, client, its port, client port. A template's ``key`` holds the masked client with port 0. ``state`` belongs to
    the protocol's machine; ``timeout`` is in microseconds; ``server`` is None for a bypass.
    """

    __slots__ = (
        "address", "control", "controlled", "flags", "header_shift", "in_packets", "keeper", "key", "mark", "port",
        "protocol", "reply_key", "server", "shift", "state", "timeout",
    )  # fmt: skip

    def __init__(
        self, keeper: Keeper, protocol: int, key: bytes, address: bytes, port: bytes, flags: int,
        server: RealServer | None, mark: int,
    ) -> None:  # fmt: skip
        self._clock = keeper.clock
        self._slot = NEVER
        self._queued = NEVER
        self._expires = NEVER
        self.keeper = keeper
        self.protocol = protocol
        self.key = key
        self.address = address
        self.port = port
        """The server's port as the connection has it, in network order."""
        self.flags = flags
        self.server = server
        self.mark = mark
        self.state = 0
        self.timeout = FIRST_TIMEOUT
        self.control: ConnectionEntry | None = None
        """The template that placed it."""
        self.controlled = 0
        """How many connections this one controls."""
        self.in_packets = 0
        self.reply_key = b""
        self.header_shift = UNMEASURED
        """What address translation towards the server adds to the sum of an IPv4 header, modulo 65535."""
        self.shift = 0
        """What it adds to the sum of the transport's segment; known together with ``header_shift``."""

    def fire(self) -> None:
        """Its time is over."""
        self.keeper.expire(self)

    @property
    def method(self) -> int:
        """How it forwards: MASQUERADE, LOCAL_NODE, TUNNEL, DIRECT or BYPASS."""
        return self.flags & METHOD

    @property
    def is_template(self) -> bool:
        """Whether it is a persistence template."""
        return bool(self.flags & F_TEMPLATE)

    @property
    def client(self) -> bytes:
        """The client's address (a template's: masked)."""
        return self.key[: len(self.key) - 4 >> 1]

    @property
    def virtual(self) -> bytes:
        """The virtual address (a fwmark template's: the mark)."""
        return self.key[len(self.key) - 4 >> 1 : -4]

    @property
    def client_port(self) -> bytes:
        """The client's port, in network order."""
        return self.key[-4:-2]

    @property
    def virtual_port(self) -> bytes:
        """The virtual port, in network order."""
        return self.key[-2:]

    @property
    def state_name(self) -> str:
        """The name of its state, as ``/proc/net/ip_vs_conn`` has it."""
        own = self.is_template and self.keeper.template_states
        names = TEMPLATE_STATES if own else STATES.get(self.protocol, ("NONE",))
        return names[self.state] if self.state < len(names) else "ERR!"

    def __repr__(self) -> str:
        from_bytes = int.from_bytes
        client = shown(self.client, from_bytes(self.client_port, "big"))
        virtual = (
            shown(self.virtual, from_bytes(self.virtual_port, "big"))
            if len(self.virtual) in (4, 16)
            else f"fwmark {from_bytes(self.virtual, 'big')}"
        )
        server = shown(self.address, from_bytes(self.port, "big"))
        kind = "Template" if self.is_template else "Connection"
        protocol = _PROTOCOLS.get(self.protocol, f"IP_{self.protocol}")
        return f"<{kind} {protocol} {client} -> {virtual} -> {server} {_METHODS[self.method]} {self.state_name}>"


@mypyc_attr(allow_interpreted_subclasses=True)
class EngineTemplate(ConnectionEntry):
    """A persistence template that is found by what a persistence engine read in a packet (:mod:`ipvssim.path.engines`)."""

    __slots__ = ("engine", "engine_data")

    engine: str
    engine_data: bytes


def reply_key(connection: ConnectionEntry) -> bytes:
    """What a reply carries: a translated one comes from the server, any other from the virtual address. (Without
    ``routed_replies`` that one is looked for from the server, too, and let be.)"""
    key = connection.key
    half = len(key) - 4 >> 1
    if connection.flags & METHOD == MASQUERADE or not connection.keeper.routed_replies:
        return b"".join((connection.address, key[:half], connection.port, key[-4:-2]))
    return b"".join((key[half:-4], key[:half], key[-2:], key[-4:-2]))
