"""Kinds about a packet's way: `forward` and `six` (methods, tunnels, sizes, errors), `ops`, `marks`, `ftp` and `odd`."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import turn
from .script import Flow, Script, Service

SIZES = (0, 1, 100, 1400, 1452, 1460, 1472)


def quote(flow: Flow, service_side: bool, server: str, length: int = 8, protocol: int | None = None) -> bytes:
    """What an ICMP error quotes: a packet of that flow as the client, or the server, has seen it."""
    protocol = protocol or flow.service.protocol
    if service_side:
        source, target, ports = flow.service.address, flow.client, (flow.service.port, flow.port)
    else:
        nat = flow.service.method == "-m"
        source, target = flow.client, p.address(server) if nat else flow.service.address
        ports = (flow.port, flow.service.server_port if nat else flow.service.port)
    inner = b"".join(port.to_bytes(2, "big") for port in ports) + bytes(16)
    return p.ip(source, target, protocol, inner[:length] if len(source) == 4 else inner)


def client_error(script: Script, flow: Flow) -> None:
    """An ICMP error from the client's side about what the service sent."""
    damage = 3 if script.chance(20) else 0
    quoted = quote(flow, True, "", script.pick(8, 8, 20, 4))
    router = script.pick(flow.client, flow.client, script.client(len(flow.client) == 16))
    if len(flow.client) == 4:
        kind, code = script.pick((3, 1), (3, 3), (3, 4), (11, 0), (4, 0), (5, 1), (12, 0))
        message = p.icmp(kind, code, 1300 if (kind, code) == (3, 4) else 0, quoted, damage=damage)
        script.packet(
            p.ip4(router, flow.service.address, p.ICMP, message, ident=script.ident(), ttl=script.pick(64, 64, 1)),
            flow.mark,
        )
    else:
        kind, code = script.pick((1, 4), (3, 0), (4, 0), (2, 0))
        message = p.icmp6(router, flow.service.address, kind, code, 1300 if kind == 2 else 0, quoted, damage=damage)
        script.packet(p.ip6(router, flow.service.address, p.ICMPV6, message), flow.mark)


def server_error(script: Script, flow: Flow, server: str) -> None:
    """An ICMP error from the server's side about what the client sent."""
    origin, damage = p.address(server), 3 if script.chance(20) else 0
    quoted = quote(flow, False, server, script.pick(8, 20))
    if len(origin) == 4:
        kind, code = script.pick((3, 1), (3, 3), (11, 0), (3, 4))
        inner, protocol = p.icmp(kind, code, 0, quoted, damage=damage), p.ICMP
    else:
        kind, code = script.pick((1, 4), (3, 0))
        inner, protocol = p.icmp6(origin, flow.client, kind, code, 0, quoted, damage=damage), p.ICMPV6
    script.reply(flow, server, protocol, inner)


def big(script: Script, flow: Flow, most: int = 1500) -> None:
    """A packet of some size, TTL and type of service, with or without leave to cut it up.

    `most` payload bytes keep it in one piece where the pieces would carry random numbers (tunnels over IPv6).
    """
    payload = b"d" * min(script.random.choice(SIZES), most)
    odd = {"ttl": script.pick(64, 64, 255, 2, 1), "tos": script.pick(0, 0x10, 0xB8, 2, 3), "whole": script.chance(50)}
    if flow.service.protocol == p.TCP:
        payload = payload[: 1440 if len(flow.client) == 16 else 1460]
        script.packet(script.segment(flow, p.ACK | p.PSH, payload, **odd), flow.mark)
    else:
        script.packet(script.datagram(flow, payload[: 1452 if len(flow.client) == 16 else 1472], **odd), flow.mark)


def travel(script: Script, services: list[Service], servers: list[str], length: int) -> None:
    flows: list[Flow] = []
    for _ in range(length):
        what = script.random.randrange(100)
        if what < 35 or not flows:
            flows.append(
                script.open(
                    script.flow(script.random.choice(services)),
                    ttl=script.pick(64, 64, 64, 255, 2, 1),
                    tos=script.pick(0, 0x10, 0xB8, 3),
                    whole=script.chance(40),
                )
            )
        elif what < 60:
            big(script, script.random.choice(flows))
        elif what < 75:
            turn(script, script.random.choice(flows), script.random.choice(servers))
        elif what < 88:
            client_error(script, script.random.choice(flows))
        else:
            server_error(script, script.random.choice(flows), script.random.choice(servers))


