"""`ftp_helper` and `ftp_tracked`: FTP sessions through ip_vs_ftp, in a kernel that has loaded it."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .script import Flow, Script, Service

WRAP = 1 << 32
DATA = 20


class Session:
    """An FTP client and its server, each with its own view of the sequence numbers between them.

    `shift` is what the director added to the server's stream by rewriting: the client acknowledges that much more.
    """

    def __init__(self, script: Script, flow: Flow, server: str) -> None:
        self.script, self.flow, self.server = script, flow, server
        self.client_next = script.random.randrange(WRAP) if script.chance(80) else WRAP - 40
        self.server_next = script.random.randrange(WRAP) if script.chance(80) else WRAP - 60
        self.shift = 0
        self.sacks = b""

    def up(self, flags: int, payload: bytes = b"", *, at: int | None = None, damage: int = 0) -> None:
        """A segment of the client's; `at` puts it at another place of the stream, which then does not go on."""
        flow, place = self.flow, self.client_next if at is None else at
        acknowledged = (self.server_next + self.shift) % WRAP if flags & p.ACK else 0
        inner = p.tcp(
            flow.client, flow.service.address, (flow.port, flow.service.port), flags, payload, sequence=place % WRAP,
            acknowledged=acknowledged, options=self.sacks, damage=damage,
        )  # fmt: skip
        self.script.packet(p.ip(flow.client, flow.service.address, p.TCP, inner, ident=self.script.ident()), flow.mark)
        if at is None:
            self.client_next += len(payload) + bool(flags & p.SYN) + bool(flags & p.FIN)

    def down(self, flags: int, payload: bytes = b"", *, at: int | None = None, damage: int = 0) -> None:
        """A segment of the server's."""
        flow, origin = self.flow, p.address(self.server)
        place = self.server_next if at is None else at
        inner = p.tcp(
            origin, flow.client, (flow.service.server_port, flow.port), flags, payload, sequence=place % WRAP,
            acknowledged=self.client_next % WRAP if flags & p.ACK else 0, damage=damage,
        )  # fmt: skip
        self.script.reply(flow, self.server, p.TCP, inner)
        if at is None:
            self.server_next += len(payload) + bool(flags & p.SYN) + bool(flags & p.FIN)

    def open(self) -> None:
        self.up(p.SYN)
        self.down(p.SYN | p.ACK)
        self.up(p.ACK)
        if self.script.chance(70):
            self.down(p.PSH | p.ACK, b"220 ready\r\n")
            self.up(p.ACK)

    def close(self) -> None:
        first, second = (self.up, self.down) if self.script.chance(50) else (self.down, self.up)
        first(p.FIN | p.ACK)
        if self.script.chance(80):
            second(p.FIN | p.ACK)
            first(p.ACK)

    def say(self, text: bytes) -> None:
        """A command of the client's: whole, cut in two, or sent twice."""
        script, start, what = self.script, self.client_next, self.script.random.randrange(100)
        if what < 10 and len(text) > 3:
            cut = script.random.randrange(1, len(text))
            self.up(p.PSH | p.ACK, text[:cut])
            self.up(p.PSH | p.ACK, text[cut:])
        elif what < 20:
            self.up(p.PSH | p.ACK, text)
            self.up(p.PSH | p.ACK, text, at=start)
        elif what < 24:
            self.up(p.PSH | p.ACK, text, damage=5, at=start)
            self.up(p.PSH | p.ACK, text)
        else:
            self.up(p.PSH | p.ACK, text)
        if script.chance(30):
            self.down(p.ACK)

    def answer(self, text: bytes, shown: bytes | None = None) -> None:
        """An answer of the server's, which arrives as `shown`; with pieces, repetitions, and what follows it."""
        script, start, what = self.script, self.server_next, self.script.random.randrange(100)
        if what < 8:
            cut = script.random.randrange(1, len(text))
            self.down(p.PSH | p.ACK, text[:cut])
            self.down(p.PSH | p.ACK, text[cut:])
            shown = None
        elif what < 12:
            self.down(p.PSH | p.ACK, text, damage=9, at=start)
            self.down(p.PSH | p.ACK, text)
        else:
            self.down(p.PSH | p.ACK, text)
        if shown is not None:
            self.shift += len(shown) - len(text)
        if what > 90:
            self.down(p.PSH | p.ACK, text, at=start)
        if script.chance(70):
            self.up(p.ACK)
        if script.chance(10) and not self.sacks:
            block = (self.server_next + self.shift + 8) % WRAP
            self.sacks = b"\1\1\5\12" + block.to_bytes(4, "big") + ((block + 4) % WRAP).to_bytes(4, "big")
            self.up(p.ACK)
            self.sacks = b""


