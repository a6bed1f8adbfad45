"""``export``: who asks is answered, whatever others do; a label is one label."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

pytest.importorskip("prometheus_client", reason="needs prometheus-client: pip install 'ipvsnl[export]'")

from prometheus_client import CollectorRegistry

from ipvsnl.cli import serving
from ipvsnl.cli.export import Collector
from ipvsnl.cli.serving import CONNECTIONS, Server
from ipvsnl.client import open as open_ipvs


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One that serves an empty table."""
    monkeypatch.setattr(serving._Handler, "timeout", 0.5)
    registry = CollectorRegistry()
    registry.register(Collector(lambda: open_ipvs("sim::memory:")))
    with Server(registry, "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found
        found.shutdown()


def scraped(server: Server) -> str:
    with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_idle_connections_keep_nobody_from_scraping(server: Server) -> None:
    """The oldest end when there are too many, all of them after a while; the last scrape is told by the next."""
    idle = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(3 * CONNECTIONS)]
    assert "ipvs_last_scrape" not in scraped(server)
    again = scraped(server)
    assert "ipvs_up 1.0" in again
    assert "ipvs_last_scrape_age_seconds " in again
    assert "ipvs_last_scrape_duration_seconds " in again
    for one in idle:
        one.settimeout(10)
        try:
            assert one.recv(1000) == b""
        except ConnectionResetError:
            pass
        one.close()
