"""`tracked_cases`: one case of connection tracking that releases differ in, by a last SYN or INIT that passes or not.

IPVS drops it while the entry of the connection before it is there. Each case brings that entry into one state on some
releases and into another on others.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .reused import DATA, HEARTBEAT_ACK, Association, serving, tracking
from .script import Flow, Script
from .tracking import ABORT, COOKIE_ACK, ECHO, INIT, INIT_ACK, SHUTDOWN, WINDOW
from .tracking_tunables import NETFILTER

CLIENT, SERVER = 1000, 700000
"""The numbers that both sides begin with."""
WIDTH = 8192
"""The window of every segment."""
AWAY = 20000
"""What a number is wrong by that is out of every window here."""


def takes(script: Script, **seconds: int) -> None:
    """Timeouts of connection tracking."""
    for name, value in seconds.items():
        script.sysctl(name, value, NETFILTER)


class Lines:
    """Segments of one TCP connection, with the numbers they are given."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.flow = script.flow(serving(script, p.TCP, 1)[0])

    def client(
        self, flags: int, sequence: int = CLIENT + 1, acknowledged: int = SERVER + 1, options: bytes = b""
    ) -> None:
        """One to the service; a SYN begins at CLIENT unless told otherwise."""
        flow, address = self.flow, self.flow.service.address
        ports = (flow.port, flow.service.port)
        inner = p.tcp(
            flow.client, address, ports, flags, sequence=sequence, acknowledged=acknowledged if flags & p.ACK else 0,
            options=options,
        )  # fmt: skip
        self.script.packet(p.ip(flow.client, address, p.TCP, inner, ident=self.script.ident()))

    def server(
        self, flags: int, sequence: int = SERVER + 1, acknowledged: int = CLIENT + 1, options: bytes = b""
    ) -> None:
        """One from the server."""
        flow, origin = self.flow, p.address("10.0.0.10")
        ports = (flow.service.server_port, flow.port)
        inner = p.tcp(
            origin, flow.client, ports, flags, sequence=sequence, acknowledged=acknowledged if flags & p.ACK else 0,
            options=options,
        )  # fmt: skip
        self.script.reply(flow, "10.0.0.10", p.TCP, inner)

    def syn(self, sequence: int = CLIENT, options: bytes = b"") -> None:
        """What opens, or asks whether it can."""
        self.client(p.SYN, sequence, options=options)

    def opens(self) -> None:
        """The handshake, and a question with its answer."""
        self.syn()
        self.server(p.SYN | p.ACK, SERVER)
        self.client(p.ACK)
        self.server(p.ACK)

    def ends(self) -> None:
        """Both sides close, as if nothing had happened since the handshake."""
        self.client(p.FIN | p.ACK)
        self.server(p.FIN | p.ACK, acknowledged=CLIENT + 2)
        self.client(p.ACK, CLIENT + 2, SERVER + 2)


def renewed(script: Script) -> None:
    """A SYN comes again before the first one's time is over."""
    takes(script, tcp_timeout_syn_sent=6)
    lines = Lines(script)
    lines.syn()
    script.sleep(3.5)
    lines.syn()
    lines.client(p.FIN | p.ACK)
    script.sleep(3.5)
    lines.syn()


def liberal(script: Script) -> None:
    """A connection is picked up in its middle, begins anew, and its server is far out of the window."""
    script.sysctl("sloppy_tcp", 1)
    lines = Lines(script)
    lines.client(p.ACK)
    lines.server(p.ACK)
    lines.syn(CLIENT + 5000, script.pick(b"", WINDOW))
    lines.server(p.SYN | p.ACK, SERVER + 5000, CLIENT + 5001, script.pick(b"", WINDOW))
    lines.client(p.ACK, CLIENT + 5001, SERVER + 5001)
    lines.server(p.FIN | p.ACK, SERVER + 5001 + AWAY, CLIENT + 5001)
    lines.client(p.FIN | p.ACK, CLIENT + 5001, SERVER + 5001)
    lines.server(p.ACK, SERVER + 5002 + AWAY, CLIENT + 5002)
    lines.syn(CLIENT + 9000)


def challenged(script: Script) -> None:
    """A server acknowledges a SYN with a number that is no answer to it, and the client resets by that number."""
    takes(script, tcp_timeout_syn_sent=6, tcp_timeout_close=2)
    lines = Lines(script)
    lines.syn()
    lines.server(p.ACK, acknowledged=CLIENT + AWAY)
    lines.client(p.RST, CLIENT + AWAY)
    lines.syn()
    lines.server(p.RST, 0)
    lines.syn()
    lines.client(p.FIN | p.ACK)
    script.sleep(3.5)
    lines.syn()


