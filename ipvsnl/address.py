"""Addresses between text and the sixteen bytes that the wire has for both families.

Uses the C module under :mod:`socket` for the two conversions alone: the package opens sockets only in ``link``, and
importing all of :mod:`socket` would cost 7 ms at every start.
"""

from __future__ import annotations

from _socket import AF_INET6 as HOST_AF_INET6
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
        return inet_pton(HOST_AF_INET6, text) if ":" in text else inet_pton(AF_INET, text) + ZEROES
    except (OSError, ValueError, TypeError):
        raise EncodeError(f"not an IP address: {text!r}") from None


def unpack(family: int, data: bytes) -> str:
    """The text of the address in ``data`` (4 or 16 bytes; for IPv4 the first four count)."""
    return inet_ntop(AF_INET, data[:4]) if family == AF_INET else inet_ntop(HOST_AF_INET6, data)


def endpoint(address: str, port: int) -> str:
    """``10.0.0.1:80``, ``[2001:db8::1]:80``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def shown(address: bytes, port: int) -> str:
    """The same of an address as 4 or 16 bytes in network order."""
    return endpoint(inet_ntop(AF_INET if len(address) == 4 else HOST_AF_INET6, address), port)


def canonical(text: str) -> str:
    """The one spelling of an IPv6 address (RFC 5952); IPv4 text has but one and is returned as it is."""
    return inet_ntop(HOST_AF_INET6, pack(text)) if ":" in text else text


def text_of(field: str, given: object) -> str:
    """The one spelling of an address given as text or as an object of :mod:`ipaddress`; EncodeError where it is none.

    An interface (``ip_interface("10.0.0.1/24")``) is taken for its address; its network has no place in a table.
    """
    text = given if isinstance(given, str) else str(getattr(given, "ip", given)) if hasattr(given, "packed") else ""
    try:
        if ":" in text:
            return inet_ntop(HOST_AF_INET6, inet_pton(HOST_AF_INET6, text))
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        raise EncodeError(f"{field}: {given!r} is not an IPv4 or IPv6 address") from None
    return text
