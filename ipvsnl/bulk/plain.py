"""Plain lines of rule text into a load without the C core: read as values, one after the other."""

from __future__ import annotations

from ipvsnl.backends.contract import Stop
from ipvsnl.text.rules import PlainReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.bulk.load import Load, Progress


def take(load: Load, text: bytes, progress: Progress) -> None:
    """Take plain lines in from ``progress.at`` on; see :meth:`ipvsnl.bulk.load.Load.text`.

    A line that adds a service whose scheduler may be put off is left to the caller.
    """
    read = PlainReader()
    progress.stop, progress.additions = Stop.END, load.owes
    while progress.at < len(text):
        end = text.find(b"\n", progress.at)
        if end < 0 and not progress.final:
            return
        line = text[progress.at : end if end >= 0 else None]
        if line:
            rule = read(line.decode("latin-1"))
            if rule is None or (rule[2] is None and load.few(rule[1].scheduler)):
                progress.stop = Stop.LINE
                return
            _, service, server = rule
            tag = load.locate(progress.line, progress.at)
            load.taken, load.line = load.taken + 1, progress.line
            if server is None:
                load.add_service(service, tag=tag)
            else:
                load.add_server(service, server, tag=tag)
        progress.line += 1
        progress.at = end + 1 if end >= 0 else len(text)
        if load.refused:
            progress.stop = Stop.FULL
            return


def delete(load: Load, text: bytes) -> None:
    """Take in the deletion of every service that a plain line adds, the last one first."""
    read = PlainReader()
    for line in reversed(text.split(b"\n")):
        rule = read(line.decode("latin-1")) if line.startswith(b"-A ") else None
        if rule is not None:
            load.delete_service(rule[1])
