"""A whole table as values: what is there, or what should be; and when two spellings of a rule are the same rule.

The kernel keeps fields that mean nothing (a netmask without persistence, a tunnel's port where there is no tunnel), and
one meaning has several spellings (``6`` and ``"tcp"``). :func:`same` sees through both. Order means nothing here.
"""

from __future__ import annotations

from ipvsnl.address import canonical
from ipvsnl.consts import (
    AF_INET6,
    FORWARDING,
    PROTOCOLS,
    SVC_F_HASHED,
    SVC_F_ONEPACKET,
    SVC_F_PERSISTENT,
    TUNNEL_F_CSUM,
    TUNNEL_TYPES,
)
from ipvsnl.errors import IPVSError
from ipvsnl.model import Destination, Entry, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ipvsnl.model import Timeouts
    from ipvsnl.text.rules import Plain

    Key = tuple[int, str | int, str, int, int]
    ServerKey = tuple[str, int]
    Servers = Iterable[Destination]
    Values = Iterable[Entry] | Mapping[Service, Servers] | Iterable[tuple[Service, Servers]]

_FIELDS_OF_THEIR_OWN = SVC_F_PERSISTENT | SVC_F_HASHED | SVC_F_ONEPACKET
_WORDS: dict[str, dict[int, str]] = {
    "protocol": {number: word for word, number in PROTOCOLS.items()},
    "forwarding": {number: word for word, number in FORWARDING.items()},
    "tunnel_type": {number: word for word, number in TUNNEL_TYPES.items()},
}


