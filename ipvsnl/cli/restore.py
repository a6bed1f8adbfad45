"""``-R``: standard input, each line a command line. The plain ones become requests in C; the others are read here.

The kernel's refusals and popt's are told and the run goes on; ipvsadm's own refusals (a bad address, an option that does
not belong) end it there, and what was loaded stays. The exit status is the last line's. Changes travel in batches, and
are all answered before anything else is said or done, so that nothing is out of order.
"""

from __future__ import annotations

from errno import ENOENT

from ipvsnl.bulk.feed import Feeder, chunks_of
from ipvsnl.bulk.load import PUT_OFF
from ipvsnl.cli.ending import INTERRUPTED, LIST_FAILED, NO_KERNEL, REFUSED
from ipvsnl.cli.formats import SOURCE, as_rules
from ipvsnl.cli.requests import Requests
from ipvsnl.cli.streams import EPERM, describe, likely_cause, printable, unreachable, words
from ipvsnl.errors import IPVSError
from ipvsnl.text.grammar import parse
from ipvsnl.text.popt import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ipvsnl.cli.streams import Streams
    from ipvsnl.client import IPVS
    from ipvsnl.refusals import KernelError
    from ipvsnl.text import rules
    from ipvsnl.text.compat import Compat
    from ipvsnl.text.grammar import Request
else:
    from ipvsnl._later import Later

    rules = Later("ipvsnl.text.rules")

BATCHED = frozenset(
    ("add-service", "edit-service", "delete-service", "add-server", "edit-server", "delete-server", "flush", "zero")
)  # fmt: skip


def restore(client: IPVS, streams: Streams, prog: str, compat: Compat, progress: bool | None) -> int:
    """Carry out every line of standard input; the exit status of the last one carried out."""
    loader = Loader(client, streams, prog, compat)
    pieces: Iterable[bytes] = chunks_of(getattr(streams.stdin, "buffer", streams.stdin))
    if compat.formats:
        try:
            pieces = as_rules(pieces, streams)
        except IPVSError as wrong:
            streams.say(f"{SOURCE}: {wrong}")
            return REFUSED
    try:
        if progress is not False:
            from ipvsnl.cli.progress import shown

            pieces = shown(pieces, streams.stdin, streams.stderr, always=bool(progress))
        return loader.load(pieces)
    except KeyboardInterrupt:
        client.close()  # a simulated table is written now: what is said of it is so, whoever presses Ctrl-C again
        streams.say(f"interrupted after line {loader.number}: {loader.answered()} changes made")
        return INTERRUPTED


