"""`errors`: ICMP errors of every type, which quote what was sent whole, cut, or changed. `own_errors`: the director's own
ones, to the virtual address of another host. `misquoted`: errors whose quoted header says another version or length, with
ports where it says that they are. `misquoted6`: extension headers within what is quoted, whole or not."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .narrow import DIRECTOR, TUNNELS, wrapped
from .paths import quote
from .script import METHODS, OPTIONS, Flow, Script, Service


def spoilt(script: Script, quoted: bytes) -> bytes:
    """What an error quotes, cut, or with another version, length, protocol, fragment field, or options."""
    four, what = quoted[0] >> 4 == 4, script.random.randrange(7)
    if what == 0:
        most: int = script.pick(0, 8, 19, 20, 22, 23, 24, 27, 28)
        return quoted[: most + (0 if four else 20)]
    if what == 1 and four:
        options: bytes = script.pick(b"\1\1\1\0", b"\7\7\4\0\0\0\0\0", b"\x94\4\0\0")
        return bytes((0x45 + len(options) // 4,)) + quoted[1:20] + options + quoted[20:]
    if what == 1:
        more: bytes = script.pick(b"\0\1\4\0\0\0\0", b"\0\0\0abcd", b"\0\0\x08abcd", b"\0\0\1abcd")
        kind = 60 if more[1] == 1 else 44
        return quoted[:6] + bytes((kind,)) + quoted[7:40] + quoted[6:7] + more + quoted[40:]
    if what == 2:
        at, protocols = (9, (1, 4, 41, 47, 50, 99)) if four else (6, (58, 59, 0, 4, 41, 50, 99))
        return quoted[:at] + bytes((script.random.choice(protocols),)) + quoted[at + 1 :]
    if what == 3:
        return bytes((script.pick(0x40, 0x44, 0x4F, 0x45, 0x65, 0x55),)) + quoted[1:]
    if what == 4 and four:
        return p.put(quoted, 6, script.pick(0x2000, 0x4000, 0x2001, 1, 0x1FFF))
    return quoted


def switch(script: Script, percent: float) -> None:
    """What decides of errors about nothing known is on, so often."""
    for name in ("schedule_icmp", "nat_icmp_send"):
        if script.chance(percent):
            script.sysctl(name, 1)


def errors(seed: int) -> Script:
    """ICMP errors of every type, about packets that are quoted in every way."""
    script = Script("errors", seed, marks=[7])
    switch(script, 40)
    six, mark = script.chance(40), 7 if script.chance(25) else None
    service = script.service(script.pick("rr", "sh"), script.pick(p.TCP, p.UDP, p.SCTP), six=six, mark=mark)
    server = script.server(service, 10, 1)
    if mark and script.chance(40):
        service.address = p.address("2001:db8:f::1" if six else "8.8.8.8")
    flows = [script.open(script.flow(service)) for _ in range(2)]
    for _ in range(script.random.randrange(20, 28)):
        flow = script.random.choice(flows) if script.chance(80) else script.flow(service)
        back = script.chance(50)
        source = p.address(script.pick(server, "fd00:10::c" if six else "10.0.0.12")) if back else flow.client
        target, rest = flow.client if back else service.address, script.pick(0, 1300, 68)
        quoted, odd = spoilt(script, quote(flow, not back, server, 20)), {"ttl": script.pick(64, 64, 2, 1)}
        damage = 3 if script.chance(10) else 0
        if six:
            kind, code = script.pick((1, 0), (1, 4), (2, 0), (3, 0), (4, 0), (0, 0), (100, 0), (127, 0))
            message = p.icmp6(source, target, kind, code, rest, quoted, damage=damage)
        else:
            kind, code = script.pick(
                (3, 1), (3, 3), (3, 4), (3, 13), (11, 0), (11, 1), (4, 0), (12, 0), (18, 0), (19, 0)
            )
            message = p.icmp(kind, code, rest, quoted, damage=damage)
        message = message[: script.pick(len(message), len(message), len(message), 0, 4, 7, 8, 12)]
        packet = p.ip(source, target, p.ICMPV6 if six else p.ICMP, message, ident=script.ident(), **odd)
        script.arrive(source, packet, mark if not back and script.chance(70) else None)
    script.conns()
    script.look()
    return script


def own_errors(seed: int) -> Script:
    """What comes from a virtual address that is another host's ends here: the error is about a reply of the service's."""
    script = Script("own_errors", seed)
    six = script.chance(30)
    for name, most in (("schedule_icmp", 80), ("snat_reroute", 20)):
        if script.chance(most):
            script.sysctl(name, 1 if name == "schedule_icmp" else 0)
    protocol = script.pick(p.TCP, p.UDP, p.SCTP)
    virtual = script.pick("2001:db8:c::1", "fd00:10::c") if six else script.pick("192.0.2.1", "8.8.8.8", "10.0.0.12")
    words = [OPTIONS[protocol], f"[{virtual}]:80" if six else f"{virtual}:80"]
    script.ipvsadm("-A", *words, "-s", "rr", *script.pick((), ("-p", 60)))
    service = Service(words, protocol, p.address(virtual), 80, None, script.pick("-m", *METHODS), 80)
    service.server_port = script.pick(80, 8080) if service.method == "-m" else 80
    for server in script.pick((10,), (10, 11)):
        script.server(service, server, 1)
    flows = [script.flow(service) for _ in range(3)]
    for _ in range(script.random.randrange(20, 28)):
        flow = script.random.choice(flows)
        ports, source, target = (80, flow.port), service.address, flow.client
        if protocol == p.TCP:
            inner = p.tcp(
                source, target, ports, script.pick(p.SYN, p.SYN | p.ACK, p.ACK, p.RST), b"d" * script.pick(0, 9)
            )
        elif protocol == p.UDP:
            inner = p.udp(source, target, ports, b"d" * script.pick(1, 9, 1400))
        else:
            inner = p.sctp(ports, 0, p.chunk(script.pick(1, 2, 0), 0, bytes(8) + b"\0\5\0\5" + bytes(4)))
        packet = p.ip(source, target, protocol, inner, ident=script.ident(), ttl=script.pick(1, 1, 1, 2, 64))
        script.arrive(source, packet)
        if script.chance(15):
            script.conns()
        if script.chance(10):
            script.sysctl("schedule_icmp", script.pick(0, 1))
    script.conns()
    script.look()
    return script


GUARDED = (p.AH, p.ESP)
"""They have no ports: a UDP connection of port 500 at both ends is theirs."""
WITHIN = (0x4000, 0x4006, 0xCB00, 0xC000, 0x7104)
"""Ports that bytes of an IPv4 header look like: its beginning, its lifetime and protocol, halves of its addresses."""


def misread(script: Script, quoted: bytes) -> bytes:
    """A quoted IPv4 packet whose header says another version, or length. Its ports are where they should be then, mostly."""
    ports, first = quoted[20:24], bytes((script.pick(4, 4, 4, 5, 6, 0) << 4 | script.random.randrange(16),))
    size = (first[0] & 15) * 4
    if size < 20:
        header = quoted[:20]
        if size < 12 and script.chance(80):
            header = header[:size] + ports + header[size + 4 :]
        return first + header[1:9] + quoted[9:10] + header[10:] + ports + bytes(script.pick(0, 4, 16))
    options = bytes(script.pick(1, 0) for _ in range(size - 20))
    whole = first + quoted[1:20] + options + ports + bytes(script.pick(0, 16))
    return whole[: script.pick(len(whole), len(whole), len(whole), 20, 28, size + 3, size + 4)]


def misquoted(seed: int) -> Script:
    """Errors, from both sides, that quote headers which say another version or length."""
    script = Script("misquoted", seed, marks=[7])
    switch(script, 60)
    if script.chance(25):
        return misread_tunnels(script)
    guarded, mark = script.chance(25), 7 if script.chance(50) else None
    protocol = p.UDP if guarded else script.pick(p.TCP, p.UDP, p.SCTP)
    port = 500 if guarded else script.pick(80, *WITHIN)
    service = script.service("rr", protocol, port=port, mark=mark, method=script.pick("-m", "-m", "-g"))
    service.server_port = port if guarded or service.method != "-m" else script.pick(port, *WITHIN)
    server = script.server(service, 10, 1)
    flows = [Flow(service, script.client(), 500 if guarded else script.pick(1024, *WITHIN)) for _ in range(3)]
    for flow in flows:
        script.open(flow)
    for _ in range(script.random.randrange(22, 30)):
        flow, back = script.random.choice(flows), script.chance(50)
        quoted = misread(
            script, quote(flow, not back, server, 8, script.pick(*GUARDED) if guarded and script.chance(70) else None)
        )
        source = p.address(script.pick(server, "10.0.0.12")) if back else flow.client
        kind, code = script.pick((3, 1), (3, 4), (11, 0))
        message = p.icmp(kind, code, script.pick(0, 1300), quoted)
        packet = p.ip4(source, flow.client if back else service.address, p.ICMP, message, ident=script.ident())
        script.arrive(source, packet, mark)
    script.conns()
    script.look()
    return script


def misread_tunnels(script: Script) -> Script:
    """The same of what the director wrapped, in the outer header or in the one within."""
    kind = script.pick("ipip", "ipip", "gre", "gue")
    service = script.service("rr", p.UDP, port=script.pick(80, *WITHIN), method="-i")
    server = script.server(service, 10, 1, *TUNNELS[kind])
    flows = [Flow(service, script.client(), script.pick(1024, *WITHIN)) for _ in range(3)]
    for _ in range(script.random.randrange(16, 22)):
        request = script.opening(script.random.choice(flows), whole=script.chance(70))
        script.packet(request)
        quoted = wrapped(kind, p.address(server), misread(script, request) if script.chance(60) else request)
        if script.chance(40):
            quoted = bytes((script.pick(0x44, 0x40, 0x65, 0x46, 0x05),)) + quoted[1:]
        number, code, mtu = script.pick((3, 4, 1400), (3, 1, 0), (11, 0, 0))
        message = p.icmp(number, code, mtu, quoted)
        origin = p.address("10.0.0.12")
        script.arrive(origin, p.ip4(origin, DIRECTOR, p.ICMP, message, ident=script.ident()))
    script.conns()
    script.look()
    return script


def with_headers(script: Script, quoted: bytes, protocol: int) -> bytes:
    """A quoted IPv6 packet with extension headers, which mostly ends somewhere within or behind them."""
    kinds = [script.pick(0, 43, 44, 44, 51, 60) for _ in range(script.pick(1, 1, 1, 2, 3))]
    body = b""
    for at, kind in enumerate(kinds):
        following = bytes(((*kinds[at + 1 :], protocol)[0],))
        if kind == 44:
            body += (
                following
                + script.pick(b"\0", b"\7")
                + script.pick(0, 0, 1, 6, 8, 9, 1400).to_bytes(2, "big")
                + bytes(4)
            )
        else:
            size = script.pick(0, 0, 1, 2) if kind != 51 else script.pick(1, 2, 4)
            body += (
                following
                + bytes((script.pick(size, size, size, 9),))
                + bytes((size + 2) * 4 - 2 if kind == 51 else size * 8 + 6)
            )
    label: bytes = script.pick(b"\0\0", b"\0\0", b"\0\x50", b"\x40\0")
    whole = quoted[:2] + label + quoted[4:6] + bytes((kinds[0],)) + quoted[7:40] + body + quoted[40:48]
    return whole if script.chance(30) else whole[: 40 + script.random.randrange(len(whole) - 39)]


def misquoted6(seed: int) -> Script:
    """Errors, from both sides, that quote IPv6 packets with extension headers."""
    script = Script("misquoted6", seed, marks=[7])
    switch(script, 60)
    guarded, mark = script.chance(40), 7 if script.chance(30) else None
    protocol = p.UDP if guarded else script.pick(p.TCP, p.UDP, p.SCTP)
    port = 500 if guarded else script.pick(80, 0x6000)
    service = script.service("rr", protocol, six=True, port=port, mark=mark, method=script.pick("-m", "-m", "-g"))
    service.server_port = port if guarded or service.method != "-m" else script.pick(port, 80)
    server = script.server(service, 10, 1)
    flows = [Flow(service, script.client(six=True), 500 if guarded else script.pick(1024, 0x6000)) for _ in range(3)]
    for flow in flows:
        script.open(flow)
    for _ in range(script.random.randrange(22, 30)):
        flow, back = script.random.choice(flows), script.chance(50)
        inner = script.pick(*GUARDED) if guarded and script.chance(70) else protocol
        quoted = with_headers(script, quote(flow, not back, server, 8, inner), inner)
        source = p.address(script.pick(server, "fd00:10::c")) if back else flow.client
        target = flow.client if back else service.address
        kind, code, rest = script.pick((1, 4, 0), (2, 0, 1300), (3, 0, 0))
        packet = p.ip6(source, target, p.ICMPV6, p.icmp6(source, target, kind, code, rest, quoted))
        script.arrive(source, packet, mark)
    script.conns()
    script.look()
    return script


KINDS: dict[str, Callable[[int], Script]] = {
    "errors": errors, "own_errors": own_errors, "misquoted": misquoted, "misquoted6": misquoted6,
}  # fmt: skip
