"""``-R``: standard input, line by line, each line a command line.

The kernel's refusals and popt's are told and the run goes on; ipvsadm's own refusals (a bad address, an option that does
not belong) end it there, and what was loaded stays. The exit status is the last line's. Changes travel in batches, and
are all answered before anything else is said or done, so that nothing is out of order.
"""

from __future__ import annotations

from ipvsnl.cli.commands import EPERM, LIST_FAILED, NO_KERNEL, REFUSED, Command, describe, unreachable, words
from ipvsnl.cli.errors import UsageError
from ipvsnl.cli.grammar import parse
from ipvsnl.errors import IPVSError
from ipvsnl.rules import PlainReader, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ipvsnl.cli.commands import Streams
    from ipvsnl.cli.compat import Compat
    from ipvsnl.cli.grammar import Request
    from ipvsnl.client import IPVS

SOURCE = "<stdin>"
INTERRUPTED = 130
BATCHED = frozenset(
    ("add-service", "edit-service", "delete-service", "add-server", "edit-server", "delete-server", "flush", "zero")
)  # fmt: skip


def restore(client: IPVS, streams: Streams, prog: str, compat: Compat, progress: bool | None) -> int:
    """Carry out every line of standard input; the exit status of the last one carried out."""
    loader = Loader(client, streams, prog, compat)
    lines: Iterable[str] = streams.stdin
    try:
        if progress is not False:
            from ipvsnl.cli.progress import shown

            lines = shown(streams.stdin, streams.stderr, always=bool(progress))
        return loader.load(lines)
    except KeyboardInterrupt:
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
        self.number = 0
        self._status = 0
        self._refused = 0
        self._command = Command(client, streams, compat)
        self._batch = client.batch()

    def load(self, lines: Iterable[str]) -> int:
        """Carry the lines out."""
        read = PlainReader()
        batch = self._batch
        add_server, add_service = batch.add_server, batch.add_service
        try:
            for self.number, line in enumerate(lines, start=1):
                plain = read(line)
                if plain is None:
                    self._line(line)
                    continue
                _, service, destination = plain
                tag = (self.number, line)
                if destination is not None:
                    add_server(service, destination, tag=tag)
                else:
                    add_service(service, tag=tag)
                self._status = 0
                if batch.refused:
                    self._report()
            self._settle()
        except RunEnds as stop:
            return stop.status
        return self._status

    def answered(self) -> int:
        """Changes that the kernel has made."""
        return self._batch.sent - self._refused - len(self._batch.refused)

    def _line(self, line: str) -> None:
        argv = [word for word in split(line) if word != "ipvsadm"]
        if not argv or (self.compat.comments and argv[0].startswith("#")):
            return
        try:
            request = parse(argv, self.prog, nested=True)
        except UsageError as error:
            self._settle()
            self._tell(error.message, self.number, line)
            self._status = error.status
            if error.final:
                raise RunEnds(error.status) from None
            return
        self._execute(request, line)

    def _execute(self, request: Request, line: str) -> None:
        command = request.command
        if command in BATCHED:
            self._add(request, line)
            return
        self._settle()
        if command in ("help", "version"):
            raise RunEnds(describe(command, self.streams, self.prog))
        self._status = self._command.execute(request)
        if self._status and self._status != NO_KERNEL:
            self._locate(f"{request.command} failed", self.number, line)
        if self._status in (LIST_FAILED, NO_KERNEL):
            raise RunEnds(self._status)

    def _add(self, request: Request, line: str) -> None:
        of = [value for value in (request.service, request.destination) if value is not None]
        self._status = 0
        try:
            getattr(self._batch, request.command.replace("-", "_"))(*of, tag=(self.number, line))
        except IPVSError as error:
            self._settle()
            self._tell(words(error), self.number, line)
            self._status = REFUSED
        if self._batch.refused:
            self._report()

    def _settle(self) -> None:
        """Have everything answered that was sent."""
        try:
            self._batch.send()
        except IPVSError as error:
            self._report()
            self._tell(words(error), self.number, "")
            raise RunEnds(REFUSED) from None
        self._report()

    def _report(self) -> None:
        refused, self._batch.refused = self._batch.refused, []
        self._refused += len(refused)
        for error in refused:
            if error.errno == EPERM:
                raise RunEnds(unreachable(error, self.streams, self.compat))
            tag: Any = error.tag
            self._tell(error.message, *tag)
            if tag[0] == self.number:
                self._status = REFUSED

    def _tell(self, message: str, number: int, line: str) -> None:
        self.streams.say(message)
        self._locate(message.rstrip("\n"), number, line)

    def _locate(self, message: str, number: int, line: str) -> None:
        if self.compat.locate:
            rule = line.rstrip("\r\n")
            self.streams.say(f"{SOURCE}:{number}: {rule}: {message}")
