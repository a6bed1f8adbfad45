"""`corners`: what releases of the kernel do differently, again and again, on services whose one server is known.

Errors from either side with good and bad checksums, about fragments too; IPv6 extension headers before TCP and SCTP;
thresholds that change while connections live; tunnels with headers of their own and packets that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import turn
from .paths import big, client_error, quote, server_error
from .script import Flow, Script

HOP_BY_HOP, DESTINATION = 0, 60
OPTIONS = ("050200000100", "1e0400000000", "5e0400000000", "9e0400000000", "de0400000000", "0502000000", "0504000000")
"""Router alert (well formed and not), and unknown options to be skipped, dropped silently, and answered."""


def header(script: Script, following: int) -> bytes:
    """An extension header: mostly padding, of which too much is refused."""
    inner = bytes.fromhex(script.random.choice(OPTIONS)) if script.chance(30) else b""
    size = script.pick(6, 6, 6, 14)
    room = size - len(inner)
    padding = bytes(room) if room < 2 or script.chance(15) else bytes([1, room - 2]) + bytes(room - 2)
    return bytes([following, size // 8]) + inner + padding


def extended(script: Script, flow: Flow) -> None:
    """A segment of the client behind one or two extension headers."""
    flags = script.pick(p.SYN, p.ACK, p.FIN | p.ACK, p.RST, p.ACK | p.PSH)
    plain = script.segment(flow, flags, script.payload()) if flow.service.protocol == p.TCP else script.opening(flow)
    following, payload = plain[6], plain[40:]
    for kind in script.pick((DESTINATION,), (DESTINATION,), (HOP_BY_HOP,), (DESTINATION, HOP_BY_HOP)):
        following, payload = kind, header(script, following) + payload
    script.packet(p.ip6(flow.client, flow.service.address, following, payload), flow.mark)


def about_a_fragment(script: Script, flow: Flow, server: str) -> None:
    """An error that quotes a later fragment, in which there are no ports, from either side."""
    back = script.chance(50)
    quoted = quote(flow, not back, server, 20)
    inner = p.ip4(
        quoted[12:16], quoted[16:20], quoted[9], quoted[20:], offset=script.pick(8, 64), more=script.chance(50)
    )
    message = p.icmp(3, script.pick(1, 3), 0, inner, damage=3 if script.chance(20) else 0)
    if back:
        script.reply(flow, server, p.ICMP, message)
    else:
        script.packet(p.ip4(flow.client, flow.service.address, p.ICMP, message, ident=script.ident()), flow.mark)


def damaged(script: Script, flow: Flow, server: str) -> None:
    """An error with a wrong checksum."""
    if len(flow.client) == 4:
        message = p.icmp(3, 3, 0, quote(flow, True, "", 8), damage=3)
        script.packet(p.ip4(flow.client, flow.service.address, p.ICMP, message, ident=script.ident()), flow.mark)
    elif script.chance(50):
        message = p.icmp6(flow.client, flow.service.address, 1, 4, 0, quote(flow, True, ""), damage=3)
        script.packet(p.ip6(flow.client, flow.service.address, p.ICMPV6, message), flow.mark)
    else:
        origin = p.address(server)
        script.reply(
            flow, server, p.ICMPV6, p.icmp6(origin, flow.client, 1, 4, 0, quote(flow, False, server), damage=3)
        )


def corners(seed: int) -> Script:
    """One service, mostly of one server, and everything that releases differ in."""
    script = Script("corners", seed)
    six = script.chance(55)
    protocol = script.pick(p.TCP, p.TCP, p.UDP) if not six or script.chance(85) else p.SCTP
    method = script.pick("-m", "-m", "-g", "-i", "-i")
    service = script.service(script.pick("lc", "wlc", "rr", "lblc"), protocol, six=six, method=method)
    options = script.tunnel(service)
    servers = [script.server(service, number, 1, *options) for number in script.pick((10,), (10,), (10, 11))]
    flows: list[Flow] = []
    for _ in range(script.random.randrange(26, 38)):
        what = script.random.randrange(100)
        server = script.random.choice(servers)
        if what < 30 or not flows:
            flows.append(script.flow(service))
            if six and protocol != p.UDP and script.chance(40):
                extended(script, flows[-1])
            else:
                script.open(flows[-1])
            continue
        flow = script.random.choice(flows)
        if what < 40:
            upper, lower = script.random.randrange(1, 9), script.random.randrange(2)
            script.edit(service, server, 1, *options, *script.pick(("-x", upper), ("-x", upper, "-y", lower), ()))
        elif what < 50 and six and protocol != p.UDP:
            extended(script, flow)
        elif what < 60 and not six:
            about_a_fragment(script, flow, server)
        elif what < 68:
            damaged(script, flow, server)
        elif what < 76:
            client_error(script, flow)
        elif what < 86:
            server_error(script, flow, server)
        elif what < 92 and protocol != p.SCTP:
            big(script, flow)
        else:
            turn(script, flow, server)
    script.look(stats=script.chance(40))
    return script


KINDS: dict[str, Callable[[int], Script]] = {"corners": corners}