def comma(address: bytes, port: int) -> bytes:
    return b",".join(b"%d" % one for one in (*address, port >> 8, port & 255))


def text_of(address: bytes) -> bytes:
    if len(address) == 4:
        return b".".join(b"%d" % one for one in address)
    return b":".join(b"%x" % int.from_bytes(address[at : at + 2], "big") for at in range(0, 16, 2))


PASSIVE = (
    b"PASV\r\n", b"pasv\r\n", b"PaSv\r\n", b"NOOP\r\nPASV\r\n", b"PASV\r\nNOOP\r\n", b" PASV\r\n", b"PASV\n", b"PASV \r\n",
)  # fmt: skip
EXTENDED = (
    b"EPSV\r\n", b"epsv\r\n", b"EPSV 1\r\n", b"EPSV 2\r\n", b"EPSV ALL\r\n", b"EPSV 12\r\n", b"NOOP\r\nEPSV\r\n", b"EPSV\n",
)  # fmt: skip
ENDS = (b"\r\n", b"\r\n", b"\n", b"", b",1\r\n", b"0000\r\n")


def passive(script: Script, session: Session) -> None:
    """PASV or EPSV, its answer, and the data connection that follows it."""
    six = len(session.flow.client) == 16
    good: tuple[bytes, ...]
    port = script.random.choice((script.random.randrange(1024, 65536), 5000, 65535, 1024))
    if script.chance(80 if six else 45):
        command, words = EXTENDED, extended_answer(script, session, port)
        good = (*command[:2], command[6], command[3] if six else command[2])
    else:
        command, words = PASSIVE, plain_answer(script, session, port)
        good = command[: 0 if six else 6]
    said = command[0] if script.chance(60) else script.random.choice(command)
    session.say(said)
    answer, shown = words
    session.answer(answer, shown if said in good else None)
    if script.chance(30):
        script.conns()
    if script.chance(75):
        data(script, session, port)


def extended_answer(script: Script, session: Session, port: int) -> tuple[bytes, bytes | None]:
    """A 229, and how it arrives (None: as it is)."""
    server = p.address(session.server)
    form = script.pick(
        b"229 Entering Extended Passive Mode (%s)\r\n",
        b"229 Entering Extended Passive Mode (%s)\r\n",
        b"229 ((%s)\r\n",
        b"229 %s\r\n",
        b"229 Extended (%s",
    )
    said = b"|2|" if len(server) == 16 else b"|1|"
    said = script.pick(b"||", b"||", b"||", said + text_of(server)) + b"|%d" % port
    said += script.pick(b"|", b"|", b"|", b"|", b"")
    good = form.endswith(b")\r\n") and said.endswith(b"|")
    return form % said, form % (b"|||%d|" % port) if good else None


def plain_answer(script: Script, session: Session, port: int) -> tuple[bytes, bytes | None]:
    """A 227, and how it arrives (None: as it is)."""
    server, other = p.address(session.server), p.address("10.0.0.11")
    form = script.pick(
        b"227 Entering Passive Mode (%s).\r\n",
        b"227 Entering Passive Mode (%s).\r\n",
        b"227 Entering Passive Mode (%s)\r\n",
        b"227 Passive %s\r\n",
        b"227 (%s,7)\r\n",
        b"227 =%s",
        b"227 (%s)",
        b"230 (%s)\r\n",
    )
    answer = form % comma(script.pick(server, server, server, other)[-4:], port)
    good = form.startswith(b"227") and not form.endswith(b"%s")
    return answer, form % comma(session.flow.service.address[:4], port) if good else None


def data(script: Script, session: Session, port: int) -> None:
    """The client's data connection to the virtual address."""
    service = session.flow.service
    place = Service(service.words, service.protocol, service.address, port, service.mark, service.method)
    place.server_port = port
    flow = script.flow(place, session.flow.client)
    line = Session(script, flow, session.server)
    line.open()
    if script.chance(50):
        line.down(p.PSH | p.ACK, b"data" * script.random.randrange(1, 300))
        line.up(p.ACK)
    if script.chance(60):
        line.close()


