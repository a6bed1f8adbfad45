"""The record of an apply: what each rule was before, and what the operations made of it.

With it an apply sees whether somebody else changed a rule meanwhile, and a rollback makes every rule what it was. A *unit*
is one service without its servers, or one server. If a unit is neither what it was nor what we made of it, somebody else
changed it, and the rollback leaves it alone.
"""

from __future__ import annotations

import errno

from ipvsnl.model import Service
from ipvsnl.refusals import KernelError
from ipvsnl.tables.plan import Operation, difference
from ipvsnl.tables.table import Table, live, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipvsnl.model import Destination
    from ipvsnl.tables.contract import Client
    from ipvsnl.tables.plan import Plan
    from ipvsnl.tables.table import Key, ServerKey

    Unit = tuple[Key, ServerKey | None]
    Rule = Service | Destination | None

WHOLE_FROM = 64
"""Services from which on the whole table is read, not one after the other."""


class Units:
    """The units that operations write."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.services: dict[Key, Service] = {}
        self.before: dict[Unit, Rule] = {}
        self.written: dict[Unit, list[Rule]] = {}
        self._gone: dict[Key, frozenset[ServerKey]] = {}
        for operation in operations:
            if operation.service is not None:
                self._add(operation, operation.service)

    def _add(self, operation: Operation, service: Service) -> None:
        key, kind = service.key, operation.kind
        self.services[key] = service
        server, before = operation.destination, operation.before
        old = None if before is None else before
        if kind == "delete-service":
            self._note((key, None), service, None)
            for one in operation.servers:
                self._note((key, one.key), one, None)
            self._gone[key] = frozenset(one.key for one in operation.servers)
        elif server is not None:
            self._note((key, server.key), old, None if kind == "delete-server" else server)  # type: ignore[arg-type]
        else:
            self._note((key, None), old, service)  # type: ignore[arg-type]

    def _note(self, unit: Unit, before: Rule, after: Rule) -> None:
        self.before.setdefault(unit, before)
        self.written.setdefault(unit, []).append(after)

    def read(self, client: Client) -> Table:
        """The services concerned as they are now, with all their servers."""
        if len(self.services) >= WHOLE_FROM:
            return live(client.snapshot())
        table = Table()
        for key, service in self.services.items():
            try:
                table.services[key] = client.service(service).service
            except KernelError as refused:
                if refused.errno != errno.ESRCH:
                    raise
                continue
            table.servers[key] = {status.destination.key: status.destination for status in client.servers(service)}
        return table

    def changed_before(self, now: Table) -> tuple[str, ...]:
        """The units that are not what they were planned from."""
        wrong = [unit for unit, before in self.before.items() if not same(_find(now, unit), before)]
        wrong += [
            (key, one) for key, known in self._gone.items() for one in now.servers.get(key, {}) if one not in known
        ]
        return tuple([self.name(unit) for unit in wrong])

    def changed_after(self, now: Table) -> tuple[str, ...]:
        """The units that are not what they were made."""
        wrong = [unit for unit, made in self.written.items() if not same(_find(now, unit), made[-1])]
        return tuple([self.name(unit) for unit in wrong])

    def restoration(self, now: Table) -> tuple[Plan, tuple[str, ...]]:
        """The plan that makes the units what they were, and the names of those that someone else wrote meanwhile."""
        restored, foreign = [], []
        for unit, before in self.before.items():
            found = _find(now, unit)
            if same(found, before):
                continue
            if any(same(found, one) for one in self.written[unit]):
                restored.append(unit)
            else:
                foreign.append(unit)
        return self._plan_back(now, restored, foreign)

    def _plan_back(self, now: Table, restored: list[Unit], foreign: list[Unit]) -> tuple[Plan, tuple[str, ...]]:
        table, wanted = Table(), Table()
        wanted.exact = True
        ours = set(restored)
        for key in dict.fromkeys(key for key, _ in restored):
            service = self.before[key, None] if (key, None) in ours else now.services.get(key)
            units = [unit for unit in restored if unit[0] == key and unit[1] is not None]
            there = now.servers.get(key, {})
            if service is None and any((key, one) not in ours for one in there):
                foreign.append((key, None))  # a service of ours that has got servers of someone else's
                service = now.services.get(key)
            if service is None and key not in now.services:
                foreign += units  # the service itself is gone
                continue
            _put(table, key, now.services.get(key), [_find(now, unit) for unit in units])
            _put(wanted, key, service, [self.before[unit] for unit in units])
        return difference(table, wanted, prune=True), tuple([self.name(unit) for unit in foreign])

    def name(self, unit: Unit) -> str:
        """What messages call a unit."""
        key, server = unit
        if server is None:
            return str(self.services[key])
        address, port = server
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        return f"{self.services[key]} -> {where}"


def _find(table: Table, unit: Unit) -> Rule:
    key, server = unit
    return table.services.get(key) if server is None else table.servers.get(key, {}).get(server)


def _put(table: Table, key: Key, service: Rule, servers: list[Rule]) -> None:
    if isinstance(service, Service):
        table.services[key] = service
        table.servers[key] = {one.key: one for one in _servers(servers)}


def _servers(rules: list[Rule]) -> Iterator[Destination]:
    for one in rules:
        if one is not None and not isinstance(one, Service):
            yield one
