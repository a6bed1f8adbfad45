"""Metrics under the names and labels of node_exporter's ipvs collector, so that its dashboards read ``export``, too."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ipvsnl.model import Entry, Service, Statistics

LABELS = ("local_address", "local_port", "local_mark", "remote_address", "remote_port", "proto")
_TOTALS = (
    ("connections", "conns", "The total number of connections made."),
    ("incoming_packets", "inpkts", "The total number of incoming packets."),
    ("outgoing_packets", "outpkts", "The total number of outgoing packets."),
    ("incoming_bytes", "inbytes", "The total amount of incoming data."),
    ("outgoing_bytes", "outbytes", "The total amount of outgoing data."),
)


def node_metrics(totals: Statistics, entries: Sequence[Entry]) -> Iterator[Any]:
    """The node's totals, and of each real server its weight and its connections."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, field, words in _TOTALS:
        yield CounterMetricFamily(f"node_ipvs_{name}", words, value=getattr(totals, field))
    backend = "node_ipvs_backend_"
    active = GaugeMetricFamily(f"{backend}connections_active", "The current active connections.", labels=LABELS)
    inactive = GaugeMetricFamily(f"{backend}connections_inactive", "The current inactive connections.", labels=LABELS)
    weight = GaugeMetricFamily(f"{backend}weight", "The current backend weight.", labels=LABELS)
    for entry in entries:
        for status in entry.destinations:
            server = status.destination
            local = _local(entry.service)
            labels = [*local[:3], server.address, str(server.port), local[3]]
            active.add_metric(labels, status.active)
            inactive.add_metric(labels, status.inactive)
            weight.add_metric(labels, server.weight)
    yield from (active, inactive, weight)


def _local(service: Service) -> tuple[str, str, str, str]:
    """Address, port, mark (in hexadecimal, as /proc/net/ip_vs shows it) and protocol."""
    if service.fwmark:
        return "", "0", f"{service.fwmark:08X}", "FWM"
    return service.address, str(service.port), "", str(service.protocol).upper()
