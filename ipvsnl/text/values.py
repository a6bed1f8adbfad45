"""The values of options, read as ipvsadm reads them; ValueError where it refuses, the caller knows the words."""

from __future__ import annotations

from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_aton, inet_ntoa, inet_ntop, inet_pton

from ipvsnl.consts import AF_INET, GENERIC_SCHEDULER_FLAGS, SCHEDULER_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACES = " \t\n\v\f\r"
_DIGITS = frozenset("0123456789")
TIMEOUT_MAX = 31 * 24 * 3600
MASK_HOST = "255.255.255.255"


def _leading(text: str) -> tuple[int, str]:
    """The decimal number that ``text`` begins with, and what follows; like strtol, blanks and one sign may lead."""
    body = text.lstrip(_SPACES)
    sign = body[:1] if body[:1] in ("+", "-") else ""
    digits = body[len(sign) :]
    end = 0
    while end < len(digits) and digits[end] in _DIGITS:
        end += 1
    if not end:
        raise ValueError(text)
    # Longer ones are out of every range; int() of a very long text would refuse in its own way.
    number = int(digits[:end]) if end <= 40 else 10**40 * (digits[:end].strip("0") != "")
    return (-number if sign == "-" else number), digits[end:]


def number(text: str, low: int, high: int) -> int:
    """A whole decimal number from ``low`` to ``high``; leading blanks, a plus and zeros pass."""
    value, rest = _leading(text)
    if rest or not low <= value <= high:
        raise ValueError(text)
    return value


def host_address(text: str) -> str:
    """The IPv4 address of ``text``: any form that inet_aton takes (10.1, 0x0a000001, 010.0.0.1), or a host's name."""
    try:
        return inet_ntoa(inet_aton(text))
    except (OSError, ValueError):
        return _resolve(text)


def _resolve(name: str) -> str:
    from _socket import gethostbyname_ex

    # Python's call gives some words a meaning of their own; no host has such a name.
    if not name or name.startswith("<"):
        raise ValueError(name)
    try:
        # As bytes, which it takes too: text would go through the codec for international names, and cost its import.
        raw: Any = name.encode("utf-8", "surrogateescape")
        return str(gethostbyname_ex(raw)[2][0])
    except (OSError, IndexError, ValueError, TypeError):
        raise ValueError(name) from None


def port_number(text: str, protocol: str) -> int:
    """A port, or the name that /etc/services has for it under ``protocol`` (empty: no name is known)."""
    try:
        return number(text, 0, 65535)
    except ValueError:
        if not protocol or not text:
            raise
    from _socket import getservbyname

    try:
        return int(getservbyname(text, protocol))
    except OSError:
        raise ValueError(text) from None


def service_address(text: str, protocol: str) -> tuple[str, int | None]:
    """Address and port (None: not given) of ``host[:port]``, ``[v6]:port`` or a bare IPv6 address.

    Digits alone are refused. Brackets need a colon after them, and around an IPv4 address they hide the port: what
    follows them is not looked at again.
    """
    if all(digit in _DIGITS for digit in text):
        raise ValueError(text)
    host, port = text, None
    if text[0] == "[":
        host, bracket, after = text[1:].partition("]")
        if not bracket or after[:1] != ":":
            raise ValueError(text)
        port = after[1:]
    try:
        address = inet_ntop(HOST_AF_INET6, inet_pton(HOST_AF_INET6, host))
    except (OSError, ValueError):
        host, colon, port = _last_colon(host)
        address = host_address(host)
        port = port if colon else None
    return address, None if port is None else port_number(port, protocol)


def _last_colon(text: str) -> tuple[str, str, str]:
    host, colon, port = text.rpartition(":")
    return (host, colon, port) if colon else (text, "", "")


def netmask(text: str) -> str | None:
    """An IPv4 netmask as dotted quad, None for the mask of one host. Anything that is an address or a host passes."""
    mask = host_address(text)
    return None if mask == MASK_HOST else mask


def prefix_length(text: str) -> int | None:
    """An IPv6 prefix length, None for 128. What follows the digits is not looked at, and 32 bits count, as in C."""
    value, _ = _leading(text)
    value = max(min(value, 2**63 - 1), -(2**63)) & 0xFFFFFFFF
    if not 1 <= value <= 128:
        raise ValueError(text)
    return None if value == 128 else value


def multicast_group(text: str) -> str:
    """A multicast address of either family, in full."""
    if ":" in text:
        packed = inet_pton(HOST_AF_INET6, text)
        if packed[0] != 0xFF:
            raise ValueError(text)
        return inet_ntop(HOST_AF_INET6, packed)
    packed = inet_pton(AF_INET, text)
    if packed[0] >> 4 != 0xE:
        raise ValueError(text)
    return inet_ntop(AF_INET, packed)


class FlagError(ValueError):
    """A scheduler flag that does not exist, or not for this scheduler."""


def scheduler_flags(text: str, scheduler: str, *, numbers: bool = False) -> int:
    """The bits of comma-separated flag names; empty names between commas are passed over. ``numbers``: bits without name."""
    bits = 0
    for name in text.split(","):
        if not name:
            continue
        own = SCHEDULER_FLAGS.get(scheduler, {})
        if name in GENERIC_SCHEDULER_FLAGS:
            bits |= GENERIC_SCHEDULER_FLAGS[name]
        elif name in own:
            bits |= own[name]
        elif numbers and name.isdecimal() and name.isascii() and len(name) <= 10 and int(name) < 2**32:
            bits |= int(name)
        elif any(name in flags for flags in SCHEDULER_FLAGS.values()):
            raise FlagError(f"incompatible scheduler flag `{name}'")
        else:
            raise FlagError(f"invalid scheduler flag `{name}'")
    return bits
