"""``--json``: every listing as a document of the schema, streaming."""

from __future__ import annotations

from ipvsnl.tables import json_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipvsnl.client import IPVS
    from ipvsnl.model import Info
    from ipvsnl.procfs import Filter, Listed
    from ipvsnl.text.grammar import Request


def listing(client: IPVS, request: Request, chosen: Filter | None) -> Iterable[str]:
    """The document of a ``list`` request. It holds everything that is known, whatever columns are asked for."""
    options = request.options
    if "connection" in options:
        found = client.connections()
        return json_out.stream("connections", map(json_out.connection, chosen(found) if chosen is not None else found))
    if "timeout" in options:
        return [json_out.document(timeouts=json_out.timeouts(client.timeouts()))]
    if "daemon" in options:
        return [json_out.document(daemons=[json_out.daemon(one) for one in client.daemons()])]
    return _services(client, request)


def _services(client: IPVS, request: Request) -> Iterator[str]:
    from ipvsnl.model import Entry
    from ipvsnl.text.sorting import sort_entries, sort_servers

    kernel = json_out.kernel(client.info())
    if request.service is not None:
        entries = [Entry(client.service(request.service), tuple(client.servers(request.service)))]
    else:
        entries = list(client.snapshot())
    if "nosort" not in request.options:
        entries = [Entry(one.status, tuple(sort_servers(one.destinations))) for one in sort_entries(entries)]
    return json_out.stream("services", map(json_out.entry, entries), kernel=kernel)


def plain(info: Info, services: Iterable[Listed]) -> Iterator[str]:
    """The document of what ``/proc/net/ip_vs`` tells: what it does not tell is null, and named under ``unknown``."""
    from ipvsnl.procfs import SERVER_UNKNOWN

    listed = list(services)
    unknown = {f"services[].{name}" for one in listed for name in one.unknown}
    unknown |= {f"services[].servers[].{name}" for one in listed if one.servers for name in SERVER_UNKNOWN}
    objects = map(_plain_service, listed)
    return json_out.stream("services", objects, kernel=json_out.kernel(info), unknown=sorted(unknown))


def _plain_service(listed: Listed) -> json_out.Object:
    from ipvsnl.model import Entry, ServiceStatus, Statistics
    from ipvsnl.procfs import SERVER_UNKNOWN

    shown = json_out.entry(Entry(ServiceStatus(listed.service, Statistics()), listed.servers))
    for name in listed.unknown:
        shown[name] = None
    for server in shown["servers"]:
        for name in SERVER_UNKNOWN:
            outer, _, inner = name.partition(".")
            if inner:
                server[outer][inner] = None
            else:
                server[outer] = None
    return shown