class RunEnds(Exception):  # noqa: N818 (no error: a line may ask for the end)
    """The run ends here, with this exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Loader:
    """The state of one restore."""

    def __init__(self, client: IPVS, streams: Streams, prog: str, compat: Compat) -> None:
        self.streams = streams
        self.prog = prog
        self.compat = compat
        self._status = 0
        self._last = 0  # the last line that is a command: blank ones leave its status alone
        self._refused = 0
        self._taken = 0
        self._explained: set[str] = set()
        self._lacking: dict[str, list[int]] = {}  # by the cause: the lines that name what the kernel has not
        self._unmade: set[object] = set()  # the services of those lines
        self._orphans: list[int] = []  # the lines of their servers
        self._requests = Requests(client, streams, compat)
        self._batch = client.loading(put_off=PUT_OFF)
        self._feeder = Feeder(self._batch, self._line, self._told)
        self._batch.locate = self._tag

    @property
    def number(self) -> int:
        """The line read last."""
        return self._feeder.number

    def load(self, pieces: Iterable[bytes]) -> int:
        """Carry the lines out."""
        try:
            return self._load(pieces)
        finally:
            self._sum_up()

    def _load(self, pieces: Iterable[bytes]) -> int:
        try:
            try:
                self._feeder.feed(pieces)
            except IPVSError as error:
                self._lost(error)
            self._settle()
        except RunEnds as stop:
            return stop.status
        return self._status

    def _tag(self, number: int, offset: int) -> object:
        return number, self._feeder.line_at(offset)

    def _told(self) -> None:
        if self._batch.taken != self._taken:
            self._taken, self._status, self._last = self._batch.taken, 0, self._batch.line
        self._report()

    def answered(self) -> int:
        """Changes that the kernel has made."""
        return self._batch.sent - self._refused - len(self._batch.refused)

    def _line(self, number: int, line: str, many: bool) -> None:
        argv = [word for word in rules.split(line) if word != "ipvsadm"]
        if not argv or (self.compat.comments and argv[0].startswith("#")):
            return
        self._last = number
        try:
            request = parse(argv, self.prog, nested=True, own=self.compat.own_options)
        except UsageError as error:
            self._settle()
            self._misread(argv, error, number, line)
            self._status = error.status
            if error.final:
                raise RunEnds(error.status) from None
            return
        self._execute(request, line, many)

    def _misread(self, argv: list[str], error: UsageError, number: int, line: str) -> None:
        """ipvsadm's message; then, if ours may be added, where it is and what is wrong with which word."""
        self.streams.say(error.message)
        if self.compat.locate:
            from ipvsnl.text.hints import rule_reason

            self._locate(rule_reason(argv, error), number, line)

    def _execute(self, request: Request, line: str, many: bool) -> None:
        command = request.command
        if command in BATCHED:
            self._add(request, line, many)
            return
        self._settle()
        if command in ("help", "version"):
            raise RunEnds(describe(command, self.streams, self.prog))
        self._status = self._requests.execute(request)
        if self._status and self._status != NO_KERNEL:
            self._locate(f"{request.command} failed", self.number, line)
        if self._status in (LIST_FAILED, NO_KERNEL):
            raise RunEnds(self._status)

    def _add(self, request: Request, line: str, many: bool) -> None:
        of = [value for value in (request.service, request.destination) if value is not None]
        name = request.command.replace("-", "_")
        self._status = 0
        if request.note and self.compat.replaced_ports:
            self._locate(request.note, self.number, line)
        try:
            getattr(self._batch, f"{name}_first" if many and name == "add_service" else name)(
                *of, tag=(self.number, line)
            )
        except IPVSError as error:
            self._settle()
            self._tell(words(error), self.number, line)
            self._status = REFUSED
        if self._batch.refused:
            self._report()

    def _settle(self) -> None:
        """Have everything answered that was sent."""
        try:
            self._batch.switch()
            self._batch.send()
        except IPVSError as error:
            self._lost(error)
        self._report()

    def _lost(self, error: IPVSError) -> None:
        """The answers did not come: what is known is told, and the run ends."""
        self._report()
        self._tell(words(error), self.number, "")
        raise RunEnds(REFUSED) from None

    def _report(self) -> None:
        refused, self._batch.refused = self._batch.refused, []
        self._refused += len(refused)
        for error in refused:
            if error.errno == EPERM:
                raise RunEnds(unreachable(error, self.streams, self.compat))
            tag: Any = error.tag
            if not self._told_already(error, tag[0]):
                self._tell(error.message, *tag)
                self._explain(error)
            if tag[0] == self._last:
                self._status = REFUSED

    def _told_already(self, error: KernelError, number: int) -> bool:
        """Whether a line is refused for want of the scheduler or engine that an earlier one was: thousands may be, and so
        are then their servers."""
        if not self.compat.explain or error.service is None:
            return False
        if error.errno == ENOENT and error.field in ("scheduler", "persistence_engine"):
            lines = self._lacking.setdefault(error.cause, [])
            lines.append(number)
            self._unmade.add(error.service.key)
            return len(lines) > 1
        if error.field == "service" and error.service.key in self._unmade:
            self._orphans.append(number)
            return True
        return False

    def _sum_up(self) -> None:
        """What was refused without a line of its own."""
        for cause, lines in self._lacking.items():
            if len(lines) > 1:
                said = f"{len(lines)} rules are refused for that, lines {lines[0]} to {lines[-1]}"
                self.streams.say(f"{SOURCE}: {said}" if len(self._lacking) == 1 else f"{SOURCE}: {cause}: {said}")
        if self._orphans:
            self.streams.say(
                f"{SOURCE}: and so are {len(self._orphans)} rules about servers of those services, "
                f"lines {self._orphans[0]} to {self._orphans[-1]}"
            )

    def _explain(self, error: IPVSError) -> None:
        """Each cause once: thousands of lines may have the same."""
        if self.compat.explain and (why := likely_cause(error)) and why not in self._explained:
            self._explained.add(why)
            self.streams.say(why)

    def _tell(self, message: str, number: int, line: str) -> None:
        self.streams.say(message)
        self._locate(message.rstrip("\n"), number, line)

    def _locate(self, message: str, number: int, line: str) -> None:
        if self.compat.locate:
            rule = printable(line.rstrip("\r\n"))
            self.streams.say(f"{SOURCE}:{number}: {rule}: {message}")
