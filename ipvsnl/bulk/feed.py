"""What a load is fed with: rule text in pieces, columns, or values; and who reads the lines that are not plain.

The backend turns plain lines into requests as fast as memory allows. Every other line comes out here, one at a time and
in its place, with its number; :class:`Feeder` hands it to the caller's grammar, when everything before it is under way.
"""

from __future__ import annotations

from ipvsnl.backends.contract import Stop
from ipvsnl.bulk.load import PUT_OFF, Load, Progress
from ipvsnl.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from ipvsnl.link.conversation import Conversation
    from ipvsnl.model import Destination, Service
    from ipvsnl.refusals import KernelError

    Other = Callable[[int, str, bool], None]
    """Takes a line that is not plain: its number, the line, and whether many servers of its new service follow."""

CHUNK = 1 << 20
"""Bytes of text in memory at a time, unless a line is longer."""
_AHEAD = 1 << 17
"""Bytes to look ahead for the servers of a service."""
_LINE = 200
"""Bytes that a server's line takes at most, for looking ahead."""


class Feeder:
    """Feeds a load with rule text.

    ``other`` reads the lines that are not plain; ``told`` is called whenever refusals may have come in. ``number`` is the
    line read last.
    """

    def __init__(self, load: Load, other: Other, told: Callable[[], None] | None = None) -> None:
        self._load, self._other = load, other
        self._take = load.text if load.reads_text else _by_values(load)
        self._told = told or (lambda: None)
        self._progress = Progress()
        self._text = b""

    @property
    def number(self) -> int:
        """The line read last."""
        return self._progress.line - 1

    def line_at(self, offset: int) -> str:
        """The line that begins at an offset of the text in memory, without its end."""
        end = self._text.find(b"\n", offset)
        return self._text[offset : end if end >= 0 else None].decode(errors="surrogateescape")

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Take all of the text in; what is left at the end is not yet sent."""
        progress, source = self._progress, iter(chunks)
        while True:
            self._take(self._text, progress)
            self._told()
            if progress.stop == Stop.LINE:
                if not progress.final and len(self._text) - progress.at < _AHEAD and self._puts_off():
                    self._more(source)
                    continue
                self._unusual()
            elif progress.stop == Stop.END:
                if progress.final:
                    return
                self._more(source)

    def _more(self, source: Iterator[bytes]) -> None:
        """The next piece of text; what comes from this one is answered first, since its lines are forgotten."""
        self._load.send()
        self._told()
        chunk = next(source, b"")
        rest = self._text[self._progress.at :]
        self._text = rest + chunk if rest else chunk
        self._progress.at, self._progress.final = 0, not chunk

    def _puts_off(self) -> bool:
        return self._text.startswith(b"-A ", self._progress.at) and self._few(self._line()) > 0

    def _line(self) -> bytes:
        end = self._text.find(b"\n", self._progress.at)
        return self._text[self._progress.at : end + 1 if end >= 0 else None]

    def _few(self, line: bytes) -> int:
        _, _, after = line.partition(b" -s ")
        return self._load.few(after.partition(b" ")[0].strip().decode(errors="replace"))

    def _unusual(self) -> None:
        line, progress = self._line(), self._progress
        if progress.additions and not line.startswith((b"-A ", b"-a ", b"#")):
            self._load.switch()  # the line may be about the services that are still to be switched
            return  # to read it again: it may be plain
        number, at = progress.line, progress.at
        progress.at, progress.line = at + len(line), number + 1
        few = self._few(line) if line.startswith(b"-A ") else 0
        many = False
        if few:
            named = b"-a " + line[3:].partition(b" -s ")[0] + b" "
            many = self._text.count(named, progress.at, progress.at + few * _LINE) >= few
            service = self._load.service_of(line)
            if service is not None:
                self._load.taken += 1
                add = self._load.add_service_first if many else self._load.add_service
                add(service, tag=self._load.locate(number, at))
                return
        self._other(number, line.decode(errors="surrogateescape"), many)


def _by_values(load: Load) -> Callable[[bytes, Progress], None]:
    """Takes plain lines in without the C core."""
    from ipvsnl.bulk.plain import take

    return lambda text, progress: take(load, text, progress)


def chunks_of(source: Any) -> Iterator[bytes]:
    """Text in pieces: of text, bytes or another buffer, or of a file."""
    if isinstance(source, str):
        yield source.encode(errors="surrogateescape")
    elif not hasattr(source, "read"):
        yield bytes(source)
    else:
        read = getattr(source, "read1", source.read)
        while piece := _piece(read, source):
            yield piece.encode(errors="surrogateescape") if isinstance(piece, str) else piece


def _piece(read: Callable[[int], Any], source: Any) -> Any:
    try:
        return read(CHUNK)
    except OSError as wrong:  # it is known what was read, not only why it can't be
        raise type(wrong)(wrong.errno, wrong.strerror, str(getattr(source, "name", source))) from wrong


class Report:
    """What became of a load or reload.

    ``changes`` is how many changes the kernel made. ``refused`` has a :class:`~ipvsnl.refusals.KernelError` for each that it
    did not make, in the order of the source; the error's ``tag`` is the line (from 1), or the row or item (from 0).
    """

    def __init__(self, changes: int, refused: list[KernelError]) -> None:
        self.changes = changes
        self.refused = refused

    def __repr__(self) -> str:
        return f"<load: {self.changes} changes, {len(self.refused)} refused>"


def load(conversation: Conversation, source: Any, *, put_off: Mapping[str, int] | None = PUT_OFF) -> Report:
    """Load a source into the table of a conversation: arguments, result and errors are :meth:`ipvsnl.client.IPVS.load`'s."""
    under_way = Load(conversation, put_off=put_off)
    if isinstance(source, str | bytes | bytearray | memoryview) or hasattr(source, "read"):
        Feeder(under_way, reader(under_way)).feed(chunks_of(source))
    else:
        from ipvsnl.wire.columns import Columns

        if not hasattr(source, "__iter__") and not isinstance(source, Columns):
            raise EncodeError(
                f"{source!r:.200} is no source of a load: rule text, a file of it, columns, or an iterable"
            )
        for item in [source] if isinstance(source, Columns) else source:
            _take(under_way, item)
    under_way.close()
    return Report(under_way.sent, [])


