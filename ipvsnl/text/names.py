"""Addresses and ports as listings show them: numbers, or the names that the system has for them."""

from __future__ import annotations

from ipvsnl.model import endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Endpoint = Callable[[str, int, str | int], str]
    """Address, port and the service's protocol to text."""

WIDTH = 59
"""Characters of ``host:port`` that ipvsadm has room for."""
_PROTOCOLS = frozenset(("tcp", "udp", "sctp"))


def numeric(address: str, port: int, _: str | int) -> str:
    """``10.0.0.1:80``, ``[::1]:80``."""
    return endpoint(address, port)


class Names:
    """Looks names up, each once; what has none is shown as a number.

    Asks the system's resolver, so that a listing may take as long as the slowest name server.
    """

    def __init__(self, *, cut: bool) -> None:
        self._cut = cut
        self._hosts: dict[str, str] = {}
        self._ports: dict[tuple[int, str | int], str] = {}

    def __call__(self, address: str, port: int, protocol: str | int) -> str:
        """``www.example.org:http``, ``[six.example.org]:http``."""
        host = self._hosts.get(address)
        if host is None:
            host = self._hosts[address] = _host(address)
        service = self._ports.get((port, protocol))
        if service is None:
            service = self._ports[(port, protocol)] = _port(port, protocol)
        text = f"[{host}]:{service}" if ":" in address else f"{host}:{service}"
        return text[:WIDTH] if self._cut else text


def _host(address: str) -> str:
    from _socket import gethostbyaddr

    try:
        return str(gethostbyaddr(address)[0])
    except (OSError, UnicodeError):
        return address


def _port(port: int, protocol: str | int) -> str:
    from _socket import getservbyport

    if protocol not in _PROTOCOLS:  # a firewall mark's
        return str(port)
    try:
        return str(getservbyport(port, str(protocol)))
    except OSError:
        return str(port)
