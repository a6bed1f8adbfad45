"""Many changes in few system calls, each with the values that it was made from."""

from __future__ import annotations

from ipvsnl.bulk.changes import FEW_REFUSALS, Changes
from ipvsnl.refusals import BatchError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ipvsnl.link.conversation import Conversation
    from ipvsnl.wire.verbs import Subject


class Batch(Changes):
    """Changes that are sent together.

    Sends by itself whenever a send is full; :meth:`send` sends what is left. Not atomic: a refused change does not stop
    the ones after it. As a context manager it sends at the end and raises :class:`~ipvsnl.refusals.BatchError` for refusals.
    """

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation, FEW_REFUSALS)
        self._pending: dict[int, tuple[int, Subject, object]] = {}

    def _remember(self, sequence: int, command: int, subject: Subject, tag: object) -> None:
        self._pending[sequence] = command, subject, tag

    def _refuse(self, refusals: list[tuple[int, int, str | None]], requests: bytes) -> None:
        del requests  # the values are at hand
        for sequence, errno, words in refusals:
            command, (service, destination), tag = self._pending[sequence]
            error = KernelError(errno, command, service=service, destination=destination, extack=words, tag=tag)
            error.simulated = self._conversation.simulated
            self.refused.append(error)

    def _forget(self) -> None:
        super()._forget()
        self._pending = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.send()
            if self.refused:
                raise BatchError(self.refused)
