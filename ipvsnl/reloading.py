"""A table anew while the kernel still remembers the old one, in the order that it remembers best.

Deleted servers stay in a list of their namespace for two minutes and more (ip_vs_ctl.c, Linux 6.1: the destination trash),
and every added one is looked up there, the last deleted first. So services go in the reverse of the order in which the
text names them: each server is then found at once, and brought back, which is cheaper than making it.
"""

from __future__ import annotations

from ipvsnl import wire
from ipvsnl.backends import chosen
from ipvsnl.family import SERVICE
from ipvsnl.loading import Feeder, chunks_of, load, reader
from ipvsnl.model import endpoint
from ipvsnl.rules import selector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ipvsnl.client import IPVS
    from ipvsnl.loading import Report
    from ipvsnl.rules import Grammar


def reload(ipvs: IPVS, source: str | bytes, services: Any, *, grammar: Grammar | None = None) -> Report:
    """Carry out :meth:`ipvsnl.client.IPVS.reload`; ``services`` are the records of those that are there."""
    text = source.encode(errors="surrogateescape") if isinstance(source, str) else source
    rehearsal = ipvs.loading(put_off={})
    rehearsal.rehearses = True
    Feeder(rehearsal, reader(rehearsal, grammar)).feed(chunks_of(text))  # RuleError before anything is deleted
    order = dict.fromkeys(_added(text))
    named = dict.fromkeys(_named(services))
    # What is spelt otherwise in the text is deleted all the same, only not in order.
    going = [words for words in named if words not in order]
    going += [words for words in reversed(order) if words in named]
    deletion = ipvs.loading()
    Feeder(deletion, reader(deletion, None)).feed([b"".join([b"-D %s\n" % words for words in going])])
    deletion.close()
    return load(ipvs, text, grammar=grammar)


def _added(text: bytes) -> Iterator[bytes]:
    """The words that name the services that a text adds, in its order."""
    here = 0 if text.startswith(b"-A ") else text.find(b"\n-A ") + 1
    while text.startswith(b"-A ", here):
        end = text.find(b"\n", here) % (len(text) + 1)
        yield text[here + 3 : end].partition(b" -s ")[0]
        here = text.find(b"\n-A ", end) + 1 or len(text)


def _named(records: Any) -> Iterator[bytes]:
    """The words that name the services of records, in rule text."""
    for piece in _pieces(records):
        if isinstance(piece, bytes):
            yield from _added(piece)
        else:
            for service in [status.service for status in wire.read_services(piece)]:
                yield selector(service, endpoint(service.address, service.port)).encode()


def _pieces(records: Any) -> Iterator[bytes | memoryview]:
    """Saved text of the plain services, which takes no value for each, and the records of the others."""
    save, size, records = chosen().save, SERVICE.record_size, memoryview(records)
    if save is None:
        yield records
        return
    for piece in save(records, b"", memoryview(bytes(4 * (len(records) // size))).cast("I"), False):
        yield piece if isinstance(piece, bytes) else records[piece * size : (piece + 1) * size]
