"""``-R --atomic``: all lines of a restore, or none.

The lines are carried out on paper first, on the live table as it was read, with the kernel's refusals; what comes out is
made so by a plan. So ``-C`` and the rules again is no moment without rules, only the difference; and a refused line is
found before anything is written.
"""

from __future__ import annotations

import errno

from ipvsnl._held import Terminated, held
from ipvsnl.cli.ending import FAILED, INTERRUPTED, LIST_FAILED, REFUSED, TERMINATED, USAGE
from ipvsnl.cli.formats import SOURCE, as_rules
from ipvsnl.cli.planning import tell, what_was_under_way
from ipvsnl.cli.streams import printable, words
from ipvsnl.errors import IPVSError
from ipvsnl.family import Command
from ipvsnl.model import Timeouts
from ipvsnl.refusals import KernelError
from ipvsnl.tables.apply import ATTEMPTS, Application
from ipvsnl.tables.failures import ApplyError, ConflictError
from ipvsnl.tables.journal import Journal, digest
from ipvsnl.tables.plan import Plan, difference
from ipvsnl.tables.table import Table, live
from ipvsnl.text.grammar import Request, parse
from ipvsnl.text.hints import rule_reason
from ipvsnl.text.popt import UsageError
from ipvsnl.text.rules import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvsnl.cli.streams import Streams
    from ipvsnl.client import IPVS
    from ipvsnl.tables.table import Key

    Line = tuple[int, str, Request]


class _Refused(Exception):  # noqa: N818 (on its way to a message)
    """A line that can't be: its number, its text, the message, the exit status."""

    def __init__(self, number: int, line: str, message: str, status: int) -> None:
        super().__init__(message)
        self.said = f"{message}\n{SOURCE}:{number}: {printable(line)}: {message}\nnothing is changed"
        self.status = status


def restore(client: IPVS, streams: Streams, prog: str) -> int:
    """Carry the lines out, all or none; the exit status."""
    from ipvsnl.bulk.feed import chunks_of

    done: list[Plan] = []
    try:
        text = b"".join(chunks_of(streams.stdin)).decode(errors="surrogateescape")
        text = b"".join(as_rules([text.encode(errors="surrogateescape")], streams)).decode(errors="surrogateescape")
        lines = list(_lines(text.split("\n"), prog))
        _apply(client, lines, text, streams, done)
    except _Refused as refused:
        streams.say(refused.said)
        return refused.status
    except ApplyError as failed:
        status = tell(failed, SOURCE, streams.stderr)
        return REFUSED if status == FAILED else status
    except (KeyboardInterrupt, Terminated) as ended:
        streams.say("interrupted when all of it was done" if done else "interrupted: nothing is changed")
        return INTERRUPTED if isinstance(ended, KeyboardInterrupt) else TERMINATED
    except IPVSError as error:
        streams.say(words(error))
        return REFUSED if isinstance(error, ConflictError) else LIST_FAILED
    return 0


def _lines(texts: list[str], prog: str) -> list[Line]:
    found = []
    for number, line in enumerate(texts, start=1):
        argv = [word for word in split(line) if word != "ipvsadm"]
        if not argv or argv[0].startswith("#"):
            continue
        try:
            request = parse(argv, prog, nested=True, own=True)
        except UsageError as error:
            raise _Refused(number, line, rule_reason(argv, error), error.status or REFUSED) from None
        if request.command.replace("-", "_") not in vars(Paper):
            raise _Refused(number, line, f"'{request.command}' can't be taken back: not with --atomic", USAGE)
        found.append((number, line, request))
    return found


def _apply(client: IPVS, lines: list[Line], text: str, streams: Streams, done: list[Plan]) -> None:
    """``done`` gets the plan that was carried out: a signal may come right behind it."""
    journal = Journal(client.place)
    killed = journal.left_behind()
    again = killed is not None and killed.digest == digest(Plan(), text)
    if killed is not None:
        streams.say(what_was_under_way(killed, text, client.place))
    with journal.locked(), held(terminating=True) as signals:
        for attempt in range(1, ATTEMPTS + 1):
            signals.check()
            before, timeouts = live(client.snapshot()), client.timeouts()
            paper = Paper(before)
            try:
                wanted = paper.complete(killed.operations) if again and killed is not None else paper.carry_out(lines)
            except ForeignError as wrong:
                raise journal.foreign(str(wrong)) from None
            plan = difference(before, wanted, prune=True, live_timeouts=timeouts)
            try:
                Application(client, plan, journal, text, signals=signals).run()
                done.append(plan)
                return
            except ConflictError as conflict:
                if conflict.written or attempt == ATTEMPTS:
                    raise