def reader(under_way: Load) -> Other:
    """Reads the lines that are not plain, in any spelling that ``-R`` takes; RuleError for one that is no rule."""
    from ipvsnl.text.rules import PlainReader, RuleError, split

    plain = PlainReader()

    def other(number: int, line: str, many: bool) -> None:
        rule = plain(line)
        if rule is None:
            from ipvsnl.text.grammar import read_rule

            words = [word for word in split(line) if word != "ipvsadm"]
            if not words or words[0].startswith("#"):
                return
            try:
                rule = read_rule(words)
            except ValueError as error:
                raise RuleError(number, line.rstrip("\r\n"), str(error)) from None
        operation, service, destination = rule
        if many and operation == "add-service":
            under_way.add_service_first(service, tag=number)
        elif destination is not None:
            getattr(under_way, operation.replace("-", "_"))(service, destination, tag=number)
        else:
            getattr(under_way, operation.replace("-", "_"))(service, tag=number)

    return other


_NO_CHANGE = "is nothing to load: columns, a service, an entry of a snapshot, or a service with its servers"


def _take(under_way: Load, item: Any) -> None:
    """One of an iterable: columns, a service, an entry of a snapshot, or a service with its servers."""
    from ipvsnl.model import Entry, Service
    from ipvsnl.wire.columns import Columns

    if isinstance(item, Columns):
        under_way.columns(item)
        return
    service: Service
    servers: list[Destination]
    if isinstance(item, Service):
        service, servers = item, []
    elif isinstance(item, Entry):
        # The kernel lists the newest first: added the other way round, they come to stand as they stood.
        service, servers = item.service, [status.destination for status in reversed(item.destinations)]
    else:
        try:
            service, servers = item[0], list(item[1])
        except (TypeError, IndexError, KeyError):
            raise EncodeError(f"{item!r:.200} {_NO_CHANGE}") from None
    few = under_way.few(service.scheduler)
    (under_way.add_service_first if few and len(servers) >= few else under_way.add_service)(service, tag=item)
    for server in servers:
        under_way.add_server(service, server, tag=item)
