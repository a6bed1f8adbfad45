"""Views on packet bytes: what the packet path reads of an IP header, in one slotted object a packet.

``parse4`` and ``parse6`` refuse what the kernel's input functions refuse (ip_rcv_core, net/ipv4/ip_input.c; ip6_rcv_core,
net/ipv6/ip6_input.c; Linux 6.1) and cut link-layer padding off.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from ipvsnl.consts import AF_INET, AF_INET6

ICMP: Final = 1
IPIP: Final = 4
TCP: Final = 6
UDP: Final = 17
IPV6: Final = 41
GRE: Final = 47
ESP: Final = 50
AH: Final = 51
ICMPV6: Final = 58
SCTP: Final = 132
UDP_LITE: Final = 136
HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
NO_NEXT: Final = 59
DESTINATION: Final = 60
ANY_NUMBER: Final = 1 << 16
MOST_HEADERS6: Final = 12
"""How many IPv6 extension headers are looked through: by kernels of old, and since ``header_limit6``."""
BROKEN: Final = -1
"""The protocol of an IPv6 packet whose extension headers end too early: no protocol's number (ipv6_find_hdr fails)."""
WITH_PORTS: Final = frozenset((TCP, UDP, SCTP))
SYN: Final = 0x02
FIN: Final = 0x01
RST: Final = 0x04
ACK: Final = 0x10
DF: Final = 0x4000
MF: Final = 0x2000
OFFSET: Final = 0x1FFF
MORE6: Final = 0x1
"""IPv6: more fragments follow."""
OFFSET6: Final = 0xFFF8
"""IPv6: where in its packet a fragment lies, in bytes; 0 for the first one."""
FRAGMENTED: Final = 0x10000
"""Set in :attr:`Packet.fragment` for IPv6: there is a fragment header, even if it cuts nothing off."""

_HEADER6: Final = Struct("!IHBB").unpack_from
_EXTENSIONS: Final = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, AH, NO_NEXT, DESTINATION))
_from_bytes: Final = int.from_bytes


class Packet:
    """An IP packet: ``data`` from its IP header on, and what was read of it.

    ``offset`` is where the transport header begins, ``key`` source, destination and both ports as they stand in the packet
    (empty where it is too short to have ports). ``fragment`` is IPv4's offset field (MF and offset) or, for IPv6, the
    offset field of its fragment header with FRAGMENTED. ``hops`` is the TTL or hop limit. ``device`` is where it came in
    (empty for the host's own), ``unicast`` whether its frame was addressed to this host alone.
    """

    __slots__ = (
        "data", "destination", "device", "family", "fragment", "hops", "key", "mark", "offset", "protocol", "source",
        "unicast",
    )  # fmt: skip

    quoted = False
    """Whether it is only what an ICMP error quotes; then ``key``, ``source`` and ``destination`` may be turned round."""
    largest = 0
    """The size of the largest fragment that it was put together from; 0: it came whole."""
    kept_df = False
    """Whether that fragment carried DF."""
    cuts: tuple[int, ...] = ()
    """Where the fragments began, in bytes before the end."""
    specimen = False
    """Whether only its flow is known (:class:`ipvssim.net.specimens.Specimen`), and ``data`` is another's of its kind."""
    recorded: bytes = b""
    """Its IPv4 options as they arrived, where its receipt changed them: what a host that forwards it records anew."""

    def __init__(
        self, data: bytes, family: int, protocol: int, offset: int, hops: int, source: bytes, destination: bytes,
        key: bytes, fragment: int, device: str = "", mark: int = 0, unicast: bool = True,
    ) -> None:  # fmt: skip
        self.data = data
        self.family = family
        self.protocol = protocol
        self.offset = offset
        self.hops = hops
        self.source = source
        self.destination = destination
        self.key = key
        self.fragment = fragment
        self.device = device
        self.mark = mark
        self.unicast = unicast

    def __deepcopy__(self, memo: dict[int, Any]) -> Packet:
        """Itself: it never changes once it is on its way."""
        return self

    def whole(self) -> Packet:
        """The packet with bytes of its own, which a specimen makes: for whoever looks at them."""
        return self

    def replaced(self, data: bytes) -> Packet:
        """The packet with other bytes of the same shape: addresses, ports and lifetime are read again."""
        if self.family == AF_INET:
            source, destination, hops = data[12:16], data[16:20], data[8]
        else:
            source, destination, hops = data[8:24], data[24:40], data[7]
        key = source + destination + data[self.offset : self.offset + 4] if self.key else b""
        twin = Assembled if self.largest else Recorded if self.recorded else Packet
        packet = twin(
            data, self.family, self.protocol, self.offset, hops, source, destination, key, self.fragment,
            self.device, self.mark, self.unicast,
        )  # fmt: skip
        if isinstance(packet, Assembled):
            packet.largest, packet.kept_df, packet.cuts = self.largest, self.kept_df, self.cuts
            packet.recorded = self.recorded
        elif isinstance(packet, Recorded):
            packet.recorded = self.recorded
        return packet

    @property
    def client_port(self) -> int:
        """The source port; 0 where there is none."""
        key = self.key
        return key[-4] << 8 | key[-3] if key else 0

    @property
    def port(self) -> int:
        """The destination port; 0 where there is none."""
        key = self.key
        return key[-2] << 8 | key[-1] if key else 0

    @property
    def tos(self) -> int:
        """IPv4's type of service, IPv6's traffic class."""
        return self.data[1] if self.family == AF_INET else (self.data[0] << 4 | self.data[1] >> 4) & 0xFF

    @property
    def dont_fragment(self) -> bool:
        """IPv4's DF."""
        return self.family == AF_INET and bool(self.data[6] & 0x40)


