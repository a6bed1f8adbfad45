"""What FTP says about data connections, read as the kernel's helper reads it (net/netfilter/ipvs/ip_vs_ftp.c, Linux 6.1).

The helper sees one packet's payload at a time: a command or an answer that is cut in two is none. Where a client's packet
asks for several things, the first PASV or EPSV in it counts; PORT and EPRT have to stand at its beginning.
"""

from __future__ import annotations

from _socket import AF_INET6, inet_pton
from typing import Final, NamedTuple

from ipvssim.path.helpers.entries import EPSV, PASV

_DIGITS: Final = frozenset(b"0123456789")
_CR: Final = 0x0D
_SPACE: Final = 0x20


class Endpoint(NamedTuple):
    """An address (empty: none was said) and a port, and from where to where they stand in the payload."""

    address: bytes
    port: int
    start: int
    end: int


def asked(payload: bytes, six: bool) -> int | None:
    """The passive mode that a client's packet asks for, PASV or EPSV; None where it asks for none.

    Anything but the packet's own family behind ``EPSV`` ends the search.
    """
    for at in range(len(payload) - 5):
        word = payload[at : at + 7].upper()
        if not six and word.startswith(b"PASV\r\n"):
            return PASV
        if word.startswith(b"EPSV") and word[4] in (_SPACE, _CR):
            if word[4] == _SPACE and word[5:] != (b"2\r" if six else b"1\r"):
                return -1
            return EPSV
    return None


def plain(payload: bytes, words: bytes, skipped: bytes, *, wraps: bool) -> Endpoint | None:
    """Six numbers with commas between, as PORT and 227 have them. They begin with the first digit, or behind ``skipped``.

    ``wraps``: a number above 255 counts by its low byte, as in 6.1.176; in 6.1.192 there is no such number.
    """
    at = _behind(payload, words, skipped, digits=True)
    if at is None:
        return None
    numbers, start = [0], at
    while at < len(payload):
        byte = payload[at]
        if byte in _DIGITS:
            numbers[-1] = numbers[-1] * 10 + byte - 0x30
            if numbers[-1] > 0xFF:
                if not wraps:
                    return None
                numbers[-1] &= 0xFF
        elif byte == 0x2C and len(numbers) < 6:
            numbers.append(0)
        else:
            break
        at += 1
    if at == len(payload) or len(numbers) < 6:
        return None
    return Endpoint(bytes(numbers[:4]), numbers[4] << 8 | numbers[5], start, at)


def extended(payload: bytes, words: bytes, skipped: bytes, six: bool, *, answer: bool) -> Endpoint | None:
    """``|2|2001:db8::1|1024|`` with any delimiter, as EPRT has it; an ``answer`` (229) may leave family and address out."""
    at = _behind(payload, words, skipped, digits=False)
    if at is None or at >= len(payload) or not 33 <= payload[at] <= 126:
        return None
    mark, start = payload[at : at + 1], at
    address = b""
    if payload[at + 1 : at + 2] == mark:
        if not answer or payload[at + 2 : at + 3] != mark:
            return None
        at += 3
    else:
        if payload[at + 1 : at + 3] != (b"2" if six else b"1") + mark:
            return None
        found = _address6(payload, at + 3, mark) if six else _address4(payload, at + 3, mark)
        if found is None:
            return None
        address, at = found
    port = 0
    while at < len(payload) and payload[at] in _DIGITS:
        port = port * 10 + payload[at] - 0x30
        if port > 0xFFFF:
            return None
        at += 1
    if not port or payload[at : at + 1] != mark:
        return None
    return Endpoint(address, port, start, at + 1)


def _behind(payload: bytes, words: bytes, skipped: bytes, *, digits: bool) -> int | None:
    """Where the numbers begin: behind the words and what is skipped."""
    if payload[: len(words)].upper() != words:
        return None
    found = False
    for at in range(len(words), len(payload)):
        if digits and not found and payload[at] in _DIGITS:
            return at
        if payload[at] == skipped[0]:
            found = True
        elif found:
            return at
    return None


def _address4(payload: bytes, at: int, mark: bytes) -> tuple[bytes, int] | None:
    """Four numbers with dots, ended by the delimiter, and where that is left behind."""
    numbers: list[int] = []
    number: int | None = None
    while at < len(payload):
        byte = payload[at : at + 1]
        if byte == mark or byte in b".:\0":
            if number is None:
                return None
            numbers.append(number)
            if byte != b"." or byte == mark:
                break
            number = None
            if len(numbers) == 4:
                return None
        elif byte.isdigit():
            number = (number or 0) * 10 + byte[0] - 0x30
            if number > 0xFF:
                return None
        else:
            return None
        at += 1
    if len(numbers) != 4 or payload[at : at + 1] != mark:
        return None
    return bytes(numbers), at + 1


def _address6(payload: bytes, at: int, mark: bytes) -> tuple[bytes, int] | None:
    end = payload.find(mark, at)
    if end < 0:
        return None
    try:
        return inet_pton(AF_INET6, payload[at:end].decode("ascii")), end + 1
    except (OSError, ValueError):
        return None