def active(script: Script, session: Session) -> None:
    """PORT or EPRT, and the server's data connection."""
    client, six = session.flow.client, len(session.flow.client) == 16
    port = script.random.randrange(1024, 65536)
    address = client if script.chance(85) else script.client(six)
    if six or script.chance(40):
        mark = script.pick(b"|", b"|", b"|", b"!", b"~", b" ")
        family = script.pick(*(b"2" if six else b"1",) * 2, b"3")
        inner = mark.join((b"", family, text_of(address), b"%d" % port, b""))
        command = script.pick(b"EPRT ", b"EPRT ", b"eprt  ", b"EPRT") + inner + b"\r\n"
    else:
        word = script.pick(b"PORT ", b"PORT ", b"port   ", b"PORT", b"PORTS ")
        command = word + comma(address, port) + script.random.choice(ENDS)
    session.say(command)
    session.answer(b"200 ok\r\n")
    if script.chance(30):
        session.script.conns()
    if script.chance(70):
        service = session.flow.service
        origin = p.address(session.server)
        near = script.pick(service.server_port - 1, service.server_port - 1, DATA)
        place = script.random.randrange(WRAP)
        script.reply(session.flow, session.server, p.TCP, p.tcp(origin, client, (near, port), p.SYN, sequence=place))
        target = service.address
        for flags, payload in ((p.SYN | p.ACK, b""), (p.ACK, b"")):
            inner = p.tcp(client, target, (port, service.port - 1), flags, payload, sequence=7, acknowledged=place + 1)
            script.packet(p.ip(client, target, p.TCP, inner, ident=script.ident()))
        inner = p.tcp(origin, client, (near, port), p.ACK, b"data" * 9, sequence=place + 1, acknowledged=8)
        script.reply(session.flow, session.server, p.TCP, inner)


def ftp_helper(seed: int) -> Script:
    """FTP sessions through ip_vs_ftp: passive and active, commands in pieces, data connections, ends and returns."""
    return sessions(Script("ftp_helper", seed))


def ftp_tracked(seed: int) -> Script:
    """The same while IPVS keeps the connection-tracking entries of all its connections."""
    script = Script("ftp_tracked", seed)
    script.sysctl("conntrack", 1)
    return sessions(script)


def sessions(script: Script) -> Script:
    """A few sessions of one service, and the data connections of each."""
    script.header["modules"] = ["ip_vs_ftp"]
    six = script.chance(30)
    if six and script.chance(80):  # or the kernel drops all that clients send: it sums up IPv6's header, too
        script.header["sysctl"] = {"net.netfilter.nf_conntrack_checksum": 0}
    flags = script.pick((), (), ("-p", 60))
    method = "-m" if script.chance(92) else script.pick("-g", "-i")
    service = script.service("rr", p.TCP, six=six, port=21, flags=flags, method=method)
    service.server_port = script.pick(21, 21, 2121)
    server = script.server(service, 10, 1)
    for name, values in (("conn_reuse_mode", (0, 1)), ("expire_nodest_conn", (0, 1))):
        if script.chance(15) and not (
            flags and name == "expire_nodest_conn"
        ):  # then the hash decides which templates stay
            script.sysctl(name, script.random.choice(values))
    for _ in range(script.random.randrange(1, 4)):
        session = Session(script, script.flow(service, script.client(six, near=3)), server)
        talk(script, session)
        if script.chance(60):
            session.close()
            if script.chance(40):
                come_again(script, session)
        if script.chance(10):
            script.remove(service, server)
            session.up(p.ACK)
            session.down(p.ACK)
            script.server(service, 10, 1)
        script.conns()
    script.look(stats=script.chance(30))
    return script


def talk(script: Script, session: Session) -> None:
    """A session from its handshake on."""
    session.open()
    for _ in range(script.random.randrange(1, 5)):
        what = script.random.randrange(100)
        if what < 50:
            passive(script, session)
        elif what < 85:
            active(script, session)
        else:
            session.say(b"NOOP\r\n")
            session.answer(b"200 ok\r\n")


def come_again(script: Script, session: Session) -> None:
    """The same port again: the old connection and its conntrack entry may stand in the way of the first SYN."""
    again = Session(script, session.flow, session.server)
    for _ in range(2):
        again.up(p.SYN, at=again.client_next)
    again.client_next += 1
    again.down(p.SYN | p.ACK)
    again.up(p.ACK)
    passive(script, again)


KINDS: dict[str, Callable[[int], Script]] = {"ftp_helper": ftp_helper, "ftp_tracked": ftp_tracked}
