"""IPv6 options (ip6_parse_tlv, net/ipv6/exthdrs.c, Linux 6.1).

A host looks hop-by-hop options through before all else, and destination options when it takes a packet in.
"""

from __future__ import annotations

from typing import Final

from ipvssim.net.packets import DESTINATION, HOP_BY_HOP

PAD1: Final = 0
PADN: Final = 1
ROUTER_ALERT: Final = 5
IOAM: Final = 0x31
JUMBO: Final = 0xC2
HEADER_FIELD: Final = 0
UNKNOWN_OPTION: Final = 2
INCOMPLETE: Final = 3
"""Codes of a parameter problem."""
_MOST_PADDING: Final = 7
"""Bytes in a row: more would be no alignment."""
_MOST_OPTIONS: Final = 8
"""net.ipv6.max_hbh_opts_number, and max_dst_opts_number."""


class BadOption6Error(Exception):
    """Options that a packet is dropped for: ``pointer`` and ``code`` of the parameter problem; -1: without an answer."""

    def __init__(self, pointer: int = -1, code: int = UNKNOWN_OPTION) -> None:
        super().__init__(f"bad IPv6 option at byte {pointer}")
        self.pointer = pointer
        self.code = code


def verify_hops(data: bytes) -> None:
    """Look through the hop-by-hop header, the first of an IPv6 packet; :class:`BadOption6Error` where it is refused."""
    _verify(data, 40, HOP_BY_HOP)


def verify_older_hops(data: bytes) -> None:
    """As kernels did that do not know IOAM."""
    _verify(data, 40, HOP_BY_HOP, ioam=False)


def verify_destination(data: bytes) -> None:
    """The same for the destination options that stand before anything else than options."""
    at, following = 40, data[6]
    while following in (HOP_BY_HOP, DESTINATION):
        if following == DESTINATION:
            _verify(data, at, DESTINATION)
        at, following = at + 8 + 8 * data[at + 1], data[at]


def _verify(data: bytes, start: int, header: int, *, ioam: bool = True) -> None:
    end = start + 8 + 8 * data[start + 1]
    if end > len(data):
        raise BadOption6Error
    at, padding, options = start + 2, 0, 0
    while at < end:
        kind = data[at]
        size = 1 if kind == PAD1 else 2 + data[at + 1] if at + 1 < end else end
        if at + size > end:
            raise BadOption6Error
        if kind in (PAD1, PADN):
            padding += size
            if padding > _MOST_PADDING or (kind == PADN and any(data[at + 2 : at + size])):
                raise BadOption6Error
        else:
            padding, options = 0, options + 1
            if options > _MOST_OPTIONS:
                raise BadOption6Error
            if kind != IOAM or header != HOP_BY_HOP or not ioam:
                _judge(data, kind, at, header)
            elif at & 3:
                raise BadOption6Error
        at += size


def _judge(data: bytes, kind: int, at: int, header: int) -> None:
    """An option: known, or by the two bits that say what to do with an unknown one."""
    if header == HOP_BY_HOP and kind == ROUTER_ALERT:
        if data[at + 1] != 2:
            raise BadOption6Error
    elif header == HOP_BY_HOP and kind == JUMBO:
        _judge_jumbo(data, at)
    elif kind >> 6 == 1:
        raise BadOption6Error
    elif kind >> 6 == 2 or (kind >> 6 == 3 and data[24] != 0xFF):
        raise BadOption6Error(at)
    elif kind >> 6 == 3:
        raise BadOption6Error


def _judge_jumbo(data: bytes, at: int) -> None:
    """A jumbo payload is longer than 65535 bytes, and the header's own length 0 then: no packet here is one."""
    if data[at + 1] != 4 or at & 3 != 2:
        raise BadOption6Error
    if int.from_bytes(data[at + 2 : at + 6], "big") <= 65535:
        raise BadOption6Error(at + 2, HEADER_FIELD)
    if data[4] or data[5]:
        raise BadOption6Error(at, HEADER_FIELD)
    raise BadOption6Error
