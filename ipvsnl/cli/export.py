"""``export``: the table as metrics for Prometheus, by its own client library; once to standard output, or over HTTP."""

from __future__ import annotations

import time
from errno import EADDRINUSE

from ipvsnl.address import endpoint
from ipvsnl.cli.statuses import FAILED
from ipvsnl.errors import IPVSError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace as Arguments
    from collections.abc import Callable, Iterator
    from typing import Any, TextIO

    from ipvsnl.cli.streams import ClientFactory
    from ipvsnl.model import DestinationStatus, Entry, Service, Statistics

SERVICE_LABELS = ("protocol", "address", "port", "fwmark", "family")
SERVER_LABELS = (*SERVICE_LABELS, "server", "server_port", "forwarding")
COUNTERS = (
    ("connections", "conns", "Connections scheduled."),
    ("incoming_packets", "inpkts", "Packets from clients."),
    ("outgoing_packets", "outpkts", "Packets to clients (address translation and local servers alone)."),
    ("incoming_bytes", "inbytes", "Bytes from clients, IP headers included."),
    ("outgoing_bytes", "outbytes", "Bytes to clients, IP headers included."),
)
GAUGES: tuple[tuple[str, Callable[[DestinationStatus], int], str], ...] = (
    ("weight", lambda status: status.destination.weight, "Share of the connections; 0 takes no new ones."),
    ("active_connections", lambda status: status.active, "Connections that are established."),
    ("inactive_connections", lambda status: status.inactive, "Connections in any other state."),
    ("persistent_connections", lambda status: status.persistent, "Persistence templates."),
)
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
        self._last: tuple[float, float] | None = None
        """When the last scrape began, and how long it took, in seconds of the monotonic clock."""

    def describe(self) -> list[Any]:
        """Nothing: so that registering reads no table."""
        return []

    def collect(self) -> Iterator[Any]:
        """The metrics."""
        from prometheus_client.core import GaugeMetricFamily

        began, last = time.monotonic(), self._last
        trouble: IPVSError | None = None
        try:
            with self._client() as ipvs:
                info, entries = ipvs.info(), list(ipvs.snapshot())
                totals = ipvs.totals() if self._node_names else None
        except IPVSError as wrong:
            trouble = wrong
        self.trouble = trouble
        up = 0 if trouble is not None else 1
        yield GaugeMetricFamily("ipvs_up", "Whether the table could be read.", value=up)
        if last is not None:
            yield GaugeMetricFamily("ipvs_last_scrape_age_seconds", _AGE, value=began - last[0])
            yield GaugeMetricFamily("ipvs_last_scrape_duration_seconds", _DURATION, value=last[1])
        if trouble is None:
            size = info.connection_table_size
            yield GaugeMetricFamily("ipvs_connection_table_size", "Buckets of the connection table.", value=size)
            yield from _services(entries)
            yield from _servers(entries)
            if totals is not None:
                from ipvsnl.cli.node_metrics import node_metrics

                yield from node_metrics(totals, entries)
        self._last = began, time.monotonic() - began


def _services(entries: list[Entry]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    servers = GaugeMetricFamily("ipvs_service_servers", "Real servers of the service.", labels=SERVICE_LABELS)
    for entry in entries:
        servers.add_metric(_labels(entry.service), len(entry.destinations))
    yield servers
    rows = [(_labels(entry.service), entry.status.statistics) for entry in entries]
    yield from _counters("service", SERVICE_LABELS, rows)


def _servers(entries: list[Entry]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    rows = []
    for entry in entries:
        of_service = _labels(entry.service)
        for status in entry.destinations:
            server = status.destination
            rows.append(([*of_service, server.address, str(server.port), str(server.forwarding)], status))
    for name, value, words in GAUGES:
        gauge = GaugeMetricFamily(f"ipvs_server_{name}", words, labels=SERVER_LABELS)
        for labels, status in rows:
            gauge.add_metric(labels, value(status))
        yield gauge
    yield from _counters("server", SERVER_LABELS, [(labels, status.statistics) for labels, status in rows])


def _counters(of: str, labels: tuple[str, ...], rows: list[tuple[list[str], Statistics]]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily

    for name, field, words in COUNTERS:
        counter = CounterMetricFamily(f"ipvs_{of}_{name}", words, labels=labels)
        for values, statistics in rows:
            counter.add_metric(values, getattr(statistics, field))
        yield counter


def _labels(service: Service) -> list[str]:
    """Of a firewall mark, the mark and the family; else protocol, address and port."""
    family = "ipv6" if service.family == 10 else "ipv4"
    if service.fwmark:
        return ["", "", "", str(service.fwmark), family]
    return [str(service.protocol), service.address, str(service.port), "", family]
