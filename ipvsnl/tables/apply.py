"""Carrying a plan out: all of it, or none.

Everything is validated before the first write, the table must still be what the plan was made from, operations travel in
batches, what takes something away begins only when all that gives was accepted, and the first refusal (or a signal) makes
every rule what it was. Afterwards the table is read again: nobody else may have written meanwhile.

The kernel has no transactions and tells of nobody's changes, so both are concluded from reading; the lock keeps other
applies away, and nobody else.
"""

from __future__ import annotations

import errno
import time
from contextlib import suppress

from ipvsnl._held import Held, held
from ipvsnl._value import needs
from ipvsnl.causes import foresee
from ipvsnl.errors import EncodeError
from ipvsnl.family import Command
from ipvsnl.refusals import KernelError
from ipvsnl.tables.failures import ApplyError, ConflictError, JournalError
from ipvsnl.tables.journal import Journal
from ipvsnl.tables.plan import LOSING, Operation, Plan
from ipvsnl.tables.undo import Units
from ipvsnl.wire.verbs import Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ipvsnl.bulk.batch import Batch
    from ipvsnl.tables.contract import Client
    from ipvsnl.tables.table import Table

    Watch = Callable[[str], None]
    """Told of what takes its time, in words."""

ATTEMPTS = 5
"""Plans that :func:`converge` carries out while others keep on changing the table."""
_RACES = frozenset((errno.EEXIST, errno.ESRCH, errno.ENOENT))
"""What a plan is refused with when the table is not what it was made from."""
_COMMANDS = {
    "add-service": Command.NEW_SERVICE, "edit-service": Command.SET_SERVICE,
    "add-server": Command.NEW_DEST, "edit-server": Command.SET_DEST,
}  # fmt: skip
_POLL = 0.2
"""Seconds between two looks at servers that are to become idle."""


def apply(client: Client, plan: Plan, *, watch: Watch | None = None) -> None:
    """Carry a plan out under the table's lock, with a journal; see :meth:`ipvsnl.client.IPVS.apply`."""
    needs(Plan, plan)
    journal = Journal(client.place)
    with journal.locked(), held() as signals:
        Application(client, plan, journal, watch=watch, signals=signals).run()


def converge(
    client: Client, wanted: Table, *, prune: bool = False, drain: float | None = None, keep_weights: bool = False,
    only: Collection[str] | None = None, text: str = "", watch: Watch | None = None,
) -> list[Plan]:  # fmt: skip
    """Plan and apply until nothing differs, under the table's lock; the plans that were carried out.

    Others may write meanwhile: what they change is planned for anew, :data:`ATTEMPTS` times, then it is a ConflictError.
    ``text`` is what the journal knows the wanted table by.
    """
    journal = Journal(client.place)
    done: list[Plan] = []
    trouble: ApplyError | ConflictError | None = None
    with journal.locked(), held() as signals:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.02 * attempt)
            signals.check()
            plan = client.plan(wanted, prune=prune, drain=drain, keep_weights=keep_weights, only=only)
            signals.check()
            if not plan:
                journal.end()
                return done
            try:
                Application(client, plan, journal, text, watch=watch, signals=signals).run()
                done.append(plan)
                trouble = None
            except ConflictError as conflict:
                trouble = conflict
            except ApplyError as failed:
                if not (failed.rolled_back and _raced(failed.reason)):
                    raise
                trouble = failed
        if not (plan := client.plan(wanted, prune=prune, drain=drain, keep_weights=keep_weights, only=only)):
            return done
    words = f"someone else keeps on changing the table: {ATTEMPTS} plans were not enough, and this still differs"
    raise ConflictError(words, tuple(map(str, plan.operations)), written=bool(done)) from trouble


def _raced(reason: BaseException) -> bool:
    if not isinstance(reason, KernelError):
        return False
    # Of a service, ENOENT is a scheduler or an engine that there is not, whoever writes meanwhile.
    lacking = reason.errno == errno.ENOENT and reason.command in (Command.NEW_SERVICE, Command.SET_SERVICE)
    return reason.errno in _RACES and not lacking


class _Refused(Exception):  # noqa: N818 (on its way to an ApplyError)
    """The first refused operation."""

    def __init__(self, operation: Operation, reason: KernelError, alike: int) -> None:
        super().__init__()
        self.alike = alike
        self.operation = operation
        self.reason = reason


class _Validation(Verbs[None]):
    """Takes every change as a client does, and sends none: EncodeError for what has no form on the wire."""

    def _change(self, *_: object, **__: object) -> None:
        pass


