"""Cutting packets up that are longer than the way allows (net/ipv4/ip_output.c, net/ipv6/ip6_output.c, Linux 6.1)."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from ipvssim.net.options4 import of_later_fragments
from ipvssim.net.packets import DESTINATION, DF, FRAGMENT, HOP_BY_HOP, MF, OFFSET, ROUTING, sign4

_AHEAD: Final = (HOP_BY_HOP, ROUTING, DESTINATION)


def split4(
    data: bytes, limit: int, *, keep_df: bool = False, cuts: tuple[int, ...] = (), copies_all: bool = False
) -> list[bytes]:
    """An IPv4 packet in pieces of at most ``limit`` bytes; at ``cuts`` where those pieces fit (``ip_do_fragment``).

    DF is lost, unless the packet's own fragments had it (``keep_df``) and it is cut anew. ``copies_all``: along ``cuts``
    later pieces have all options, as kernels without ``later_options`` give them.
    """
    start = (data[0] & 15) * 4
    payload = data[start:]
    old = int.from_bytes(data[6:8], "big")
    base, more_behind = old & OFFSET, old & MF
    room = limit - start
    spans = _along(len(payload), room, cuts)
    df = DF if keep_df and not spans else 0
    options = data[20:start]
    later = options if spans and copies_all else of_later_fragments(options)
    pieces = []
    for at, end in spans or _ranges(len(payload), room):
        field = df | base + at // 8 | (MF if end < len(payload) or more_behind else 0)
        size = start + end - at
        header = (
            data[:2]
            + size.to_bytes(2, "big")
            + data[4:6]
            + field.to_bytes(2, "big")
            + data[8:20]
            + (later if at else options)
        )
        pieces.append(sign4(header) + payload[at:end])
    return pieces


def split6(data: bytes, limit: int, ident: int, *, cuts: tuple[int, ...] = ()) -> list[bytes]:
    """An IPv6 packet in fragments of at most ``limit`` bytes; at ``cuts`` where those pieces fit (``ip6_fragment``)."""
    head, before = _unfragmentable(data)
    payload = data[head:]
    name = bytearray(data[:head])
    following = name[before]
    name[before] = FRAGMENT
    pieces = []
    room = limit - head - 8
    for at, end in _along(len(payload), room, cuts) or _ranges(len(payload), room):
        field = at | (1 if end < len(payload) else 0)
        name[4:6] = (head - 40 + 8 + end - at).to_bytes(2, "big")
        fragment = bytes((following, 0)) + field.to_bytes(2, "big") + ident.to_bytes(4, "big")
        pieces.append(bytes(name) + fragment + payload[at:end])
    return pieces


def _along(size: int, room: int, cuts: tuple[int, ...]) -> list[tuple[int, int]]:
    """The pieces of a payload along ``cuts``, if all of them fit; else none."""
    bounds = [0, *(size - cut for cut in cuts), size]
    spans = list(pairwise(bounds))
    if cuts and all(0 < end - at <= room for at, end in spans) and not any((end - at) % 8 for at, end in spans[:-1]):
        return spans
    return []


def _ranges(size: int, room: int) -> list[tuple[int, int]]:
    """The pieces of a payload, as large as may be."""
    step = max(room & ~7, 8)
    spans = []
    at = 0
    while at < size:
        end = size if size - at <= room else at + step
        spans.append((at, end))
        at = end
    return spans


def _unfragmentable(data: bytes) -> tuple[int, int]:
    """Where a fragment header goes, and where the byte stands that will name it (``ip6_find_1stfragopt``): behind hop-by-hop
    options, a routing header, and those destination options that no routing header stands before."""
    before, kind, at = 6, data[6], 40
    routed = False
    while kind in _AHEAD and len(data) >= at + 8:
        if kind == DESTINATION and routed:
            break
        routed = routed or kind == ROUTING
        before, kind = at, data[at]
        at += (data[at + 1] + 1) * 8
    return at, before