class ForeignError(Exception):
    """What a journal holds, and none of ours does."""


class Paper:
    """A table on paper, where lines are carried out as the kernel would."""

    def __init__(self, before: Table) -> None:
        self.table = Table(SOURCE)
        self.table.exact = True
        self.table.services = dict(before.services)
        self.table.servers = {key: dict(servers) for key, servers in before.servers.items()}
        self._number = 0

    def carry_out(self, lines: list[Line]) -> Table:
        """The table after all lines; _Refused for the first that the kernel would refuse."""
        for self._number, line, request in lines:
            try:
                getattr(self, request.command.replace("-", "_"))(request)
            except KernelError as refused:
                raise _Refused(self._number, line, refused.message, REFUSED) from None
        return self.table

    def complete(self, operations: Iterable[str]) -> Table:
        """The table after all operations of a plan, whichever of them were carried out already; ForeignError for what is no
        operation."""
        for operation in operations:
            try:
                request = parse(split(operation), "ipvsadm", nested=True, own=True)
            except UsageError:
                request = Request("help")
            verb = request.command.replace("-", "_")
            if verb not in vars(Paper):
                raise ForeignError(f"it holds {operation!r}, which is no operation of a plan")
            try:
                getattr(self, verb)(request)
            except KernelError:  # it was added, or is gone, already
                if verb.startswith("add"):
                    getattr(self, verb.replace("add", "edit"))(request)
        return self.table

    def add_service(self, request: Request) -> None:
        """``-A``."""
        service = self._service(request, Command.NEW_SERVICE, there=False)
        self.table.servers[service] = {}
        self._write_service(request)

    def edit_service(self, request: Request) -> None:
        """``-E``."""
        self._service(request, Command.SET_SERVICE)
        self._write_service(request)

    def delete_service(self, request: Request) -> None:
        """``-D``."""
        key = self._service(request, Command.DEL_SERVICE)
        del self.table.services[key], self.table.servers[key]
        self.table.note_gone(key, None, self._number)

    def add_server(self, request: Request) -> None:
        """``-a``."""
        self._write_server(request, Command.NEW_DEST, there=False)

    def edit_server(self, request: Request) -> None:
        """``-e``."""
        self._write_server(request, Command.SET_DEST)

    def delete_server(self, request: Request) -> None:
        """``-d``."""
        self._write_server(request, Command.DEL_DEST, delete=True)

    def flush(self, _: Request) -> None:
        """``-C``."""
        for key in self.table.services:
            self.table.note_gone(key, None, self._number)
        self.table.services.clear()
        self.table.servers.clear()

    def set(self, request: Request) -> None:
        """``--set``: 0 keeps."""
        before = (self.table.timeouts or Timeouts()).astuple()
        new = (request.timeouts or Timeouts()).astuple()
        self.table.timeouts = Timeouts(*[now or old for old, now in zip(before, new, strict=True)])

    def _service(self, request: Request, command: int, *, there: bool = True) -> Key:
        assert request.service is not None
        key = request.service.key
        if (key in self.table.services) is not there:
            raise KernelError(errno.ESRCH if there else errno.EEXIST, command)
        return key

    def _write_service(self, request: Request) -> None:
        assert request.service is not None
        key = request.service.key
        self.table.services[key] = request.service
        self.table.note(request.service, self._number)

    def _write_server(
        self, request: Request, command: int, *, there: bool = True, delete: bool = False
    ) -> None:  # fmt: skip
        server = request.destination
        assert server is not None
        key = self._service(request, command)
        servers = self.table.servers[key]
        if (server.key in servers) is not there:
            raise KernelError(errno.ENOENT if there else errno.EEXIST, command)
        if delete:
            del servers[server.key]
            self.table.note_gone(key, server.key, self._number)
        else:
            servers[server.key] = server
            self.table.note(server, self._number)
