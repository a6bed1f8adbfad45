"""A table anew while the kernel still remembers the old one, in the order that it remembers best.

Deleted servers stay in a list of their namespace for two minutes and more (ip_vs_ctl.c, Linux 6.1: the destination trash),
and every added one is looked up there, the last deleted first. So the services of the text go in the reverse of the order
in which it names them: each server is then found at once, and brought back, which is cheaper than making it. Services that
the text does not name would lie before all of those if they went now; they go when the text is there.
"""

from __future__ import annotations

from errno import ESRCH

from ipvsnl.bulk.feed import Feeder, chunks_of, load, reader
from ipvsnl.bulk.load import Load
from ipvsnl.errors import EncodeError
from ipvsnl.family import Command
from ipvsnl.refusals import BatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.bulk.feed import Report
    from ipvsnl.link.conversation import Conversation


def reload(conversation: Conversation, source: str | bytes) -> Report:
    """Carry out :meth:`ipvsnl.client.IPVS.reload`."""
    from ipvsnl.wire.records import read_services

    if not isinstance(source, str | bytes):
        raise EncodeError(f"{source!r:.200} is no source of a reload: rule text, str or bytes")
    text = source.encode(errors="surrogateescape") if isinstance(source, str) else source
    only_additions = _rehearse(conversation, text)
    deletion = _deletion(conversation)
    if deletion.reads_text:
        deletion.deletions(text)
    else:
        from ipvsnl.bulk.plain import delete

        delete(deletion, text)
    if not only_additions:  # a line may be about any service that is still there
        deletion.flush()
    deletion.close()
    others = list(read_services(conversation.dump(Command.GET_SERVICE, "service")))
    report: Report | BatchError
    try:
        report = load(conversation, text)
    except BatchError as some_refused:
        report = some_refused
    deletion = _deletion(conversation)
    for status in others:
        deletion.delete_service(status.service)
    deletion.close()
    if isinstance(report, BatchError):
        raise report
    return report


def _rehearse(conversation: Conversation, text: bytes) -> bool:
    """Whether all of a text is plain lines that add something. RuleError for a line that is none."""
    rehearsal, others = Load(conversation, put_off={}), []
    rehearsal.rehearses = True
    read = reader(rehearsal)

    def other(number: int, line: str, many: bool) -> None:
        others.append(number)
        read(number, line, many)

    Feeder(rehearsal, other).feed(chunks_of(text))
    return not others and not rehearsal.edits


def _deletion(conversation: Conversation) -> Load:
    deletion = Load(conversation)
    deletion.passed_over = (ESRCH,)  # what is not there need not go
    return deletion
