"""What the tests of public reports share: a director with its rules, and clients that open, use and close connections."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from itertools import count

from ipvssim import Kernel
from ipvssim.path.result import Result
from tests.ipvssim import worlds as w

VIRTUAL, CLIENT = "203.0.113.1", "198.51.100.1"
WEB = f"{VIRTUAL}:80"
ONE, TWO, THREE = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def packed(address: str) -> bytes:
    """An address as bytes."""
    return ip_address(address).packed


def farm(service: str, *servers: str, method: str = "-m") -> str:
    """Rules of a service (``-t VIRTUAL -s rr``) and its servers (``10.0.0.1:80 -w 1``)."""
    selector = " ".join(service.split()[:2])
    return "\n".join([f"-A {service}", *(f"-a {selector} -r {one} {method}" for one in servers)])


class Site:
    """A director, and short words for what its clients do."""

    def __init__(self, rules: str, **sysctl: int) -> None:
        self.kernel = Kernel(rules, sysctl=sysctl)
        self._ports = count(20000)

    def tcp(
        self, flags: int, port: int, client: str = CLIENT, to: str = VIRTUAL, dport: int = 80, **more: int
    ) -> Result:
        """One segment of a client."""
        mark = more.pop("mark", 0)
        return self.kernel.receive(w.tcp(flags, port, dport, source=packed(client), target=packed(to)), mark=mark)

    def udp(self, port: int, client: str = CLIENT, to: str = VIRTUAL, dport: int = 53) -> str | None:
        """One datagram of a client: the server that it went to."""
        return went(self.kernel.receive(w.udp(port, dport, source=packed(client), target=packed(to))))

    def open(self, port: int | None = None, client: str = CLIENT, to: str = VIRTUAL, dport: int = 80) -> str | None:
        """A connection is opened and used: its server, None where there is none."""
        port = next(self._ports) if port is None else port
        server = went(self.tcp(w.SYN, port, client, to, dport))
        self.tcp(w.ACK, port, client, to, dport)
        return server

    def answer(self, port: int, server: str, flags: int = w.ACK, sport: int = 80, client: str = CLIENT) -> Result:
        """A segment of a server to a client."""
        return self.kernel.receive(w.tcp(flags, sport, port, source=packed(server), target=packed(client)))

    def close(self, port: int, server: str) -> None:
        """Both ends close."""
        self.tcp(w.FIN | w.ACK, port)
        self.answer(port, server, w.FIN | w.ACK)
        self.tcp(w.ACK, port)

    def shares(self, connections: int) -> Counter[str | None]:
        """How many of so many new connections each server gets."""
        return Counter(self.open() for _ in range(connections))

    def active(self) -> dict[str, int]:
        """Active connections of each server."""
        return {one.destination.address: one.active for entry in self.kernel.snapshot() for one in entry.destinations}

    def states(self) -> list[str]:
        """The states of all connections and templates."""
        return sorted(one.state for one in self.kernel.connections())

    def ipvsadm(self, *words: str) -> str:
        """A command that succeeds: what it writes."""
        done = self.kernel.ipvsadm(*words)
        assert done.status == 0, done.stderr
        return done.stdout


def went(result: Result) -> str | None:
    """The server that a packet left for; None where it left for none."""
    if result.server is None or not result.out or result.verdict.value != "forward":
        return None
    return str(ip_address(result.server.address))
