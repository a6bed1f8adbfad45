"""``-S``: a table to the text that ``-R`` reads, to the byte as ipvsadm's, always sorted.

A snapshot's plain services, with numbers, are written by the backend out of what was read; a value is made for the others
alone.
"""

from __future__ import annotations

from ipvsnl.backends import chosen
from ipvsnl.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipvsnl.cli.compat import Compat
    from ipvsnl.cli.names import Endpoint
    from ipvsnl.model import Entry


def saved(entries: Sequence[Entry], options: frozenset[str], compat: Compat) -> Iterator[str]:
    """The text, in pieces."""
    write = chosen().save
    if write is None or "numeric" not in options or not isinstance(entries, Snapshot):
        yield from _from_values(entries, options, compat)
        return
    table = entries.columns()
    for piece in write(table.services.data, table.servers.data, table.counts, compat.save_thresholds):
        if isinstance(piece, bytes):
            yield piece.decode()
        else:
            yield from _from_values([entries.entry(piece)], options, compat)


def _from_values(entries: Sequence[Entry], options: frozenset[str], compat: Compat) -> Iterator[str]:
    from ipvsnl.cli.names import Names, numeric
    from ipvsnl.cli.order import sort_entries, sort_servers
    from ipvsnl.rules import format_server, format_service, selector

    where: Endpoint = numeric if "numeric" in options else Names(cut=not compat.whole_names)
    for entry in sort_entries(entries):
        service = entry.service
        address = "" if service.fwmark else where(service.address, service.port, service.protocol)
        named = selector(service, address, unsigned=compat.unsigned_marks)
        yield format_service(service, named, third=compat.third_flag) + "\n"
        for status in sort_servers(entry.destinations):
            server = status.destination
            at = where(server.address, server.port, service.protocol)
            yield format_server(named, server, at, thresholds=compat.save_thresholds) + "\n"
