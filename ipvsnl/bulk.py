"""Changes in bulk: from text, columns or values into one buffer, out in as few system calls as the kernel allows.

The kernel executes the requests of a send in order, before the send returns, and answers each that fails; so one
acknowledgement, of the last, closes a send. Each refusal takes a place in the receive queue: a send never holds more
requests than that has places (256 at its default size, some thousands where root may widen it), so that none is lost.

A load asks the kernel for less (:data:`PUT_OFF`): ``mh`` builds its table of 4093 slots anew for every server that is
added, so a service that the load itself creates, and gives many servers, schedules by ``rr`` until its servers are
there. SET_SERVICE then waits for an RCU grace period once, which is why it takes many servers to be worth it.
"""

from __future__ import annotations

from ipvsnl.backends import Stop
from ipvsnl.errors import BatchError, KernelError
from ipvsnl.exchange import UNACKNOWLEDGED, acknowledge
from ipvsnl.family import Command
from ipvsnl.transfer import transfer
from ipvsnl.verbs import NOTHING, Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ipvsnl import wire
    from ipvsnl.backends import Backend
    from ipvsnl.columns import Columns
    from ipvsnl.exchange import Sequence
    from ipvsnl.link import Link
    from ipvsnl.model import Destination, Service
    from ipvsnl.verbs import Records, Subject

    Locate = Callable[[int, int], object]
else:
    from ipvsnl._later import Later

    wire = Later("ipvsnl.wire")

PUT_OFF: Mapping[str, int] = {"mh": 128}
"""Schedulers to switch to at the end of a load, and from how many servers of a service on."""
FEW_REFUSALS = 256
"""What the default receive queue holds (277 at 768 bytes each on x86-64), with a margin."""
MOST_REQUESTS = 4000
ROOM = MOST_REQUESTS * 176
"""Requests and bytes of a send: more make a load no faster, and fall out of the processor's cache."""
_IN_THE_MEANTIME = "rr"
_SERVICE_COMMANDS = (Command.NEW_SERVICE, Command.SET_SERVICE)


class Progress:
    """How far a rule text is read; see :meth:`ipvsnl.backends.Backend.rules`."""

    __slots__ = (
        "additions", "at", "dry", "edits", "few", "final", "last", "length", "line", "made", "sequence", "stop",
    )  # fmt: skip

    def __init__(self) -> None:
        self.at = self.sequence = self.stop = self.made = self.length = self.last = 0
        self.few = self.edits = 0
        self.line = 1
        self.final = self.additions = self.dry = False


def _by_number(number: int, _: int) -> object:
    return number


