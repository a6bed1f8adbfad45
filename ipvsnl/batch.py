"""Many changes in few system calls.

The kernel executes the requests of one ``send`` in order, before ``send`` returns, and answers each that fails; so one
acknowledgement, of the last, closes a whole send. Each failing request costs a place in the receive queue, and the
default queue holds 277 of them (Linux 6.1, x86-64): a send never holds more requests than that, so no refusal is lost.
"""

from __future__ import annotations

from ipvsnl.errors import BatchError, KernelError
from ipvsnl.exchange import UNACKNOWLEDGED, Exchange, acknowledge
from ipvsnl.link import await_answers
from ipvsnl.verbs import NOTHING, Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ipvsnl.backends import Backend
    from ipvsnl.exchange import Sequence
    from ipvsnl.link import Link
    from ipvsnl.model import Destination, Service
    from ipvsnl.verbs import Records, Subject

    Change = tuple[int, int, Service | None, Destination | None, object]

MOST_REQUESTS = 256
"""Requests a send: their refusals all fit the default receive queue."""


class Batch(Verbs):
    """Changes that are sent together.

    Sends by itself whenever a send is full; :meth:`send` sends what is left. Not atomic: a refused change does not stop
    the ones after it. As a context manager it sends at the end and raises :class:`~ipvsnl.errors.BatchError` for refusals.
    """

    def __init__(self, link: Link, backend: Backend, family: int, sequence: Sequence, timeout: float) -> None:
        self._link = link
        self._backend = backend
        self._family = family
        self._sequence = sequence
        self._timeout = timeout
        self._requests = bytearray()
        self._last = 0
        self._changes: list[Change] = []
        self.sent = 0
        """Changes that the kernel has answered for."""
        self.refused: list[KernelError] = []
        """The refused ones, in order; take them out or leave them to collect."""

    def send(self) -> None:
        """Send what is pending and take the answers in; LinkError when they do not come."""
        changes = self._changes
        if not changes:
            return
        acknowledge(self._requests, self._last)
        exchange = Exchange(self._backend, changes[0][0], changes[-1][0])
        self._link.send(bytes(self._requests))
        self._requests = bytearray()
        self._changes = []
        await_answers(self._link, exchange, self._timeout)
        self.sent += len(changes)
        if exchange.refusals:
            known = {change[0]: change for change in changes}
            for refusal in exchange.refusals:
                _, command, service, destination, tag = known[refusal.sequence]
                self.refused.append(
                    KernelError(
                        refusal.errno, command, service=service, destination=destination, extack=refusal.extack, tag=tag
                    )
                )

    def _change(
        self, command: int, subject: Subject = NOTHING, records: Records = NOTHING, *, tag: object = None
    ) -> None:
        sequence = self._sequence.next()
        request = self._backend.encode(self._family, command, UNACKNOWLEDGED, sequence, *records)
        if len(self._changes) >= MOST_REQUESTS or len(self._requests) + len(request) > self._link.max_send:
            self.send()
        self._last = len(self._requests)
        self._requests += request
        self._changes.append((sequence, command, *subject, tag))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.send()
            if self.refused:
                raise BatchError(self.refused)
