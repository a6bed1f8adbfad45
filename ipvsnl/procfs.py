"""What the kernel's files under ``/proc/net`` tell, as values: the connections, and the table as far as it is shown there.

``ip_vs_conn`` (ip_vs_conn.c, Linux 6.1) writes addresses in hexadecimal: IPv4 as one number, IPv6 as eight groups of four
digits; the columns of the two families differ in width and are told apart by blanks alone. ``ip_vs``
(``ip_vs_info_seq_show``, ip_vs_ctl.c, Linux 6.1) is all that can be read where netlink refuses, and less than netlink tells:
:attr:`Listed.unknown` names what it does not tell.
"""

from __future__ import annotations

import sys
from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_ntop

from ipvsnl import address as addresses
from ipvsnl._value import Value, needs, value
from ipvsnl.consts import AF_INET, AF_INET6
from ipvsnl.errors import DecodeError, EncodeError
from ipvsnl.model import Destination, DestinationStatus, Info, Service, Statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# --- connections ---


@value
class Connection(Value):
    """One connection, or a persistence template (client port 0).

    ``expires`` is in whole seconds. A template of a firewall mark shows the mark as its virtual address, and protocol IP.
    """

    protocol: str
    client: str
    client_port: int
    virtual: str
    virtual_port: int
    destination: str
    destination_port: int
    state: str
    expires: int
    persistence_engine: str = ""
    persistence_data: str = ""


@value
class Filter(Value):
    """Which connections are meant: None is any. Addresses are in their one spelling, ``protocol`` is in capitals."""

    protocol: str | None = None
    virtual: str | None = None
    virtual_port: int | None = None
    destination: str | None = None
    destination_port: int | None = None
    state: str | None = None

    def __call__(self, connections: Iterable[Connection]) -> Iterator[Connection]:
        """Those of ``connections`` that are meant, streaming."""
        wanted = [(name, want) for name in self.__fields__ if (want := getattr(self, name)) is not None]
        for one in connections:
            if all(getattr(one, name) == want for name, want in wanted):
                yield one


def read_connections(lines: Iterable[str]) -> Iterator[Connection]:
    """The connections of the file's lines, streaming; DecodeError names a line that is none."""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            continue
        columns = line.split()
        try:
            protocol, client, cport, virtual, vport, destination, dport, state, expires = columns[:9]
            yield Connection(
                protocol, _address(client), int(cport, 16), _address(virtual), int(vport, 16), _address(destination),
                int(dport, 16), state, int(expires), *columns[9:11],
            )  # fmt: skip
        except ValueError:
            raise DecodeError(f"line {number} of ip_vs_conn is no connection: {line.rstrip()!r}") from None


def chosen_ones(
    connections: Iterable[Connection], service: Service | None, server: Destination | None, state: str | None
) -> Iterator[Connection]:
    """Those of a service, of a real server, in a state; None is any. ValueError for a service with a firewall mark."""
    wanted: dict[str, str | int] = {} if state is None else {"state": state}
    if service is not None:
        needs(Service, service)
        if service.fwmark:
            raise ValueError(f"{service}: connections do not tell the firewall mark that they came by")
        wanted |= {"protocol": str(service.protocol).upper(), "virtual": service.address, "virtual_port": service.port}
    if server is not None:
        needs(Destination, server)
        wanted |= {"destination": server.address, "destination_port": server.port}
    return Filter(**wanted)(connections)  # type: ignore[arg-type]


def _address(text: str) -> str:
    if len(text) == 8:
        return addresses.unpack(AF_INET, bytes.fromhex(text))
    return addresses.unpack(AF_INET6, bytes.fromhex(text.replace(":", "")))


# --- the trash ---


@value
class Trashed(Value):
    """A real server that was deleted, and that the kernel has not freed yet.

    ``service`` is what it was a server of: only what that is found by is told. ``references`` is the kernel's own count
    (``dest->refcnt``): the trash itself, ``connections``, persistence ``templates``, and entries in ``caches`` of lblc and
    lblcr. Times are in seconds: ``deleted`` so long ago; ``idle`` since the kernel noticed that nothing but the trash refers
    to it (None: it has not); ``freed_in`` so many, if nothing comes to refer to it (None: something does).
    """

    service: Service
    address: str
    port: int
    references: int
    connections: int
    templates: int
    caches: int
    deleted: float
    idle: float | None
    freed_in: float | None

    def __str__(self) -> str:
        where = addresses.endpoint(self.address, self.port)
        held = ", ".join(
            f"{count} {what if count > 1 else what[:-1]}"
            for count, what in (
                (self.connections, "connections"),
                (self.templates, "templates"),
                (self.caches, "caches"),
            )
            if count
        )
        end = f"held by {held}" if self.freed_in is None else f"freed in {self.freed_in:g} s"
        return f"{where} of {self.service}, deleted {self.deleted:g} s ago, refcnt {self.references}: {end}"


def read_trash(lines: Iterable[str]) -> Iterator[Trashed]:
    """The deleted servers of ``ip_vs_trash``, which only a simulated kernel has; DecodeError names a line that is none."""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            continue
        try:
            kind, virtual, vport, mark, server, port, *words = line.split()
            references, connections, templates, caches = map(int, words[:4])
            deleted, idle, freed_in = (None if word == "-" else float(word) for word in words[4:])
            family = AF_INET if len(virtual) == 8 else AF_INET6
            protocol = PROTOCOL_WORDS[kind] if kind in PROTOCOL_WORDS else int(kind.removeprefix("IP_"))
            service = (
                Service(fwmark=int(mark, 16), family=family)
                if int(mark, 16)
                else Service(protocol, _address(virtual), int(vport, 16))
            )
            yield Trashed(
                service, _address(server), int(port, 16), references, connections, templates, caches, deleted or 0.0, idle,
                freed_in,
            )  # fmt: skip
        except (ValueError, EncodeError):
            raise DecodeError(f"line {number} of ip_vs_trash is no deleted server: {line.rstrip()!r}") from None


