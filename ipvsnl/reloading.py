"""A table anew while the kernel still remembers the old one, in the order that it remembers best.

Deleted servers stay in a list of their namespace for two minutes and more (ip_vs_ctl.c, Linux 6.1: the destination trash),
and every added one is looked up there, the last deleted first. So the services of the text go in the reverse of the order
in which it names them: each server is then found at once, and brought back, which is cheaper than making it. Services that
the text does not name would lie before all of those if they went now; they go when the text is there.
"""

from __future__ import annotations

from errno import ESRCH

from ipvsnl.errors import BatchError
from ipvsnl.loading import Feeder, chunks_of, load, reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.bulk import Load
    from ipvsnl.client import IPVS
    from ipvsnl.loading import Report
    from ipvsnl.rules import Grammar


def reload(ipvs: IPVS, source: str | bytes, *, grammar: Grammar | None = None) -> Report:
    """Carry out :meth:`ipvsnl.client.IPVS.reload`."""
    text = source.encode(errors="surrogateescape") if isinstance(source, str) else source
    only_additions = _rehearse(ipvs, text, grammar)
    deletion = _deletion(ipvs)
    deletion.deletions(text)
    deletion.close()
    if not only_additions:  # a line may be about any service that is still there
        ipvs.flush()
    others = ipvs.services()
    report: Report | BatchError
    try:
        report = load(ipvs, text, grammar=grammar)
    except BatchError as some_refused:
        report = some_refused
    deletion = _deletion(ipvs)
    for status in others:
        deletion.delete_service(status.service)
    deletion.close()
    if isinstance(report, BatchError):
        raise report
    return report


def _rehearse(ipvs: IPVS, text: bytes, grammar: Grammar | None) -> bool:
    """Whether all of a text is plain lines that add something. RuleError for a line that is none."""
    rehearsal, others = ipvs.loading(put_off={}), []
    rehearsal.rehearses = True
    read = reader(rehearsal, grammar)

    def other(number: int, line: str, many: bool) -> None:
        others.append(number)
        read(number, line, many)

    Feeder(rehearsal, other).feed(chunks_of(text))
    return not others and not rehearsal.edits


def _deletion(ipvs: IPVS) -> Load:
    deletion = ipvs.loading()
    deletion.passed_over = (ESRCH,)  # what is not there need not go
    return deletion
