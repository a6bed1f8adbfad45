"""Kinds that go far afield: `places` and `places6` (servers and clients anywhere), `families` (both families under every
scheduler, marks of both), `ipsec` (AH and ESP behind their key exchange), `sizes` (packets at the edge of what fits, by
every method), `segments` (every combination of TCP's flags), `unforwarded` (forwarding that is switched off and on).
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import turn
from .paths import client_error, server_error
from .script import METHODS, OPTIONS, SCHEDULERS, Flow, Script, Service

VIRTUAL = (
    "203.0.113.1",
    "203.0.113.2",
    "10.0.0.1",
    "198.51.100.1",
    "8.8.8.8",
    "192.0.2.1",
    "10.0.0.12",
    "203.0.113.77",
)
REAL = ("10.0.0.10", "10.0.0.11", "192.0.2.50", "198.51.100.9", "10.0.0.1", "203.0.113.77", "127.0.0.1", "8.8.4.4")
VIRTUAL6 = (
    "2001:db8:80::1",
    "2001:db8:80::2",
    "fd00:10::1",
    "2001:db8:1::1",
    "2001:db8:f::8",
    "2001:db8:c::1",
    "fd00:10::c",
    "2001:db8:80::77",
)
REAL6 = ("fd00:10::a", "fd00:10::b", "2001:db8:c::32", "2001:db8:1::9", "fd00:10::1", "2001:db8:80::77", "::1")
CLIENTS6 = (
    "2001:db8:c::1",
    "2001:db8:c::32",
    "2001:db8:1::9",
    "fd00:10::a",
    "fd00:10::b",
    "fd00:10::d",
    "2001:db8:f::4",
)
CLIENTS = ("192.0.2.1", "192.0.2.50", "198.51.100.9", "10.0.0.10", "10.0.0.11", "10.0.0.14", "8.8.4.4", "192.0.2.7")
WAYS: dict[str, tuple[tuple[object, ...], int]] = {
    "-m": ((), 0), "-g": ((), 0), "ipip": ((), 0), "gre": (("--tun-type", "gre"), 4),
    "gre with sums": (("--tun-type", "gre", "--tun-csum"), 8), "gue": (("--tun-type", "gue", "--tun-port", 6080), 12),
    "gue with sums": (("--tun-type", "gue", "--tun-port", 6080, "--tun-csum"), 12),
    "gue with remote sums": (("--tun-type", "gue", "--tun-port", 6080, "--tun-remcsum"), 12),
}  # fmt: skip
"""Ways to a server: options, and the bytes between the outer IP header and the packet."""


def place(script: Script, six: bool = False) -> Service:
    """A service at any address, with servers anywhere, one of them perhaps its own client."""
    protocol, mark = script.pick(p.TCP, p.UDP, p.SCTP), 7 if script.chance(25) else None
    virtual, port = script.random.choice(VIRTUAL6 if six else VIRTUAL), script.pick(80, 443, 8080)
    name = f"[{virtual}]:{port}" if six else f"{virtual}:{port}"
    words = ["-f", "7", *(["-6"] if six else [])] if mark else [OPTIONS[protocol], name]
    flags = script.pick((), (), ("-p", 60), ("-p", 60, "-M", "64" if six else "255.255.255.0"))
    script.ipvsadm("-A", *words, "-s", script.pick("rr", "wlc", "sh", "wrr"), *flags)
    service = Service(words, protocol, p.address(virtual), port, mark, script.pick(*METHODS), port)
    for _ in range(script.pick(1, 1, 2)):
        server = script.pick(*(REAL6 if six else REAL), virtual)
        method = service.method if script.chance(90) else script.pick(*METHODS)
        service.server_port = script.pick(port, 8080) if method == "-m" else port
        service.servers[server] = 1
        script.ipvsadm("-a", *words, "-r", script.real(service, server), method)
    return service


def places(seed: int) -> Script:
    """Real servers among the clients, clients among the servers, the director as both; virtual addresses of other hosts."""
    return among(Script("places", seed, marks=[7]))


def places6(seed: int) -> Script:
    """The same in IPv6."""
    return among(Script("places6", seed, marks=[7]), six=True)


def among(script: Script, six: bool = False) -> Script:
    """What happens at such places."""
    for name in ("nat_icmp_send", "schedule_icmp", "cache_bypass", "expire_nodest_conn", "snat_reroute"):
        if script.chance(25):
            script.sysctl(name, script.pick(0, 1))
    services = [place(script, six) for _ in range(script.pick(1, 2, 3))]
    flows: list[Flow] = []
    for _ in range(script.random.randrange(28, 38)):
        what = script.random.randrange(100)
        if what < 45 or not flows:
            service = script.random.choice(services)
            flow = script.flow(service, p.address(script.random.choice(CLIENTS6 if six else CLIENTS)))
            flow.port = script.pick(flow.port, flow.port, flow.port, 80, 8080, 20, 0)
            if flow.client[0] != 0xFD:  # whose packets by another device are answered from a random address
                flows.append(flow)
            packet = script.opening(flow, ttl=script.pick(64, 64, 64, 2, 1))
            if flow.client[0] in (10, 0xFD) and not flow.mark:
                script.packet(p.frame(flow.client, packet), on="server")
            else:
                script.packet(packet, flow.mark)
            continue
        flow = script.random.choice(flows)
        server = script.random.choice(list(flow.service.servers))
        if what < 78:
            turn(script, flow, server)
        elif what < 84:
            client_error(script, flow)
        elif what < 93:
            server_error(script, flow, server)
        else:
            script.conns()
    script.look(stats=script.chance(40))
    return script


def families(seed: int) -> Script:
    """Tunnels to servers of both families under each scheduler; the same mark in both families, and servers that return."""
    script = Script("families", seed, marks=[7])
    services = []
    for six in (False, True):
        scheduler = SCHEDULERS[seed % len(SCHEDULERS)] if script.chance(70) else script.random.choice(SCHEDULERS)
        mark, flags = 7 if script.chance(60) else None, script.pick((), (), ("-p", 60))
        services.append(script.service(scheduler, p.TCP, six=six, mark=mark, method="-i", port=80, flags=flags))

    def change(what: str, service: Service, number: int, six: bool) -> None:
        real = f"[fd00:10::{number:x}]:80" if six else f"10.0.0.{number}:80"
        options = ("-i", "-w", script.pick(1, 1, 2, 3, 0), *script.pick((), (), ("--tun-type", "gre"), ("-x", 2)))
        script.ipvsadm(what, *service.words, "-r", real, *(options if what != "-d" else ()))

    for service in services:
        for six in (False, True):
            for number in script.random.sample(range(10, 14), script.pick(1, 2)):
                change("-a", service, number, six)
    flows: list[Flow] = []
    for _ in range(script.random.randrange(26, 36)):
        what, service = script.random.randrange(100), script.random.choice(services)
        if what < 50 or not flows:
            flows.append(script.open(script.flow(service, script.client(len(service.address) == 16, near=8))))
        elif what < 65:
            script.packet(script.segment(script.random.choice(flows), script.pick(16, 17, 4, 2, 1)))
        elif what < 82:
            change(script.pick("-a", "-d", "-d", "-e"), service, script.random.randrange(10, 14), script.chance(50))
        elif what < 90:
            script.ipvsadm("-E", *service.words, "-s", script.random.choice(SCHEDULERS), *script.pick((), ("-p", 60)))
        else:
            script.conns()
    script.look(stats=False)
    return script


def guarded(script: Script, flow: Flow, server: str) -> None:
    """A packet of AH or ESP, or an error about one, from either side."""
    origin, virtual, six = p.address(server), flow.service.address, len(flow.client) == 16
    body = bytes.fromhex("0000000100000001") + bytes(24)
    protocol, body = script.pick((p.ESP, body), (p.AH, bytes((6, 4, 0, 0)) + body))
    what = script.random.randrange(100)
    if what < 45:
        cut = body[: script.pick(len(body), len(body), 1, 4, 0)]
        script.packet(p.ip(flow.client, virtual, protocol, cut, ident=script.ident(), ttl=script.pick(64, 64, 2, 1)))
    elif what < 75:
        script.reply(flow, server, protocol, body, source=script.pick(None, None, virtual))
    else:
        back = script.chance(50)
        source, target = (origin, flow.client) if back else (flow.client, virtual)
        seen = origin if back and flow.service.method == "-m" else virtual
        quoted = p.ip(*((flow.client, seen) if back else (virtual, flow.client)), protocol, body[:8])
        message = p.icmp6(source, target, 1, 4, 0, quoted) if six else p.icmp(3, 2, 0, quoted)
        packet = p.ip(source, target, p.ICMPV6 if six else p.ICMP, message, ident=script.ident())
        script.packet(p.frame(origin, packet) if back else packet, on="server" if back else "client")


def ipsec(seed: int) -> Script:
    """AH and ESP, which follow the connection of their key exchange (UDP, port 500)."""
    script = Script("ipsec", seed)
    for name in ("schedule_icmp", "nat_icmp_send"):
        if script.chance(30):
            script.sysctl(name, 1)
    flags = script.pick((), ("-p", 60), ("-o",))
    service = script.service(script.pick("rr", "wlc", "sh"), p.UDP, six=script.chance(50), port=500, flags=flags)
    service.server_port = script.pick(500, 500, 4500) if service.method == "-m" else 500
    servers = [script.server(service, number, 1) for number in (10, 11)]
    flows = [Flow(service, script.client(len(service.address) == 16), 500) for _ in range(3)]
    for _ in range(script.random.randrange(26, 36)):
        what, flow, server = script.random.randrange(100), script.random.choice(flows), script.random.choice(servers)
        if what < 24:
            script.open(flow)
        elif what < 82:
            guarded(script, flow, server)
        elif what < 88:
            turn(script, flow, server)
        elif what < 93:
            script.remove(service, server) if server in service.servers else script.server(service, 10, 1)
        else:
            script.conns()
    script.look(stats=script.chance(50))
    return script


def sizes(seed: int) -> Script:
    """Packets just below, at and just above what fits, with and without leave to cut them."""
    script = Script("sizes", seed)
    six, way = script.chance(50), script.pick(*WAYS)
    direct = way in ("-m", "-g")
    outer_six = six if direct or script.chance(50) else not six
    options, extra = WAYS[way]
    if script.chance(30):
        script.sysctl("pmtu_disc", 0)
    service = script.service("rr", script.pick(p.TCP, p.UDP), six=six, method=way if direct else "-i")
    server = "fd00:10::a" if outer_six else "10.0.0.10"
    script.ipvsadm("-a", *service.words, "-r", script.real(service, server), service.method, "-w", 1, *options)
    most = 1500 - (0 if direct else extra + (40 if outer_six else 20))
    flow = script.open(script.flow(service))
    headers = (40 if six else 20) + (20 if service.protocol == p.TCP else 8)
    for size in (most - 1, most, most + 1, most - 8, 1500, 1499, 1280, 1279):
        for whole in (True, False) if not six and not outer_six else (True,):
            odd = {"whole": whole, "tos": script.pick(0, 3, 0xB8)}
            data = b"d" * (min(size, 1500) - headers)
            tcp = service.protocol == p.TCP
            script.packet(script.segment(flow, p.ACK, data, **odd) if tcp else script.datagram(flow, data, **odd))
    script.look()
    return script


def segments(seed: int) -> Script:
    """TCP flags in any combination, first and later."""
    script = Script("segments", seed)
    for name, value in (("sloppy_tcp", 1), ("secure_tcp", 3), ("conn_reuse_mode", 2)):
        if script.chance(30):
            script.sysctl(name, value)
    service = script.service("rr", p.TCP, six=script.chance(30))
    server = script.server(service, 10, 1)
    for _ in range(script.random.randrange(16, 22)):
        flow = script.flow(service)
        for _ in range(script.random.randrange(1, 4)):
            flags = script.random.randrange(256)
            if script.chance(35):
                script.segment_back(flow, server, flags)
            else:
                script.packet(script.segment(flow, flags))
        if script.chance(30):
            script.conns()
    script.look(stats=False)
    return script


def unforwarded(seed: int) -> Script:
    """A director that ceases to forward, one family or the other, and begins again."""
    script = Script("unforwarded", seed)
    pairs = []
    for six in (False, True):
        service = script.service("rr", script.pick(p.TCP, p.UDP), six=six)
        pairs.append((service, script.server(service, 10, 1)))
    flows = [(script.open(script.flow(service)), server) for service, server in pairs]
    for _ in range(script.random.randrange(20, 28)):
        what = script.random.randrange(100)
        service, server = script.random.choice(pairs)
        flow, answering = script.random.choice(flows)
        if what < 18:
            name = script.pick("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
            script.sysctl(name, script.pick(0, 0, 1), "")
        elif what < 35:
            flows.append((script.open(script.flow(service)), server))
        elif what < 55:
            turn(script, flow, answering)
        elif what < 65:
            server_error(script, flow, answering)
        elif what < 75:
            client_error(script, flow)
        else:
            past = script.flow(service)
            away = ("fd00:10::b", "2001:db8:f::9") if len(service.address) == 16 else ("10.0.0.11", "8.8.8.8")
            target = p.address(script.random.choice(away))
            inner = p.udp(past.client, target, (past.port, 9), b"past")
            script.packet(p.ip(past.client, target, p.UDP, inner, ident=script.ident(), ttl=script.pick(64, 64, 1)))
    script.look(stats=False)
    return script


KINDS: dict[str, Callable[[int], Script]] = {
    "places": places, "places6": places6, "families": families, "ipsec": ipsec, "sizes": sizes, "segments": segments,
    "unforwarded": unforwarded,
}  # fmt: skip
