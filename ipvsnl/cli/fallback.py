"""What can be listed where netlink refuses: the plain listing, of ``/proc/net/ip_vs``, saying what is missing."""

from __future__ import annotations

from ipvsnl.errors import IPVSError
from ipvsnl.model import Entry, ServiceStatus, Statistics
from ipvsnl.text.listing import FORMATS, Listing, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.cli.streams import Streams
    from ipvsnl.client import IPVS
    from ipvsnl.model import Service
    from ipvsnl.text.compat import Compat
    from ipvsnl.text.grammar import Request

MISSING = (
    "Read from /proc/net/ip_vs: netlink needs CAP_NET_ADMIN in the initial user namespace, which this process lacks.\n"
    "Not known: scheduler flags, persistence timeouts and engines, thresholds, tunnels, statistics, the address family of\n"
    "firewall marks, and whether IPv6 services are one-packet."
)


def listing(client: IPVS, request: Request, streams: Streams, compat: Compat, *, json: bool) -> bool:
    """Write a plain listing instead; False where it is none, or where not even the file can be read."""
    options = request.options
    if options & {"connection", "timeout", "daemon", *FORMATS} and not (json and options & {"stats", "rate"}):
        return False
    try:
        info, services = client.plain()
    except IPVSError:
        return False
    if request.service is not None:
        services = [one for one in services if one.service.key == request.service.key]
        if not services:
            return False
    streams.say(MISSING)
    if json:
        from ipvsnl.cli.as_json import plain

        streams.stdout.writelines(plain(info, services))
        return True
    if request.service is None:
        streams.stdout.write(version(info))
    entries = [Entry(ServiceStatus(one.service, Statistics()), one.servers) for one in services]
    persistent = frozenset(one.service.key for one in services if one.persistent)
    streams.stdout.writelines(_Listing(options, compat, persistent).table(entries))
    return True


class _Listing(Listing):
    """Shows a question mark for the timeouts that are not known."""

    def __init__(self, options: frozenset[str], compat: Compat, persistent: frozenset[object]) -> None:
        super().__init__(options, compat)
        self._persistent = persistent

    def _attributes(self, service: Service) -> str:
        text = super()._attributes(service)
        if service.key not in self._persistent:
            return text
        return f" persistent ?{f' mask {service.netmask}' if service.netmask is not None else ''}{text}"