class Assembled(Packet):
    """A packet put together from fragments; what was recorded of the first goes on with the whole."""

    __slots__ = ("cuts", "kept_df", "largest", "recorded")


class Recorded(Packet):
    """A packet whose way is recorded in its IPv4 options."""

    __slots__ = ("recorded",)

    @classmethod
    def of(cls, packet: Packet, options: bytes) -> Recorded:
        """The packet with its options as receipt leaves them. Its checksum is left as it was."""
        data = packet.data
        twin = cls(
            data[:20] + options + data[packet.offset :], packet.family, packet.protocol, packet.offset, packet.hops,
            packet.source, packet.destination, packet.key, packet.fragment, packet.device, packet.mark, packet.unicast,
        )  # fmt: skip
        twin.recorded = data[20 : packet.offset]
        return twin


class Quoted(Packet):
    """A packet as far as an ICMP error quotes it."""

    __slots__ = ()
    quoted = True


def parse4(
    data: bytes, device: str = "", mark: int = 0, unicast: bool = True, kind: type[Packet] = Packet
) -> Packet | str:
    """An IPv4 packet with its header verified, or why it is dropped. Padding behind it is cut off."""
    if len(data) < 20:
        return "shorter than an IPv4 header"
    offset = (data[0] & 15) * 4
    if data[0] >> 4 != 4 or offset < 20:
        return "no IPv4 header"
    if len(data) < offset:
        return "shorter than its IPv4 header says"
    if _from_bytes(data[:offset], "big") % 0xFFFF:
        return "wrong IPv4 header checksum"
    length = data[2] << 8 | data[3]
    if length != len(data):
        if length > len(data) or length < offset:
            return "IPv4 length does not fit"
        data = data[:length]
    if offset == 20:
        key = data[12:24]
        if length < 24:
            key = b""
    else:
        key = data[12:20] + data[offset : offset + 4] if length >= offset + 4 else b""
    fragment = (data[6] << 8 | data[7]) & (MF | OFFSET)
    source, destination = data[12:16], data[16:20]
    if kind is not Packet:
        return kind(data, AF_INET, data[9], offset, data[8], source, destination, key, fragment, device, mark, unicast)
    return Packet(data, AF_INET, data[9], offset, data[8], source, destination, key, fragment, device, mark, unicast)


