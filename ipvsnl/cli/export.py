"""``export``: the table as metrics for Prometheus, by its own client library; once to standard output, or over HTTP."""

from __future__ import annotations

import time
from errno import EADDRINUSE, EPERM

from ipvsnl.address import endpoint
from ipvsnl.cli.ending import FAILED
from ipvsnl.consts import AF_INET6
from ipvsnl.errors import IPVSError, LinkError
from ipvsnl.refusals import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace as Arguments
    from collections.abc import Callable, Iterator
    from typing import Any, TextIO

    from ipvsnl.cli.streams import ClientFactory
    from ipvsnl.client import IPVS
    from ipvsnl.model import DestinationStatus, Entry, Info, Service, Statistics

    _Gauge = tuple[str, Callable[[DestinationStatus], int], str]

SERVICE_LABELS = ("protocol", "address", "port", "fwmark", "family", "scheduler")
SERVER_LABELS = (*SERVICE_LABELS, "server", "server_port", "forward")
COUNTERS = (
    ("connections", "conns", "Connections scheduled."),
    ("incoming_packets", "inpkts", "Packets from clients."),
    ("outgoing_packets", "outpkts", "Packets to clients (address translation and local servers alone)."),
    ("incoming_bytes", "inbytes", "Bytes from clients, IP headers included."),
    ("outgoing_bytes", "outbytes", "Bytes to clients, IP headers included."),
)
GAUGES: tuple[_Gauge, ...] = (
    ("weight", lambda status: status.destination.weight, "Share of the connections; 0 takes no new ones."),
    ("active_connections", lambda status: status.active, "Connections that are established."),
    ("inactive_connections", lambda status: status.inactive, "Connections in any other state."),
)
_TEMPLATES: _Gauge = ("persistent_connections", lambda status: status.persistent, "Persistence templates.")
_COMPLETE = "Whether netlink told all; 0: of /proc/net/ip_vs, which tells neither counters nor templates of a service."
_PARTLY = "read from /proc/net/ip_vs, for netlink refuses: what a service and a real server have counted is not known"
_AGE = "Time from the beginning of the last scrape before this one."
_DURATION = "Time that the last scrape before this one took."
_LOCAL = "127.0.0.1"


def export(arguments: Arguments, client: ClientFactory, stdout: TextIO, stderr: TextIO) -> int:
    """Write the metrics, or serve them until a signal ends it; the exit status."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        stderr.write("ipvsnl export needs prometheus-client: pip install 'ipvsnl[export]'\n")
        return FAILED
    registry = CollectorRegistry()
    collector = Collector(client, node_names=arguments.node_names)
    registry.register(collector)
    if arguments.listen is None:
        stdout.write(generate_latest(registry).decode())
        if not collector.complete and collector.trouble is None:
            stderr.write(f"ipvsnl export: {_PARTLY}\n")
        if collector.trouble is not None:
            raise collector.trouble
        return 0
    from ipvsnl.cli.serving import Server

    address, port = arguments.listen
    address = address or _LOCAL
    try:
        server = Server(registry, address, port)
    except OSError as wrong:
        way = "; choose another port" if wrong.errno == EADDRINUSE else ""
        stderr.write(f"ipvsnl export: --listen {endpoint(address, port)}: {wrong.strerror or wrong}{way}\n")
        return FAILED
    with server:
        server.serve_forever()
    return 0


class Collector:
    """Reads the table anew at each collection; ``ipvs_up`` is 0 where it can't be read, and ``trouble`` why."""

    def __init__(self, client: ClientFactory, *, node_names: bool = False) -> None:
        self._client = client
        self._node_names = node_names
        self.trouble: IPVSError | None = None
        self.complete = True
        self._last: tuple[float, float] | None = None
        """When the last scrape began, and how long it took, in seconds of the monotonic clock."""

    def describe(self) -> list[Any]:
        """Nothing: so that registering reads no table."""
        return []

    def collect(self) -> Iterator[Any]:
        """The metrics."""
        from prometheus_client.core import GaugeMetricFamily

        began, last = time.monotonic(), self._last
        self.trouble = None
        try:
            with self._client() as ipvs:
                info, entries = self._read(ipvs)
                totals = self._totals(ipvs)
        except IPVSError as wrong:
            self.trouble = wrong
        yield GaugeMetricFamily("ipvs_up", "Whether the table could be read.", value=int(self.trouble is None))
        if last is not None:
            yield GaugeMetricFamily("ipvs_last_scrape_age_seconds", _AGE, value=began - last[0])
            yield GaugeMetricFamily("ipvs_last_scrape_duration_seconds", _DURATION, value=last[1])
        if self.trouble is None:
            size = info.connection_table_size
            yield GaugeMetricFamily("ipvs_complete", _COMPLETE, value=int(self.complete))
            yield GaugeMetricFamily("ipvs_connection_table_size", "Buckets of the connection table.", value=size)
            if totals is not None:
                yield from _counters("node", (), [([], totals)])
            yield from _services(entries, counted=self.complete)
            yield from _servers(entries, counted=self.complete)
            if self._node_names and totals is not None:
                from ipvsnl.cli.node_metrics import node_metrics

                yield from node_metrics(totals, entries)
        self._last = began, time.monotonic() - began

    def _totals(self, ipvs: IPVS) -> Statistics | None:
        """What the node has counted; None where the link has no files and nobody asked for them."""
        try:
            return ipvs.totals()
        except LinkError:
            if self._node_names:
                raise
            return None

    def _read(self, ipvs: IPVS) -> tuple[Info, list[Entry]]:
        """The table: over netlink, or from the file where netlink wants a privilege that this process lacks."""
        try:
            self.complete = True
            return ipvs.info(), list(ipvs.snapshot())
        except KernelError as refused:
            if refused.errno != EPERM:
                raise
        self.complete = False
        return _listed(ipvs)


