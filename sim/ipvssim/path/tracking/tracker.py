"""Connection tracking where a packet meets it: on the way in, in IPVS, and on the way out.

Linux tracks a namespace's packets only while somebody asks for it. IPVS asks as soon as a service of port 21 gets a server
that translates (``ip_vs_register_conntrack``, ip_vs_ctl.c, Linux 6.1), until that service is deleted; netfilter's rules may
ask, too. Without, the tunable ``conntrack`` changes nothing. With it, connections that are opened while it is set keep the
entries of their packets (ip_vs_nfct.c); the packets of others leave none.

Only what packets, the table or counters show is modelled: entries of TCP, UDP, SCTP, AH and ESP. ICMP never loses a packet
by an entry, and opens none that another protocol could meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.fragments import TRACKING, Reassembler
from ipvssim.net.packets import AH, ESP, SCTP, TCP, UDP, Packet
from ipvssim.path.connections import (
    F_ALIVE,
    F_HELPED,
    F_ONE_PACKET,
    F_TRACKED,
    MASQUERADE,
    NO_PORTS,
    TUNNEL,
    ConnectionEntry,
)
from ipvssim.path.forwarding import nat
from ipvssim.path.result import CLASH, HELD, UNMOVED, Result
from ipvssim.path.tracking import datagrams, sctp, tcp
from ipvssim.path.tracking.entries import ORIGINAL, REPLY, Entries, Entry, Key, Outcome, turned
from ipvssim.path.tracking.sequences import Shifts, signed
from ipvssim.path.tracking.windows import ESTABLISHED, Talk

if TYPE_CHECKING:
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.state.namespace import Namespace

_ANY_PORTS: Final = NO_PORTS * 2
_SHARED: Final = frozenset((UDP, AH, ESP))
"""Protocols of which two entries may claim one key: the later packet takes the earlier entry for its own. Not every kernel
has all of them among these."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Tracker(Part):
    """The tracking of one director. It handles one packet at a time: that which :meth:`enters` was called with last."""

    def __init__(self, namespace: Namespace, connections: ConnectionTable, reassembler: Reassembler) -> None:
        self.entries = Entries(namespace.clock, namespace.tracking, namespace.behaviours)
        self.on = False
        """Whether packets of any family are tracked, or put together: what the packet path asks first."""
        self.looks = 0
        """How often the packet was looked at when it came in: again where it met an entry that made way."""
        self._services = namespace.table.tracking
        self._sysctls = namespace.sysctls
        self._connections = connections
        self._reassembler = reassembler
        self._families: frozenset[int] = frozenset()
        self._asked = False
        self._gathers = False
        """Whether IPv4's fragments are put together; some kernels go on when nobody tracks any more."""
        self._keeps_gathering = not namespace.behaviours.gathering_ends
        self._entry: Entry | None = None
        self._side = ORIGINAL
        self._untracked = self._rewritten = False
        connections.untrack = self.forget
        namespace.table.tracking_hook = self._watch
        namespace.sysctls.on_write("conntrack", self._keep)
        self._merges_all = not namespace.behaviours.same_flow_merges
        self._sctp = sctp.Rules(namespace.behaviours)
        self._shared = _SHARED if namespace.behaviours.others_merge else frozenset((UDP,))
        self._watch()
        self._keep()

    @property
    def asked(self) -> bool:
        """Whether something else than IPVS asks for tracking, of both families, as a rule of iptables or nftables does that
        looks at the states of connections."""
        return self._asked

    @asked.setter
    def asked(self, on: bool) -> None:
        self._asked = on
        self._watch()

    @property
    def checks(self) -> bool:
        """Whether the checksums of packets that come in are looked at (net.netfilter.nf_conntrack_checksum)."""
        return bool(self.entries.sysctls["checksum"])

    def watches(self, family: int) -> bool:
        """Whether packets of a family are tracked."""
        return family in self._families

    # --- what a packet meets ---

    def comes_in(self, packet: Packet, result: Result) -> Packet | None:
        """The packet comes in (PRE_ROUTING); None where it waits for its other fragments. Those of IPv4 are put together
        before it is tracked, IPv6's a little later, where it then :meth:`enters`."""
        if packet.fragment and (packet.family in self._families or (self._gathers and packet.family == AF_INET)):
            if packet.family != AF_INET:
                self._entry, self._untracked = None, False
                return packet
            whole = self._reassembler.add(packet, TRACKING)
            if isinstance(whole, str):
                result.verdict, result.reason = HELD, whole
                return None
            packet = whole
            result.meet(packet)
        self.enters(packet)
        return packet

    def enters(self, packet: Packet, *, own: bool = False) -> None:
        """Which entry is the packet's, and what becomes of that. The host's ``own`` begin their way here (LOCAL_OUT)."""
        self._entry, self._untracked, self._rewritten, self.looks = None, False, False, 0
        key = self._key(packet)
        if key is None:
            return
        outcome, looks = Outcome.AGAIN, 0
        while outcome is Outcome.AGAIN:
            found = self.entries.find(key)
            entry, side = found or (Entry(key, turned(key), _beginning(packet.protocol)), ORIGINAL)
            outcome = self._follow(entry, side, packet, verified=own or not self.checks)
            looks += 1
        self.looks = looks
        if outcome is Outcome.INVALID:
            return
        self._entry, self._side = entry, side
        if side == REPLY:
            entry.replied = True

    @property
    def is_old(self) -> bool:
        """Whether the packet's entry was there before it: such an entry leads to one server and can't lead to another. The
        kernel does not ask whether the connection keeps entries (``ip_vs_conn_uses_old_conntrack``)."""
        return self._entry is not None and self._entry.confirmed

    @property
    def has_entry(self) -> bool:
        """Whether the packet belongs to an entry, or begins one."""
        return self._entry is not None

    def rewrites(self, sequence: int, difference: int) -> None:
        """A helper changes what the packet says, which begins at that sequence number, and makes it so many bytes longer
        (``nf_nat_mangle_tcp_packet``)."""
        self._rewritten = True
        if difference and self._entry is not None and self._entry.shifts is not None:
            self._entry.shifts.grow(self._side, sequence, difference)

    def forwarded(self, connection: ConnectionEntry) -> None:
        """The packet is a request of that connection: its entry waits for answers from the server, or is forgotten."""
        entry = self._kept(connection)
        if entry is not None:
            protocol, key = entry.keys[REPLY]
            middle = len(key) - 4 >> 1
            entry.keys[REPLY] = protocol, connection.address + key[middle:-4] + connection.port + key[-2:]

    def answered(self, connection: ConnectionEntry) -> None:
        """The packet is an answer of that connection: one that opens an entry waits for requests to the virtual address."""
        entry = self._kept(connection)
        if entry is not None:
            protocol, key = entry.keys[REPLY]
            middle = len(key) - 4 >> 1
            entry.keys[REPLY] = protocol, key[:middle] + connection.virtual + key[-4:-2] + connection.virtual_port

    def leaves(self, packet: Packet, data: bytes, connection: ConnectionEntry, result: Result) -> bytes | None:
        """A request leaves for its server as ``data``: the bytes that go. None: it is dropped."""
        self.forwarded(connection)
        if connection.flags & 7 == TUNNEL and not connection.flags & F_TRACKED:
            return data
        if connection.flags & 7 != TUNNEL and self._entry is None and not self._untracked:
            self.enters(packet.replaced(data), own=True)
        return self._through(data, packet.offset, result)

    def passes(self) -> bool:
        """The packet has come through: a new entry enters the table. False: it is dropped, since another one has the same
        key (``__nf_conntrack_confirm``, ``nf_ct_resolve_clash``)."""
        entry = self._entry
        if entry is None or entry.confirmed:
            return True
        other = self.entries.clash(entry)
        if other is None:
            self.entries.add(entry)
            return True
        shared = entry.keys[0][0] in self._shared
        if shared and not self._merges_all and not entry.is_flow_of(other):
            return self.entries.squeeze_in(entry)
        self._entry = other
        return shared

    def comes_through(self, packet: Packet, result: Result) -> Packet | None:
        """The packet as it goes where it goes; None: it is dropped."""
        if not self.on:
            return packet
        data = self._through(packet.data, packet.offset, result)
        if data is None or data is packet.data:
            return None if data is None else packet
        return packet.replaced(data)

    def is_taken(self, packet: Packet, connection: ConnectionEntry | None, result: Result) -> bool:
        """Whether the host itself gets the packet, of a connection where there is one; else it is dropped."""
        if connection is not None:
            self.forwarded(connection)
        return self.comes_through(packet, result) is not None

    def refuses(self, packet: Packet, connection: ConnectionEntry | None) -> None:
        """The host itself refuses a packet: the RST for a segment is tracked as any packet."""
        if packet.protocol != TCP:
            return
        if connection is not None and connection.flags & 7 == MASQUERADE:
            data = nat.request(packet, connection, packet.hops)
            packet = packet.replaced(data) if data is not None else packet
        reset = tcp.reset(packet)
        if reset is not None:
            self.enters(reset, own=True)
            self.passes()

    def forget(self, connection: ConnectionEntry) -> None:
        """A connection ends; the entry of its packets goes with it (``ip_vs_conn_drop_conntrack``)."""
        if connection.client_port != NO_PORTS:
            found = self.entries.find((connection.protocol, connection.key))
            if found is not None:
                self.entries.kill(found[0])

    # --- inside ---

    def _watch(self) -> None:
        """Somebody asks for tracking, or no longer does. Entries that there are stay."""
        both = (AF_INET, AF_INET6) if self._asked else ()
        families = frozenset((*both, *(service.family for service in self._services)))
        for family in families - self._families:
            self._pick_up(family)
        self._families = families
        self._gathers = AF_INET in families or (self._gathers and self._keeps_gathering)
        self.on = bool(families) or self._gathers
        self._entry, self._untracked = None, False

    def _keep(self) -> None:
        """Connections that are opened from now on keep their entries, or do not."""
        self._connections.flags_of_new = F_ALIVE | F_TRACKED if self._sysctls.conntrack else F_ALIVE

    def _key(self, packet: Packet) -> Key | None:
        protocol = packet.protocol
        if packet.family not in self._families:
            return None
        if protocol in (AH, ESP):
            return protocol, packet.source + packet.destination + _ANY_PORTS
        return (protocol, packet.key) if protocol in (TCP, UDP, SCTP) and packet.key else None

    def _through(self, data: bytes, offset: int, result: Result) -> bytes | None:
        """The end of a packet's way (``nf_confirm``): its sequence numbers move, and its entry enters the table."""
        entry = self._entry
        if entry is None:
            return data
        if entry.shifts is not None and entry.shifts.begun:
            moved = entry.shifts.adjusted(self._side, data, offset)
            if moved is None:
                result.drop(UNMOVED)
                return None
            data = moved
        if not (entry.confirmed or self.passes()):
            result.drop(CLASH)
            return None
        return signed(data, offset) if self._rewritten else data

    def _follow(self, entry: Entry, side: int, packet: Packet, *, verified: bool) -> Outcome:
        protocol = packet.protocol
        if protocol == TCP:
            return tcp.follow(self.entries, entry, side, packet, verified=verified)
        if protocol == UDP:
            return datagrams.follow_udp(self.entries, entry, packet, verified=verified)
        if protocol == SCTP:
            return sctp.follow(self._sctp, self.entries, entry, side, packet, verified=verified)
        return datagrams.follow_other(self.entries, entry)

    def _kept(self, connection: ConnectionEntry) -> Entry | None:
        """The packet's entry, where the connection changes it (``ip_vs_update_conntrack``); that of a connection which keeps
        none is forgotten (``ip_vs_notrack``)."""
        entry, flags = self._entry, connection.flags
        if entry is None:
            return None
        if not flags & F_TRACKED:
            self._entry, self._untracked = None, True
            return None
        if entry.confirmed or flags & 7 != MASQUERADE or flags & F_ONE_PACKET or self._side != ORIGINAL:
            return None
        if flags & F_HELPED and entry.shifts is None:
            entry.shifts = Shifts()
        return entry

    def _pick_up(self, family: int) -> None:
        """While nobody tracked, established connections went on: their windows are not known any more."""
        for entry in self.entries:
            talk, key = entry.talk, entry.keys[ORIGINAL][1]
            if isinstance(talk, Talk) and talk.state == ESTABLISHED and (len(key) == 12) == (family == AF_INET):
                for side in talk.sides:
                    side.max_window = 0


def _beginning(protocol: int) -> object:
    if protocol == TCP:
        return Talk()
    if protocol == SCTP:
        return sctp.Association()
    return datagrams.Stream()
