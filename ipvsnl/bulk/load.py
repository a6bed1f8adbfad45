"""Changes in bulk: from text, columns or values into one buffer, out in as few system calls as the kernel allows.

A load asks the kernel for less (:data:`PUT_OFF`): ``mh`` builds its table of 4093 slots anew for every server that is
added, so a service that the load itself creates, and gives many servers, schedules by ``rr`` until its servers are
there. SET_SERVICE then waits for an RCU grace period once, which is why it takes many servers to be worth it.
"""

from __future__ import annotations

from ipvsnl.backends.contract import Stop
from ipvsnl.bulk.changes import FEW_REFUSALS, MOST_REQUESTS, Changes
from ipvsnl.family import Command
from ipvsnl.refusals import BatchError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipvsnl.link.conversation import Conversation
    from ipvsnl.model import Destination, Service
    from ipvsnl.wire import records
    from ipvsnl.wire.columns import Columns
    from ipvsnl.wire.verbs import Subject

    Locate = Callable[[int, int], object]
else:
    from ipvsnl._later import Later

    records = Later("ipvsnl.wire.records")

PUT_OFF: Mapping[str, int] = {"mh": 128}
"""Schedulers to switch to at the end of a load, and from how many servers of a service on."""
_IN_THE_MEANTIME = "rr"
_ADDING = (Command.NEW_SERVICE, Command.NEW_DEST)
_SERVICE_COMMANDS = (Command.NEW_SERVICE, Command.SET_SERVICE)


class Progress:
    """How far a rule text is read; see :meth:`ipvsnl.backends.contract.Backend.rules`."""

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