def _listed(ipvs: IPVS) -> tuple[Info, list[Entry]]:
    """The same from ``/proc/net/ip_vs``. It does not tell a mark's family: that of its servers is taken."""
    from ipvsnl.model import Entry, ServiceStatus, Statistics

    info, services = ipvs.plain()
    entries = []
    for one in services:
        six = bool(one.servers) and all(status.destination.family == AF_INET6 for status in one.servers)
        service = one.service.replace(family=AF_INET6) if one.service.fwmark and six else one.service
        entries.append(Entry(ServiceStatus(service, Statistics()), one.servers))
    return info, entries


def _services(entries: list[Entry], *, counted: bool) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    servers = GaugeMetricFamily("ipvs_service_servers", "Real servers of the service.", labels=SERVICE_LABELS)
    for entry in entries:
        servers.add_metric(_labels(entry.service), len(entry.destinations))
    yield servers
    if counted:
        rows = [(_labels(entry.service), entry.status.statistics) for entry in entries]
        yield from _counters("service", SERVICE_LABELS, rows)


def _servers(entries: list[Entry], *, counted: bool) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    rows = []
    for entry in entries:
        of_service = _labels(entry.service)
        for status in entry.destinations:
            server = status.destination
            rows.append(([*of_service, server.address, str(server.port), str(server.forwarding)], status))
    for name, value, words in (*GAUGES, _TEMPLATES) if counted else GAUGES:
        gauge = GaugeMetricFamily(f"ipvs_server_{name}", words, labels=SERVER_LABELS)
        for labels, status in rows:
            gauge.add_metric(labels, value(status))
        yield gauge
    if counted:
        yield from _counters("server", SERVER_LABELS, [(labels, status.statistics) for labels, status in rows])


def _counters(of: str, labels: tuple[str, ...], rows: list[tuple[list[str], Statistics]]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily

    for name, field, words in COUNTERS:
        counter = CounterMetricFamily(f"ipvs_{of}_{name}", words, labels=labels)
        for values, statistics in rows:
            counter.add_metric(values, getattr(statistics, field))
        yield counter


def _labels(service: Service) -> list[str]:
    """Of a firewall mark, the mark and the family; else protocol, address and port; of both the scheduler."""
    family = "ipv6" if service.family == AF_INET6 else "ipv4"
    if service.fwmark:
        return ["", "", "", str(service.fwmark), family, service.scheduler]
    return [str(service.protocol), service.address, str(service.port), "", family, service.scheduler]
