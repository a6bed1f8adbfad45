"""`crowds`: several services of every kind at once, the same clients at all of them, and an administrator in between."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import again, turn
from .paths import big, client_error, server_error
from .script import SCHEDULERS, Flow, Script, Service

SERVERS = 5
"""Addresses that servers may have; the kernel tells a client of one that is no neighbour, seconds later."""
MARKS = (7, 9)
SWITCHES = ("conn_reuse_mode", "expire_nodest_conn", "expire_quiescent_template", "sloppy_tcp", "nat_icmp_send")
NETMASKS = ((), (), ("-M", "255.255.255.0"))


class Crowd:
    """The services of one trace, what stands behind them, and the connections that were opened."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.services = [self.made(kind) for kind in script.random.sample(list(MAKERS), script.pick(3, 4, 5))]
        self.flows: list[Flow] = []
        self.forgot = False
        """Whether counters began anew: they do as of the kernel's last estimator tick, whenever that was."""
        for service in self.services:
            for number in script.random.sample(range(10, 10 + SERVERS), script.random.randrange(1, 5)):
                self.server(service, number)

    def made(self, kind: str) -> Service:
        return MAKERS[kind](self.script)

    def server(self, service: Service, number: int) -> None:
        self.script.server(service, number, None, *self.script.thresholds(), *self.script.tunnel(service))

    def place(self, service: Service) -> Service:
        """Where a client of the service goes: one of a mark or of port 0 is at many addresses and ports."""
        script = self.script
        port = script.pick(80, 443, 8443) if service.port == 0 or service.mark else service.port
        address, protocol = service.address, service.protocol
        if service.mark and len(address) == 4 and script.chance(40):
            address = p.address(f"203.0.113.{script.random.randrange(1, 20)}")
            protocol = script.pick(p.TCP, p.TCP, p.UDP)
        if service.port == 21 and script.chance(40):
            port = script.pick(20, 1023, 1024, 5000)
        place = Service(service.words, protocol, address, port, service.mark, service.method)
        place.server_port = service.server_port if service.port and not service.mark else port
        return place

    def visit(self) -> None:
        """A client comes: mostly one that was here, at this service or another one; now and then from a used port."""
        script = self.script
        place = self.place(script.random.choice(self.services))
        six = len(place.address) == 16
        flow = script.flow(place, script.client(six, near=script.pick(5, 12, 39)))
        if self.flows and script.chance(20):
            old = script.random.choice(self.flows)
            if len(old.client) == len(flow.client):
                flow = Flow(place, old.client, old.port)
        self.flows.append(script.open(flow))
        if place.protocol == p.TCP and script.chance(40):
            script.packet(script.segment(flow, p.ACK), flow.mark)

    def answer(self, flow: Flow) -> str:
        """A server that may be the flow's."""
        servers = [text for one in self.services for text in one.servers if (":" in text) == (len(flow.client) == 16)]
        return str(self.script.random.choice(servers or ["fd00:10::a" if len(flow.client) == 16 else "10.0.0.10"]))

    def changed(self) -> None:
        """The administrator changes one thing."""
        script, what = self.script, self.script.random.randrange(100)
        service = script.random.choice(self.services)
        away = [
            number
            for number in range(10, 10 + SERVERS)
            if not any(text.endswith(tail(number)) for text in service.servers)
        ]
        if what < 35 and service.servers:
            script.edit(
                service, script.random.choice(list(service.servers)), script.pick(0, 0, 1, 3), *script.thresholds(10)
            )
        elif what < 55 and away:
            self.server(service, script.random.choice(away))
        elif what < 72 and service.servers:
            self.forgot = True
            script.remove(service, script.random.choice(list(service.servers)))
        elif what < 82:
            script.ipvsadm("-E", *service.words, "-s", script.random.choice(SCHEDULERS), *self.kept(service))
        elif what < 94:
            script.sysctl(script.random.choice(SWITCHES), script.pick(0, 1))
        elif what < 97:
            self.forgot = True
            script.ipvsadm("-Z", *script.pick((), tuple(service.words)))
        else:
            self.forgot = True
            script.ipvsadm("-D", *service.words)
            service.servers.clear()
            script.ipvsadm("-A", *service.words, "-s", script.random.choice(SCHEDULERS), *self.kept(service))

    def kept(self, service: Service) -> tuple[object, ...]:
        """What a service must keep to be one: port 0 is for persistent ones."""
        if service.port == 0 and not service.mark:
            return ("-p", 90)
        return self.script.pick((), (), ("-p", 60)) if service.protocol != p.UDP else ()


def tail(number: int) -> str:
    return f".{number}"


MAKERS: dict[str, Callable[[Script], Service]] = {
    "plain": lambda s: s.service(s.pick(*SCHEDULERS), p.TCP),
    "persistent": lambda s: s.service(s.pick("rr", "wrr", "wlc", "lc"), p.TCP, flags=("-p", 300, *s.pick(*NETMASKS))),
    "mark": lambda s: s.service(s.pick("rr", "wrr", "wlc"), p.TCP, mark=7),
    "persistent mark": lambda s: s.service("rr", p.TCP, mark=9, flags=("-p", 120, *s.pick(*NETMASKS))),
    "any port": lambda s: s.service("wlc", s.pick(p.TCP, p.UDP), port=0, flags=("-p", 60), method=s.pick("-m", "-g")),
    "one packet": lambda s: s.service(s.pick("rr", "wrr", "sh", "wlc", "lc"), p.UDP, flags=("-o",)),
    "datagrams": lambda s: s.service(s.pick(*SCHEDULERS), p.UDP),
    "ftp": lambda s: s.service("rr", p.TCP, port=21, flags=s.pick((), ("-p", 60))),
    "six": lambda s: s.service(s.pick("rr", "lc", "sh"), s.pick(p.TCP, p.UDP), six=True, flags=s.pick((), ("-p", 60))),
    "six mark": lambda s: s.service("wrr", p.TCP, six=True, mark=7, flags=s.pick((), ("-p", 60, "-M", "64"))),
}


def crowds(seed: int) -> Script:
    """Visits, packets from both sides, errors, edits: all of it mixed."""
    script = Script("crowds", seed, marks=MARKS)
    script.header["servers6"] = SERVERS
    crowd = Crowd(script)
    for _ in range(script.random.randrange(50, 80)):
        what = script.random.randrange(100)
        flow = script.random.choice(crowd.flows) if crowd.flows else None
        if what < 45 or flow is None:
            crowd.visit()
        elif what < 65:
            turn(script, flow, crowd.answer(flow))
        elif what < 71:
            again(script, flow)
        elif what < 75:
            big(script, flow, 1300)
        elif what < 78:
            client_error(script, flow)
        elif what < 80:
            server_error(script, flow, crowd.answer(flow))
        elif what < 97:
            crowd.changed()
        else:
            script.conns()
    script.look(stats=not crowd.forgot)
    return script


KINDS: dict[str, Callable[[int], Script]] = {"crowds": crowds}
