"""What batches and loads share: requests gathered in one buffer, sent together, and their refusals.

The kernel executes the requests of one ``send`` in order, before ``send`` returns, and answers each that fails; so one
acknowledgement, of the last, closes a whole send. Each refusal takes a place in the receive queue: a send never holds more
requests than the queue has places, so that no refusal is lost.
"""

from __future__ import annotations

from ipvsnl.errors import IPVSError
from ipvsnl.refusals import KernelError
from ipvsnl.wire.exchange import UNACKNOWLEDGED, acknowledge
from ipvsnl.wire.verbs import NOTHING, Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.link.conversation import Conversation
    from ipvsnl.wire.verbs import Records, Subject

FEW_REFUSALS = 256
"""What the default receive queue holds (277 at 768 bytes each, Linux 6.1, x86-64), with a margin."""
MOST_REQUESTS = 4000
ROOM = MOST_REQUESTS * 176
"""Requests and bytes of a send: more make a load no faster, and fall out of the processor's cache."""


class Changes(Verbs[None]):
    """Changes on their way to one kernel: each verb adds one, :meth:`send` sends what is left.

    ``most`` is how many one send may hold. A refused change does not stop the ones after it.
    """

    def __init__(self, conversation: Conversation, most: int) -> None:
        conversation.turns.check()
        self._conversation = conversation
        self._most = most
        self._room = bytearray(min(ROOM, conversation.link.max_send))
        self._used = self._count = self._last = 0
        self._first = self._closing = 0
        """The numbers of the first and the last pending request; others of the client may lie between."""
        self._uncounted = 0
        """Of the pending requests, those that the caller did not ask for."""
        self.sent = 0
        """Changes that the kernel has answered for."""
        self.refused: list[KernelError] = []
        """The refused ones, in order; take them out or leave them to collect."""

    def send(self) -> None:
        """Send what is pending and take the answers in; LinkError when they do not come."""
        if not self._count:
            return
        acknowledge(self._room, self._last)
        talk = self._conversation
        requests = memoryview(self._room)[: self._used]
        refusals, sent, trouble = talk.transfer(requests, self._first, self._closing, self._most)
        try:
            if refusals:
                self._refuse(refusals, bytes(requests))
            if trouble is None or (sent and not isinstance(trouble, IPVSError)):
                self.sent += self._count - self._uncounted
            self._answered()
            self._forget()
            if trouble is not None:
                raise trouble
        finally:
            del trouble  # its traceback holds this frame: no circle

    # --- what the two kinds do in their own way ---

    def _remember(self, sequence: int, command: int, subject: Subject, tag: object) -> None:
        """Keep what the request that comes next is about."""
        raise NotImplementedError

    def _refuse(self, refusals: list[tuple[int, int, str | None]], requests: bytes) -> None:
        """Put refusals (sequence number, errno, the kernel's words) among the refused."""
        raise NotImplementedError

    def _answered(self) -> None:
        """The requests that stand in the buffer were answered; called before they are forgotten."""

    # --- inside ---

    def _change(
        self, command: int, subject: Subject = NOTHING, records: Records = NOTHING, *, tag: object = None
    ) -> None:
        talk = self._conversation
        sequence = talk.sequence.next()
        request = talk.backend.encode(talk.family, command, UNACKNOWLEDGED, sequence, *records)
        if self._count == self._most or self._used + len(request) > len(self._room):
            self.send()
        if not self._count:
            talk.turns.check()
            self._first = sequence
        self._remember(sequence, command, subject, tag)
        self._room[self._used : self._used + len(request)] = request
        self._last, self._used, self._count = self._used, self._used + len(request), self._count + 1
        self._closing = sequence

    def _forget(self) -> None:
        """Nothing is pending any more."""
        self._used = self._count = self._uncounted = 0
