"""The hashes of dh, sh, lblc, lblcr (``hash_32``, include/linux/hash.h) and mh (``hsiphash``, lib/siphash.c), Linux 6.1."""

from __future__ import annotations

from typing import Final

_GOLDEN_RATIO_32: Final = 0x61C88647
_64 = 0xFFFFFFFFFFFFFFFF
_START: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)

PROTOCOLS_WITH_PORTS: Final = frozenset({6, 17, 132})
"""TCP, UDP, SCTP: where sh and mh can hash the client's port."""


def hash_32(value: int, bits: int) -> int:
    """The top ``bits`` of the 32-bit product with the golden ratio."""
    return (value * _GOLDEN_RATIO_32 & 0xFFFFFFFF) >> 32 - bits


def fold(address: bytes) -> int:
    """An address as the u32 that IPVS hashes: IPv4 in host order, IPv6 its four words XORed (``ip_vs_addr_fold``)."""
    whole = int.from_bytes(address, "big")
    if len(address) == 4:
        return whole
    whole ^= whole >> 64
    return (whole ^ whole >> 32) & 0xFFFFFFFF


def hsiphash(value: int, key: int) -> int:
    """SipHash-1-3 of the four little-endian bytes of ``value``, both words of the key being ``key``; its low 32 bits."""
    a, b, c, d = key ^ _START[0], key ^ _START[1], key ^ _START[2], key ^ _START[3]
    block = 4 << 56 | value
    a, b, c, d = _round(a, b, c, d ^ block)
    a, b, c, d = _round(a ^ block, b, c ^ 0xFF, d)
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    return (a ^ b ^ c ^ d) & 0xFFFFFFFF


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    """One SipRound; the words stay below 2^64."""
    a = a + b & _64
    b = (b << 13 & _64 | b >> 51) ^ a
    a = a << 32 & _64 | a >> 32
    c = c + d & _64
    d = (d << 16 & _64 | d >> 48) ^ c
    a = a + d & _64
    d = (d << 21 & _64 | d >> 43) ^ a
    c = c + b & _64
    b = (b << 17 & _64 | b >> 47) ^ c
    c = c << 32 & _64 | c >> 32
    return a, b, c, d
