"""What addresses are by themselves, whatever routes there are: their kinds, their bits, and how they are written.

Addresses are 4 or 16 bytes in network order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ipvsnl.address import family_of, pack
from ipvsnl.consts import AF_INET
from ipvssim.net.routes import BROADCAST, MULTICAST

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

Address: TypeAlias = "str | IPv4Address | IPv6Address"
Prefix: TypeAlias = "Address | IPv4Interface | IPv6Interface | IPv4Network | IPv6Network"
"""``10.0.0.1/8``; without a length it is the one address."""
ALL_ONES: Final = b"\xff\xff\xff\xff"
ANY: Final = b"\x00\x00\x00\x00"


def parse_prefix(given: Prefix) -> tuple[bytes, int]:
    """An address and how many of its bits are the network's; ValueError for what is no prefix."""
    address, slash, length = str(given).partition("/")
    packed = parse_address(address)
    bits = len(packed) * 8
    if slash and not (length.isdecimal() and int(length) <= bits):
        raise ValueError(f"{str(given)!r}: a prefix length is a number from 0 to {bits}")
    return packed, int(length) if slash else bits


def parse_address(given: Address) -> bytes:
    """An address's bytes, none of an empty text; ValueError for what is no address."""
    text = str(given)
    if not text:
        return b""
    return pack(text)[:4] if family_of(text) == AF_INET else pack(text)


def parse_mac(given: str | bytes) -> bytes:
    """A link-layer address from six bytes or text; empty for a device that has none."""
    try:
        mac = bytes.fromhex(given.replace(":", "").replace("-", "")) if isinstance(given, str) else bytes(given)
    except ValueError:
        mac = b"?"
    if len(mac) not in (0, 6):
        raise ValueError(f"{given!r} is no link-layer address: six bytes, or text as 02:00:00:00:00:01")
    return mac


def anycast(own: bytes, length: int) -> bytes:
    """The address that a router has besides an IPv6 address of its own: the bare prefix (addrconf_join_anycast)."""
    return (int.from_bytes(own, "big") >> 128 - length << 128 - length).to_bytes(16, "big")


def holds(own: bytes, length: int, target: bytes) -> bool:
    """Whether the prefix of that length around an address holds another."""
    return common_bits(own, target) >= length


def special_kind(address: bytes) -> str:
    """The kind of an address that is one by itself, whatever routes there are; empty for all others."""
    if (len(address) == 4 and address[0] & 0xF0 == 0xE0) or (len(address) == 16 and address[0] == 0xFF):
        return MULTICAST
    return BROADCAST if address == ALL_ONES else ""


def common_bits(one: bytes, other: bytes) -> int:
    """How many bits two addresses share from the first on."""
    return len(one) * 8 - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


def is_link_local(address: bytes) -> bool:
    """fe80::/10."""
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_unique_local(address: bytes) -> bool:
    """fc00::/7: IPv6's rules for source addresses give it a label of its own (net/ipv6/addrlabel.c, Linux 6.1)."""
    return address[0] & 0xFE == 0xFC


def is_host_only(address: bytes) -> bool:
    """An address of the loopback."""
    return address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\x01"