class TableError(IPVSError, ValueError):
    """A wanted table that contradicts itself. ``numbers`` are the lines (or entries) at fault, the last one first."""

    def __init__(self, message: str, numbers: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.numbers = numbers


class Table:
    """Services and their real servers by key, each with the line that it stands in (0: in none)."""

    def __init__(self, source: str = "") -> None:
        self.source = source
        """What messages call it: a file's name, say."""
        self.unit = "line"
        """What its numbers count."""
        self.services: dict[Key, Service] = {}
        self.servers: dict[Key, dict[ServerKey, Destination]] = {}
        self.lines: dict[int, int] = {}
        """By the identity of the rule, which the table keeps; see :meth:`note`."""
        self.exact = False
        """Whether its rules are to be written as they are, with the fields that mean nothing."""
        self._gone: dict[tuple[Key, ServerKey | None], int] = {}
        self.timeouts: Timeouts | None = None
        """Timeouts that are wanted, too; None where they may be what they are."""
        self.unsaid: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        """Fields of services, and of servers, that its source does not tell: live ones stay as they are."""
        self.unsaid_of: dict[Key, set[str]] = {}
        """The same of single services. Persistence is then known to be there, and not how long."""
        self.notes: list[str] = []
        """What people should know of how it was read, a line each."""

    def add_service(self, service: Service, line: int = 0) -> None:
        """Add a service; TableError where there is one of that key."""
        service = normal_service(service)
        if service.key in self.services:
            raise self._twice(str(service), "service", line, self.line(service.key))
        self.services[service.key] = service
        self.servers.setdefault(service.key, {})
        self.note(service, line)

    def add_server(self, service: Service, server: Destination, line: int = 0) -> None:
        """Add a server to the service of that key, which may come later; TableError where it has one of that key."""
        key = normal_service(service).key
        servers = self.servers.setdefault(key, {})
        if server.key in servers:
            raise self._twice(f"{service} {server}", "server", line, self.line(key, server.key))
        servers[server.key] = server
        self.note(server, line)

    def service_over(self, live: Service) -> Service:
        """The wanted service of the key of a live one, with what is not told as it is there."""
        service = self.services[live.key]
        names = self.unsaid[0] | self.unsaid_of.get(live.key, set())
        if live.persistence is None and service.persistence is not None:
            names -= {"persistence"}
        return service.replace(**{name: getattr(live, name) for name in names}) if names else service

    def server_over(self, key: Key, live: Destination) -> Destination:
        """The same of a real server."""
        server = self.servers[key][live.key]
        return server.replace(**{name: getattr(live, name) for name in self.unsaid[1]}) if self.unsaid[1] else server

    def check(self) -> None:
        """TableError for servers whose service is not in the table."""
        for key, servers in self.servers.items():
            if key in self.services:
                continue
            first = next(iter(servers))
            line = self.line(key, first)
            where = f"{self.unit} {line}: " if line else ""
            service = Service(key[1], key[2], key[3], key[4], key[0])
            raise TableError(f"{where}{service} {servers[first]}: there is no such service in the table", (line,))

    def line(self, key: Key, server: ServerKey | None = None) -> int:
        """The line of a service or of a server; 0 where it stands in none."""
        rule = self.services.get(key) if server is None else self.servers.get(key, {}).get(server)
        return self.lines.get(id(rule), 0) or self._gone.get((key, server), 0)

    def note(self, rule: Service | Destination, line: int) -> None:
        """A rule of the table stands in that line."""
        if line:
            self.lines[id(rule)] = line

    def note_gone(self, key: Key, server: ServerKey | None, line: int) -> None:
        """That line is why a rule is not in the table."""
        self._gone[key, server] = line

    def __len__(self) -> int:
        return len(self.services) + sum(map(len, self.servers.values()))

    def _twice(self, what: str, kind: str, line: int, first: int) -> TableError:
        if not line:
            return TableError(f"{what}: the table has this {kind} twice")
        return TableError(
            f"{self.unit} {line}: {what}: the same {kind} as in {self.unit} {first}", (line, first)
        )  # fmt: skip


# --- tables from other things ---


def live(entries: Iterable[Entry]) -> Table:
    """The table of a snapshot, as read: a dump may show an entry twice while others write, and it counts once."""
    table = Table("the live table")
    for entry in entries:
        service = entry.status.service
        key = service.key
        table.services[key] = service
        servers = [one.destination for one in entry.destinations]
        table.servers[key] = {(one.address, one.port): one for one in servers}
    return table


def of_values(values: Values) -> Table:
    """The table of a snapshot, of a mapping from services to their servers, or of such pairs; TableError for doubles."""
    table = Table()
    for service, servers in _pairs(values):
        table.add_service(service)
        for server in servers:
            table.add_server(service, server)
    return table


def _pairs(values: Values) -> Iterator[tuple[Service, Servers]]:
    pairs = values.items() if hasattr(values, "items") else values
    try:
        for one in pairs:
            service, servers = (
                (one.service, [status.destination for status in one.destinations]) if isinstance(one, Entry) else one
            )
            servers = list(servers)
            if not isinstance(service, Service) or not all(isinstance(server, Destination) for server in servers):
                raise TypeError
            yield service, servers
    except (TypeError, ValueError):
        raise TableError(
            f"{values!r:.200} is no wanted table: a snapshot, a mapping from services to their servers, or pairs of those"
        ) from None


def of_rules(rules: Iterable[tuple[int, Plain]], source: str = "") -> Table:
    """The table of numbered rule lines, ``-A`` and ``-a`` in any order; TableError names those that contradict others."""
    table = Table(source)
    last: Service | None = None
    servers: dict[ServerKey, Destination] = {}
    lines = table.lines
    for number, (operation, service, server) in rules:
        if operation == "add-server" and server is not None:
            if service is not last:  # the lines of one service mostly stand together
                last, servers = service, table.servers.setdefault(normal_service(service).key, {})
            key = (server.address, server.port)
            if key in servers:
                table.add_server(service, server, number)  # which says so
            servers[key] = server
            lines[id(server)] = number
        elif operation == "add-service":
            table.add_service(service, number)
        else:
            raise TableError(
                f"line {number}: '{operation}' says what to do: a table has -A and -a alone", (number,)
            )  # fmt: skip
    table.check()
    return table


# --- one meaning, one spelling ---


def same(one: Service | Destination | None, other: Service | Destination | None) -> bool:
    """Whether two rules mean the same to the kernel."""
    return one == other or (one is not None and other is not None and normal(one) == normal(other))


def normal(rule: Service | Destination) -> Service | Destination:
    """The one spelling of a rule's meaning."""
    return normal_service(rule) if isinstance(rule, Service) else normal_server(rule)


def normal_service(service: Service) -> Service:
    """Words for numbers, no netmask that covers nothing, no flag that is a field of its own."""
    changes: dict[str, object] = {}
    if service.fwmark:
        if service.protocol or service.address or service.port:
            changes.update(protocol="", address="", port=0)
    elif not isinstance(service.protocol, str):
        changes["protocol"] = _WORDS["protocol"].get(service.protocol, service.protocol)
    if service.flags & _FIELDS_OF_THEIR_OWN:
        changes["flags"] = service.flags & ~_FIELDS_OF_THEIR_OWN
    if service.netmask is not None:
        whole = 128 if service.family == AF_INET6 else "255.255.255.255"
        if service.persistence is None or service.netmask == whole:
            changes["netmask"] = None
    return service.replace(**changes) if changes else service


def normal_server(server: Destination) -> Destination:
    """Words for numbers, and of a tunnel only what its type and the forwarding method use."""
    forwarding = _WORDS["forwarding"].get(server.forwarding, server.forwarding)  # type: ignore[arg-type]
    kind = _WORDS["tunnel_type"].get(server.tunnel_type, server.tunnel_type)  # type: ignore[arg-type]
    port, flags = server.tunnel_port, server.tunnel_flags
    if forwarding != "tunnel" or kind == "ipip":
        kind, port, flags = "ipip", 0, 0
    elif kind == "gre":
        port, flags = 0, flags & TUNNEL_F_CSUM
    return server.replace(
        address=canonical(server.address), forwarding=forwarding, tunnel_type=kind, tunnel_port=port, tunnel_flags=flags
    )
