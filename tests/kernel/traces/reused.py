"""`tracked_reuse`, `tracked_sctp` and `tracked_ipsec`: what connection tracking makes of ports that are used again.

IPVS drops a packet that would open a closed connection anew while the old one's entry is there, and an entry that is new
does not enter beside one with its key: so what becomes of a SYN or an INIT tells what was made of the packets before it.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .script import Flow, Script, Service
from .tracking import (
    ABORT,
    COMPLETE,
    COOKIE_ACK,
    ECHO,
    INIT,
    INIT_ACK,
    SELECTIVE,
    SHUTDOWN,
    SHUTDOWN_ACK,
    WINDOW,
    Talk,
    switches,
)
from .tracking_tunables import NETFILTER, tunable

DATA, HEARTBEAT, HEARTBEAT_ACK = 0, 4, 5
STATES = (
    "closed", "cookie_wait", "cookie_echoed", "established", "shutdown_sent", "shutdown_recd", "shutdown_ack_sent",
    "heartbeat_sent", "heartbeat_acked",
)  # fmt: skip


def tracking(script: Script) -> None:
    """The service that makes the kernel track, and the tunable that keeps the entries."""
    script.sysctl("conntrack", 1)
    asking = Service(["-t", "203.0.113.200:21"], p.TCP, p.address("203.0.113.200"), 21, None, "-m", 21)
    script.ipvsadm("-A", *asking.words, "-s", "rr")
    script.server(asking, 13, 1)


def serving(script: Script, protocol: int, count: int, port: int | None = None) -> list[Service]:
    """Services that translate to one server, and share its port."""
    services = []
    for _ in range(count):
        service = script.service("rr", protocol, method="-m", port=port)
        service.server_port = port or 8080
        script.server(service, 10, 1)
        services.append(service)
    return services


# --- TCP ---


class Again(Talk):
    """A conversation whose ports are used again."""

    def opens(self) -> None:
        """A handshake, or a beginning in the middle."""
        script = self.script
        if script.chance(25):
            self.client(p.ACK, script.payload(), script.pick(b"", SELECTIVE))
            self.server_side(p.ACK)
        else:
            self.handshake()
        if script.chance(40):
            self.client(p.ACK | p.PSH, b"question")
            self.server_side(p.ACK | p.PSH, b"answer")

    def ends(self) -> None:
        """Both sides close it, or the client alone."""
        first, second = self.script.random.sample([self.client, self.server_side], 2)
        first(p.FIN | p.ACK)
        if self.script.chance(75):
            second(p.FIN | p.ACK)

    def asks_again(self) -> None:
        """One SYN, or a few."""
        for _ in range(self.script.pick(1, 1, 2)):
            self.client(p.SYN, options=self.script.pick(b"", WINDOW, WINDOW + SELECTIVE))

    def resets(self) -> None:
        """A RST of either side: with its number, another, or none."""
        script = self.script
        back = script.chance(50)
        held = self.sent, self.answered
        wrong = script.pick(0, 0, 1, -1, 50, -50, 70000)
        self.sent, self.answered = (0, 0) if script.chance(25) else (held[0] + wrong, held[1] + wrong)
        (self.server_side if back else self.client)(script.pick(p.RST, p.RST, p.RST | p.ACK))
        self.sent, self.answered = held

    def strays(self) -> None:
        """A segment out of the window, of any kind."""
        script = self.script
        held = self.sent, self.answered
        wrong = script.pick(-1, -300, -70000, 500, 1460, 5000, 66000, 70000)
        self.sent, self.answered = held[0] + wrong, held[1] + script.pick(0, wrong)
        side = self.client if script.chance(60) else self.server_side
        side(script.pick(p.ACK, p.ACK, p.FIN | p.ACK, p.RST), script.payload())
        self.sent, self.answered = held

    def challenged(self) -> None:
        """A SYN that does not open, the server's ACK to it, and the client's RST."""
        self.asks_again()
        self.server_side(p.ACK)
        held = self.sent
        self.sent = self.answered
        self.client(p.RST)
        self.sent = held


def tracked_reuse(seed: int) -> Script:
    """One or two clients of TCP who use their ports again and again."""
    script = Script("tracked_reuse", seed)
    tracking(script)
    for _ in range(script.pick(0, 1, 2)):
        tunable(script, p.TCP)
    services = serving(script, p.TCP, script.pick(1, 1, 2))
    talks = [Again(script, script.flow(service), "10.0.0.10") for service in services]
    for talk in talks[1:]:
        talk.flow.client, talk.flow.port = talks[0].flow.client, talks[0].flow.port
    for _ in range(script.random.randrange(12, 22)):
        talk, what = script.random.choice(talks), script.random.randrange(100)
        if what < 62:
            deed = script.pick(talk.opens, talk.ends, talk.asks_again, talk.resets, talk.strays, talk.challenged)
            deed()
        elif what < 80:
            talk.ends()
            talk.asks_again()
        elif what < 86:
            tunable(script, p.TCP)
        elif what < 89:
            switches(script)
        else:
            script.sleep(script.pick(1, 3.5, 3.5, 7.5))
    script.look()
    return script


# --- SCTP ---


class Association:
    """An association whose sides have tags."""

    def __init__(self, script: Script, flow: Flow) -> None:
        self.script, self.flow = script, flow
        self.tags = [111, 222]

    def says(self, kind: int, back: bool, flags: int = 0, tag: int | None = None) -> None:
        """A packet of one chunk, from either side; its tag is the other side's unless another is given."""
        script, flow = self.script, self.flow
        given = self.tags[back].to_bytes(4, "big") + b"\0\0\x05\0\0\5\0\5" + bytes(4)
        value = given if kind in (INIT, INIT_ACK) else bytes(12) if kind == DATA else b"abcd"
        right = 0 if kind == INIT else self.tags[not back]
        ports = (flow.service.server_port, flow.port) if back else (flow.port, flow.service.port)
        inner = p.sctp(ports, right if tag is None else tag, p.chunk(kind, flags, value))
        if back:
            script.reply(flow, "10.0.0.10", p.SCTP, inner)
        else:
            script.packet(p.ip(flow.client, flow.service.address, p.SCTP, inner, ident=script.ident()), flow.mark)

    def opens(self) -> None:
        """The four packets, or the first ones of them; sometimes both sides begin."""
        self.says(INIT, False)
        if self.script.chance(20):
            self.says(INIT, True)
        for kind, back in ((INIT_ACK, True), (ECHO, False), (COOKIE_ACK, True)):
            if self.script.chance(15):
                return
            self.says(kind, back)

    def begins(self) -> None:
        """A client's INIT, with a new tag or the old one."""
        if self.script.chance(50):
            self.tags[0] = self.script.random.randrange(300, 900)
        self.says(INIT, False)

    def answers(self) -> None:
        """An INIT ACK, with a new tag or the old one."""
        if self.script.chance(30):
            self.tags[1] = self.script.random.randrange(300, 900)
        self.says(INIT_ACK, self.script.chance(80))

    def aborts(self) -> None:
        """The end at once, by either side, with either tag, and the flag that tells which."""
        script = self.script
        self.says(
            script.pick(ABORT, ABORT, COMPLETE), script.chance(30), script.pick(0, 1), script.pick(*self.tags, None)
        )

    def shuts(self) -> None:
        """The end in order, or its first packets."""
        back = self.script.chance(30)
        for kind, side in ((SHUTDOWN, back), (SHUTDOWN_ACK, not back), (COMPLETE, back)):
            self.says(kind, side)
            if self.script.chance(35):
                return

    def beats(self) -> None:
        """A heartbeat, and its answer."""
        back = self.script.chance(20)
        self.says(HEARTBEAT, back)
        if self.script.chance(75):
            self.says(HEARTBEAT_ACK, not back)

    def happens(self) -> None:
        """Any packet."""
        script = self.script
        kind = script.pick(INIT_ACK, ECHO, COOKIE_ACK, SHUTDOWN, SHUTDOWN_ACK, DATA, DATA)
        self.says(kind, script.chance(45), tag=script.pick(None, None, None, *self.tags, 5))

    def reopens(self) -> None:
        """IPVS's connection is closed, and an INIT follows."""
        self.says(ABORT, False, tag=self.script.pick(None, None, 5))
        self.begins()


