"""Packets in words: ``tcp 198.51.100.7:1024 -> 192.0.2.1:80 ack``, as a person asks about them."""

from __future__ import annotations

from ipaddress import ip_address
from struct import pack
from typing import NamedTuple

from ipvssim.net.checksums import checksum, crc32c, transport
from ipvssim.net.packets import AH, ESP, ICMP, ICMPV6, NO_NEXT, SCTP, TCP, UDP, sign4

_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmpv6": ICMPV6, "esp": ESP, "ah": AH}
_PORTS = frozenset((TCP, UDP, SCTP))
_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16}
_CHUNKS = {"data": 0, "init": 1, "init-ack": 2, "abort": 6, "shutdown": 7, "cookie-echo": 10}
_NUMBERS = {"mark": 0xFFFFFFFF, "ttl": 0xFF, "size": 65000}
_ARROWS = ("->", "-")
"""The second is what a shell leaves of the first."""
_EXAMPLE = "'tcp 198.51.100.7:1024 -> 192.0.2.1:80'"


class Asked(NamedTuple):
    """A packet from its IP header on, and its firewall mark (0: none)."""

    data: bytes
    mark: int = 0


class _Said(NamedTuple):
    protocol: int
    source: tuple[bytes, int]
    target: tuple[bytes, int]
    words: list[str]
    ttl: int = 64
    size: int = 0


def read(text: str) -> Asked:
    """A packet from its words: ``PROTOCOL SOURCE[:PORT] [->] DESTINATION[:PORT] [WORD...]``.

    PROTOCOL is tcp, udp, sctp, icmp, icmpv6 (an echo request), esp or ah. For TCP the words are flags: syn (where none is
    given), ack, fin, rst, psh; for SCTP a chunk: init (where none is given), data, abort, ... ``mark=N``, ``ttl=N`` and
    ``size=N`` (bytes of payload) go with all. ValueError names the word that is wrong.
    """
    words = [word for word in text.split() if word not in _ARROWS]
    name = words[0].lower() if words else ""
    if name not in _PROTOCOLS:
        raise ValueError(f"{text!r}: {name!r} is none of {', '.join(_PROTOCOLS)}; a packet is as {_EXAMPLE}")
    if len(words) < 3:
        raise ValueError(f"{text!r}: source and destination are missing; a packet is as {_EXAMPLE} (with the quotes)")
    protocol = _PROTOCOLS[name]
    source, target = (_place(text, word, protocol) for word in words[1:3])
    if len(source[0]) != len(target[0]):
        raise ValueError(f"{text!r}: {words[1]} and {words[2]} are of two families")
    if protocol in (ICMP, ICMPV6) and (protocol == ICMP) != (len(source[0]) == 4):
        raise ValueError(f"{text!r}: {name} does not go with {words[1]}")
    numbers = {}
    rest = []
    for word in words[3:]:
        key, equals, value = word.lower().partition("=")
        if equals and key in _NUMBERS:
            numbers[key] = _number(text, value, _NUMBERS[key])
        elif key in _words(protocol):
            rest.append(key)
        else:
            known = ", ".join([*_words(protocol), *(f"{one}=N" for one in _NUMBERS)])
            raise ValueError(f"{text!r}: {word!r} is none of {known}")
    mark = numbers.pop("mark", 0)
    return Asked(_packet(_Said(protocol, source, target, rest, **numbers)), mark)


def _words(protocol: int) -> dict[str, int]:
    return _FLAGS if protocol == TCP else _CHUNKS if protocol == SCTP else {}


def _place(text: str, word: str, protocol: int) -> tuple[bytes, int]:
    address, port = word, ""
    if protocol in _PORTS:
        address, colon, port = word.rpartition(":")
        if not colon or not address:
            raise ValueError(f"{text!r}: {word!r} is no ADDRESS:PORT")
        if ":" in address and not (address[0] == "[" and address[-1] == "]"):
            raise ValueError(f"{text!r}: {word!r}: an IPv6 address with a port is as [2001:db8::1]:80")
    try:
        packed = ip_address(address.strip("[]")).packed
    except ValueError:
        raise ValueError(f"{text!r}: {address!r} is no address") from None
    return packed, _number(text, port, 0xFFFF) if port or protocol in _PORTS else 0


def _number(text: str, word: str, most: int) -> int:
    if not (word.isascii() and word.isdigit()) or int(word) > most:
        raise ValueError(f"{text!r}: {word!r} is no number from 0 to {most}")
    return int(word)


def _packet(said: _Said) -> bytes:
    source, target = said.source[0], said.target[0]
    body = _segment(said, bytes(said.size))
    if len(source) == 4:
        header = pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, said.ttl, said.protocol, 0) + source + target
        return sign4(header) + body
    return pack("!IHBB", 6 << 28, len(body), said.protocol, said.ttl) + source + target + body


def _segment(said: _Said, payload: bytes) -> bytes:
    """The packet behind its IP header, its checksum right."""
    protocol, ports = said.protocol, (said.source[1], said.target[1])
    if protocol == TCP:
        flags = sum({_FLAGS[word] for word in said.words}) or _FLAGS["syn"]
        acknowledged = 1 if flags & _FLAGS["ack"] else 0
        return _summed(said, pack("!HHIIBBHHH", *ports, 1, acknowledged, 0x50, flags, 8192, 0, 0) + payload, 16)
    if protocol == UDP:
        return _summed(said, pack("!HHHH", *ports, 8 + len(payload), 0) + payload, 6)
    if protocol == SCTP:
        kind = _CHUNKS[said.words[0]] if said.words else _CHUNKS["init"]
        head, chunk = pack("!HHI", *ports, 0), pack("!BBH", kind, 0, 20) + bytes(16)
        return head + crc32c(head, bytes(4), chunk).to_bytes(4, "little") + chunk
    if protocol == ICMP:
        message = pack("!BBHHH", 8, 0, 0, 1, 1) + payload
        return message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    if protocol == ICMPV6:
        return _summed(said, pack("!BBHHH", 128, 0, 0, 1, 1) + payload, 2)
    head = pack("!BBHIIQ", NO_NEXT, 3, 0, 1, 1, 0) if protocol == AH else pack("!II", 1, 1)
    return head + payload


def _summed(said: _Said, segment: bytes, at: int) -> bytes:
    check = transport(said.source[0], said.target[0], said.protocol, segment)
    if said.protocol == UDP:
        check = check or 0xFFFF
    return segment[:at] + check.to_bytes(2, "big") + segment[at + 2 :]
