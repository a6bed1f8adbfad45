"""The difference of two tables as ordered operations. Pure: nothing here reads a table or changes one.

The order is what keeps services up while they change:

1. new services, each at once with its servers; 2. new servers of services that are there; 3. edited servers, those that
get a weight before those that lose theirs; 4. edited services; 5. with ``drain``, weight 0 for the servers that go;
6. servers that go; 7. services that go, each at once with what servers it has.

An edit is an edit, never a delete and an add, so that connections live on; a key that changed is another rule.
"""

from __future__ import annotations

from operator import attrgetter

from ipvsnl._value import Value, value
from ipvsnl.model import Destination, Service, Timeouts, endpoint
from ipvsnl.tables.table import normal_server, same
from ipvsnl.text.rules import format_server, format_service, selector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ipvsnl.tables.table import Key, Table

_fields = attrgetter(*Destination.__fields__)
KINDS = (
    "set-timeouts", "add-service", "add-server", "edit-server", "edit-service", "drain-server", "delete-server",
    "delete-service",
)  # fmt: skip
CHANGES = ("add", "edit", "delete")
"""The kinds of change that people choose from."""
_CHANGE_OF = {"add": "add", "delete": "delete", "drain": "delete"}
LOSING = frozenset(("delete-server", "delete-service"))


@value
class Operation(Value):
    """One change: ``kind`` is one of :data:`KINDS`, ``service`` and ``destination`` what it makes, or takes away.

    ``before`` is what an edit replaces; ``servers`` are those that go with a deleted service; ``line`` is where the wanted
    table says so (0: nowhere).
    """

    kind: str
    service: Service | None = None
    destination: Destination | None = None
    before: Service | Destination | Timeouts | None = None
    servers: tuple[Destination, ...] = ()
    timeouts: Timeouts | None = None
    line: int = 0

    def __str__(self) -> str:
        if self.timeouts is not None:
            return "--set " + " ".join(str(seconds or 0) for seconds in self.timeouts.astuple())
        return rule_text(_LETTERS[self.kind], self.service, self.destination)

    def rule(self) -> str:
        """The rule itself, as the line that adds it."""
        return rule_text("A" if self.destination is None else "a", self.service, self.destination)

    def changes(self) -> dict[str, tuple[object, object]]:
        """Of an edit: the fields that change, with what they are and what they become."""
        after = self.timeouts or self.destination or self.service
        if self.before is None or after is None:
            return {}
        pairs = zip(after.__fields__, self.before.astuple(), after.astuple(), strict=True)
        return {name: (old, new) for name, old, new in pairs if old != new and not (self.timeouts and new is None)}


_LETTERS = {
    "add-service": "A", "add-server": "a", "edit-server": "e", "drain-server": "e", "edit-service": "E",
    "delete-server": "d", "delete-service": "D",
}  # fmt: skip


