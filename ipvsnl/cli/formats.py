"""What ``-R`` reads beside rule lines: every format that a table is read of. Each restore imports it, so it imports late."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvsnl.cli.streams import Streams

SOURCE = "<stdin>"


def as_rules(pieces: Iterable[bytes], streams: Streams) -> Iterable[bytes]:
    """Pieces of rule text as they are; those of a listing, JSON or keepalived.conf as the rules that make the same table.

    The first piece tells which it is. IPVSError where it can't be read.
    """
    from itertools import chain

    pieces = iter(pieces)
    first = next(pieces, b"")
    if not first or (first.startswith(b"-") and not first.startswith(b"->")):
        return chain((first,), pieces)
    from ipvsnl.tables.wanted import RULES, kind_of, read_table

    if kind_of(first.decode(errors="surrogateescape")) == RULES:
        return chain((first,), pieces)
    from ipvsnl.cli.convert import rules

    table = read_table(b"".join((first, *pieces)).decode(errors="surrogateescape"), SOURCE, folder=".")
    for note in table.notes:
        streams.say(f"{SOURCE}: {note}")
    return ["".join(f"{line}\n" for line in rules(table)).encode(errors="surrogateescape")]