class Application:
    """One plan on its way."""

    def __init__(
        self, client: Client, plan: Plan, journal: Journal, text: str = "", *, watch: Watch | None = None,
        signals: Held | None = None,
    ) -> None:  # fmt: skip
        self._client = client
        self._plan = plan
        self._journal = journal
        self._text = text
        self._say = watch or (lambda _: None)
        self._signals = signals or Held()
        self._units = Units(plan.operations)
        self._sent: list[Operation] = []

    def run(self) -> None:
        """Do it; ApplyError, ConflictError and EncodeError say what was left of it."""
        self._validate()
        changed = self._units.changed_before(self._units.read(self._client))
        if changed:
            raise ConflictError("the table has changed since the plan was made", changed)
        self._journal.begin(self._plan, self._text)
        try:
            self._carry_out()
        except _Refused as refused:
            raise self._failed(refused.operation, refused.reason, refused.alike) from refused.reason
        except BaseException as wrong:
            raise self._failed(None, wrong) from wrong
        changed = self._units.changed_after(self._units.read(self._client))
        if changed:
            raise ConflictError("someone else changed the table while the plan was carried out", changed, written=True)
        self._journal.end()

    def _failed(self, operation: Operation | None, reason: BaseException, alike: int = 1) -> ApplyError:
        """Roll back, and say so. The journal stays where the table is left neither as it was nor as planned."""
        left = self._roll_back(self._sent)
        if not left:
            with suppress(JournalError):  # the next apply finds it, and nothing to do
                self._journal.end()
        return ApplyError(operation, reason, left, alike)

    def _validate(self) -> None:
        verbs = _Validation()
        for operation in self._plan.operations:
            try:
                carry(verbs, operation)
            except EncodeError as wrong:
                where = f"line {operation.line}: " if operation.line else ""
                raise EncodeError(f"{where}{operation}: {wrong}") from None
            if operation.kind in _COMMANDS and (number := foresee(operation.service, operation.destination)):
                service, server = operation.service, operation.destination
                refused = KernelError(number, _COMMANDS[operation.kind], service=service, destination=server)
                raise ApplyError(operation, refused)

    def _carry_out(self) -> None:
        operations = self._plan.operations
        losing = next((at for at, one in enumerate(operations) if one.kind in LOSING), len(operations))
        drained = next((at for at, one in enumerate(operations) if one.kind == "drain-server"), losing)
        for phase in (operations[:drained], operations[drained:losing]):
            self._send(phase)
        if self._plan.drain is not None and operations[losing:]:
            self._wait_until_idle(operations[losing:], self._plan.drain)
        self._send(operations[losing:])

    def _send(self, operations: Sequence[Operation]) -> None:
        batch = self._client.batch()
        for operation in operations:
            self._signals.check()
            self._sent.append(operation)
            if operation.timeouts is not None:
                self._client.set_timeouts(operation.timeouts)
                continue
            carry(batch, operation)
            if batch.refused:
                break
        else:
            batch.send()
        self._judge(batch)

    def _judge(self, batch: Batch) -> None:
        if not batch.refused:
            return
        refused = {id(error.tag) for error in batch.refused}
        first = batch.refused[0]
        operation = next(one for one in self._sent if one is first.tag)
        # Refused ones wrote nothing: what stands there now is not theirs to take back.
        self._sent = [one for one in self._sent if id(one) not in refused]
        alike = sum((one.errno, one.cause) == (first.errno, first.cause) for one in batch.refused)
        raise _Refused(operation, first, alike)

    def _wait_until_idle(self, losing: Sequence[Operation], seconds: float) -> None:
        going = [(one.service, server.key) for one in losing for server in (one.servers or (one.destination,))
                 if server is not None and one.service is not None]  # fmt: skip
        deadline = time.monotonic() + seconds
        services = {service.key: service for service, _ in going}
        keys = {(service.key, key) for service, key in going}
        while True:
            self._signals.check()
            busy = sum(
                status.active + status.inactive > 0
                for key, service in services.items()
                for status in self._client.servers(service)
                if (key, status.destination.key) in keys
            )
            left = deadline - time.monotonic()
            if not busy or left <= 0:
                return
            self._say(f"{busy} of {len(going)} servers that go still have connections ({left:.0f} s left)")
            time.sleep(min(_POLL, left))

    def _roll_back(self, sent: Sequence[Operation]) -> tuple[str, ...]:
        """Make everything what it was; the names of what could not be."""
        units = Units(sent)
        left: list[str] = []
        try:
            for one in sent:
                if one.timeouts is not None and one.before is not None:
                    self._client.set_timeouts(one.before)  # type: ignore[arg-type]
            plan, foreign = units.restoration(units.read(self._client))
            left += [f"{name}: someone else has changed it meanwhile" for name in foreign]
            batch = self._client.batch()
            for operation in plan.operations:
                carry(batch, operation)
            batch.send()
            left += [f"{error.tag}: {error.message}" for error in batch.refused]
            if not left:
                again, _ = units.restoration(units.read(self._client))
                left += [f"{one}: still to do" for one in again.operations]
        except Exception as wrong:
            left.append(f"the table could not be read or written any more: {wrong}")
        return tuple(left)


def carry(verbs: Verbs[None], operation: Operation) -> None:
    """One operation as a verb; its tag is the operation."""
    kind, service, server = operation.kind, operation.service, operation.destination
    if service is None:
        return
    if server is None:
        service_verb = {"add-service": verbs.add_service, "edit-service": verbs.edit_service}
        service_verb.get(kind, verbs.delete_service)(service, tag=operation)
    else:
        server_verb = {"add-server": verbs.add_server, "delete-server": verbs.delete_server}
        server_verb.get(kind, verbs.edit_server)(service, server, tag=operation)
