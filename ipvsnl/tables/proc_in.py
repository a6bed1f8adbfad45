"""``/proc/net/ip_vs`` as a wanted table (:func:`ipvsnl.procfs.read_services` knows its lines)."""

from __future__ import annotations

import re
import sys

from ipvsnl.consts import AF_INET, AF_INET6
from ipvsnl.errors import DecodeError, EncodeError
from ipvsnl.procfs import netmask, read_listed
from ipvsnl.tables.listing_in import unsaid_note
from ipvsnl.tables.table import Table, TableError
from ipvsnl.text.listed import TUNNEL
from ipvsnl.text.pasted import echoes, pasted
from ipvsnl.text.rules import RuleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvsnl.model import Destination, Service

TICKS = 100
"""Ticks a second that are assumed, for the file does not tell its kernel's (CONFIG_HZ: 100, 250, 300 or 1000)."""
_HEX = r"([0-9A-F]{8}|\[([0-9a-f]{4}:){7}[0-9a-f]{4}\]):[0-9A-F]{4}"
_LINE = re.compile(rf"(->|TCP|UDP|SCTP|IP_\d+|IP|ICMP|ICMPv6)\s+{_HEX}\s")
_MARK = re.compile(r"FWM\s+(?=0|\S*[A-F])[0-9A-F]{8}\s")
_TITLE = "-> RemoteAddress:Port Forward Weight"


def is_proc(text: str) -> bool:
    """Whether a listing is the kernel's own, with addresses in hexadecimal."""
    for raw in text.split("\n"):
        line = pasted(raw)
        if line.startswith(_TITLE) or _LINE.match(f"{line} ") or _MARK.match(f"{line} "):
            return True
        if line.startswith(("-> RemoteAddress", "TCP ", "UDP ", "SCTP ")):
            return False
    return False


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are no titles."""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = pasted(raw)
        if line and line[0] != "#" and not echoes(line) and not line.startswith(("IP Virtual", "Prot ", "-> Remote")):
            yield number, line


class _Listed:
    """A service of the file, with its persistence in ticks, its mask's word, and its servers by line."""

    def __init__(self, line: int, service: Service, ticks: int | None, word: str) -> None:
        self.line, self.service, self.ticks, self.word = line, service, ticks, word
        self.servers: list[tuple[int, Destination]] = []

    def add_to(self, table: Table, hz: int | None) -> None:
        """Add it to a table, and note what of it is not known."""
        service, unsaid = self.service, set()
        if self.ticks is not None:
            service = service.replace(persistence=max(min(1, self.ticks), self.ticks // (hz or TICKS)))
            if hz is None:
                unsaid.add("persistence")
        if service.fwmark:
            family = family_of_mark([server for _, server in self.servers], self.word if self.ticks is not None else "")
            mask = netmask(self.word, "::" if family == AF_INET6 else "") if self.ticks is not None else None
            service = service.replace(family=family, netmask=mask)
        elif service.family == AF_INET6:  # nor, of IPv6, whether packets are scheduled one by one
            unsaid.add("one_packet")
        table.add_service(service, self.line)
        if unsaid:
            table.unsaid_of[service.key] = unsaid
        for line, server in self.servers:
            table.add_server(service, server, line)


def family_of_mark(servers: list[Destination], word: str = "") -> int:
    """The family that a mark is taken for, since the file does not tell it: that of its servers which are no tunnel's, for
    these have the mark's; else what its mask can be (``word``, where it is persistent); else that of the tunnels, where they
    have but one."""
    bound = [server for server in servers if server.forwarding != "tunnel"]
    if not bound and word:
        return AF_INET6 if 1 <= int.from_bytes(bytes.fromhex(word), sys.byteorder) <= 128 else AF_INET
    found = {server.family for server in bound or servers}
    return AF_INET6 if found == {AF_INET6} else AF_INET


def own_ticks() -> int | None:
    """Ticks a second of the kernel that runs this process; None where it does not tell.

    The resolution of its coarse clocks is a tick (``posix_get_coarse_res``, posix-timers.c, Linux 6.1).
    """
    import time

    try:
        return round(1 / time.clock_getres(6))  # CLOCK_MONOTONIC_COARSE, which Python has no name for
    except (AttributeError, OSError, ZeroDivisionError):
        return None


def read(text: str, source: str = "", hz: int | None = None) -> Table:
    """The table; RuleError names the line that is none of the file's, TableError one that is there twice.

    ``hz`` are the ticks a second of the kernel whose file it is. None: :data:`TICKS` are assumed, and a plan leaves the
    persistence of live services as it is.
    """
    found = _listed(text)
    table = Table(source)
    for one in found:
        try:
            one.add_to(table, hz)
        except (EncodeError, ValueError) as wrong:
            if isinstance(wrong, TableError):
                raise
            raise TableError(f"line {one.line}: {one.service}: {wrong}", (one.line,)) from None
    table.unsaid = (frozenset(("flags", "persistence_engine")), TUNNEL | {"upper_threshold", "lower_threshold"})
    note = unsaid_note("/proc/net/ip_vs", ["scheduler flags", "persistence engines", "thresholds", "tunnels"])
    if hz is None and any(one.ticks is not None for one in found):
        note += f"; it counts persistence in ticks, and {TICKS} a second are assumed for new services (--hz tells)"
    table.notes.append(note)
    return table


def _listed(text: str) -> list[_Listed]:
    found: list[_Listed] = []
    for number, line in _lines(text):
        try:
            service, ticks, server = read_listed(line)
        except DecodeError:
            raise RuleError(number, line, "no line of /proc/net/ip_vs") from None
        if service is not None:
            found.append(_Listed(number, service, ticks, line.split()[-1]))
        elif not found:
            raise RuleError(number, line, "a real server before any service")
        elif server is not None:
            found[-1].servers.append((number, server.destination))
    return found
