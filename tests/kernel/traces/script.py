"""A trace under construction: its random numbers, its services, its steps."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import packets as p

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh")
METHODS = ("-m", "-g", "-i")
OPTIONS = {p.TCP: "-t", p.UDP: "-u", p.SCTP: "--sctp-service"}
VS = "net.ipv4.vs."


@dataclass
class Service:
    """What a trace keeps of a service that it made: its words for ipvsadm and what packets to it look like."""

    words: list[str]
    protocol: int
    address: bytes
    port: int
    mark: int | None = None
    method: str = "-m"
    server_port: int = 80
    servers: dict[str, int] = field(default_factory=dict)  # address: weight


@dataclass
class Flow:
    """One client's connection to a service."""

    service: Service
    client: bytes
    port: int

    @property
    def mark(self) -> int | None:
        return self.service.mark


class Script:
    """Steps in order, and the one source of randomness. Two scripts of one kind and seed are the same."""

    def __init__(self, kind: str, seed: int, marks: Sequence[int] = ()) -> None:
        self.random = random.Random(f"{kind}/{seed}")
        self.header: dict[str, Any] = {"trace": 1, "name": f"{kind}-{seed}"}
        if marks:
            self.header["marks"] = list(marks)
        self.steps: list[dict[str, Any]] = []
        self.next_port = self.random.randrange(1024, 50000)

    def text(self) -> str:
        return "".join(json.dumps(line) + "\n" for line in [self.header, *self.steps])

    # what happens

    def ipvsadm(self, *words: object, stdin: str = "") -> None:
        step: dict[str, Any] = {"do": "ipvsadm", "args": [str(word) for word in words]}
        self.steps.append({**step, "stdin": stdin} if stdin else step)

    def packet(self, data: bytes, mark: int | None = None, on: str = "client") -> None:
        step = {"do": "packet", "on": on, "hex": data.hex()}
        self.steps.append(step if mark is None else {**step, "mark": mark})

    def arrive(self, source: bytes, data: bytes, mark: int | None = None) -> None:
        """A packet from the side that its sender, a server or a client, is on; only clients' packets have marks."""
        if source[0] in (10, 0xFD):
            self.packet(p.frame(source, data), on="server")
        else:
            self.packet(data, mark)

    def flood(self, data: bytes, count: int, mark: int) -> None:
        """A marked IPv6 packet so many times, each to the next address."""
        self.steps.append({"do": "flood", "hex": data.hex(), "count": count, "mark": mark})

    def sysctl(self, name: str, value: int, tree: str = VS) -> None:
        self.steps.append({"do": "sysctl", "name": tree + name, "value": value})

    def sleep(self, seconds: float) -> None:
        self.steps.append({"do": "sleep", "seconds": seconds})

    def netlink(self, data: bytes) -> None:
        self.steps.append({"do": "netlink", "hex": data.hex()})

    def conns(self) -> None:
        self.steps.append({"do": "conns"})

    def look(self, stats: bool = True) -> None:
        """The end of most traces: the table, the connections, the statistics."""
        self.ipvsadm("-Ln", *self.random.choice(((), ("--thresholds",), ("--persistent-conn",), ("--tun-info",))))
        self.conns()
        if stats:
            self.steps.append({"do": "stats"})

    # chance

    def chance(self, percent: float) -> bool:
        return self.random.random() * 100 < percent

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def client(self, six: bool = False, near: int = 39) -> bytes:
        """A client's address: one of the same few dozen, so that clients come again."""
        number = self.random.randrange(1, near + 1)
        if six:
            return p.address(f"2001:db8:c::{number:x}")
        return p.address(f"192.0.{self.random.choice((2, 3))}.{number}")

    def flow(self, service: Service, client: bytes | None = None) -> Flow:
        self.next_port = self.next_port % 60000 + 1 if self.next_port >= 1024 else 1024
        return Flow(service, client or self.client(len(service.address) == 16), self.next_port)

    def ident(self) -> int:
        return self.random.randrange(1, 65536)

    def payload(self, most: int = 24) -> bytes:
        return self.random.choice((b"x", b"ab", b"data")) * self.random.randrange(most // 2)

    # services

    def service(
        self,
        scheduler: str,
        protocol: int = p.TCP,
        *,
        six: bool = False,
        port: int | None = None,
        mark: int | None = None,
        flags: Sequence[object] = (),
        method: str | None = None,
    ) -> Service:
        """Adds a virtual service; its servers come with `server`."""
        number = self.random.randrange(1, 12)
        port = self.random.choice((80, 53, 443, 5060)) if port is None else port
        text = f"[2001:db8:80::{number:x}]" if six else f"203.0.113.{number}"
        words = [OPTIONS[protocol], f"{text}:{port}"]
        if mark is not None:
            words = ["-f", str(mark)] + (["-6"] if six else [])
        method = method or self.random.choice(METHODS)
        made = Service(words, protocol, p.address(text.strip("[]")), port, mark, method)
        made.server_port = self.random.choice((port, 8080, 80)) if method == "-m" else port
        self.ipvsadm("-A", *words, "-s", scheduler, *flags)
        return made

    def server(self, service: Service, number: int, weight: int | None = None, *options: object) -> str:
        """Adds 10.0.0.NUMBER or fd00:10::NUMBER; returns its address."""
        six = len(service.address) == 16
        text = f"fd00:10::{number:x}" if six else f"10.0.0.{number}"
        weight = self.random.choice((1, 1, 2, 3, 5)) if weight is None else weight
        service.servers[text] = weight
        self.ipvsadm("-a", *service.words, "-r", self.real(service, text), service.method, "-w", weight, *options)
        return text

    def edit(self, service: Service, text: str, weight: int, *options: object) -> None:
        service.servers[text] = weight
        self.ipvsadm("-e", *service.words, "-r", self.real(service, text), service.method, "-w", weight, *options)

    def remove(self, service: Service, text: str) -> None:
        service.servers.pop(text, None)
        self.ipvsadm("-d", *service.words, "-r", self.real(service, text))

    @staticmethod
    def real(service: Service, text: str) -> str:
        return (f"[{text}]" if ":" in text else text) + f":{service.server_port}"

    def thresholds(self, percent: float = 20) -> tuple[object, ...]:
        if not self.chance(percent):
            return ()
        upper = self.random.randrange(1, 8)
        lower = self.random.randrange(0, upper + 1)
        return ("-x", upper, "-y", lower) if self.chance(50) else ("-x", upper)

    def tunnel(self, service: Service) -> tuple[object, ...]:
        """Random tunnel options, if the service's servers are reached through tunnels."""
        if service.method != "-i" or self.chance(40):
            return ()
        if self.chance(50):
            return (
                "--tun-type",
                "gue",
                "--tun-port",
                self.pick(6080, 5555),
                self.pick("--tun-nocsum", "--tun-csum", "--tun-remcsum"),
            )
        return ("--tun-type", self.pick("gre", "gre", "ipip"), *self.pick((), ("--tun-nocsum",)))

    # packets of flows

    def segment(self, flow: Flow, flags: int, payload: bytes = b"", **odd: Any) -> bytes:
        """A TCP segment from client to service."""
        ports = (flow.port, flow.service.port)
        inner = p.tcp(flow.client, flow.service.address, ports, flags, payload, sequence=100)
        return p.ip(flow.client, flow.service.address, p.TCP, inner, ident=self.ident(), **odd)

    def datagram(self, flow: Flow, payload: bytes = b"q", **odd: Any) -> bytes:
        inner = p.udp(flow.client, flow.service.address, (flow.port, flow.service.port), payload)
        return p.ip(flow.client, flow.service.address, p.UDP, inner, ident=self.ident(), **odd)

    def opening(self, flow: Flow, **odd: Any) -> bytes:
        """The first packet of a connection, by the service's protocol."""
        if flow.service.protocol == p.TCP:
            return self.segment(flow, p.SYN, **odd)
        if flow.service.protocol == p.UDP:
            return self.datagram(flow, **odd)
        inner = p.sctp((flow.port, flow.service.port), 0, p.chunk(1, 0, bytes(8) + b"\0\5\0\5" + bytes(4)))
        return p.ip(flow.client, flow.service.address, p.SCTP, inner, ident=self.ident(), **odd)

    def open(self, flow: Flow, **odd: Any) -> Flow:
        self.packet(self.opening(flow, **odd), flow.mark)
        return flow

    def reply(
        self, flow: Flow, server: str, protocol: int, inner: bytes, source: bytes | None = None, **odd: Any
    ) -> None:
        """A packet from a server to the client; `inner` was made for these addresses."""
        origin = p.address(server)
        packet = p.ip(source or origin, flow.client, protocol, inner, ident=self.ident(), **odd)
        self.packet(p.frame(origin, packet), on="server")

    def segment_back(self, flow: Flow, server: str, flags: int, payload: bytes = b"") -> None:
        origin = p.address(server)
        ports = (flow.service.server_port, flow.port)
        self.reply(flow, server, p.TCP, p.tcp(origin, flow.client, ports, flags, payload, sequence=900))

    def datagram_back(self, flow: Flow, server: str, payload: bytes = b"ok", unsummed: bool = False) -> None:
        origin = p.address(server)
        ports = (flow.service.server_port, flow.port)
        self.reply(flow, server, p.UDP, p.udp(origin, flow.client, ports, payload, unsummed=unsummed))