@value
class Plan(Value):
    """What to do, in order. False where there is nothing to do.

    ``stays`` are the rules that are not wanted and stay since ``prune`` was not asked for: operations, too, that would
    take them away. ``drain`` is how long servers that go may take to become idle, in seconds (None: no time at all).
    ``left_out`` are the changes of kinds that were not asked for.
    """

    operations: tuple[Operation, ...] = ()
    stays: tuple[Operation, ...] = ()
    prune: bool = False
    drain: float | None = None
    source: str = ""
    left_out: tuple[Operation, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def __str__(self) -> str:
        return "\n".join(map(str, self.operations))

    def count(self, kind: str) -> int:
        """How many operations are of a kind."""
        return sum(operation.kind == kind for operation in self.operations)


def rule_text(letter: str, service: Service | None, server: Destination | None = None) -> str:
    """The command line of ipvsadm that does ``letter`` (``A`` to ``d``) to a rule."""
    if service is None:
        return ""
    named = selector(service, endpoint(service.address, service.port))
    if letter == "D":
        return f"-D {named}"
    if server is None:
        return f"-{letter}{format_service(service, named, own=True)[2:]}"
    where = endpoint(server.address, server.port)
    return (
        f"-d {named} -r {where}" if letter == "d" else f"-{letter}{format_server(named, server, where, of=service)[2:]}"
    )


class _Steps:
    """Operations by phase, in the order of the phases."""

    def __init__(self, *, keep_weights: bool) -> None:
        self.keep_weights = keep_weights
        self.timeouts: list[Operation] = []
        self.new: list[Operation] = []
        self.gained: list[Operation] = []
        self.edited_servers: list[Operation] = []
        self.edited_services: list[Operation] = []
        self.drained: list[Operation] = []
        self.lost_servers: list[Operation] = []
        self.lost_services: list[Operation] = []

    def kept(self) -> tuple[Operation, ...]:
        """Those that take nothing away."""
        # Who gets a weight comes before who loses his.
        self.edited_servers.sort(key=lambda edit: edit.destination is not None and edit.destination.weight == 0)
        return (*self.timeouts, *self.new, *self.gained, *self.edited_servers, *self.edited_services)

    def lost(self) -> tuple[Operation, ...]:
        """Those that take away."""
        return (*self.lost_servers, *self.lost_services)


def difference(
    live: Table,
    wanted: Table,
    *,
    prune: bool = False,
    drain: float | None = None,
    live_timeouts: Timeouts | None = None,
    keep_weights: bool = False,
    only: Collection[str] | None = None,
) -> Plan:
    """What makes ``live`` be ``wanted``; ``prune`` takes away what is not wanted.

    ``live_timeouts`` are needed where the wanted table has timeouts. ``keep_weights`` leaves the weights of live servers as
    they are. ``only`` are the kinds of change to make, of :data:`CHANGES`; the others are :attr:`Plan.left_out`.
    """
    if only is not None and not set(only) <= set(CHANGES):
        raise ValueError(f"only={only!r}: of {', '.join(CHANGES)}")
    steps = _Steps(keep_weights=keep_weights)
    for key, service in wanted.services.items():
        if key in live.services:
            _existing(live, wanted, key, steps)
        else:
            _new(wanted, key, service, steps)
    _unwanted(live, wanted, steps)
    if wanted.timeouts is not None and live_timeouts is not None:
        steps.timeouts += _timeouts(live_timeouts, wanted.timeouts)
    if not prune:
        made, left = _chosen(steps.kept(), only)
        return Plan(made, steps.lost(), False, None, wanted.source, left)
    if drain is not None:
        steps.drained += _drained(steps.lost())
    made, left = _chosen((*steps.kept(), *steps.drained, *steps.lost()), only)
    return Plan(made, (), True, drain, wanted.source, left)


def change_of(operation: Operation) -> str:
    """Which of :data:`CHANGES` an operation is."""
    return _CHANGE_OF.get(operation.kind.partition("-")[0], "edit")


def _chosen(
    operations: tuple[Operation, ...], only: Collection[str] | None
) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    """The operations of some kinds, and the others (draining belongs to the deletion that it comes before)."""
    if only is None:
        return operations, ()
    made = tuple(one for one in operations if change_of(one) in only)
    return made, tuple(one for one in operations if change_of(one) not in only and one.kind != "drain-server")


def _new(wanted: Table, key: Key, service: Service, steps: _Steps) -> None:
    """A new service, at once with its servers."""
    steps.new.append(Operation("add-service", service, line=wanted.line(key)))
    for server in wanted.servers[key].values():
        steps.new.append(Operation("add-server", service, _written(wanted, server), line=wanted.line(key, server.key)))


def _existing(live: Table, wanted: Table, key: Key, steps: _Steps) -> None:
    before = live.services[key]
    service = wanted.service_over(before)
    if not same(before, service):
        steps.edited_services.append(Operation("edit-service", service, None, before, line=wanted.line(key)))
    there = live.servers[key]
    for server_key, server in wanted.servers[key].items():
        old = there.get(server_key)
        if old is None:
            line = wanted.line(key, server_key)
            steps.gained.append(Operation("add-server", service, _written(wanted, server), line=line))
            continue
        if steps.keep_weights or wanted.unsaid[1]:
            server = wanted.server_over(key, old)
            server = server.replace(weight=old.weight) if steps.keep_weights else server
        if _fields(old) != _fields(server) and not same(old, server):
            line = wanted.line(key, server_key)
            steps.edited_servers.append(Operation("edit-server", service, _written(wanted, server), old, line=line))


def _written(wanted: Table, server: Destination) -> Destination:
    return server if wanted.exact else normal_server(server)


def _unwanted(live: Table, wanted: Table, steps: _Steps) -> None:
    for key, service in live.services.items():
        there = live.servers[key]
        wished = wanted.servers.get(key)
        if wished is None:
            steps.lost_services.append(
                Operation("delete-service", service, servers=tuple(there.values()), line=wanted.line(key))
            )
        elif there.keys() - wished.keys():
            steps.lost_servers += [
                Operation("delete-server", service, server, server, line=wanted.line(key, server_key))
                for server_key, server in there.items()
                if server_key not in wished
            ]


def _drained(lost: tuple[Operation, ...]) -> Iterator[Operation]:
    """Weight 0, so that no new connection comes, for every server that goes."""
    for going in lost:
        servers = going.servers if going.destination is None else (going.destination,)
        for server in servers:
            if server.weight:
                yield Operation("drain-server", going.service, server.replace(weight=0), server)


def _timeouts(live: Timeouts, wanted: Timeouts) -> Iterator[Operation]:
    """None and 0 are no wish."""
    pairs = list(zip(live.astuple(), wanted.astuple(), strict=True))
    if any(want and want != have for have, want in pairs):
        changed = Timeouts(*[want if want and want != have else None for have, want in pairs])
        yield Operation("set-timeouts", before=live, timeouts=changed)