def way(name: str, six: bool) -> Callable[[int], Script]:
    def kind(seed: int) -> Script:
        script = Script(name, seed)
        for switch in ("pmtu_disc", "schedule_icmp", "nat_icmp_send"):
            if script.chance(20):
                script.sysctl(switch, script.pick(0, 1))
        method, services, servers = script.pick("-m", "-g", "-i", "-i"), [], []
        for protocol in (p.TCP, p.UDP):
            service = script.service("rr", protocol, six=six, method=method)
            options = script.tunnel(service)
            servers += [script.server(service, number, 1, *options) for number in (10, 11)]
            services.append(service)
        travel(script, services, servers, script.random.randrange(28, 42))
        script.look(stats=script.chance(40))
        return script

    kind.__doc__ = f"IPv{6 if six else 4} by one of the three methods: sizes, TTLs, errors from either side."
    return kind


def mixed(seed: int) -> Script:
    """Tunnels whose outer family is not that of the service."""
    script = Script("mixed", seed)
    six, servers = script.chance(50), []
    service = script.service("rr", p.TCP if script.chance(50) else p.UDP, six=six, method="-i")
    for number in (10, 11):
        text = f"10.0.0.{number}" if six else f"fd00:10::{number:x}"
        script.ipvsadm("-a", *service.words, "-r", script.real(service, text), "-i", "-w", 1, *script.tunnel(service))
        servers.append(text)
    flows: list[Flow] = []
    for _ in range(script.random.randrange(20, 30)):
        if script.chance(45) or not flows:
            flows.append(script.open(script.flow(service), tos=script.pick(0, 3, 0x10), whole=script.chance(50)))
        else:
            big(script, script.random.choice(flows), 1500 if six else 1300)
    script.look(stats=script.chance(30))
    return script


def ops(seed: int) -> Script:
    """One-packet scheduling, and other protocols beside it."""
    script = Script("ops", seed, marks=[7])
    mark = 7 if script.chance(25) else None
    protocol = p.UDP if script.chance(75) else p.SCTP
    service = script.service(
        script.pick("rr", "wrr", "sh", "lc", "wlc", "nq", "fo"),
        protocol,
        mark=mark,
        flags=("-o",) if protocol == p.UDP else (),
    )
    servers = [script.server(service, number, None, *script.thresholds()) for number in (10, 11, 12)]
    flows: list[Flow] = []
    for _ in range(script.random.randrange(25, 38)):
        if script.chance(55) or not flows:
            flows.append(script.open(script.flow(service)))
        else:
            turn(script, script.random.choice(flows), script.random.choice(servers))
        if script.chance(6):
            script.conns()
    script.look(stats=script.chance(40))
    return script


def marks(seed: int) -> Script:
    """Services by mark and by address side by side; marks that no service has."""
    script = Script("marks", seed, marks=[7, 9])
    services = [script.service("rr", p.TCP, mark=7), script.service("wlc", p.TCP)]
    servers = [script.server(service, number, 1) for service in services for number in (10, 11)]
    for _ in range(script.random.randrange(24, 36)):
        service = script.random.choice(services)
        target = (
            p.address(script.pick("203.0.113.1", "203.0.113.2", "203.0.113.200"))
            if script.chance(50)
            else service.address
        )
        place = Service(
            service.words,
            script.pick(p.TCP, p.TCP, p.UDP),
            target,
            script.pick(80, 443, service.port),
            script.pick(7, 7, 9, None),
            service.method,
        )
        flow = script.open(script.flow(place))
        if script.chance(30):
            turn(script, flow, script.random.choice(servers))
    script.look(stats=script.chance(30))
    return script


def ftp(seed: int) -> Script:
    """Services at port 21 and port 0, and the ports that lead to them."""
    script = Script("ftp", seed)
    services = [script.service("rr", p.TCP, port=21, flags=script.pick((), ("-p", 60)))]
    script.server(services[0], 10, 1)
    script.server(services[0], 11, 1)
    if script.chance(60):
        services.append(script.service("rr", script.pick(p.TCP, p.UDP), port=0, flags=("-p", 60)))
        script.server(services[1], 12, 1)
    for _ in range(script.random.randrange(22, 34)):
        service = script.random.choice(services)
        port = script.pick(21, 20, 5000, 1023, 1024, 81, 80)
        place = Service(service.words, service.protocol, service.address, port, None, service.method)
        flow = script.flow(place)
        if script.chance(15):
            flow.port = script.pick(20, 0, 21)
        script.open(flow)
        if script.chance(20):
            script.packet(script.segment(flow, p.ACK))
    script.look(stats=False)
    return script


