"""The table of a scenario: ipvsadm's rules as given, or written out from a service and a number of servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

from ipvssim.lab.scenario.reader import Reader, ScenarioError, shown

PROTOCOLS = {
    "-t": 6, "--tcp-service": 6, "-u": 17, "--udp-service": 17, "--sctp-service": 132, "-f": 0, "--fwmark-service": 0,
}  # fmt: skip
FIRST = 10
"""Server 0 is 10.0.0.10 (fd00:10::10 for IPv6), as in traces (docs/use/simulator.md)."""
MOST_SERVERS = 4096
"""That tables and events of the laboratory's own numbering may have."""
MOST_CAPACITY = 100_000
MOST_WEIGHT = 65535
"""As ipvsadm has it."""
_METHODS = ("-m", "-g", "-i", "--masquerading", "--gatewaying", "--ipip")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients of a service send: protocol, address (4 or 16 bytes), port, firewall mark (0: none)."""

    protocol: int
    address: bytes
    port: int
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a scenario. ``method`` is the servers' forwarding option; empty with rules of the author's own."""

    text: str
    service: str
    method: str = ""
    options: str = ""
    weights: Sequence[int] = (1,)
    servers: int = 0
    capacity: int = 0
    """Connections that each server serves at once; 0: all that come."""

    def lines(self, variant: str = "") -> list[str]:
        """What ``ipvsadm -R`` is given, each service with the words of ``variant`` behind it."""
        found = [line.strip() for line in self.text.splitlines() if line.strip() and not line.strip().startswith("#")]
        return [_varied(line, variant) if line.split()[0] in ("-A", "--add-service") else line for line in found]

    def server(self, number: int) -> str:
        """A server's ``address:port``."""
        end = endpoint(self.service)
        port = end.port or 80
        index = FIRST + number
        if len(end.address) == 16:
            return f"[fd00:10::{index:x}]:{port}"
        return f"10.0.{index >> 8}.{index & 0xFF}:{port}"

    def address(self, number: int) -> str:
        """A server's address alone, without brackets."""
        return self.server(number).rpartition(":")[0].strip("[]")

    def add(self, number: int, weight: int) -> str:
        """The rule that adds a server."""
        return f"-a {self.service} -r {self.server(number)} {self.method} {self.options} -w {weight}"

    def edit(self, number: int, weight: int) -> str:
        """The rule that gives it a weight."""
        return f"-e {self.service} -r {self.server(number)} {self.method} {self.options} -w {weight}"

    def remove(self, number: int) -> str:
        """The rule that removes it."""
        return f"-d {self.service} -r {self.server(number)}"


def read_rules(table: Mapping[str, Any]) -> Rules:
    """The table ``[table]`` of a scenario."""
    with Reader(table, "table").whole() as reader:
        if reader.has("rules"):
            text = str(reader.need("rules", str))
            return Rules(text, _first_service(text))
        service = reader.take("service", str, "-t 203.0.113.1:80")
        words = str(reader.take("options", str, "-g")).split()
        number = reader.whole_number("servers", 10, 1, MOST_SERVERS)
        weights = reader.listed("weights", int, [1]) or []
        capacity = reader.whole_number("capacity", None, 1, MOST_CAPACITY) if reader.has("capacity") else 0
    if not weights or any(not 0 <= one <= MOST_WEIGHT for one in weights):
        raise ScenarioError(
            f"table.weights: {shown(weights)} are not whole numbers from 0 to {MOST_WEIGHT:,}, at least one"
        )
    method = next((word for word in words if word in _METHODS), "-g")
    others = " ".join(word for word in words if word not in _METHODS)
    endpoint(service)
    bare = Rules("", service, method, others, tuple(weights), number)
    lines = [f"-A {service}", *(bare.add(index, weights[index % len(weights)]) for index in range(number))]
    return Rules("\n".join(lines), service, method, others, tuple(weights), number, capacity)


def endpoint(service: str, to: str = "203.0.113.1:80") -> Endpoint:
    """Where clients of ``-t 203.0.113.1:80`` send; those of a mark send TCP to ``to``."""
    words = service.split()
    if len(words) < 2 or words[0] not in PROTOCOLS:
        raise ScenarioError(f"{shown(service)} is no service: -t ADDRESS:PORT, -u, --sctp-service, -f MARK")
    if not PROTOCOLS[words[0]]:
        if not (words[1].isascii() and words[1].isdigit() and len(words[1]) <= 10 and 0 < int(words[1]) < 1 << 32):
            raise ScenarioError(f"{shown(service)}: a firewall mark is a whole number from 1 to {(1 << 32) - 1:,}")
        if "-6" in words:
            to = "[2001:db8:80::1]:80"
    try:
        address, port = split(to if not PROTOCOLS[words[0]] else words[1])
    except ValueError:
        raise ScenarioError(
            f"{shown(service)}: addresses are numbers, as in 203.0.113.1:80 or [2001:db8:80::1]:80"
        ) from None
    if PROTOCOLS[words[0]]:
        return Endpoint(PROTOCOLS[words[0]], address, port or 80)
    return Endpoint(6, address, port, int(words[1]))


@lru_cache(4 * MOST_SERVERS)  # the same ones are asked for again and again, in each run of a comparison
def split(text: str) -> tuple[bytes, int]:
    """The address and the port (0: none) of ``192.0.2.1:80`` or ``[2001:db8::1]:80``; ValueError for anything else."""
    address, found, port = text.rpartition(":")
    if not found or text.endswith("]"):
        address, port = text, "0"
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f"{port!r} is no port")
    return ip_address(address.strip("[]")).packed, int(port)


def addresses(lines: Sequence[str]) -> tuple[set[bytes], set[bytes]]:
    """The virtual addresses and the servers' addresses that rules name."""
    virtual: set[bytes] = set()
    servers: set[bytes] = set()
    for line in lines:
        words = line.split()
        for option, value in pairwise(words):
            try:
                if PROTOCOLS.get(option):
                    virtual.add(split(value)[0])
                elif option in ("-r", "--real-server"):
                    servers.add(split(value)[0])
            except ValueError:
                raise ScenarioError(f"{shown(line)}: addresses are numbers in a scenario") from None
    return virtual, servers


def _first_service(text: str) -> str:
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in ("-A", "--add-service") and len(words) > 2:
            return " ".join(words[1:3] + (["-6"] if "-6" in words else []))
    raise ScenarioError("table.rules: there is no -A in them")


def _varied(line: str, variant: str) -> str:
    """An ``-A`` line with other scheduling: a variant's scheduler takes the place of its own, other words are added."""
    words, extra = line.split(), variant.split()
    if not extra:
        return line
    if not extra[0].startswith("-"):
        for option in ("-s", "--scheduler"):
            if option in words:
                at = words.index(option)
                del words[at : at + 2]
        extra = ["-s", *extra]
    return " ".join(words + extra)
