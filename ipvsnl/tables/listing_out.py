"""A wanted table as the listing that ``ipvsadm -Ln`` shows of it: with tunnels in a column where one is not plain."""

from __future__ import annotations

from ipvsnl.model import DestinationStatus, Entry, Info, ServiceStatus, Statistics
from ipvsnl.tables.untold import name_of, note_fields
from ipvsnl.text.compat import OURS
from ipvsnl.text.listed import THRESHOLDS
from ipvsnl.text.listing import Listing, version
from ipvsnl.text.rules import ALL_SCHEDULER_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipvsnl.model import Destination, Service
    from ipvsnl.tables.table import Table

NEW = Info((1, 2, 1), 4096)
"""What the title tells of a kernel: IPVS's version in Linux 6.1, and the size of the connection table by default."""
_METHODS = frozenset(("masq", "local", "tunnel", "route"))


def write(table: Table, untold: list[str]) -> Iterator[str]:
    """The lines, in the table's order; nothing is connected. What they do not tell is added to ``untold``, a line each."""
    entries = [
        Entry(ServiceStatus(service, Statistics()), tuple(_servers(service, table.servers[key].values(), untold)))
        for key, service in table.services.items()
        if _is_told(service, untold)
    ]
    plain = all(one.destination.tunnel_type == "ipip" for entry in entries for one in entry.destinations)
    options = frozenset(("numeric", "nosort") if plain else ("numeric", "nosort", "tun-info"))
    yield version(NEW)[:-1]
    for piece in Listing(options, OURS).table(entries):
        yield from piece.splitlines()


def _is_told(of: Service, untold: list[str]) -> bool:
    if not all(name.isprintable() and " " not in name for name in (of.scheduler, of.persistence_engine)):
        untold.append(f"{name_of(of)}: a name that is no word: left out, with its servers")
        return False
    bits = of.flags & ~ALL_SCHEDULER_FLAGS
    if bits:
        untold.append(f"{name_of(of)}: not told: flags {bits:#x}")
    if of.persistence is None:
        note_fields(of, ("persistence_engine",), name_of(of), untold)
    return True


def _servers(service: Service, servers: Iterable[Destination], untold: list[str]) -> Iterator[DestinationStatus]:
    from ipvsnl.tables.table import normal_server

    for server in map(normal_server, servers):
        named = name_of(service, server)
        if server.forwarding not in _METHODS or server.tunnel_type not in ("ipip", "gue", "gre"):
            untold.append(f"{named}: the method {server.forwarding} ({server.tunnel_type}) has no word: left out")
            continue
        note_fields(server, THRESHOLDS, named, untold)
        if server.tunnel_flags > 2:
            untold.append(f"{named}: not told: tunnel_flags {server.tunnel_flags}")
        yield DestinationStatus(server, 0, 0, 0, Statistics())
