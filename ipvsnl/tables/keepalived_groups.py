"""Words of a ``keepalived.conf`` that are numbers and addresses, and the groups of virtual servers."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from ipvsnl.consts import AF_INET, AF_INET6
from ipvsnl.tables.keepalived_words import wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ipvsnl.tables.keepalived_words import Place, Statement

    Member = tuple[dict[str, Any], Place]
    """The fields of a service's key."""

MEMBERS = 65536
"""Addresses that the ranges of a group may have altogether."""


def number_of(of: Statement, index: int, low: int, high: int, what: str) -> int:
    """A word that is a whole number within limits."""
    word = word_of(of, index, what)
    if not (word.isascii() and word.isdecimal() and len(word) <= 10 and low <= int(word) <= high):
        raise wrong(of.place, f"{what} {word!r} is not a number from {low} to {high}")
    return int(word)


def word_of(of: Statement, index: int, what: str) -> str:
    """A word that must be there."""
    if len(of.words) <= index:
        raise wrong(of.place, f"{of.words[0]}: {what} is missing")
    return of.words[index]


def address_of(of: Statement, index: int) -> str:
    """A word that is an address, in its one spelling."""
    word = word_of(of, index, "the address")
    try:
        return str(ip_address(word))
    except ValueError:
        raise wrong(of.place, f"{word!r} is no address") from None


def port_of(of: Statement, index: int) -> int | None:
    """The port, where there is one."""
    return number_of(of, index, 0, 65535, "port") if len(of.words) > index else None


class Group:
    """A virtual_server_group: the keys of its services. It is read when it is asked for first, so unused ones may be odd."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement

    def members(self) -> Iterator[Member]:
        """The keys, in their order."""
        left = MEMBERS
        for one in self._statement.block or []:
            if one.words[0] == "fwmark":
                family = {"inet": AF_INET, "inet6": AF_INET6}.get(one.words[2]) if len(one.words) > 2 else None
                yield {"fwmark": number_of(one, 1, 1, 2**32 - 1, "fwmark"), "family": family or 0}, one.place
                continue
            first, last = _range(one)
            left -= last - first + 1
            if left < 0:
                raise wrong(one.place, f"more than {MEMBERS} addresses")
            port = port_of(one, 1) or 0
            kind = type(ip_address(one.words[0].partition("-")[0].partition("/")[0]))
            for address in range(first, last + 1):
                yield {"address": str(kind(address)), "port": port}, one.place


def _range(of: Statement) -> tuple[int, int]:
    """The first and the last address of ``A``, ``A-N``, ``A-B`` or ``A/LENGTH``."""
    word = of.words[0]
    begin, dash, end = word.partition("-")
    try:
        if "/" in word:
            network = ip_network(word)  # with bits beyond the length keepalived refuses it, too
            return int(network.network_address), int(network.broadcast_address)
        first = ip_address(begin)
        if not dash:
            return int(first), int(first)
        if "." in end or ":" in end:
            last = ip_address(end)
            if last.version != first.version:
                raise ValueError(word)
            return _ordered(int(first), int(last))
        size, base = (256, 10) if first.version == 4 else (65536, 16)
        return _ordered(int(first), int(first) // size * size + int(end, base) % size)
    except ValueError:
        raise wrong(of.place, f"{word!r} is no address and no range of them") from None


def _ordered(first: int, last: int) -> tuple[int, int]:
    if last < first:
        raise ValueError(last)
    return first, last
