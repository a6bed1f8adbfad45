"""`local`: real servers on the director itself, on ports where a program listens and where none does, beside others.

A closed port answers with a reset or an ICMP error, an open one of TCP with a SYN|ACK: all of it passes the director's
hooks. What an open port says to anything but a first SYN or a reset depends on numbers that its TCP draws, so nothing else
is sent there.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import turn
from .paths import client_error
from .script import SCHEDULERS, Flow, Script

LISTENING = {p.TCP: (80, 8080), p.UDP: (53, 8080)}
NAMES = {p.TCP: "tcp", p.UDP: "udp"}
OWN = ("10.0.0.1", "127.0.0.1", "198.51.100.1", "203.0.113.77")
OWN6 = ("fd00:10::1", "::1", "2001:db8:1::1", "2001:db8:80::77")
PORTS = (80, 443, 53, 8080)


class Place:
    """A service, which of its servers are the director itself, and the flows that met it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        protocol = script.pick(p.TCP, p.TCP, p.TCP, p.UDP, p.UDP, p.SCTP)
        self.six = script.chance(25)
        schedulers = ("wlc", "lc", "rr", "nq", "sed", "wrr", script.random.choice(SCHEDULERS))
        flags = script.pick((), (), (), ("-p", 60), ("-o",) if protocol == p.UDP else ())
        self.service = script.service(
            script.pick(*schedulers), protocol, six=self.six, port=script.pick(*PORTS), flags=flags
        )
        if self.service.method == "-m":
            self.service.server_port = script.pick(*PORTS)
        self.flows: list[Flow] = []
        self.remote: list[str] = []
        for own in script.random.sample(OWN6 if self.six else OWN, script.pick(1, 1, 2, 3)):
            self.add(own)
        for number in script.random.sample(range(10, 13), script.pick(0, 1, 1, 2)):
            self.remote.append(script.server(self.service, number, None))

    @property
    def is_open(self) -> bool:
        """Whether a program listens where its servers are."""
        return self.service.server_port in LISTENING.get(self.service.protocol, ())

    def add(self, own: str) -> None:
        """One more server that is the director."""
        service, weight = self.service, self.script.pick(0, 1, 1, 2)
        service.servers[own] = weight
        real = self.script.real(service, own)
        self.script.ipvsadm(
            "-a", *service.words, "-r", real, service.method, "-w", weight, *self.script.tunnel(service)
        )

    def go_on(self, flow: Flow) -> None:
        """A packet of a known connection."""
        script = self.script
        if self.is_open and flow.service.protocol == p.TCP:
            script.packet(script.segment(flow, p.RST))
            self.flows.remove(flow)
        elif self.remote:
            turn(script, flow, script.random.choice(self.remote))
        elif flow.service.protocol == p.TCP:
            flags = script.pick(p.SYN, p.ACK, p.FIN | p.ACK, p.RST, p.PSH | p.ACK)
            script.packet(script.segment(flow, flags, script.payload()))
        else:
            script.open(flow)

    def changed(self) -> None:
        """The administrator changes one server."""
        script, service = self.script, self.service
        text = script.random.choice(list(service.servers)) if service.servers else ""
        if text and script.chance(60):
            script.edit(service, text, script.pick(0, 1, 2))
        elif text and script.chance(50):
            script.remove(service, text)
        else:
            away = [own for own in (OWN6 if self.six else OWN) if own not in service.servers]
            if away:
                self.add(script.random.choice(away))


def local(seed: int) -> Script:
    """One to three services, each with servers on the director."""
    script = Script("local", seed)
    script.header["listening"] = [[NAMES[protocol], port] for protocol, ports in LISTENING.items() for port in ports]
    for name in ("conn_reuse_mode", "expire_nodest_conn", "schedule_icmp"):
        if script.chance(15):
            script.sysctl(name, script.pick(0, 1))
    places = [Place(script) for _ in range(script.pick(1, 2, 3))]
    for _ in range(script.random.randrange(28, 45)):
        place, what = script.random.choice(places), script.random.randrange(100)
        if what < 50 or not place.flows:
            place.flows.append(script.open(script.flow(place.service)))
        elif what < 80:
            place.go_on(script.random.choice(place.flows))
        elif what < 85 and not place.is_open:
            client_error(script, script.random.choice(place.flows))
        elif what < 93:
            place.changed()
        else:
            script.conns()
    script.look(stats=script.chance(50))
    return script


KINDS: dict[str, Callable[[int], Script]] = {"local": local}