# --- totals ---


def read_totals(lines: Iterable[str]) -> Statistics:
    """The counters and rates of the whole namespace, of ``ip_vs_stats``; DecodeError where the file is another."""
    rows = [line.split() for line in lines]
    try:
        return Statistics(*[int(word, 16) for row in (rows[2], rows[5]) for word in row])
    except (ValueError, IndexError, TypeError, EncodeError):
        raise DecodeError("ip_vs_stats has other lines than are known") from None


# --- the table ---

ALWAYS_UNKNOWN = ("flags", "persistence_engine", "statistics")
"""Of every service."""
SERVER_UNKNOWN = ("upper_threshold", "lower_threshold", "tunnel", "connections.persistent", "statistics")
"""Of every real server."""
PROTOCOL_WORDS: dict[str, str | int] = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp", "IP": 0, "ICMP": 1, "ICMPv6": 58}
"""The file's words for protocols; any other is ``IP_`` and its number."""
METHODS = {"Masq": "masq", "Local": "local", "Tunnel": "tunnel", "Route": "route"}
"""The file's words for forwarding methods."""


@value
class Listed(Value):
    """One virtual service of the file, with its real servers.

    ``service.persistence`` is None even where ``persistent`` is true: the file counts it in ticks of the kernel's clock,
    whose length it does not tell. ``unknown`` names the fields of the service that it does not tell.
    """

    service: Service
    persistent: bool
    servers: tuple[DestinationStatus, ...]
    unknown: tuple[str, ...]


def read_services(lines: Iterable[str]) -> tuple[Info, list[Listed]]:
    """The kernel's version and the services, in the kernel's order; DecodeError names a line that is neither."""
    info = Info((0, 0, 0), 0)
    services: list[tuple[Service, bool, list[DestinationStatus]]] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        try:
            if number == 1:
                info = _info(words)
            elif number > 3 and words[0] == "->":
                services[-1][2].append(_listed_server(words))
            elif number > 3:
                services.append((*_listed_service(words), []))
        except (ValueError, KeyError, IndexError):
            raise DecodeError(f"line {number} of ip_vs is none of its lines: {line.rstrip()!r}") from None
    return info, [_listed(*one) for one in services]


def read_listed(line: str) -> tuple[Service | None, int | None, DestinationStatus | None]:
    """One line of the file: a service and its persistence in ticks (None: not persistent), or a real server.

    DecodeError where it is neither.
    """
    words = line.split()
    try:
        if words[0] == "->":
            return None, None, _listed_server(words)
        service, persistent = _listed_service(words)
        return service, int(words[-2]) if persistent else None, None
    except (ValueError, KeyError, IndexError, OSError, EncodeError):
        raise DecodeError(f"neither a service nor a real server of ip_vs: {line!r}") from None


def _info(words: list[str]) -> Info:
    major, minor, patch = map(int, words[4].split("."))
    return Info((major, minor, patch), int(words[5][6:-1]))


def _listed_service(words: list[str]) -> tuple[Service, bool]:
    kind, where, scheduler, *rest = words
    one_packet = rest[:1] == ["ops"]
    persistent = len(rest) >= 3 and rest[-3] == "persistent"
    if kind == "FWM":
        return Service(fwmark=int(where, 16), scheduler=scheduler, one_packet=one_packet), persistent
    address, port = _listed_endpoint(where)
    protocol = PROTOCOL_WORDS[kind] if kind in PROTOCOL_WORDS else int(kind.removeprefix("IP_"))
    mask = netmask(rest[-1], address) if persistent else None
    return Service(protocol, address, port, scheduler=scheduler, one_packet=one_packet, netmask=mask), persistent


def _listed(service: Service, persistent: bool, servers: list[DestinationStatus]) -> Listed:
    unknown = list(ALWAYS_UNKNOWN)
    if persistent:
        unknown.append("persistence")
    if service.fwmark:
        unknown += ["family", "netmask"] if persistent else ["family"]
    elif service.family == AF_INET6:
        unknown.append("one_packet")
    return Listed(service, persistent, tuple(servers), tuple(unknown))


def _listed_server(words: list[str]) -> DestinationStatus:
    _, where, method, weight, active, inactive = words
    address, port = _listed_endpoint(where)
    server = Destination(address, port, METHODS[method], int(weight))
    return DestinationStatus(server, int(active), int(inactive), 0, Statistics())


def _listed_endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if host[:1] == "[":
        return inet_ntop(HOST_AF_INET6, bytes.fromhex(host[1:-1].replace(":", ""))), int(port, 16)
    return inet_ntop(AF_INET, bytes.fromhex(host)), int(port, 16)


def netmask(word: str, address: str) -> str | int | None:
    """The mask for an address's family, of the file's word.

    The file shows the stored word with its bytes turned to the host's order: right for IPv4 masks alone.
    """
    raw = bytes.fromhex(word)
    if ":" in address:
        prefix = int.from_bytes(raw, "big" if sys.byteorder == "big" else "little")
        return None if prefix == 128 else prefix
    return None if raw == b"\xff\xff\xff\xff" else inet_ntop(AF_INET, raw)
