"""ICMP errors of others, about packets of connections, in both directions (ip_vs_in_icmp*, ip_vs_out_icmp*,
net/netfilter/ipvs/ip_vs_core.c, Linux 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net import icmp
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.packets import (
    AH,
    ESP,
    GRE,
    ICMPV6,
    IPIP,
    OFFSET,
    UDP,
    Packet,
)
from ipvssim.path import quoting
from ipvssim.path.connections import MASQUERADE, NO_PORTS, ConnectionEntry
from ipvssim.path.forwarding import nat, tunnel
from ipvssim.path.lessons import believe
from ipvssim.path.protocols import ISAKMP
from ipvssim.path.result import Result

if TYPE_CHECKING:
    from ipvssim.behaviours import Behaviours
    from ipvssim.path.accounts import Accounts
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.path.debug_log import PathLog
    from ipvssim.path.host import Host
    from ipvssim.path.selection import Selection
    from ipvssim.path.tracking import Tracker
    from ipvssim.path.transmit import Transmitter
    from ipvssim.state.sysctls import Sysctls

_HANDLED4: Final = frozenset((icmp.UNREACHABLE, icmp.SOURCE_QUENCH, icmp.TIME_EXCEEDED))
_KINDS: Final = {IPIP: tunnel.KIND_IPIP, UDP: tunnel.KIND_GUE, GRE: tunnel.KIND_GRE}


@mypyc_attr(allow_interpreted_subclasses=True)
class IcmpErrors(Part):
    """What the director does with ICMP errors that reach it."""

    def __init__(
        self, behaviours: Behaviours, connections: ConnectionTable, accounts: Accounts, selection: Selection,
        transmitter: Transmitter, host: Host, sysctls: Sysctls, tracker: Tracker,
    ) -> None:  # fmt: skip
        self._behaviours = behaviours
        self.quoted = quoting.of_requests(behaviours)
        self._quoted_back = quoting.of_replies(behaviours)
        self._kinds = _KINDS if behaviours.gre_tunnels else {IPIP: tunnel.KIND_IPIP}
        self._connections = connections
        self._accounts = accounts
        self._selection = selection
        self._transmitter = transmitter
        self._host = host
        self._sysctls = sysctls
        self._tracker = tracker
        self.log: PathLog | None = None

    @staticmethod
    def is_handled(packet: Packet) -> bool:
        """Whether it is one of the ICMP messages that IPVS looks into; too short ones are for nobody else either."""
        data, start = packet.data, packet.offset
        if len(data) < start + 8:
            return True
        if packet.family == AF_INET:
            return data[start] in _HANDLED4
        return not data[start] & icmp.INFORMATIONAL6

    # --- from the client's side ---

    def request(
        self, packet: Packet, result: Result, *, forwarded: bool = False, leaves: bool = False
    ) -> bool:  # fmt: skip
        """An error that came in, about a packet from a virtual address to a client (or of a tunnel of ours). False: it is
        none of IPVS's business; else the verdict is in ``result``. ``leaves``: the host's own one, at LOCAL_OUT."""
        data, start = packet.data, packet.offset
        if len(data) < start + 8:
            result.drop("shorter than an ICMP header")
            return True
        if packet.family != AF_INET and packet.fragment:
            result.drop("a fragmented ICMPv6 error")
            return True
        body = data[start + 8 :]
        wrapped = self._unwrapped(body) if packet.family == AF_INET and not forwarded else None
        if wrapped is False:
            return False
        at = wrapped if wrapped is not None else 0
        quoted = self.quoted.followed(body[at:], packet.family, reverse=wrapped is None)
        if quoted is None:
            return False
        quoted.mark, quoted.device, quoted.unicast = packet.mark, packet.device, packet.unicast
        connection = self._find(quoted, replies=False)
        opened = False
        if connection is None:
            if wrapped is not None or not self._sysctls.schedule_icmp:
                return False
            connection = self._opened(quoted, result)
            if connection is None:
                return result.verdict.value != "local"
            opened = True
        if (
            leaves
            and packet.family != AF_INET
            and connection.flags & 7 != MASQUERADE
            and not self._behaviours.own_errors6
        ):
            if opened:
                self._connections.used(connection)
            return False
        result.connection, result.server = connection, connection.server
        if self._is_corrupt(packet, connection, reply=False, wrapped=wrapped is not None):
            if self.log is not None:
                self.log.bad_icmp("Incoming", packet)
            result.drop("wrong ICMP checksum")
        elif wrapped is not None:
            self._relay(packet, quoted, body, at, connection, result)
        else:
            self._accounts.count_in(connection, len(data))
            result.reason = "ICMP error for the server"
            self._transmitter.transmit_icmp(packet, connection, result, forwarded=forwarded)
        if opened:
            self._connections.used(connection)
        return True

    def _opened(self, quoted: Packet, result: Result) -> ConnectionEntry | None:
        """schedule_icmp: a connection on behalf of an error."""
        if quoted.protocol in (AH, ESP):
            result.accept("no packet that opens a connection")
            return None
        return self._selection.open(quoted, result)

    def _find(self, quoted: Packet, *, replies: bool) -> ConnectionEntry | None:
        key, protocol = quoted.key, quoted.protocol
        if protocol in (AH, ESP):
            key, protocol = quoted.source + quoted.destination + ISAKMP, UDP
        index = self._connections.replies if replies else self._connections.requests
        found = index[protocol].get(key)
        if not replies and (found is None or key[-4:-2] == NO_PORTS):
            found = self._connections.known(protocol, key) if self._connections.waiting and key else None
        if self.log is not None:
            self.log.looked_up("out" if replies else "in", protocol, key, found=found is not None)
        return found

    def _is_corrupt(
        self, packet: Packet, connection: ConnectionEntry, *, reply: bool, wrapped: bool = False
    ) -> bool:  # fmt: skip
        """Whether the ICMP checksum is wrong, as the modelled release tests it. ``wrapped``: it is about our own tunnel."""
        message = packet.data[packet.offset :]
        translated = connection.flags & 7 == MASQUERADE or wrapped
        if packet.family == AF_INET:
            if not translated and (reply or self._behaviours.icmp_checksums):
                return False
            return not is_valid(message)
        if not translated:
            return False
        sound = is_valid(message, pseudo(packet.source, packet.destination, ICMPV6, len(message)))
        if self._behaviours.icmp_checksums:
            return not sound
        # connection tracking has looked at it before, rightly, and what it found sound is not looked at again
        return reply and not is_valid(message) and not (sound and self._tracker.watches(packet.family))

    # --- errors about our own tunnels ---

    def _unwrapped(self, body: bytes) -> int | bool | None:
        """Where the request begins in an error about a packet of our own tunnel; None: no tunnel; False: to be let be."""
        outer = self.quoted.read(body, AF_INET, reverse=False)
        if outer is None or outer.protocol not in self._kinds:
            return None
        kind = _KINDS[outer.protocol]
        if outer.fragment & OFFSET:
            return False
        if kind == tunnel.KIND_IPIP:
            if len(self._kinds) > 1 and self._accounts.tunnel_kind(outer.destination, 0) != kind:
                return False
            at, unchecked = outer.offset, self.quoted.any_header
        else:
            at, unchecked = (self._behind_gue if kind == tunnel.KIND_GUE else self._behind_gre)(body, outer), False
            if not at:
                return None
        return at if len(body) >= at + 20 and (unchecked or (body[at] >> 4 == 4 and body[at] & 15 >= 5)) else False

    def _behind_gue(self, body: bytes, outer: Packet) -> int:
        """Where GUE's payload begins; 0 where this is no GUE of ours."""
        start = outer.offset
        if len(body) < start + 12:
            return 0
        port = int.from_bytes(body[start + 2 : start + 4], "big")
        if self._accounts.tunnel_kind(outer.destination, port) != tunnel.KIND_GUE:
            return 0
        first, protocol = body[start + 8], body[start + 9]
        if first & 0xC0 or first & 0x20 or protocol != IPIP:
            return 0
        return start + 12 + (first & 0x1F) * 4

    def _behind_gre(self, body: bytes, outer: Packet) -> int:
        """Where GRE's payload begins; 0 where this is no GRE of ours."""
        start = outer.offset
        header = body[start : start + 4]
        if header not in (b"\0\0\x08\0", b"\x80\0\x08\0"):
            return 0
        if self._accounts.tunnel_kind(outer.destination, 0) != tunnel.KIND_GRE:
            return 0
        return start + (8 if header[0] else 4)

    def _relay(
        self, packet: Packet, quoted: Packet, body: bytes, at: int, connection: ConnectionEntry, result: Result
    ) -> None:  # fmt: skip
        """Tell the client what befell its wrapped request, as an error about the request itself, which begins at ``at``."""
        data, start = packet.data, packet.offset
        kind, code, info = data[start], data[start + 1], int.from_bytes(data[start + 4 : start + 8], "big")
        result.drop("an error about our tunnel, answered to the client")
        if kind == icmp.UNREACHABLE and code == icmp.FRAGMENTATION_NEEDED:
            mtu = self._learn(body[16:20], info & 0xFFFF, connection)
            if not quoted.dont_fragment:
                result.drop("an error about our tunnel; the client does not ask for it")
                return
            taken = at if self._behaviours.tunnel_mtu else 20  # the headers that are quoted, not the server's of today
            info = mtu - taken if mtu > 68 + taken else mtu
        self._host.error(quoted, result, kind, code, info, echoes=False)
        self._accounts.count_out(connection, len(quoted.data))  # on top of what LOCAL_OUT counted for the answer

    def _learn(self, outer: bytes, mtu: int, connection: ConnectionEntry) -> int:
        """Remember the MTU of the way to a tunnel's end; what the director then believes it to be, for the client.

        The destination keeps the route that it used last. One without a learned MTU stays as it is until the next packet,
        so the first error passes on the old MTU; one that has one is changed in place (update_or_create_fnhe).
        """
        believed = believe(self._host.network, outer, mtu)
        used = connection.server.way if connection.server is not None else None
        if used is None:
            return mtu
        if used.told:
            return min(believed, used.mtu, self._host.network.path(outer).mtu)
        return used.mtu

    # --- from the servers' side ---

    def reply(self, packet: Packet, result: Result, *, comes_in: bool = False) -> Packet | None:
        """An error that a server (or a router near it) sent about a request: translated for the client where its
        connection translates. None where it is dropped. ``comes_in`` is one to the director itself (LOCAL_IN)."""
        data, start = packet.data, packet.offset
        quoted = self._quoted_back.followed(data[start + 8 :], packet.family)
        if quoted is None:
            return packet
        connection = self._find(quoted, replies=True)
        if connection is None:
            return packet
        if connection.flags & 7 != MASQUERADE and not self._behaviours.routed_replies:
            return packet
        result.connection, result.server = connection, connection.server
        if connection.flags & 7 == MASQUERADE:
            if self._is_corrupt(packet, connection, reply=True):
                if self.log is not None:
                    self.log.bad_icmp("Forward", packet)
                result.drop("wrong ICMP checksum")
                return None
            changed = nat.icmp(packet, connection, towards_client=True, hops=packet.hops)
            if changed is None:
                result.drop(nat.CUT)
                return None
            packet = packet.replaced(changed)
            if not comes_in and self._sysctls.snat_reroute and not nat.leads_back(connection):
                result.drop(nat.NO_WAY_BACK)
                return None
        self._accounts.count_out(connection, len(packet.data))
        result.reason = "ICMP error for the client"
        return packet
