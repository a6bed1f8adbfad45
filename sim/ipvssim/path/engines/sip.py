"""The SIP persistence engine: a client is recognised by the Call-ID of its UDP datagrams.

After net/netfilter/ipvs/ip_vs_pe_sip.c, and the header search of net/netfilter/nf_conntrack_sip.c that it uses (Linux 6.1).
The address, as far as the service's mask leaves it, is still part of what is compared: one Call-ID from two networks has
two templates.
"""

from __future__ import annotations

from typing import Final

from ipvssim.net.packets import UDP, Packet

NAME: Final = "sip"
LONGEST: Final = 255
"""The longest Call-ID that is taken (IP_VS_PEDATA_MAXLEN)."""
_HEADER: Final = b"call-id"
_COMPACT: Final = b"i"
_WORD: Final = frozenset(b"0123456789-.!%*_+`'~()<>:\\\"/[]?{}")


def call_id(packet: Packet) -> bytes | None:
    """The packet's Call-ID; None where it has none that is taken: such a packet opens no connection, it is dropped."""
    start = packet.offset + 8
    if packet.protocol != UDP or packet.quoted or len(packet.data) <= start:
        return None
    message = packet.data[start:]
    at = 0
    while True:
        found = _find(message, at)
        if found is None:
            return None
        place, size = found
        if size:
            break
        at += place  # the kernel adds what is counted from the beginning already
        if at >= len(message):
            return None
    end = place + size
    if size > LONGEST or end == len(message) or message[end] not in b"\r\n":
        return None
    return message[place:end]


def _find(message: bytes, at: int) -> tuple[int, int] | None:
    """Where the value of the first such header behind ``at`` begins, and its length (0: it is no Call-ID)."""
    limit = len(message)
    while at < limit:
        if message[at] not in b"\r\n":
            at += 1
            continue
        at += 1
        if at < limit and message[at - 1 : at + 1] == b"\r\n":
            at += 1
        if at >= limit:
            return None
        behind = _named(message, at) if message[at] not in b" \t" else None
        if behind is None:
            at += 1
            continue
        behind = _past_blanks(message, behind)
        if behind >= limit or message[behind] != 0x3A or behind + 1 >= limit:
            return None
        behind = _past_blanks(message, behind + 1)
        return (behind, _length(message, behind)) if behind < limit else None
    return None


def _named(message: bytes, at: int) -> int | None:
    """Behind the header's name, long or compact; None where another header stands."""
    if message[at : at + len(_HEADER)].lower() == _HEADER:
        return at + len(_HEADER)
    short = message[at : at + 2].lower()
    return at + 1 if len(short) == 2 and short[:1] == _COMPACT and not _is_letter(short[1]) else None


def _is_letter(byte: int) -> bool:
    """A letter of Latin-1, as the kernel's table of characters has them."""
    return chr(byte).isalpha() and byte not in (0xAA, 0xB5, 0xBA)


def _past_blanks(message: bytes, at: int) -> int:
    """Behind blanks, and behind one end of a line that a blank follows (a continued line)."""
    limit = len(message)
    while at < limit and message[at] in b" \t":
        at += 1
    if at >= limit or message[at] not in b"\r\n":
        return at
    behind = at + (2 if message[at : at + 2] == b"\r\n" else 1)
    if behind >= limit or message[behind] not in b" \t":
        return limit
    while behind < limit and message[behind] in b" \t":
        behind += 1
    return behind


def _length(message: bytes, at: int) -> int:
    """How long the Call-ID is: a word, or two with an @ between."""
    size = _word(message, at)
    if not size or message[at + size : at + size + 1] != b"@":
        return size
    domain = _word(message, at + size + 1)
    return size + 1 + domain if domain else 0


def _word(message: bytes, at: int) -> int:
    start, limit = at, len(message)
    while at < limit and (message[at] in _WORD or _is_letter(message[at])):
        at += 1
    return at - start
