"""`tracked`: connection tracking beside IPVS (net.ipv4.vs.conntrack), whose entries IPVS uses, waits for and drops.

Talks with right sequence numbers and wrong ones, ports that are used again, flows that share a server and a port, servers
that go, and traffic past the services, which leaves entries of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import turn
from .paths import client_error, server_error
from .script import Flow, Script, Service

WRONG = (1, -1, 100, 5000, 9000, 40000, 70000, 1 << 31)
WINDOW = b"\x03\x03\x07\x00"
SELECTIVE = b"\x01\x01\x04\x02"
CLOSING = (p.FIN | p.ACK, p.FIN | p.ACK, p.RST, p.RST | p.ACK)
INIT, INIT_ACK, ABORT, SHUTDOWN, SHUTDOWN_ACK, ECHO, COOKIE_ACK, COMPLETE = 1, 2, 6, 7, 8, 10, 11, 14


class Talk:
    """One TCP conversation with the numbers that both sides would use."""

    def __init__(self, script: Script, flow: Flow, server: str) -> None:
        self.script, self.flow, self.server = script, flow, server
        self.sent, self.answered = 1000, 700000

    def client(self, flags: int, payload: bytes = b"", options: bytes = b"") -> None:
        """A segment of the client; a SYN begins anew."""
        script, flow = self.script, self.flow
        if flags & p.SYN:
            self.sent = script.pick(self.sent, self.sent, self.sent + 100000, 5)
        acknowledged = self.answered + self.slip() if flags & p.ACK else 0
        ports = (flow.port, flow.service.port)
        inner = p.tcp(
            flow.client, flow.service.address, ports, flags, payload, sequence=(self.sent + self.slip()) % 2**32,
            acknowledged=acknowledged % 2**32, options=options, damage=5 if script.chance(2) else 0,
        )  # fmt: skip
        script.packet(p.ip(flow.client, flow.service.address, p.TCP, inner, ident=script.ident()), flow.mark)
        self.sent += len(payload) + bool(flags & (p.SYN | p.FIN))

    def server_side(self, flags: int, payload: bytes = b"", options: bytes = b"") -> None:
        """A segment of the server."""
        script, flow = self.script, self.flow
        if flags & p.SYN:
            self.answered = script.pick(700000, self.answered)
        origin = p.address(self.server)
        acknowledged = self.sent + self.slip() if flags & p.ACK else 0
        ports = (flow.service.server_port, flow.port)
        inner = p.tcp(
            origin, flow.client, ports, flags, payload, sequence=(self.answered + self.slip()) % 2**32,
            acknowledged=acknowledged % 2**32, options=options, damage=5 if script.chance(2) else 0,
        )  # fmt: skip
        script.reply(flow, self.server, p.TCP, inner)
        self.answered += len(payload) + bool(flags & (p.SYN | p.FIN))

    def selected(self) -> bytes:
        """The option of a selective acknowledgement: of something that came, or that nobody sent."""
        start = (self.answered if self.script.chance(50) else self.sent) + self.script.pick(-40, 10, 4000)
        return b"\x01\x01\x05\x0a" + b"".join(((start + more) % 2**32).to_bytes(4, "big") for more in (0, 20))

    def slip(self) -> int:
        """What a number is wrong by, mostly nothing."""
        return self.script.random.choice(WRONG) if self.script.chance(6) else 0

    def handshake(self) -> None:
        """The three segments that open it, or the first ones of them."""
        options = self.script.pick(b"", b"", WINDOW, SELECTIVE, WINDOW + SELECTIVE)
        self.client(p.SYN, options=options)
        if self.script.chance(80):
            self.server_side(p.SYN | p.ACK, options=options)
            if self.script.chance(85):
                self.client(p.ACK)

    def step(self) -> None:
        """What may come next."""
        script = self.script
        what = script.random.randrange(100)
        side = self.client if script.chance(60) else self.server_side
        if what < 22:
            self.client(p.SYN, options=script.pick(b"", WINDOW))
        elif what < 30:
            self.server_side(p.SYN | p.ACK)
        elif what < 52:
            side(p.ACK | script.pick(0, p.PSH), script.payload(), script.random.choice((b"", self.selected())))
        elif what < 84:
            side(script.random.choice(CLOSING))
        elif what < 90:
            side(script.pick(p.FIN, 0, p.PSH, p.SYN | p.FIN, p.ACK | p.URG, p.SYN | p.ACK))
        else:
            self.close()

    def again(self) -> None:
        """A whole connection, and its port once more."""
        self.handshake()
        if self.script.chance(40):
            self.server_side(p.ACK | p.PSH, b"data")
            self.client(p.ACK)
        self.close() if self.script.chance(70) else self.client(p.RST)
        for _ in range(self.script.pick(1, 2)):
            self.client(p.SYN)

    def close(self) -> None:
        """An end from one side or from both."""
        first, second = sides(self)
        first(p.FIN | p.ACK)
        if self.script.chance(70):
            second(p.FIN | p.ACK)
            if self.script.chance(70):
                first(p.ACK)


def sides(talk: Talk) -> list[Callable[[int], None]]:
    """Both sides of a talk, whoever begins."""
    return talk.script.random.sample([talk.client, talk.server_side], 2)


def past(script: Script, flow: Flow, server: str) -> None:
    """A client speaks to a server itself, past the service: what is only forwarded is tracked, too."""
    target = p.address(server)
    ports = (flow.port, flow.service.server_port)
    if flow.service.protocol == p.UDP:
        inner = p.udp(flow.client, target, ports, b"past")
    else:
        inner = p.tcp(flow.client, target, ports, script.pick(p.SYN, p.SYN, p.ACK, p.RST), sequence=1000)
    protocol = p.UDP if flow.service.protocol == p.UDP else p.TCP
    script.packet(p.ip(flow.client, target, protocol, inner, ident=script.ident()))


def unserved(script: Script, flow: Flow) -> None:
    """A packet for the host itself, at a port that no service has."""
    place = Service([], script.pick(p.TCP, p.UDP), flow.service.address, 4444)
    flags = script.pick(p.SYN, p.ACK, p.FIN | p.ACK)
    there = Flow(place, flow.client, flow.port)
    script.packet(script.segment(there, flags) if place.protocol == p.TCP else script.datagram(there))


def pieces(script: Script, flow: Flow, server: str) -> None:
    """A datagram in fragments, to the service or past it."""
    target = flow.service.address if script.chance(60) else p.address(server)
    inner = p.udp(flow.client, target, (flow.port, flow.service.port), b"f" * script.pick(200, 900, 1800))
    cut = p.fragments(p.ip(flow.client, target, p.UDP, inner, ident=script.ident()), script.pick(400, 1000))
    for piece in cut if script.chance(80) else cut[1:]:
        script.packet(piece)


def association(script: Script, flow: Flow, server: str) -> None:
    """A packet of an SCTP association, its verification tags mostly right."""
    back = script.chance(45)
    kind = script.pick(
        INIT, INIT, INIT_ACK, ECHO, COOKIE_ACK, SHUTDOWN, SHUTDOWN_ACK, COMPLETE, COMPLETE, ABORT, ABORT, 0, 4, 5
    )
    head = (111).to_bytes(4, "big") if not back else (222).to_bytes(4, "big")
    value = head + b"\0\0\x05\0\0\5\0\5" + bytes(4) if kind in (INIT, INIT_ACK) else bytes(12) if kind == 0 else b"abcd"
    tag = 0 if kind == INIT else (222 if not back else 111)
    tag = script.pick(0, 5, 111, 222) if script.chance(12) else tag
    chunks = p.chunk(kind, script.pick(0, 0, 0, 1) if kind in (ABORT, COMPLETE) else 0, value)
    ports = (flow.service.server_port, flow.port) if back else (flow.port, flow.service.port)
    inner = p.sctp(ports, tag, chunks, damage=5 if script.chance(3) else 0)
    if back:
        script.reply(flow, server, p.SCTP, inner)
    else:
        script.packet(p.ip(flow.client, flow.service.address, p.SCTP, inner, ident=script.ident()), flow.mark)


def switches(script: Script) -> None:
    """One of the tunables that meet connection tracking."""
    name, values = script.pick(
        ("conntrack", (0, 1, 1)),
        ("conn_reuse_mode", (0, 1, 1, 2)),
        ("expire_nodest_conn", (0, 1)),
        ("sloppy_tcp", (0, 1)),
        ("snat_reroute", (0, 1)),
        ("schedule_icmp", (0, 1)),
        ("nat_icmp_send", (0, 1)),
    )
    script.sysctl(name, script.random.choice(values))


def asks(script: Script, six: bool) -> Service | None:
    """The service that makes the kernel track at all: one of port 21 whose server translates; mostly it is there."""
    if script.chance(6):
        return None
    address = "[2001:db8:80::f1]" if six else "203.0.113.200"
    service = Service(["-t", f"{address}:21"], p.TCP, p.address(address.strip("[]")), 21, None, "-m", 21)
    script.ipvsadm("-A", *service.words, "-s", "rr")
    script.server(service, 13, 1)
    return service


def tracked(seed: int) -> Script:
    """A few flows of a few services, closed and opened again and again."""
    script = Script("tracked", seed, marks=[7])
    six = script.chance(15)
    if script.chance(90):
        script.sysctl("conntrack", 1)
    for _ in range(script.random.randrange(3)):
        switches(script)
    asking = asks(script, six)
    services = [made(script, six) for _ in range(script.pick(1, 2, 2))]
    talks = []
    for _ in range(3):
        service = script.random.choice(services)
        talks.append(Talk(script, script.flow(service), script.random.choice(list(service.servers))))
    for talk in talks[1:]:
        if script.chance(35):  # the same client and port elsewhere
            talk.flow.client, talk.flow.port = talks[0].flow.client, talks[0].flow.port
    for _ in range(script.random.randrange(26, 40)):
        happens(script, script.random.choice(talks), services, asking)
        if script.chance(22):
            script.conns()
    script.look(stats=script.chance(40))
    return script


def made(script: Script, six: bool) -> Service:
    """A service, mostly one that translates."""
    protocol = script.pick(p.TCP, p.TCP, p.TCP, p.TCP, p.TCP, p.UDP, p.UDP, p.SCTP)
    flags = script.pick((), (), (), ("-p", 60)) if protocol != p.UDP else script.pick((), ("-o",), ("-p", 60))
    method = script.pick("-m", "-m", "-m", "-m", "-m", "-g", "-i")
    mark = 7 if script.chance(8) else None
    service = script.service("rr", protocol, six=six, flags=flags, mark=mark, method=method)
    if method == "-m" and script.chance(60):
        service.server_port = 8080  # services that share a server's port
    for number in script.pick((10,), (10,), (10,), (10, 11)):
        script.server(service, number, 1)
    if script.chance(6) and not six:
        service.servers["203.0.113.77"] = 1  # the director itself
        script.ipvsadm("-a", *service.words, "-r", script.real(service, "203.0.113.77"), method, "-w", 1)
    return service


def happens(script: Script, talk: Talk, services: list[Service], asking: Service | None) -> None:
    """One event."""
    flow, server, what = talk.flow, talk.server, script.random.randrange(100)
    if what < 66:
        if flow.service.protocol == p.TCP:
            script.pick(talk.again, talk.handshake, talk.step, talk.step, talk.step)()
        elif flow.service.protocol == p.SCTP:
            association(script, flow, server)
        else:
            turn(script, flow, server)
    elif what < 72:
        past(script, flow, server)
    elif what < 75:
        unserved(script, flow)
    elif what < 78 and len(flow.client) == 4:
        pieces(script, flow, server)
    elif what < 82:
        client_error(script, flow) if script.chance(50) else server_error(script, flow, server)
    elif what < 88:
        switches(script)
    elif what < 93:
        change(script, script.random.choice(services))
    elif what < 95 and asking is not None:
        script.ipvsadm(*script.pick(("-D", *asking.words), ("-A", *asking.words, "-s", "rr")))
        if script.chance(60):
            script.server(asking, 13, 1)
    elif what < 97:
        script.sleep(script.pick(1, 3.5, 11.5))
    else:
        turn(script, flow, server)


def change(script: Script, service: Service) -> None:
    """A server goes, comes back, or gets another weight."""
    text = script.random.choice([*service.servers, "10.0.0.10" if len(service.address) == 4 else "fd00:10::a"])
    if text not in service.servers:
        script.server(service, 10, 1)
    elif script.chance(50):
        script.edit(service, text, script.pick(0, 0, 1))
    else:
        script.remove(service, text)


KINDS: dict[str, Callable[[int], Script]] = {"tracked": tracked}