def tracked_sctp(seed: int) -> Script:
    """One or two clients of SCTP who use their ports again and again, and timeouts that are short."""
    script = Script("tracked_sctp", seed)
    tracking(script)
    services = serving(script, p.SCTP, script.pick(1, 1, 2))
    for _ in range(script.pick(0, 1, 2, 3)):
        short(script)
    talks = [Association(script, script.flow(service)) for service in services]
    for talk in talks[1:]:
        talk.flow.client, talk.flow.port = talks[0].flow.client, talks[0].flow.port
    for _ in range(script.random.randrange(14, 24)):
        talk, what = script.random.choice(talks), script.random.randrange(100)
        if what < 55:
            deed = script.pick(
                talk.opens, talk.begins, talk.answers, talk.aborts, talk.shuts, talk.beats, talk.happens, talk.happens
            )
            deed()
        elif what < 80:
            talk.reopens()
        elif what < 85:
            short(script)
        else:
            script.sleep(script.pick(1, 3.5, 3.5, 7.5))
    script.look()
    return script


def short(script: Script) -> None:
    """One of the timeouts gets another value."""
    script.sysctl(f"sctp_timeout_{script.random.choice(STATES)}", script.pick(2, 2, 6, 6, 1000), NETFILTER)


# --- AH and ESP ---


def tracked_ipsec(seed: int) -> Script:
    """A client's AH and ESP to two addresses of one server, which answers: entries that have one key."""
    script = Script("tracked_ipsec", seed)
    tracking(script)
    services = serving(script, p.UDP, 2, 500)
    client = script.client()
    for service in services:
        script.packet(script.datagram(Flow(service, client, 500)))
    for _ in range(script.random.randrange(12, 20)):
        service, what = script.random.choice(services), script.random.randrange(100)
        protocol, head = script.pick((p.ESP, b""), (p.ESP, b""), (p.AH, bytes((6, 4, 0, 0))))
        body = head + bytes.fromhex("0000000100000001") + bytes(16)
        if what < 65:
            script.packet(p.ip(client, service.address, protocol, body, ident=script.ident()))
        elif what < 80:
            script.reply(Flow(service, client, 500), "10.0.0.10", protocol, body)
        elif what < 88:
            script.packet(script.datagram(Flow(service, client, 500)))
        else:
            script.sleep(script.pick(1, 3.5))
    script.look()
    return script


KINDS: dict[str, Callable[[int], Script]] = {
    "tracked_reuse": tracked_reuse, "tracked_sctp": tracked_sctp, "tracked_ipsec": tracked_ipsec,
}  # fmt: skip
