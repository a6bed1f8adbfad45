"""``-S``: a table to the text that ``-R`` reads, to the byte as ipvsadm's, always sorted."""

from __future__ import annotations

from ipvsnl.backends.contract import Print
from ipvsnl.text.printing import printed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipvsnl.model import Entry
    from ipvsnl.text.compat import Compat
    from ipvsnl.text.names import Endpoint


def saved(entries: Sequence[Entry], options: frozenset[str], compat: Compat) -> Iterator[str]:
    """The text, in pieces."""
    if "numeric" not in options:
        from ipvsnl.text.names import Names

        return _by_values(entries, Names(cut=not compat.whole_names), compat)
    how = (compat.save_thresholds and Print.WITH_THRESHOLDS) | (compat.own_options and Print.OWN)
    return printed(Print.SAVED, entries, how, lambda some: _by_values(some, None, compat))


def _by_values(entries: Sequence[Entry], where: Endpoint | None, compat: Compat) -> Iterator[str]:
    from ipvsnl.text.names import numeric
    from ipvsnl.text.rules import format_server, format_service, selector
    from ipvsnl.text.sorting import sort_entries, sort_servers

    where = where or numeric
    for entry in sort_entries(entries):
        service = entry.service
        address = "" if service.fwmark else where(service.address, service.port, service.protocol)
        named = selector(service, address, unsigned=compat.unsigned_marks, numbers=compat.protocol_numbers)
        line = format_service(
            service, named, third=compat.third_flag, own=compat.own_options, escaped=compat.escape_names
        )
        yield line + "\n"
        for status in sort_servers(entry.destinations):
            server = status.destination
            at = where(server.address, server.port, service.protocol)
            of = service if compat.own_options else None
            yield format_server(named, server, at, thresholds=compat.save_thresholds, of=of) + "\n"
