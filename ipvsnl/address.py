"""Addresses between text and the sixteen bytes that the wire has for both families.

Uses the C module under :mod:`socket` for the two conversions alone: the package opens sockets only in ``link``, and
importing all of :mod:`socket` would cost 7 ms at every start.
"""

from __future__ import annotations

from _socket import inet_ntop, inet_pton

from ipvsnl.consts import AF_INET, AF_INET6
from ipvsnl.errors import EncodeError

ZEROES = bytes(12)


def family_of(text: str) -> int:
    """AF_INET6 for text with a colon, else AF_INET."""
    return AF_INET6 if ":" in text else AF_INET


def pack(text: str) -> bytes:
    """Sixteen bytes in network order, an IPv4 address in the first four; EncodeError for text that is no address."""
    try:
        return inet_pton(AF_INET6, text) if ":" in text else inet_pton(AF_INET, text) + ZEROES
    except (OSError, ValueError, TypeError):
        raise EncodeError(f"not an IP address: {text!r}") from None


def unpack(family: int, data: bytes) -> str:
    """The text of the address in ``data`` (4 or 16 bytes; for IPv4 the first four count)."""
    return inet_ntop(AF_INET, data[:4]) if family == AF_INET else inet_ntop(AF_INET6, data)


def canonical(text: str) -> str:
    """The one spelling of an IPv6 address (RFC 5952); IPv4 text has but one and is returned as it is."""
    return inet_ntop(AF_INET6, pack(text)) if ":" in text else text