class Load(Changes):
    """Changes under way to one kernel: each verb adds one, :meth:`send` sends what is left.

    ``sent`` counts the changes that the kernel has answered for, without the switches of schedulers put off; ``refused``
    collects the refusals, in order, until someone takes them out. ``locate`` makes the tag of a refusal out of a line's
    number and its offset in the text (or a row's number, and 0); a verb's own ``tag`` goes before it.
    """

    def __init__(self, conversation: Conversation, *, put_off: Mapping[str, int] | None = PUT_OFF) -> None:
        super().__init__(conversation, min(MOST_REQUESTS, conversation.widen() or FEW_REFUSALS))
        self._origins = memoryview(bytearray(16 * self._most)).cast("Q")
        self._tags: dict[int, object] = {}
        self._put_off = dict(put_off or {})
        self._waiting: dict[int, Service] = {}
        self._switches: list[tuple[Service, object]] = []
        self._there: set[str] = set()
        self.rehearses = False
        """Nothing is sent: text is only read."""
        self.passed_over: tuple[int, ...] = ()
        """Errnos that are no refusals here: the kernel says by them that what was asked for is already so."""
        self.taken = 0
        """Plain lines of text that became requests."""
        self.edits = 0
        """Changes so far that are no additions."""
        self.line = 0
        """The number of the last plain line that became a request."""
        self.locate: Locate = _by_number

    # --- what comes in ---

    @property
    def reads_text(self) -> bool:
        """Whether :meth:`text` and :meth:`deletions` can be called: the C core reads text (else ``bulk.plain`` does)."""
        return self._conversation.backend.rules is not None

    def text(self, text: bytes, progress: Progress) -> None:
        """Take plain lines of rule text in, up to the first line that is not plain, or to the end of the text.

        A plain line is one in the spelling that ``ipvsadm -S -n`` writes. ``text`` is bytes. ``progress`` (a
        :class:`ipvsnl.backends.contract.Progress`) says at which byte and line to begin; afterwards it says how far the
        text was read, and ``progress.stop`` says why reading stopped: a number of :class:`ipvsnl.backends.contract.Stop`
        (FULL: look at ``refused`` first). It returns nothing, and raises what :meth:`send` raises. ``locate`` makes the
        tags of refusals, and it knows one text at a time: call :meth:`send` before the next text.
        """
        talk = self._conversation
        read = talk.backend.rules
        assert read is not None
        stops = "".join([f"{name}\0" for name in self._put_off]).encode()
        progress.few = min(self._put_off.values(), default=0)
        progress.additions, progress.dry = self.owes, self.rehearses
        while True:
            progress.sequence = self._next()
            read(text, progress, talk.family, stops, self._room, self._used, self._origins, self._count)
            talk.sequence.skip_to(progress.sequence)
            self.taken, self.edits = self.taken + progress.made, self.edits + progress.edits
            if progress.made and not progress.dry:
                self._made(progress)
                self.line = self._origins[2 * self._count - 1]
            if progress.stop != Stop.FULL:
                return
            self.send()
            if self.refused:
                return

    def deletions(self, text: bytes) -> None:
        """Take in the deletion of every service that a plain line of rule text adds, the last one first."""
        talk = self._conversation
        write = talk.backend.deletions
        assert write is not None
        progress = Progress()
        progress.at = len(text)
        while progress.at:
            progress.sequence = self._next()
            places = self._room, self._used, self._origins, self._count
            write(text, progress, talk.family, *places)
            talk.sequence.skip_to(progress.sequence)
            if progress.made:
                self._made(progress)
            if progress.at:
                self.send()

    def _next(self) -> int:
        """The number of the request that comes next."""
        if not self._count:
            self._conversation.turns.check()
        sequence = self._conversation.sequence.next()
        if not self._count:
            self._first = sequence
        return sequence

    def _made(self, progress: Progress) -> None:
        """Requests stand in their place."""
        self._closing = self._conversation.sequence.last
        self._count, self._used, self._last = self._count + progress.made, self._used + progress.length, progress.last

    def columns(self, columns: Columns) -> None:
        """Take every row of columns in; a refusal's tag is its row's number, from 0."""
        talk = self._conversation
        pattern, row = columns.pattern(talk.backend, talk.family), 0
        while row < columns.rows:
            free = min(self._most - self._count, (len(self._room) - self._used) // len(pattern))
            rows = min(free, columns.rows - row)
            if not rows:
                self.send()
                continue
            sequence = self._next()
            talk.backend.stamp(pattern, sequence, columns.places(pattern), row, rows, self._room, self._used)
            for index in range(rows):
                self._origins[2 * (self._count + index) + 1] = row + index
            talk.sequence.skip_to((sequence + rows - 1) % 0xFFFFFFFF + 1)
            self._closing = talk.sequence.last
            self._used, self._count = self._used + rows * len(pattern), self._count + rows
            self._last, row = self._used - len(pattern), row + rows

    # --- what goes out ---

    def send(self) -> None:
        """Send what is there and take the answers in; LinkError where they do not come."""
        if self.rehearses:
            self._forget()
        super().send()

    def _remember(self, sequence: int, command: int, subject: Subject, tag: object) -> None:
        del sequence, subject  # a refusal's service and server are read from its request
        if tag is not None:
            self._tags[self._count] = tag
        self.edits += command not in _ADDING
        self._origins[2 * self._count] = self._origins[2 * self._count + 1] = 0

    def _answered(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._switches += [(service, self._tag(index)) for index, service in waiting.items()]

    def _forget(self) -> None:
        super()._forget()
        self._tags.clear()

    def _tag(self, index: int) -> object:
        if index in self._tags:
            return self._tags[index]
        return self.locate(self._origins[2 * index + 1], self._origins[2 * index])

    def _refuse(self, refusals: list[tuple[int, int, str | None]], requests: bytes) -> None:
        messages = self._conversation.backend.split(requests)
        places = {message[2]: index for index, message in enumerate(messages)}
        for sequence, errno, words in refusals:
            if errno in self.passed_over:
                continue
            index = places[sequence]
            _, _, _, _, start, end = messages[index]
            self._waiting.pop(index, None)
            command = requests[start]
            service, destination = self._values(command, requests, start, end)
            tag = self._tag(index)
            error = KernelError(errno, command, service=service, destination=destination, extack=words, tag=tag)
            error.simulated = self._conversation.simulated
            self.refused.append(error)

    def _values(self, command: int, requests: bytes, start: int, end: int) -> tuple[Service | None, Destination | None]:
        """What a request of ours was about."""
        from ipvsnl.model import Service

        if command in (Command.FLUSH, Command.ZERO) and end - start <= 4:
            return None, None
        decode = self._conversation.backend.decode
        service = records.read_service(decode("service", requests, start, end)).service
        if command not in _SERVICE_COMMANDS:
            service = Service(service.protocol, service.address, service.port, service.fwmark, service.family)
        if command not in (Command.NEW_DEST, Command.SET_DEST, Command.DEL_DEST):
            return service, None
        return service, records.read_destination(decode("dest", requests, start, end)).destination

    # --- schedulers that are put off ---

    @property
    def owes(self) -> bool:
        """Whether a service still waits for its scheduler: whatever is no addition must come after :meth:`switch`."""
        return bool(self._switches or self._waiting)

    def few(self, scheduler: str) -> int:
        """From how many servers on a new service of this scheduler is worth putting it off; 0: never."""
        return self._put_off.get(scheduler, 0)

    def service_of(self, line: bytes) -> Service | None:
        """The service that a plain line adds; None for any other line."""
        talk = self._conversation
        if talk.backend.rules is None:
            return None
        progress, scratch = Progress(), bytearray(512)
        progress.final = True
        talk.backend.rules(line, progress, talk.family, b"", scratch, 0, memoryview(bytearray(16)).cast("Q"), 0)
        if not progress.made or scratch[16] != Command.NEW_SERVICE:
            return None
        request = bytes(scratch[: progress.length])
        return records.read_service(talk.backend.decode("service", request, 16, len(request))).service

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
        self._uncounted += 1
        self.edits -= 1

    def close(self) -> None:
        """Switch, send, and raise :class:`~ipvsnl.refusals.BatchError` where refusals were left to collect."""
        self.switch()
        self.send()
        if self.refused:
            raise BatchError(self.refused)