def strange(script: Script, flow: Flow) -> bytes:
    """A packet that is not as it should be."""
    client, target, ports = flow.client, flow.service.address, (flow.port, flow.service.port)
    whole = p.tcp(client, target, ports, p.SYN)
    ident = script.ident()
    choices: list[Callable[[], bytes]] = [
        lambda: p.ip4(client, target, p.TCP, whole[: script.pick(3, 4, 8, 19)], ident=ident),
        lambda: p.ip4(client, target, p.TCP, p.tcp(client, target, ports, p.SYN, b"bad", damage=7), ident=ident),
        lambda: p.ip4(client, target, p.TCP, whole, ident=ident, damage=1),
        lambda: p.ip4(client, target, p.TCP, p.tcp(client, target, ports, p.SYN, options=b"\2\4\5\xb4"), ident=ident),
        lambda: p.ip4(client, target, p.TCP, whole, ident=ident, options=script.pick(b"\1\1\1\0", b"\7\7\4\0\0\0\0\0")),
        lambda: p.ip4(client, target, p.UDP, p.udp(client, target, ports, b"none", unsummed=True), ident=ident),
        lambda: p.ip4(client, target, p.UDP, p.udp(client, target, ports, b"bad", damage=9), ident=ident),
        lambda: p.ip4(
            client, target, p.UDP, p.udp(client, target, ports, b"short")[: script.pick(4, 7, 8)], ident=ident
        ),
        lambda: p.ip4(
            client, target, p.UDP, p.udp(client, target, (script.pick(0, 20), ports[1]), b"port"), ident=ident
        ),
        lambda: p.ip4(client, target, p.ICMP, p.icmp(script.pick(8, 13, 0), 0, 7, b"ping"), ident=ident),
        lambda: p.ip4(client, target, script.pick(47, 4, 99), b"payload.", ident=ident),
        lambda: p.ip4(
            client, target, script.pick(p.ESP, p.AH), bytes.fromhex("0000000100000001") + bytes(16), ident=ident
        ),
        lambda: p.ip4(
            p.address(script.pick("127.0.0.1", "203.0.113.5", "224.0.0.5", "255.255.255.255")),
            target,
            p.TCP,
            whole,
            ident=ident,
        ),
        lambda: p.ip4(client, target, p.SCTP, p.sctp(ports, 1, b"")[: script.pick(8, 12)], ident=ident),
        lambda: p.ip4(
            client, target, p.TCP, p.tcp(client, target, ports, p.SYN | p.ECE | p.CWR, b"x" * 20), ident=ident
        ),
    ]
    return script.random.choice(choices)()


def odd(seed: int) -> Script:
    """Broken, short, unusual and fragmented packets."""
    script = Script("odd", seed)
    services = [script.service("rr", protocol, flags=()) for protocol in (p.TCP, p.UDP, p.SCTP)]
    if script.chance(30):
        script.ipvsadm("-A", "-u", f"203.0.113.{services[1].address[3]}:500", "-s", "rr")
        script.ipvsadm("-a", "-u", f"203.0.113.{services[1].address[3]}:500", "-r", "10.0.0.12:500", "-m")
    servers = [script.server(service, number, 1) for service in services for number in (10, 11)]
    for _ in range(script.random.randrange(28, 40)):
        what = script.random.randrange(100)
        flow = script.flow(script.random.choice(services))
        if what < 55:
            script.packet(strange(script, flow))
        elif what < 72:
            flow = script.flow(services[1])
            pieces = p.fragments(script.datagram(flow, b"f" * script.pick(100, 900, 2000)), script.pick(64, 400, 1000))
            if script.chance(30):
                pieces.reverse()
            for piece in pieces[:8] if script.chance(85) else pieces[1:3]:
                script.packet(piece)
        elif what < 85:
            server_error(script, flow, script.random.choice(servers))
        else:
            turn(script, flow, script.random.choice(servers))
    script.look(stats=script.chance(30))
    return script


KINDS: dict[str, Callable[[int], Script]] = {
    "forward": way("forward", False),
    "six": way("six", True),
    "mixed": mixed,
    "ops": ops,
    "marks": marks,
    "ftp": ftp,
    "odd": odd,
}
