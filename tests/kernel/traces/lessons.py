"""`taught`: errors to the director itself about what it might have sent, and how much then fits on its ways. `taught6`: the
same with IPv6."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .quotes import misread, with_headers
from .script import Flow, Script, Service

UDP_LITE, OTHER = 136, 99
OWN4 = ("10.0.0.1", "10.0.0.1", "198.51.100.1", "10.0.0.12")
OWN6 = ("fd00:10::1", "fd00:10::1", "2001:db8:1::1", "fd00:10::c")
"""What the errors say who had sent it; the last is a server."""
MTUS4 = (600, 600, 1400, 1280, 552, 551, 300, 68, 67, 0, 1499, 1500, 9000)
MTUS6 = (1280, 1280, 1400, 1279, 600, 0, 1499, 1500, 9000)


def told4(script: Script, server: str) -> None:
    """A router tells the director that something to this server was too big, or something else."""
    protocol = script.pick(p.UDP, p.UDP, p.ICMP, p.ICMP, p.TCP, p.SCTP, UDP_LITE, OTHER)
    body = bytes((script.pick(0, 0, 0, 8, 3), 0)) + bytes(6) if protocol == p.ICMP else b"\x30\x39\0\x50" + bytes(8)
    quoted = p.ip4(p.address(script.pick(*OWN4)), p.address(server), protocol, body)
    if script.chance(30):
        quoted = misread(script, quoted)
    elif script.chance(30):
        quoted = p.put(quoted, 6, script.pick(0x4000, 0x2000, 1))
    quoted = quoted[: script.pick(len(quoted), len(quoted), len(quoted), 28, 27, 24, 20)]
    kind, code = script.pick((3, 4), (3, 4), (3, 4), (3, 1), (11, 0), (12, 0))
    message = p.icmp(kind, code, script.pick(*MTUS4), quoted, damage=3 if script.chance(5) else 0)
    source = p.address(script.pick("10.0.0.12", "10.0.0.12", "10.0.0.12", "192.0.2.9"))
    tell(script, source, p.address(script.pick("10.0.0.1", "10.0.0.1", "198.51.100.1")), p.ICMP, message)


def told6(script: Script, server: str) -> None:
    """The same with IPv6."""
    protocol = script.pick(p.UDP, p.UDP, p.ICMPV6, p.ICMPV6, p.TCP, p.SCTP, UDP_LITE, OTHER)
    body = (
        bytes((script.pick(129, 129, 128, 1), 0)) + bytes(10) if protocol == p.ICMPV6 else b"\x30\x39\0\x50" + bytes(8)
    )
    quoted = p.ip6(p.address(script.pick(*OWN6)), p.address(server), protocol, body)
    if script.chance(30):
        quoted = with_headers(script, quoted, protocol)
    elif script.chance(20):
        quoted = bytes((script.pick(0x40, 0x50, 0),)) + quoted[1:]
    quoted = quoted[: script.pick(len(quoted), len(quoted), len(quoted), 48, 47, 44, 40)]
    kind, code = script.pick((2, 0), (2, 0), (2, 0), (2, 1), (1, 4), (3, 0))
    source = p.address(script.pick("fd00:10::c", "fd00:10::c", "fd00:10::c", "2001:db8:c::9"))
    target = p.address(script.pick("fd00:10::1", "fd00:10::1", "2001:db8:1::1"))
    message = p.icmp6(source, target, kind, code, script.pick(*MTUS6), quoted, damage=3 if script.chance(5) else 0)
    tell(script, source, target, p.ICMPV6, message)


def tell(script: Script, source: bytes, target: bytes, protocol: int, message: bytes) -> None:
    script.arrive(source, p.ip(source, target, protocol, message, ident=script.ident()))


def lesson(name: str, six: bool) -> Callable[[int], Script]:
    def kind(seed: int) -> Script:
        script = Script(name, seed)
        method = script.pick("-m", "-m", "-g", "-i")
        ways: list[tuple[Service, str]] = []
        for number in (10, 11, 12, 13):
            service = script.service("rr", script.pick(p.TCP, p.UDP), six=six, port=number, method=method)
            ways.append((service, script.server(service, number, 1, *script.tunnel(service))))
        for _ in range(script.random.randrange(12, 18)):
            service, server = script.random.choice(ways)
            for _ in range(script.pick(1, 1, 2)):
                (told6 if six else told4)(script, server)
            size, odd = script.pick(200, 480, 540, 1190, 1230, 1340, 1430), {} if six else {"whole": script.chance(60)}
            request(script, script.flow(service), b"d" * size, **odd)
        script.look()
        return script

    return kind


def request(script: Script, flow: Flow, payload: bytes, **odd: bool) -> None:
    """A connection's first packet, and one that may be too long."""
    script.open(flow)
    if flow.service.protocol == p.TCP:
        script.packet(script.segment(flow, p.ACK, payload, **odd))
    else:
        script.packet(script.datagram(flow, payload, **odd))


KINDS: dict[str, Callable[[int], Script]] = {"taught": lesson("taught", False), "taught6": lesson("taught6", True)}
