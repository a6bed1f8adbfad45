"""Tables as text straight out of what was read, by the backend; values are made for entries alone that are not plain."""

from __future__ import annotations

from ipvsnl.backends.choice import chosen
from ipvsnl.wire.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ipvsnl.model import Entry

    Written = Callable[[Sequence[Entry]], Iterable[str]]


def printed(kind: int, entries: Sequence[Entry], options: int, by_values: Written) -> Iterator[str]:
    """The text of a table, with numbers, in pieces; ``kind`` and ``options`` are those of
    :class:`ipvsnl.backends.contract.Print`. ``by_values`` writes what the backend does not."""
    write = chosen().printed
    if write is None or not isinstance(entries, Snapshot):
        yield from by_values(entries)
        return
    table = entries.columns()
    for piece in write(kind, table.services.data, table.servers.data, table.counts, options):
        if isinstance(piece, bytes):
            yield piece.decode()
        else:
            yield from by_values([entries.entry(piece)])
