"""Connection tracking where a packet meets it: on the way in, in IPVS, and on the way out.

Linux tracks a namespace's packets only while somebody asks for it. IPVS asks as soon as a service of port 21 gets a server
that translates (``ip_vs_register_conntrack``, ip_vs_ctl.c, Linux 6.1), until that service is deleted; netfilter's rules may
ask, too. Without, the tunable ``conntrack`` changes nothing. With it, connections that are opened while it is set keep the
entries of their packets (ip_vs_nfct.c); the packets of others leave none.

Only what packets, the table or counters show is modelled: entries of TCP, UDP, SCTP, AH and ESP. ICMP never loses a packet
by an entry, and opens none that another protocol could meet.
"""

from __future__ import annotations

from ipvsnl.consts import AF_INET
from ipvssim.clock import Clock
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.packets import ACK, AH, ESP, FIN, RST, SCTP, SYN, TCP, UDP, Packet
from ipvssim.path.connections import F_ONE_PACKET, F_TRACKED, MASQUERADE, NO_PORTS, TUNNEL, ConnectionEntry
from ipvssim.path.forwarding import nat
from ipvssim.path.tracking import datagrams, sctp, tcp
from ipvssim.path.tracking.entries import ORIGINAL, REPLY, Entries, Entry, Key, Outcome, turned
from ipvssim.path.tracking.windows import ESTABLISHED, Talk

_ANY_PORTS = NO_PORTS * 2
_SHARED = frozenset((UDP, AH, ESP))
"""Protocols of which two entries may claim one key: the later packet takes the earlier entry for its own."""


class Tracker:
    """The tracking of one director. It handles one packet at a time: that which :meth:`enters` was called with last."""

    def __init__(self, clock: Clock) -> None:
        self.entries = Entries(clock)
        self.on = False
        """Whether packets of any family are tracked: what the packet path asks before everything else here."""
        self._families: frozenset[int] = frozenset()
        self._entry: Entry | None = None
        self._side = ORIGINAL
        self._untracked = False

    def watch(self, families: frozenset[int]) -> None:
        """Packets of these families are tracked from now on. Entries that there are stay."""
        for family in families - self._families:
            self._pick_up(family)
        self._families = families
        self.on = bool(families)

    def watches(self, family: int) -> bool:
        """Whether packets of a family are tracked."""
        return family in self._families

    # --- what a packet meets ---

    def enters(self, packet: Packet, *, own: bool = False) -> None:
        """A packet comes in (PRE_ROUTING), or begins its way here where it is the host's ``own`` (LOCAL_OUT): which entry
        is its, and what becomes of that."""
        self._entry, self._untracked = None, False
        key = self._key(packet)
        if key is None:
            return
        outcome = Outcome.AGAIN
        while outcome is Outcome.AGAIN:
            found = self.entries.find(key)
            entry, side = found or (Entry(key, turned(key), _beginning(packet.protocol)), ORIGINAL)
            outcome = self._follow(entry, side, packet, own)
        if outcome is Outcome.INVALID:
            return
        self._entry, self._side = entry, side
        if side == REPLY:
            entry.replied = True

    @property
    def is_old(self) -> bool:
        """Whether the packet's entry was there before it: such an entry leads to one server and can't lead to another
        (``ip_vs_conn_uses_old_conntrack``)."""
        return self._entry is not None and self._entry.confirmed

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

    def leaves(self, packet: Packet, data: bytes, connection: ConnectionEntry) -> bool:
        """A request leaves for its server as ``data``. False: it is dropped, since its entry can't be."""
        self.forwarded(connection)
        if connection.flags & 7 == TUNNEL:
            return self.passes() if connection.flags & F_TRACKED else True
        if self._entry is None and not self._untracked:
            self.enters(packet.replaced(data), own=True)
        return self.passes()

    def passes(self) -> bool:
        """The packet has come through: a new entry enters the table. False: it is dropped, since another one has the same
        key (``__nf_conntrack_confirm``)."""
        entry = self._entry
        if entry is None or entry.confirmed:
            return True
        other = self.entries.clash(entry)
        if other is None:
            self.entries.add(entry)
            return True
        self._entry = other
        return entry.keys[0][0] in _SHARED

    def refuses(self, packet: Packet, connection: ConnectionEntry | None) -> None:
        """The host itself refuses a segment: its RST is tracked as any packet."""
        if connection is not None and connection.flags & 7 == MASQUERADE:
            data = nat.request(packet, connection, packet.hops)
            packet = packet.replaced(data) if data is not None else packet
        reset = _reset(packet)
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

    def _key(self, packet: Packet) -> Key | None:
        protocol = packet.protocol
        if packet.family not in self._families:
            return None
        if protocol in (AH, ESP):
            return protocol, packet.source + packet.destination + _ANY_PORTS
        return (protocol, packet.key) if protocol in (TCP, UDP, SCTP) and packet.key else None

    def _follow(self, entry: Entry, side: int, packet: Packet, own: bool) -> Outcome:
        protocol = packet.protocol
        if protocol == TCP:
            return tcp.follow(self.entries, entry, side, packet, verified=own)
        if protocol == UDP:
            return datagrams.follow_udp(self.entries, entry, packet, verified=own)
        if protocol == SCTP:
            return sctp.follow(self.entries, entry, side, packet, verified=own)
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


def _reset(packet: Packet) -> Packet | None:
    """The RST with which a host refuses a segment (tcp_v4_send_reset, net/ipv4/tcp_ipv4.c); None where it answers nothing."""
    segment = packet.data[packet.offset :]
    if len(segment) < 20 or segment[13] & RST:
        return None
    if not is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment))):
        return None
    flags, size = segment[13], (segment[12] >> 4) * 4
    if flags & ACK:
        numbers, kind = segment[8:12] + bytes(4), RST
    else:
        end = int.from_bytes(segment[4:8], "big") + len(segment) - size + bool(flags & SYN) + bool(flags & FIN)
        numbers, kind = bytes(4) + (end & 0xFFFFFFFF).to_bytes(4, "big"), RST | ACK
    body = segment[2:4] + segment[:2] + numbers + bytes((0x50, kind)) + bytes(6)
    source, destination = packet.destination, packet.source
    key = source + destination + body[:4]
    return Packet(bytes(40) + body, packet.family, TCP, 40, 64, source, destination, key, 0)
