"""Fragments on their way elsewhere: what a director that reassembles does with packets that are none of IPVS's business.

IPv6 is put together at the input as soon as there is a service of the family, so a forwarded packet leaves in pieces that
the director cut; IPv4 stays in pieces unless it is a reply. Headers in front of the fragment header, a way that is recorded
in IPv4 options, small lifetimes, pieces that are missing, come twice, or overlap.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from . import packets as p
from .script import Flow, Script

HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
PADDING = b"\x01\x04" + bytes(4)
AH_BODY = struct.pack("!HII", 0, 7, 1)


def header(script: Script, kind: int, following: int) -> bytes:
    """An extension header of the smallest size that the kind has."""
    if kind == p.AH:
        return bytes((following, 1)) + AH_BODY
    if kind == ROUTING:
        return bytes((following, 0, 4, 0)) + bytes(4)
    options: bytes = script.pick(PADDING, PADDING, b"\x1e\x04" + bytes(4))
    return bytes((following, 0)) + options


def cut6(script: Script, packet: bytes, size: int, before: tuple[int, ...]) -> list[bytes]:
    """An IPv6 packet without extension headers in pieces of `size` bytes (a multiple of 8), `before` in front of each."""
    following, payload, ident = packet[6], packet[40:], script.random.randbytes(4)
    kinds = [*before, FRAGMENT]
    ahead = b"".join(header(script, kind, after) for kind, after in zip(before, kinds[1:], strict=True))
    pieces = []
    for at in range(0, len(payload), size):
        field = at | (at + size < len(payload))
        body = ahead + struct.pack("!BBH", following, 0, field) + ident + payload[at : at + size]
        pieces.append(packet[:4] + struct.pack("!H", len(body)) + bytes((kinds[0],)) + packet[7:40] + body)
    return pieces


def cut4(script: Script, packet: bytes, size: int) -> list[bytes]:
    """An IPv4 packet in pieces, sometimes with its way recorded in the first (or in all: a time stamp is not copied)."""
    pieces = p.fragments(packet, size)
    if script.chance(50):
        return pieces
    options = script.pick(b"\x07\x07\x04" + bytes(5), b"\x07\x0b\x08\x0a\x00\x00\x01" + bytes(5), b"\x94\x04\x00\x00")
    first = pieces[0]
    flags = int.from_bytes(first[6:8], "big")
    pieces[0] = p.ip4(
        first[12:16], first[16:20], first[9], first[20:], ttl=first[8], tos=first[1],
        ident=int.from_bytes(first[4:6], "big"), more=bool(flags & 0x2000), options=options,
    )  # fmt: skip
    return pieces


def disturbed(script: Script, pieces: list[bytes]) -> list[bytes]:
    """Their order changed, one lost, one twice, one longer, one with another mark of congestion."""
    if script.chance(50):
        script.random.shuffle(pieces)
    what = script.random.randrange(12)
    at = script.random.randrange(len(pieces))
    if what == 0:
        del pieces[at]
    elif what == 1:
        pieces.insert(at, pieces[at])
    elif what == 2 and pieces[at][0] >> 4 == 6:  # congestion met on the way (IPv4's header has a checksum)
        pieces[at] = bytes((0x60, 0x30)) + pieces[at][2:]
    elif what == 3 and pieces[at][0] >> 4 == 6:  # cut short by the device: no multiple of eight
        pieces[at] = pieces[at][:4] + struct.pack("!H", len(pieces[at]) - 41) + pieces[at][6:-1]
    return pieces


def travel(script: Script, source: bytes, target: bytes, six: bool, ports: tuple[int, int]) -> list[bytes]:
    """One UDP datagram or TCP segment in pieces."""
    payload = b"p" * script.pick(30, 100, 700, 1500, 2400, 4000)
    protocol = script.pick(p.UDP, p.UDP, p.TCP)
    inner = p.udp(source, target, ports, payload) if protocol == p.UDP else p.tcp(source, target, ports, 16, payload)
    ttl = script.pick(64, 64, 64, 64, 2, 1)
    size = (
        script.pick(8, 16, 24)
        if len(inner) < 130 and script.chance(40)
        else script.pick(64, 512, 1024, 1280, 1400, 4096)
    )
    tos = script.pick({}, {}, {"tos": 2}, {"tos": 0x48})
    packet = p.ip(source, target, protocol, inner, ttl=ttl, ident=script.ident(), **tos)
    if not six:
        return cut4(script, packet, min(size, 1400))
    room = script.pick(1500, 1500, 1600)
    before = script.pick((), (), (), (HOP_BY_HOP,), (DESTINATION,), (ROUTING,), (p.AH,), (DESTINATION, p.AH))
    return cut6(script, packet, min(size, room - 80 & ~7), before)


def elsewhere(script: Script, flow: Flow, six: bool) -> None:
    """From the client's side to a server that it names itself, or back to the client, past IPVS."""
    server = p.address(script.pick("fd00:10::a", "fd00:10::b") if six else script.pick("10.0.0.10", "10.0.0.11"))
    if script.chance(60):
        for piece in disturbed(script, travel(script, flow.client, server, six, (flow.port, 9))):
            script.packet(piece)
        return
    for piece in disturbed(script, travel(script, server, flow.client, six, (9, flow.port))):
        script.packet(p.frame(server, piece), on="server")


def turn(script: Script, flow: Flow, server: str, six: bool) -> None:
    """A request or a reply of the flow in pieces."""
    if script.chance(50):
        packet = script.datagram(flow, b"r" * script.pick(100, 900, 2000))
        size = script.pick(64, 400, 1024)
        for piece in disturbed(script, cut6(script, packet, size, ()) if six else p.fragments(packet, size)):
            script.packet(piece)
        return
    origin = p.address(server)
    inner = p.udp(origin, flow.client, (flow.service.server_port, flow.port), b"a" * script.pick(100, 900, 2000))
    packet = p.ip(origin, flow.client, p.UDP, inner, ident=script.ident())
    size = script.pick(64, 400, 1024)
    for piece in disturbed(script, cut6(script, packet, size, ()) if six else cut4(script, packet, size)):
        script.packet(p.frame(origin, piece), on="server")


def pieces(seed: int) -> Script:
    script = Script("pieces", seed)
    six = script.chance(70)
    service = script.service(script.pick("rr", "lc"), p.UDP, six=six, method=script.pick("-m", "-m", "-g"))
    servers = [script.server(service, number, 1) for number in (10, 11)]
    flows = [script.open(script.flow(service)) for _ in range(2)]
    for _ in range(script.random.randrange(10, 18)):
        flow = script.random.choice(flows)
        if script.chance(65):
            elsewhere(script, flow, six)
        else:
            turn(script, flow, script.random.choice(servers), six)
        if script.chance(5):
            script.sleep(script.pick(31, 61))
    script.look(stats=script.chance(40))
    return script


KINDS: dict[str, Callable[[int], Script]] = {"pieces": pieces}
