"""Firewall marks for a capture's packets, as iptables' rules in table mangle give them: ``tcp dport 80,443 -> 7``."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.net.packets import ICMP, ICMPV6, WITH_PORTS, Packet, quote

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": ICMP, "icmpv6": ICMPV6}
_ARROW = "->"
_LARGEST = 0xFFFFFFFF
Ports = tuple[tuple[int, int], ...]


class Mark(NamedTuple):
    """Packets for which all of it holds carry ``mark``; None or empty: whatever it is."""

    mark: int
    protocol: int | None = None
    source: IPv4Network | IPv6Network | None = None
    destination: IPv4Network | IPv6Network | None = None
    source_ports: Ports = ()
    ports: Ports = ()

    def holds(self, packet: Packet) -> bool:
        """Whether it marks the packet."""
        if self.protocol is not None and packet.protocol != self.protocol:
            return False
        for network, address in ((self.source, packet.source), (self.destination, packet.destination)):
            if network is not None and ip_address(address) not in network:
                return False
        if not self.source_ports and not self.ports:
            return True
        if packet.protocol not in WITH_PORTS or not packet.key:
            return False
        return _within(packet.client_port, self.source_ports) and _within(packet.port, self.ports)


def read(text: str) -> Mark:
    """A rule from words: ``[tcp|udp|sctp|icmp|icmpv6] [src NET] [dst NET] [sport PORTS] [dport PORTS] -> MARK``.

    PORTS are numbers and ranges: ``80,443,8000-8080``. ValueError names the word that is wrong.
    """
    words = text.replace(_ARROW, f" {_ARROW} ").split()
    if len(words) < 2 or words[-2] != _ARROW:
        raise ValueError(f"mark {text!r}: it ends in '-> MARK'")
    found = Mark(_number(text, words[-1], _LARGEST))
    given = iter(words[:-2])
    for word in given:
        if word in _PROTOCOLS and found.protocol is None:
            found = found._replace(protocol=_PROTOCOLS[word])
            continue
        if word not in ("src", "dst", "sport", "dport"):
            raise ValueError(f"mark {text!r}: {word!r} is none of {', '.join(_PROTOCOLS)}, src, dst, sport, dport")
        value = next(given, None)
        if value is None:
            raise ValueError(f"mark {text!r}: nothing follows {word!r}")
        if word == "src":
            found = found._replace(source=_network(text, value))
        elif word == "dst":
            found = found._replace(destination=_network(text, value))
        elif word == "sport":
            found = found._replace(source_ports=_ports(text, value))
        else:
            found = found._replace(ports=_ports(text, value))
    if not found.mark:
        raise ValueError(f"mark {text!r}: 0 is no mark")
    return found


def mark_of(marks: Sequence[Mark], data: bytes) -> int:
    """The mark of an IP packet: that of the first rule that holds, or 0."""
    if not marks:
        return 0
    packet = quote(data, AF_INET if data[0] >> 4 == 4 else AF_INET6, reverse=False)
    if packet is None:
        return 0
    return next((rule.mark for rule in marks if rule.holds(packet)), 0)


def _within(port: int, ports: Ports) -> bool:
    return not ports or any(low <= port <= high for low, high in ports)


def _network(text: str, word: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(word, strict=False)
    except ValueError:
        raise ValueError(f"mark {text!r}: {word!r} is no address or network") from None


def _ports(text: str, word: str) -> Ports:
    found = []
    for part in word.split(","):
        low, dash, high = part.replace(":", "-").partition("-")
        found.append((_number(text, low, 0xFFFF), _number(text, high if dash else low, 0xFFFF)))
    return tuple(found)


def _number(text: str, word: str, most: int) -> int:
    try:
        number = int(word, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise ValueError(f"mark {text!r}: {word!r} is no number from 0 to {most}")
    return number