def own_reset(script: Script) -> None:
    """A client sends a SYN in an open connection, and a RST that acknowledges that SYN of its own."""
    lines = Lines(script)
    lines.opens()
    lines.syn(CLIENT + 5000)
    lines.client(p.RST | p.ACK, CLIENT + 5000 + AWAY, CLIENT + 5001)
    lines.syn(CLIENT + 5000)
    lines.ends()
    lines.syn(CLIENT + 9000)


def near_reset(script: Script) -> None:
    """A RST within the window, but not of the number that is expected, keeps the connection; how long?"""
    takes(script, tcp_timeout_close=2)
    lines = Lines(script)
    lines.opens()
    lines.server(p.RST, SERVER + 51)
    script.sleep(3.5)
    lines.syn(CLIENT + 5000)
    lines.ends()
    lines.syn(CLIENT + 9000)


def far_end(script: Script) -> None:
    """A client sends a little more than the window has room for, and the server acknowledges that with its end."""
    lines = Lines(script)
    lines.opens()
    last = CLIENT + 1 + WIDTH
    lines.client(p.ACK, last + 1)
    lines.server(p.FIN | p.ACK, acknowledged=last + 1)
    lines.client(p.FIN | p.ACK, last + 1, SERVER + 2)
    lines.server(p.ACK, SERVER + 2, last + 2)
    lines.syn(CLIENT + 50000)


def talks(script: Script) -> Association:
    """An association that is to come."""
    return Association(
        script, Flow(serving(script, p.SCTP, 1)[0], script.client(), script.random.randrange(1024, 50000))
    )


def established(talk: Association) -> None:
    """The four packets."""
    for kind, back in ((INIT, False), (INIT_ACK, True), (ECHO, False), (COOKIE_ACK, True)):
        talk.says(kind, back)


def asks(talk: Association) -> None:
    """IPVS's connection is closed by what connection tracking does not take; some time later an INIT comes."""
    talk.says(ABORT, False, tag=5)
    talk.script.sleep(3.5)
    talk.says(INIT, False)


def retagged(talk: Association) -> None:
    """The server gives another tag; data with the old one follows, and at last an INIT."""
    talk.tags[1] = 333
    talk.says(INIT_ACK, True)
    talk.tags[1] = 222
    talk.script.sleep(3.5)
    talk.says(DATA, False)
    asks(talk)


def renewed_init(script: Script) -> None:
    """An INIT comes again before the first one's time is over."""
    takes(script, sctp_timeout_closed=6)
    talk = talks(script)
    talk.says(INIT, False)
    script.sleep(3.5)
    talk.says(INIT, False)
    asks(talk)


def shut(script: Script) -> None:
    """An association is shut down, and opened again a second later."""
    talk = talks(script)
    established(talk)
    talk.says(SHUTDOWN, script.chance(50))
    talk.says(ABORT, False, tag=5)
    script.sleep(1)
    talk.says(INIT, False)


def other_tag(script: Script) -> None:
    """An established association gets an INIT ACK of another tag."""
    takes(script, sctp_timeout_established=6)
    talk = talks(script)
    established(talk)
    retagged(talk)


def old_init(script: Script) -> None:
    """The client's INIT comes once more when the association is established, and then an INIT ACK of another tag."""
    takes(script, sctp_timeout_established=6)
    talk = talks(script)
    established(talk)
    talk.says(INIT, False)
    retagged(talk)


def first_tag(script: Script) -> None:
    """The first packet that is seen is none that opens, and the server's tag is none."""
    script.sysctl("sloppy_sctp", 1)
    takes(script, sctp_timeout_closed=6)
    talk = talks(script)
    talk.says(HEARTBEAT_ACK, False, tag=111)
    script.sleep(3.5)
    talk.says(DATA, True, tag=0)
    asks(talk)


CASES = (
    renewed, liberal, challenged, own_reset, near_reset, far_end, renewed_init, shut, other_tag, old_init, first_tag,
)  # fmt: skip


def tracked_cases(seed: int) -> Script:
    """The case whose turn it is."""
    script = Script("tracked_cases", seed)
    tracking(script)
    CASES[seed % len(CASES)](script)
    script.look()
    return script


KINDS: dict[str, Callable[[int], Script]] = {"tracked_cases": tracked_cases}