def parse6(
    data: bytes, device: str = "", mark: int = 0, unicast: bool = True, kind: type[Packet] = Packet,
    whole_headers: bool = False, most_headers: int = ANY_NUMBER,
) -> Packet | str:  # fmt: skip
    """An IPv6 packet, its extension headers walked through, or why it is dropped. Padding behind it is cut off.

    With ``whole_headers`` a header that the packet ends within is a broken one even where its beginning tells what follows.
    With more than ``most_headers`` of them the last one is, too.
    """
    if len(data) < 40:
        return "shorter than an IPv6 header"
    first, length, protocol, hops = _HEADER6(data)
    if first >> 28 != 6:
        return "no IPv6 header"
    if length or protocol != HOP_BY_HOP:
        if length + 40 > len(data):
            return "IPv6 length does not fit"
        if length + 40 < len(data):
            data = data[: length + 40]
    fragment, offset = 0, 40
    if protocol in _EXTENSIONS:
        walked = walk6(data, 40, protocol, most_headers)
        if walked is None or (whole_headers and walked[1] > len(data)):
            # only a host looks that far: the packet may be on its way to another
            if protocol == HOP_BY_HOP:
                offset = 40 + (data[41] + 1) * 8 if len(data) >= 48 else len(data)
                if offset >= len(data):
                    return "broken IPv6 extension headers"
            walked = BROKEN, offset, 0
        protocol, offset, fragment = walked
        key = data[8:40] + data[offset : offset + 4] if len(data) >= offset + 4 and protocol != BROKEN else b""
    else:
        key = data[8:44] if len(data) >= 44 else b""
    return kind(data, AF_INET6, protocol, offset, hops, data[8:24], data[24:40], key, fragment, device, mark, unicast)


def walk6(data: bytes, offset: int, following: int, most: int = ANY_NUMBER) -> tuple[int, int, int] | None:
    """Through extension headers to (protocol, its offset, fragment field), as ipv6_find_hdr does for any target (6.1).

    Behind the fragment header of a later fragment there is nothing to read: its next header is returned as it is. Two bytes
    of an authentication header tell what would follow it. (So do they of others, and what is cut there is dropped later.)
    """
    fragment = 0
    while following in _EXTENSIONS and following != NO_NEXT:
        most -= 1
        if most < 0 or len(data) < offset + (2 if following == AH else 8):
            return None
        after, size = data[offset], data[offset + 1]
        if following == FRAGMENT:
            fragment = _from_bytes(data[offset + 2 : offset + 4], "big") | FRAGMENTED
            if fragment & OFFSET6:
                return after, offset + 8, fragment
            offset += 8
        elif following == AH:
            offset += (size + 2) * 4
        else:
            offset += (size + 1) * 8
        following = after
    return following, offset, fragment


def walk_quoted6(data: bytes, most: int = ANY_NUMBER, *, whole: bool = False) -> tuple[int, int, int] | None:
    """The same through a packet that an error quotes, which nobody has looked at before: as many bytes of a header as
    ipv6_find_hdr reads are enough (with ``whole`` all that it says to have), and behind the fragment header of a later
    fragment no header is looked for: the offset stays where the quoted packet begins (net/ipv6/exthdrs_core.c, 6.1 to 7.2).
    """
    offset, following, fragment = 40, data[6], 0
    while following in _EXTENSIONS and following != NO_NEXT:
        most -= 1
        if most < 0 or len(data) < offset + (4 if following in (FRAGMENT, ROUTING) else 2):
            return None
        after, size = data[offset], (data[offset + 1] + 1) * 8
        if following == FRAGMENT:
            fragment, size = _from_bytes(data[offset + 2 : offset + 4], "big") | FRAGMENTED, 8
            if fragment & OFFSET6:
                return None if after in _EXTENSIONS and after != NO_NEXT else (after, 0, fragment)
        elif following == AH:
            size = (data[offset + 1] + 2) * 4
        if whole and len(data) < offset + size:
            return None
        offset += size
        following = after
    return following, offset, fragment


def ends_within(data: bytes) -> int:
    """The extension header within whose first eight bytes a broken IPv6 packet ends for a host, which looks no further than
    an authentication header; where it is none, what follows."""
    following, at = data[6], 40
    while following in _EXTENSIONS and following not in (NO_NEXT, AH) and len(data) >= at + 8:
        following, at = data[at], at + (8 if following == FRAGMENT else (data[at + 1] + 1) * 8)
    return following


