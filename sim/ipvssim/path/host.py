"""The director as an ordinary IP host: what leaves it, the errors it sends, and the forwarding of what is not balanced.

After net/ipv4/{route,ip_forward,ip_output,icmp}.c and net/ipv6/{ip6_output,icmp}.c, Linux 6.1, with rp_filter, IPv4's
redirects and the rate limits of ICMP errors off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import BEHAVIOURS, Behaviours
from ipvssim.clock import Clock
from ipvssim.net import icmp
from ipvssim.net.addresses import anycast
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.cutting import split4, split6
from ipvssim.net.fragments import is_authenticated, lacks_headers, seems_cut
from ipvssim.net.network import (
    BLACKHOLE,
    BROADCAST,
    ETHERNET,
    LOCAL,
    MULTICAST,
    NONE,
    PROHIBIT,
    UNICAST,
    Network,
    Path,
)
from ipvssim.net.options4 import BadOptionError, echo, received
from ipvssim.net.options6 import HEADER_FIELD, INCOMPLETE, BadOption6Error, verify_destination
from ipvssim.net.packets import BROKEN, ICMPV6, MORE6, NO_NEXT, TCP, UDP, Packet, Recorded, sign4, with_hops
from ipvssim.path.allowance import Allowance
from ipvssim.path.result import FORWARD, Result
from ipvssim.path.unresolved import Unresolved

_TYPE4: Final = b"\x08\x00"
_TYPE6: Final = b"\x86\xdd"
_ANY4: Final = bytes(4)
_ANY6: Final = bytes(16)
_PAYLOAD_LENGTH: Final = 4
"""Where an IPv6 header has it."""
_UNREACHABLE4: Final = {NONE: 0, PROHIBIT: 13}
_LEAST_MTU4: Final = 68
"""No packet of the host's own leaves by a narrower way (``ip_setup_cork``, net/ipv4/ip_output.c); and no error that had room
to quote no more than a header (``__icmp_send``, since 6.1.24)."""
_UNREACHABLE6: Final = {NONE: icmp.NO_ROUTE6, PROHIBIT: 1}
_SILENT: Final = frozenset((BROKEN, ICMPV6, NO_NEXT, TCP))
"""What the host itself takes, or refuses otherwise than by an error."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Host(Part):
    """Sends packets, and forwards those that IPVS leaves alone."""

    def __init__(
        self, network: Network, clock: Clock, behaviours: Behaviours = BEHAVIOURS, *, smp: bool = True
    ) -> None:  # fmt: skip
        self._copies_all = not behaviours.later_options
        self._redirects_apart = behaviours.redirects_apart
        self._misreads = not behaviours.later_headers6
        self._smp = smp
        self._telling: set[int] = set()
        """The families of which an ICMP error is being sent."""
        self.network = network
        self.clock = clock
        self._shorter_ways = Allowance(clock)
        self.unresolved = Unresolved(clock)
        """Packets for neighbours that are not known."""
        self.sent: Callable[[bytes], tuple[bytes | None, bool]] = _unheard
        """Given each packet of the host's own before it leaves (LOCAL_OUT): how it leaves, None if not at all; and whether
        it was a reply of a connection."""
        self.told: Callable[[bytes, Result], bytes | None] = _untold
        """Given those that were none: how they leave; None if they went elsewhere, or nowhere."""
        self.looped: Callable[[bytes, Result], None] = _unlooped
        """Given those that the host sends to itself."""

    # --- what leaves ---

    def send(self, data: bytes, path: Path, result: Result, packet: Packet | None = None) -> None:
        """Let a packet leave along ``path``, in fragments where it is too long or where ``packet`` came in fragments."""
        device = path.device
        if device is None:
            result.drop("no device on the way")
            return
        if device.kind == ETHERNET:
            mac = self.network.neighbours.get((device.name, path.next_hop))
            if mac is None:
                for piece in self._pieces(data, path.mtu, packet) if self._is_cut(data, path, packet) else [data]:
                    self.unresolved.wait(device.name, path.next_hop, piece)
                result.drop("the neighbour does not resolve")
                return
            header = mac + device.mac + (_TYPE4 if data[0] < 0x60 else _TYPE6)
        else:
            header = b""
        result.verdict = FORWARD
        if self._is_cut(data, path, packet):
            for piece in self._pieces(data, path.mtu, packet):
                result.out.append((device.name, header + piece))
        else:
            result.out.append((device.name, header + data))

    @staticmethod
    def _is_cut(data: bytes, path: Path, packet: Packet | None) -> bool:
        return len(data) > path.mtu or (packet is not None and packet.largest > 0)

    def _pieces(self, data: bytes, mtu: int, packet: Packet | None) -> list[bytes]:
        """Fragments no larger than those received; in a tunnel over the other family that is forgotten (the two families
        keep it in different places of the packet's control block), and only the MTU counts."""
        four = data[0] < 0x60
        limit, keep_df = mtu, False
        cuts: tuple[int, ...] = ()
        if packet is not None:
            cuts = packet.cuts
            if packet.largest and four == (packet.family == AF_INET):
                limit, keep_df = min(mtu, packet.largest), packet.kept_df
        if len(data) <= limit and not (four and limit != mtu):
            return [data]
        if four:
            return split4(data, limit, keep_df=keep_df, cuts=cuts, copies_all=self._copies_all)
        return split6(data, max(limit, 1280), self.clock.random.getrandbits(32), cuts=cuts)

    # --- errors ---

    def error(
        self, packet: Packet, result: Result, kind: int, code: int, info: int = 0, *, counts: bool = True,
        echoes: bool = True, underway: bool = False,
    ) -> None:  # fmt: skip
        """Send an ICMP error about ``packet``: from the address it was sent to where that is the host's own, else from the
        address towards its sender. Nothing is sent where none may be (:func:`icmp.answers`), nor while another error of the
        family is being sent, whose lock is taken (icmp_xmit_lock; a kernel for one processor has no such locks). Without
        ``echoes`` the packet's options are not looked at. One that is ``underway`` has its way to a server, and for IPv4 is
        no longer the host's own."""
        if not icmp.answers(packet) or packet.family in self._telling:
            return
        packet = packet.whole()
        network = self.network
        back = network.path(packet.source)
        if back.kind not in (UNICAST, LOCAL):
            return
        there = network.path(packet.destination)
        if there.kind in (BROADCAST, MULTICAST):
            return
        own = self._answers_from(packet.destination, there) and not (underway and packet.family == AF_INET)
        source = packet.destination if own else self._source(packet, back)
        if not source:
            return
        if packet.family == AF_INET:
            ident = self.clock.random.getrandbits(16)
            options = b""
            if echoes and kind != icmp.PARAMETER_PROBLEM:  # what is refused for its options is answered without them
                options = echo(packet.data[20 : packet.offset], source, self._now())
            room = min(back.mtu, icmp.LARGEST4) - 28 - len(options)
            if back.mtu < _LEAST_MTU4 or room <= 20:
                return
            data = icmp.error4(packet, source, kind, code, info, ident, options, back.mtu)
        else:
            data = icmp.error6(packet, source, kind, code, info, self.clock.random.getrandbits(20))
            if counts and kind != icmp.TOO_BIG6 and back.kind == UNICAST and not self._redirects_apart:
                self._shorter_ways.spend(
                    packet.source
                )  # the kernel counts both in one place, and errors have no limit here
        verdict, reason = result.verdict, result.reason
        leaving = self._output(packet.family, data, result)
        if leaving is None:
            return
        if back.kind == LOCAL:
            self.looped(leaving, result)
            if result.local:
                return
        else:
            self.send(leaving, back, result)
        result.verdict, result.reason = verdict, reason

    def _output(self, family: int, data: bytes, result: Result) -> bytes | None:
        """LOCAL_OUT: the error as it leaves, None if it went elsewhere, or nowhere."""
        if self._smp:
            self._telling.add(family)
        try:
            leaving, answers = self.sent(data)
            return leaving if leaving is None or answers else self.told(leaving, result)
        finally:
            self._telling.discard(family)

    def _source(self, packet: Packet, back: Path) -> bytes:
        """The address of an error that cannot come from where its packet was sent to: that of the way back, and for IPv6
        that of the device by which the packet came in."""
        device = self.network.devices.get(packet.device)
        if packet.family == AF_INET or device is None:
            return back.source
        return self.network.source_for(device, packet.source)

    def _answers_from(self, address: bytes, path: Path) -> bool:
        """Whether errors about packets to ``address`` come from it: IPv4 asks for a local route (icmp_send), IPv6 for an
        address that some device has (icmp6_send), an anycast one perhaps, which one out of a local prefix is not."""
        if path.kind != LOCAL or len(address) == 4:
            return path.kind == LOCAL
        every = [mine for device in self.network.devices.values() for mine in device.addresses if len(mine[0]) == 16]
        return any(address in (own, anycast(own, length)) for own, length in every)

    def time_exceeded(self, packet: Packet, result: Result, *, counts: bool = True) -> None:
        """Answer that the lifetime ended. ``counts``: redirects to the same host are fewer for it; those of IPVS itself were
        seen not to count (decrement_ttl, net/netfilter/ipvs/ip_vs_xmit.c, recorded on Linux 6.1.176)."""
        kind = icmp.TIME_EXCEEDED if packet.family == AF_INET else icmp.TIME_EXCEEDED6
        self.error(packet, result, kind, 0, counts=counts)

    def reassembly_exceeded(self, first: Packet, result: Result) -> None:
        """Answer the first fragment of a packet whose others did not come (ip_expire, ip6frag_expire_frag_queue; 6.1)."""
        self.error(first, result, icmp.TIME_EXCEEDED if first.family == AF_INET else icmp.TIME_EXCEEDED6, 1)

    def too_big(self, packet: Packet, result: Result, mtu: int) -> None:
        """Answer that the packet does not fit."""
        if packet.family == AF_INET:
            self.error(packet, result, icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED, mtu & 0xFFFF)
        else:
            self.error(packet, result, icmp.TOO_BIG6, 0, mtu)

    def port_unreachable(self, packet: Packet, result: Result) -> None:
        """Answer that nobody serves the port."""
        if packet.family == AF_INET:
            self.error(packet, result, icmp.UNREACHABLE, icmp.PORT_UNREACHABLE)
        else:
            self.error(packet, result, icmp.UNREACHABLE6, icmp.PORT6)

    def host_unreachable(self, packet: Packet, result: Result, *, underway: bool = False) -> None:
        """Answer that there is no way to the server, or, where the packet is ``underway``, that the neighbour is silent."""
        if packet.family == AF_INET:
            self.error(packet, result, icmp.UNREACHABLE, icmp.HOST_UNREACHABLE, underway=underway)
        else:
            self.error(packet, result, icmp.UNREACHABLE6, icmp.ADDRESS6, underway=underway)

    def unwanted(self, packet: Packet) -> None:
        """The host itself was handed a packet for which it has no use, and says so to the sender: no program reads the port,
        or nobody knows what the last header announces (``ip6_protocol_deliver_rcu``, net/ipv6/ip6_input.c, Linux 6.1). The
        error is the host's own affair, but redirects to the sender are fewer for it."""
        protocol = packet.protocol
        if packet.family == AF_INET or self._redirects_apart or protocol in _SILENT:
            return
        if packet.fragment or not icmp.answers(packet):
            return
        segment = packet.data[packet.offset :]
        if protocol != UDP or is_valid(segment, pseudo(packet.source, packet.destination, UDP, len(segment))):
            self._shorter_ways.spend(packet.source)

    # --- what arrives ---

    def martian(self, packet: Packet) -> str | None:
        """Why routing refuses the packet's addresses, or None."""
        source, destination = packet.source, packet.destination
        if packet.family != AF_INET:
            if source[0] == 0xFF:
                return "multicast source"
            loop = bytes(15) + b"\x01"
            return "loopback address from outside" if loop in (source, destination) else None
        if source[0] == 127 or destination[0] == 127:
            return "loopback address from outside"
        if _ANY4 in (source, destination):
            return "address 0.0.0.0"
        return None if self.network.address_type(source) == UNICAST else "martian source"

    def take_options(self, packet: Packet, result: Result) -> Packet | None:
        """IPv4 options as they are after their receipt; None where they are refused (an answer may have been sent).

        The header's checksum stays what it was until the packet leaves: an error that quotes the packet shows that.
        """
        data = packet.data
        at = self.network.path(packet.destination)
        own = packet.destination if at.kind == LOCAL else self.network.path(packet.source).source or bytes(4)
        try:
            options = received(data[20 : packet.offset], own, self._is_remote, self._now())
        except BadOptionError as bad:
            result.drop("refused IPv4 options")
            if bad.pointer >= 0:
                self.error(packet, result, icmp.PARAMETER_PROBLEM, 0, bad.pointer << 24)
            return None
        if options == data[20 : packet.offset]:
            return packet
        return Recorded.of(packet, options)

    def takes_options6(self, packet: Packet, verify: Callable[[bytes], None], result: Result) -> bool:
        """Whether an IPv6 packet's options are in order; else it is dropped (an answer may have been sent)."""
        try:
            verify(packet.data)
        except BadOption6Error as bad:
            result.drop("refused IPv6 options")
            if bad.pointer >= 0:
                self.error(packet, result, icmp.PARAMETER_PROBLEM6, bad.code, bad.pointer)
            return False
        return True

    def takes6(self, packet: Packet, result: Result) -> bool:
        """Whether the host itself takes an IPv6 packet that was handed to it: its options are in order, and it is no
        fragment in the middle that is no multiple of eight bytes, and no first one that lacks headers (``ipv6_frag_rcv``,
        net/ipv6/reassembly.c)."""
        if not self.takes_options6(packet, verify_destination, result):
            return False
        cut = self._misreads and bool(packet.fragment) and seems_cut(packet)
        if not cut and (not packet.fragment & MORE6 or is_authenticated(packet)):
            return True
        if cut or lacks_headers(packet):
            result.drop("a first fragment that lacks headers")
            self.error(packet, result, icmp.PARAMETER_PROBLEM6, INCOMPLETE, 0)
            return False
        if int.from_bytes(packet.data[4:6], "big") & 7:
            result.drop("a fragment of no multiple of eight bytes")
            self.error(packet, result, icmp.PARAMETER_PROBLEM6, HEADER_FIELD, _PAYLOAD_LENGTH)
            return False
        return True

    def restamped(self, packet: Packet, path: Path, *, rerouted: bool) -> Packet:
        """A packet that is forwarded and whose way is recorded, with the address by which it leaves in those options
        (``ip_forward_options``): a translated reply that was routed anew leaves by its own source."""
        own = packet.source if rerouted else path.source
        options = received(packet.recorded, own, self._is_remote, self._now())
        data = packet.data
        return packet.replaced(sign4(data[:20] + options) + data[packet.offset :])

    def _now(self) -> int:
        """Milliseconds, as time stamps have them."""
        return self.clock.now // 1000

    def _is_remote(self, address: bytes) -> bool:
        return self.network.address_type(address) == UNICAST

    # --- forwarding ---

    def forwardable(self, packet: Packet, path: Path, result: Result) -> Packet | None:
        """The packet with its lifetime reduced, or None with the reason (and the error sent) in ``result``."""
        if not self.network.forwards[packet.family]:
            result.drop("forwarding is off")
            return None
        if not packet.unicast:
            result.drop("a broadcast frame is not forwarded")
            return None
        if path.kind != UNICAST:
            result.drop(f"no route: {path.kind}")
            if path.kind not in (BLACKHOLE, BROADCAST, MULTICAST):
                four = packet.family == AF_INET
                code = (_UNREACHABLE4 if four else _UNREACHABLE6).get(path.kind, 1 if four else icmp.NO_ROUTE6)
                self.error(packet, result, icmp.UNREACHABLE if four else icmp.UNREACHABLE6, code)
            return None
        if packet.hops <= 1:
            result.drop("lifetime ended")
            self.time_exceeded(packet, result)
            return None
        if packet.family != AF_INET and path.device is not None and path.device.name == packet.device:
            self._redirect(packet, path, result)
        elif packet.family != AF_INET and (packet.source == _ANY6 or icmp.is_link_local(packet.source)):
            result.drop("a source that does not reach beyond its link")
            return None
        size = packet.largest or len(packet.data) if packet.family != AF_INET else len(packet.data)
        if size > path.mtu and (packet.family != AF_INET or packet.dont_fragment):
            result.drop("longer than the MTU")
            self.too_big(packet, result, path.mtu)
            return None
        return packet.replaced(with_hops(packet, packet.hops - 1))

    def carries(self, packet: Packet, path: Path) -> bool:
        """Whether a whole packet is forwarded, whatever else its bytes are: :meth:`forwardable` asks for no more."""
        if (
            not self.network.forwards[packet.family]
            or path.kind != UNICAST
            or path.device is None
            or packet.hops <= 1
            or not path.resolves
        ):
            return False
        if packet.family != AF_INET and (
            path.device.name == packet.device or packet.source == _ANY6 or icmp.is_link_local(packet.source)
        ):
            return False
        return len(packet.data) <= path.mtu

    def _redirect(self, packet: Packet, path: Path, result: Result) -> None:
        """Tell the sender of a packet that leaves where it came in of the shorter way (ip6_forward, ndisc_send_redirect).

        It has to be a neighbour, and so has the next hop; both are told of once a second, after six at once.
        """
        back = self.network.path(packet.source)
        target = path.gateway or packet.destination
        if not self._shorter_ways.allows(packet.destination) or back.kind != UNICAST:
            return
        if path.gateway and not icmp.is_link_local(path.gateway):
            return
        if back.gateway or path.device is None or not self._shorter_ways.allows(packet.source):
            return
        mac = self.network.neighbours.get((path.device.name, target), b"")
        data = icmp.redirect6(packet, self.network.link_local(path.device), target, mac)
        verdict, reason = result.verdict, result.reason
        self.sent(data)
        self.send(data, back, result)
        result.verdict, result.reason = verdict, reason

    def forward(self, packet: Packet, path: Path, result: Result) -> None:
        """Let a forwarded packet leave."""
        if packet.largest and packet.dont_fragment:
            result.drop("reassembled, and not to be fragmented")
            self.too_big(packet, result, path.mtu)
            return
        if packet.family != AF_INET and len(packet.data) > path.mtu and not packet.largest:
            result.drop(
                "longer than what fits on the way, as the host was told"
            )  # it is counted as forwarded, and then cut
            self.too_big(packet, result, path.mtu)
            return
        result.reason = result.reason or "forwarded"
        self.send(packet.data, path, result, packet)


def _unheard(data: bytes) -> tuple[bytes | None, bool]:
    return data, False


def _untold(data: bytes, result: Result) -> bytes | None:
    del result
    return data


def _unlooped(data: bytes, result: Result) -> None:
    del data, result
