"""Checksums of packets: the Internet's, and CRC32c for SCTP.

The Internet checksum adds 16-bit words with end-around carry. Such a sum is the number itself modulo 65535, so Python's
integers take a header or a whole packet in one operation. Only the two zeros (0 and 65535) need care: the kernel's folding
yields 65535 for every sum that is a positive multiple (``csum_fold``, include/asm-generic/checksum.h, Linux 6.1).
"""

from __future__ import annotations

from typing import Final

_ONES: Final = 0xFFFF
_from_bytes: Final = int.from_bytes


def total(data: bytes) -> int:
    """The sum of the 16-bit words modulo 65535; an odd last byte is padded with a zero."""
    if len(data) & 1:
        return (_from_bytes(data, "big") << 8) % _ONES
    return _from_bytes(data, "big") % _ONES


def finish(number: int) -> int:
    """The checksum of data that is not all zeros and whose sum is ``number`` (any integer with the right remainder)."""
    rest = number % _ONES
    return _ONES - rest if rest else 0


def checksum(data: bytes) -> int:
    """The checksum field for ``data``, in which the field itself is zero."""
    return finish(total(data))


def is_valid(data: bytes, start: int = 0) -> bool:
    """Whether data that contains its checksum, with ``start`` for the rest (a pseudo header), adds up."""
    return not (total(data) + start) % _ONES


def pseudo(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The sum of a pseudo header: both families add up to the same form."""
    return total(source) + total(destination) + protocol + length % _ONES


def transport(source: bytes, destination: bytes, protocol: int, segment: bytes) -> int:
    """The checksum field for a TCP, UDP or ICMPv6 message whose field is zero."""
    return finish(total(segment) + pseudo(source, destination, protocol, len(segment)))


def _make_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC32C: Final = _make_table()


def crc32c(*parts: bytes) -> int:
    """CRC32c (Castagnoli) of the parts in sequence."""
    crc = 0xFFFFFFFF
    table = _CRC32C
    for part in parts:
        for byte in part:
            crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