class Load(Verbs):
    """Changes under way to one kernel: each verb adds one, :meth:`send` sends what is left.

    ``sent`` counts the changes that the kernel has answered for, without the switches of schedulers put off; ``refused``
    collects the refusals, in order, until someone takes them out. ``locate`` makes the tag of a refusal out of a line's
    number and its offset in the text (or a row's number, and 0); a verb's own ``tag`` goes before it.
    """

    def __init__(
        self, link: Link, backend: Backend, family: int, sequence: Sequence, timeout: float,
        *, put_off: Mapping[str, int] | None = PUT_OFF,
    ) -> None:  # fmt: skip
        self._link, self._backend, self._family = link, backend, family
        self._sequence, self._timeout = sequence, timeout
        widen = getattr(link, "widen", None)
        self._most = min(MOST_REQUESTS, widen() if widen is not None else FEW_REFUSALS)
        self._room = bytearray(min(ROOM, link.max_send))
        self._origins = memoryview(bytearray(16 * self._most)).cast("Q")
        self._used = self._count = self._last = self._first = self._extra = 0
        self._tags: dict[int, object] = {}
        self._put_off = dict(put_off or {})
        self._waiting: dict[int, Service] = {}
        self._switches: list[tuple[Service, object]] = []
        self._there: set[str] = set()
        self.sent = 0
        self.rehearses = False
        """Nothing is sent: text is only read."""
        self.passed_over: tuple[int, ...] = ()
        """Refusals with these numbers are none: what was asked for is so already."""
        self.taken = 0
        """Plain lines of text that became requests."""
        self.edits = 0
        """How many of them are no additions."""
        self.line = 0
        """The number of the last of them."""
        self.refused: list[KernelError] = []
        self.locate: Locate = _by_number

    # --- what comes in ---

    def _change(
        self,
        command: int,
        subject: Subject = NOTHING,  # noqa: ARG002 (a refusal's service and server are read from its request)
        records: Records = NOTHING,
        *,
        tag: object = None,
    ) -> None:
        sequence = self._sequence.next()
        request = self._backend.encode(self._family, command, UNACKNOWLEDGED, sequence, *records)
        if self._count == self._most or self._used + len(request) > len(self._room):
            self._sequence.skip_to(sequence)
            self.send()
            self._sequence.next()
        if not self._count:
            self._first = sequence
        if tag is not None:
            self._tags[self._count] = tag
        self._origins[2 * self._count] = self._origins[2 * self._count + 1] = 0
        self._room[self._used : self._used + len(request)] = request
        self._last, self._used, self._count = self._used, self._used + len(request), self._count + 1

    def text(self, text: Any, progress: Progress) -> None:
        """Take plain lines of rule text in, up to the first that is not, or refusals to look at, or the end.

        ``progress.stop`` says which (:class:`ipvsnl.backends.Stop`). What comes from one text must be sent before
        ``locate`` is asked about another.
        """
        stops = "".join([f"{name}\0" for name in self._put_off]).encode()
        progress.few = min(self._put_off.values(), default=0)
        progress.additions, progress.dry = bool(self._switches or self._waiting), self.rehearses
        while True:
            progress.sequence = self._next()
            self._backend.rules(text, progress, self._family, stops, self._room, self._used, self._origins, self._count)
            self._sequence.skip_to(progress.sequence)
            self.taken, self.edits = self.taken + progress.made, self.edits + progress.edits
            if progress.made and not progress.dry:
                self._made(progress)
                self.line = self._origins[2 * self._count - 1]
            if progress.stop != Stop.FULL:
                return
            self.send()
            if self.refused:
                return

    def deletions(self, text: Any) -> None:
        """Take in the deletion of every service that a plain line of rule text adds, the last one first."""
        progress = Progress()
        progress.at = len(text)
        while progress.at:
            progress.sequence = self._next()
            places = self._room, self._used, self._origins, self._count
            self._backend.deletions(text, progress, self._family, *places)
            self._sequence.skip_to(progress.sequence)
            if progress.made:
                self._made(progress)
            if progress.at:
                self.send()

    def _next(self) -> int:
        """The number of the request that comes next."""
        sequence = self._sequence.next()
        if not self._count:
            self._first = sequence
        return sequence

    def _made(self, progress: Progress) -> None:
        """Requests stand in their place."""
        self._count, self._used, self._last = self._count + progress.made, self._used + progress.length, progress.last

    def columns(self, columns: Columns) -> None:
        """Take every row of columns in; a refusal's tag is its row's number, from 0."""
        pattern, row = columns.pattern(self._backend, self._family), 0
        while row < columns.rows:
            free = min(self._most - self._count, (len(self._room) - self._used) // len(pattern))
            rows = min(free, columns.rows - row)
            if not rows:
                self.send()
                continue
            sequence = self._next()
            self._backend.stamp(pattern, sequence, columns.places(pattern), row, rows, self._room, self._used)
            for index in range(rows):
                self._origins[2 * (self._count + index) + 1] = row + index
            self._sequence.skip_to((sequence + rows - 1) % 0xFFFFFFFF + 1)
            self._used, self._count = self._used + rows * len(pattern), self._count + rows
            self._last, row = self._used - len(pattern), row + rows

    # --- what goes out ---

    def send(self) -> None:
        """Send what is there and take the answers in; LinkError where they do not come."""
        if self.rehearses:
            self._forget()
        if not self._count:
            return
        acknowledge(self._room, self._last)
        closing = self._sequence.last
        requests = memoryview(self._room)[: self._used]
        refusals, sent, trouble = transfer(
            self._link, self._backend, requests, self._first, closing, self._most, self._timeout
        )
        refusals = [one for one in refusals if one[1] not in self.passed_over]
        if refusals:
            self._refuse(refusals, requests)
        if trouble is None or (sent and not isinstance(trouble, Exception)):
            self.sent += self._count - self._extra
        waiting, self._waiting = self._waiting, {}
        self._switches += [(service, self._tag(index)) for index, service in waiting.items()]
        requests.release()
        self._forget()
        if trouble is not None:
            raise trouble

    def _forget(self) -> None:
        self._used = self._count = self._extra = 0
        self._tags.clear()

    def _tag(self, index: int) -> object:
        if index in self._tags:
            return self._tags[index]
        return self.locate(self._origins[2 * index + 1], self._origins[2 * index])

    def _refuse(self, refusals: list[tuple[int, int, str | None]], requests: memoryview) -> None:
        datagram = bytes(requests)
        messages = self._backend.split(datagram)
        for sequence, errno, words in refusals:
            index = (sequence - self._first) % 0xFFFFFFFF
            _, _, _, _, start, end = messages[index]
            self._waiting.pop(index, None)
            command = datagram[start]
            service, destination = self._values(command, datagram, start, end)
            self.refused.append(
                KernelError(
                    errno, command, service=service, destination=destination, extack=words, tag=self._tag(index)
                )
            )

    def _values(self, command: int, datagram: bytes, start: int, end: int) -> tuple[Service | None, Destination | None]:
        """What a request of ours was about."""
        from ipvsnl.model import Service

        if command in (Command.FLUSH, Command.ZERO) and end - start <= 4:
            return None, None
        service = wire.read_service(self._backend.decode("service", datagram, start, end)).service
        if command not in _SERVICE_COMMANDS:
            service = Service(service.protocol, service.address, service.port, service.fwmark, service.family)
        if command not in (Command.NEW_DEST, Command.SET_DEST, Command.DEL_DEST):
            return service, None
        return service, wire.read_destination(self._backend.decode("dest", datagram, start, end)).destination

    # --- schedulers that are put off ---

    def few(self, scheduler: str) -> int:
        """From how many servers on a new service of this scheduler is worth putting it off; 0: never."""
        return self._put_off.get(scheduler, 0)

    def service_of(self, line: bytes) -> Service | None:
        """The service that a plain line adds; None for any other line."""
        progress, scratch = Progress(), bytearray(512)
        progress.final = True
        self._backend.rules(line, progress, self._family, b"", scratch, 0, memoryview(bytearray(16)).cast("Q"), 0)
        if not progress.made or scratch[16] != Command.NEW_SERVICE:
            return None
        request = bytes(scratch[: progress.length])
        return wire.read_service(self._backend.decode("service", request, 16, len(request))).service

    def add_service_first(self, service: Service, *, tag: object = None) -> None:
        """Add a service whose many servers follow; its scheduler comes last: see :meth:`switch`.

        The first of each scheduler is added as it is and then switched to ``rr``, so that one that the kernel does not
        have is refused where it is named.
        """
        if service.scheduler in self._there:
            self.add_service(service.replace(scheduler=_IN_THE_MEANTIME), tag=tag)
            self._waiting[self._count - 1] = service
            return
        before = len(self.refused)
        self.add_service(service, tag=tag)
        self.send()
        if len(self.refused) == before or self.refused[-1].service != service:
            self._there.add(service.scheduler)
            self._edit(service.replace(scheduler=_IN_THE_MEANTIME), tag)
            self._switches.append((service, tag))

    def switch(self) -> None:
        """Give every service that was put off its scheduler."""
        if self._waiting:
            self.send()
        switches, self._switches = self._switches, []
        for service, tag in switches:
            self._edit(service, tag)

    def _edit(self, service: Service, tag: object) -> None:
        self.edit_service(service, tag=tag)
        self._extra += 1

    def close(self) -> None:
        """Switch, send, and raise :class:`~ipvsnl.errors.BatchError` where refusals were left to collect."""
        self.switch()
        self.send()
        if self.refused:
            raise BatchError(self.refused)