def is_cut_fragment(data: bytes) -> bool:
    """Whether an IPv6 packet ends within the first four bytes of its fragment header, or within the header of a later
    fragment: reassembly at the input drops it.

    Recorded of 6.1.176 (``tests/data/traces/fragment-header-*``); one that says it has no payload passes, for it may be a
    jumbogram (nf_ct_frag6_gather, net/ipv6/netfilter/nf_conntrack_reasm.c).
    """
    following, at = data[6], 40
    while following != FRAGMENT:
        if following not in _EXTENSIONS or following == NO_NEXT or len(data) < at + 2:
            return False
        size = data[at + 1]
        following, at = data[at], at + ((size + 2) * 4 if following == AH else (size + 1) * 8)
    if data[4:6] == b"\0\0" or not at <= len(data) < at + 8:
        return False
    return len(data) < at + 4 or bool(_from_bytes(data[at + 2 : at + 4], "big") & OFFSET6)


def quote(
    data: bytes, family: int, *, reverse: bool, any_version: bool = False, any_length: bool = False,
    walk: Callable[[bytes], tuple[int, int, int] | None] | None = None,
) -> Packet | None:  # fmt: skip
    """The packet that an ICMP error quotes, as far as it was quoted; ``reverse`` turns its direction round.

    None where there is no header to read. Its checksum and the packet's length are not looked at; with ``any_version`` and
    ``any_length`` neither are the version that a header says, and the length that an IPv4 header says of itself (one that
    says less than 20 bytes has its ports within it); ``walk`` goes through the extension headers of IPv6 (:func:`walk6`).
    """
    if family == AF_INET:
        if len(data) < 20 or not (any_version or data[0] >> 4 == 4) or not (any_length or data[0] & 15 >= 5):
            return None
        protocol, offset, fragment = data[9], (data[0] & 15) * 4, _from_bytes(data[6:8], "big") & (MF | OFFSET)
        source, destination, hops = data[12:16], data[16:20], data[8]
    else:
        if len(data) < 40 or not (any_version or data[0] >> 4 == 6):
            return None
        walked = walk6(data, 40, data[6]) if walk is None else walk(data)
        if walked is None:
            return None
        protocol, offset, fragment = walked
        source, destination, hops = data[8:24], data[24:40], data[7]
    ports = data[offset : offset + 4]
    if reverse:
        source, destination, ports = destination, source, ports[2:] + ports[:2]
    key = source + destination + ports if len(ports) == 4 else b""
    return Quoted(data, family, protocol, offset, hops, source, destination, key, fragment)


def middle4(data: bytes, hops: int, change: int = 0) -> bytes:
    """Lifetime, protocol and checksum (bytes 8 to 11) of an IPv4 header that had a right checksum, with another lifetime;
    ``change`` is what else is added to the sum of its words. It is the checksum that :func:`sign4` would compute."""
    rest = (0xFFFF - (data[10] << 8 | data[11]) + change - (data[8] - hops << 8)) % 0xFFFF
    return (hops << 24 | data[9] << 16 | (0xFFFF - rest if rest else 0)).to_bytes(4, "big")


def with_hops4(data: bytes, hops: int) -> bytes:
    """An IPv4 packet with another TTL, its header checksum updated as ip_decrease_ttl (include/net/ip.h, 6.1) would."""
    change = (data[8] - hops) << 8
    check = _from_bytes(data[10:12], "big") + change
    check = (check & 0xFFFF) + (check >> 16)
    if check == 0xFFFF:
        check = 0
    return b"".join((data[:8], bytes((hops, data[9])), check.to_bytes(2, "big"), data[12:]))


def with_hops6(data: bytes, hops: int) -> bytes:
    """An IPv6 packet with another hop limit."""
    return data[:7] + bytes((hops,)) + data[8:]


def with_hops(packet: Packet, hops: int) -> bytes:
    """The packet's bytes with another lifetime."""
    return with_hops4(packet.data, hops) if packet.family == AF_INET else with_hops6(packet.data, hops)


def sign4(header: bytes) -> bytes:
    """An IPv4 header (options included) with its checksum computed anew."""
    bare = header[:10] + header[12:]
    rest = _from_bytes(bare, "big") % 0xFFFF
    return header[:10] + (0xFFFF - rest if rest else 0).to_bytes(2, "big") + header[12:]
