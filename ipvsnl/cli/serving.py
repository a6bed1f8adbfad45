"""The HTTP server of ``export --listen``: whoever connects and asks nothing keeps nobody else from being answered."""

from __future__ import annotations

from io import StringIO
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from ipvsnl.consts import AF_INET, AF_INET6

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PATIENCE = 5.0
"""Seconds that a connection may wait for its request, and for its reader."""
CONNECTIONS = 32
"""Connections that are open at a time: one more ends the oldest."""
_BOTH_WAYS = 2


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""

    def get_stderr(self) -> Any:
        """Nor is a scraper that has gone; one whose answer failed is told so by its status, 500."""
        return StringIO()


class Server(ThreadingMixIn, WSGIServer):
    """Serves the metrics of a registry; OSError where it can't at that address."""

    daemon_threads = True

    def __init__(self, registry: CollectorRegistry, address: str, port: int) -> None:
        self.address_family = AF_INET6 if ":" in address else AF_INET
        self._open: dict[Any, None] = {}  # the oldest first
        self._lock = Lock()
        super().__init__((address, port), _Handler)
        self.set_app(make_wsgi_app(registry))

    def server_bind(self) -> None:
        """As a TCP server: HTTP's would look up the host's name, which nobody needs and may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection by a thread of its own."""
        with self._lock:
            while len(self._open) >= CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _end(oldest)
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection has ended."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was too slow, is no news."""


def _end(connection: Any) -> None:
    """End a connection that another thread reads from, which closes it then."""
    try:
        connection.shutdown(_BOTH_WAYS)
    except OSError:
        return  # it has ended by itself
