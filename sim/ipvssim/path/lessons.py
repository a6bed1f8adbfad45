"""What the host learns from ICMP errors to itself: that less fits on the way to an address (net/ipv4/udp.c and icmp.c,
net/ipv6/udp.c, and the routes' exceptions in net/ipv4/route.c and net/ipv6/route.c, Linux 6.1 to 7.3).

It counts whatever program sent the packet that is quoted, if any did; a TCP segment's error counts only for a connection of
the host's own, and so not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.net import icmp
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.packets import ICMP, ICMPV6, OFFSET6, UDP, UDP_LITE, Packet, quote, walk_quoted6

if TYPE_CHECKING:
    from ipvssim.behaviours import Behaviours
    from ipvssim.net.network import Network

_LEAST4: Final = 552
"""net.ipv4.route.min_pmtu: what is learned at least, and then holds for packets that are only forwarded, too."""
_LEAST6: Final = 1280
_ECHO_REPLY: Final = 0


def learn(network: Network, packet: Packet, known: Behaviours) -> None:
    """The host gets a packet: if it is an error which says that a datagram of its own was too big, the way is narrower."""
    body = packet.data[packet.offset :]
    if packet.family == AF_INET:
        _learn4(network, body, known)
    elif len(body) >= 8 and body[0] == icmp.TOO_BIG6 and _is_sound6(packet, body):
        _learn6(network, body, known)


def _learn4(network: Network, body: bytes, known: Behaviours) -> None:
    if len(body) < 36 or body[0] != icmp.UNREACHABLE or body[1] != icmp.FRAGMENTATION_NEEDED or not is_valid(body, 0):
        return
    quoted = quote(body[8:], AF_INET, reverse=False, any_version=True)
    if quoted is None or len(quoted.data) < quoted.offset + 8 or not network.is_local(quoted.source):
        return
    taught = known.udp_errors_teach if quoted.protocol == UDP else _is_echo_reply(quoted)
    if taught:
        believe(network, quoted.destination, int.from_bytes(body[6:8], "big"))


def _is_echo_reply(quoted: Packet) -> bool:
    return quoted.protocol == ICMP and quoted.data[quoted.offset] == _ECHO_REPLY


def _is_sound6(packet: Packet, body: bytes) -> bool:
    return is_valid(body, pseudo(packet.source, packet.destination, ICMPV6, len(body)))


def _learn6(network: Network, body: bytes, known: Behaviours) -> None:
    """What is quoted may be any ICMPv6 message, and a packet of UDP-Lite counts as a datagram."""
    quoted = quote(body[8:], AF_INET6, reverse=False, any_version=True, walk=walk_quoted6)
    mtu = int.from_bytes(body[4:8], "big")
    if quoted is None or quoted.fragment & OFFSET6 or len(quoted.data) < quoted.offset + 8:
        return
    datagram = quoted.protocol == UDP or (quoted.protocol == UDP_LITE and not known.udp_lite_gone)
    if not (known.udp_errors_teach6 if datagram else quoted.protocol == ICMPV6):
        return
    path = network.path(quoted.destination)
    if path.device is not None and _LEAST6 <= mtu < path.mtu:
        network.learn_mtu(quoted.destination, mtu, for_all=False)


def believe(network: Network, address: bytes, mtu: int) -> int:
    """A router says that no more than ``mtu`` bytes fit on the way to an IPv4 address: what the host takes that for."""
    known = network.path(address).mtu
    believed = min(known, _LEAST4) if mtu < _LEAST4 else mtu
    if believed < known:
        network.learn_mtu(address, believed, for_all=mtu < _LEAST4)
    return believed
