"""Kinds about where IPVS ends, which the sources show and traffic seldom meets.

`unsent` (forwarding methods behind which no transmitter stands), `strays` (servers' packets of no connection, cut short),
`shared` (tunnels of several types to one address, and errors about them), `torn` (ICMP in pieces), `bypass` (cache_bypass
with every sort of destination), `everybody` (broadcast and multicast addresses as virtual ones).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from . import packets as p
from .administration import attribute, request
from .lifetimes import turn
from .narrow import wrapped
from .paths import big, client_error, quote, server_error
from .script import METHODS, OPTIONS, Flow, Script, Service

NEW_SERVER, SET_SERVER = 5, 6
TUNNELS: dict[str, tuple[object, ...]] = {
    "ipip": (), "gre": ("--tun-type", "gre"), "grec": ("--tun-type", "gre", "--tun-csum"),
    "gue": ("--tun-type", "gue", "--tun-port", 6080),
}  # fmt: skip
FOUR = (
    "203.0.113.5",
    "198.51.100.1",
    "8.8.8.8",
    "10.0.0.10",
    "224.0.0.1",
    "10.0.255.255",
    "255.255.255.255",
    "192.0.2.99",
)
SIX = (
    "2001:db8:80::5",
    "2001:db8:1::1",
    "2001:db8:c::9",
    "fd00:10::a",
    "ff02::1",
    "ff05::9",
    "2001:db8:f::1",
    "fec0::1",
)
ALL4 = ("10.0.255.255", "198.51.100.255", "255.255.255.255", "224.0.0.1", "224.0.0.9", "10.0.0.1", "198.51.100.1")
ALL6 = ("ff02::1", "ff02::2", "ff05::2", "ff0e::9", "2001:db8:1::1", "2001:db8:1::", "fd00:10::")


def switched(script: Script, *names: str) -> None:
    """Some tunables, on or off."""
    for name in names:
        if script.chance(25):
            script.sysctl(name, script.pick(0, 1))


def by_netlink(script: Script, service: Service, command: int, sequence: int, number: int, method: int) -> None:
    """A server with a method and a tunnel that ipvsadm has no options for."""
    six = len(service.address) == 16
    key = [attribute(1, struct.pack("=H", 10 if six else 2))]
    if service.mark:
        key.append(attribute(5, struct.pack("=I", service.mark)))
    else:
        key += [
            attribute(2, struct.pack("=H", service.protocol)), attribute(3, service.address.ljust(16, b"\0")),
            attribute(4, struct.pack("!H", service.port)),
        ]  # fmt: skip
    address = p.address(f"fd00:10::{number:x}" if six else f"10.0.0.{number}")
    server = [
        attribute(1, address.ljust(16, b"\0")), attribute(2, struct.pack("!H", service.server_port)),
        attribute(3, struct.pack("=I", method)), attribute(4, struct.pack("=i", 1)),
        attribute(5, bytes(4)), attribute(6, bytes(4)), attribute(13, bytes((script.pick(0, 0, 1, 2, 3, 77),))),
        attribute(14, struct.pack("!H", 6080)), attribute(15, struct.pack("=H", script.pick(0, 1, 2))),
    ]  # fmt: skip
    script.netlink(request(command, sequence, 4, attribute(1, b"".join(key)), attribute(2, b"".join(server))))


def unsent(seed: int) -> Script:
    """Servers by any number of a method: local node, bypass, and those that nothing stands for."""
    script = Script("unsent", seed, marks=[7])
    six = script.chance(50)
    switched(script, "nat_icmp_send", "schedule_icmp", "cache_bypass", "pmtu_disc")
    service = script.service(
        "rr", script.pick(p.TCP, p.UDP, p.SCTP), six=six, mark=7 if script.chance(30) else None,
        flags=script.pick((), (), ("-p", 60)), method="-m",
    )  # fmt: skip
    numbers = script.random.sample(range(10, 14), script.pick(1, 2, 3))
    for sequence, number in enumerate(numbers, 1):
        by_netlink(script, service, NEW_SERVER, sequence, number, script.pick(1, 4, 5, 6, 7, 0, 2, 3))
    flows = [script.open(script.flow(service))]
    for sequence in range(10, script.random.randrange(28, 36)):
        what, flow, number = script.random.randrange(100), script.random.choice(flows), script.random.choice(numbers)
        server = f"fd00:10::{number:x}" if six else f"10.0.0.{number}"
        if what < 35:
            flows.append(script.open(script.flow(service), ttl=script.pick(64, 64, 1, 2)))
        elif what < 60:
            turn(script, flow, server)
        elif what < 68:
            client_error(script, flow)
        elif what < 76:
            server_error(script, flow, server)
        elif what < 83 and service.protocol != p.SCTP:
            big(script, flow, 1300)
        elif what < 92:
            by_netlink(script, service, SET_SERVER, sequence, number, script.pick(1, 4, 5, 6, 7, 0, 2, 3))
        else:
            script.conns()
    script.look()
    return script


def strays(seed: int) -> Script:
    """nat_icmp_send, and what servers send that is too short to be what it says."""
    script = Script("strays", seed)
    script.sysctl("nat_icmp_send", 1)
    six = script.chance(50)
    services = [
        script.service("rr", protocol, six=six, method=script.pick("-m", "-m", "-g", "-i"))
        for protocol in (p.TCP, p.UDP, p.SCTP)
    ]
    for service in services:
        script.server(service, 10, 1)
    server = "fd00:10::a" if six else "10.0.0.10"
    origin = p.address(server)
    for _ in range(script.random.randrange(18, 26)):
        service = script.random.choice(services)
        flow = script.flow(service)
        if script.chance(30):
            script.open(flow)
        ports = (service.server_port, flow.port)
        if service.protocol == p.TCP:
            inner = p.tcp(origin, flow.client, ports, script.pick(16, 4, 2, 1, 20, 0))
        elif service.protocol == p.UDP:
            inner = p.udp(origin, flow.client, ports, b"abc")
        else:
            inner = p.sctp(ports, 5, p.chunk(script.pick(0, 6, 1, 3), 0, bytes(12)))
        cut = inner[: script.pick(0, 3, 4, 7, 8, 11, 12, 13, 14, 15, 16, 19, 20, 60)]
        script.reply(flow, server, service.protocol, cut, ttl=script.pick(64, 64, 1, 2))
    script.conns()
    script.look()
    return script


def told(script: Script, flow: Flow, first: bytes) -> None:
    """An error about a packet of a tunnel: of this type or another one, whole or not."""
    kind = script.pick("ipip", "gre", "gue", "gue")
    quoted = wrapped(kind, p.address("10.0.0.10"), first)
    if kind == "gre" and script.chance(30):
        odd = script.pick(b"\x80\0\x08\0\0\0\0\0", b"\x20\0\x08\0\0\0\0\0", b"\0\1\x08\0", b"\0\0\x86\xdd")
        quoted = quoted[:20] + odd + first
    if kind == "gue" and script.chance(30):
        odd = bytes((script.pick(0, 1, 2, 0x20, 0x40, 0x80), script.pick(4, 41, 0), 0, 0))
        quoted = quoted[:28] + odd + script.pick(b"", bytes(4), bytes(8)) + first
    if script.chance(10):
        quoted = p.put(quoted, 6, script.pick(0x2000, 1, 0x2001))
    quoted = quoted[: script.pick(len(quoted), len(quoted), 20, 24, 28, 32, 40, 44, 48, 52, 56, 60)]
    kind_, code, mtu = script.pick((3, 4, 1400), (3, 4, 600), (3, 1, 0), (3, 3, 0), (11, 0, 0), (4, 0, 0), (12, 0, 0))
    message = p.icmp(kind_, code, mtu, quoted, damage=3 if script.chance(10) else 0)
    origin = p.address(script.pick("10.0.0.12", "10.0.0.10"))
    own = p.address(script.pick("10.0.0.1", "10.0.0.1", "10.0.0.1", "198.51.100.1"))
    script.packet(p.frame(origin, p.ip4(origin, own, p.ICMP, message, ident=script.ident())), on="server")


def shared(seed: int) -> Script:
    """Services that reach one address by tunnels of several types, which change."""
    script = Script("shared", seed)
    services = [script.service("rr", script.pick(p.TCP, p.UDP), method="-i") for _ in range(script.pick(2, 3))]
    for service in services:
        script.server(service, 10, 1, *TUNNELS[script.pick(*TUNNELS)])
    flows: list[tuple[Flow, bytes]] = []
    for _ in range(script.random.randrange(20, 28)):
        what, service = script.random.randrange(100), script.random.choice(services)
        if what < 25 or not flows:
            flow = script.flow(service)
            flows.append((flow, script.opening(flow, whole=script.chance(60))))
            script.packet(flows[-1][1])
        elif what < 76:
            told(script, *script.random.choice(flows))
        elif what < 90:
            service.method = script.pick("-i", "-i", "-i", "-i", "-m", "-g")
            options = TUNNELS[script.pick(*TUNNELS)] if service.method == "-i" else ()
            service.server_port = service.port if service.method != "-m" else service.server_port
            script.edit(service, "10.0.0.10", 1, *options)
        else:
            script.remove(service, "10.0.0.10")
            script.server(service, 10, 1, *(TUNNELS[script.pick(*TUNNELS)] if service.method == "-i" else ()))
    script.look(stats=False)
    return script


def torn(seed: int) -> Script:
    """ICMP errors in pieces, to the director and through it."""
    script = Script("torn", seed, marks=[7])
    switched(script, "schedule_icmp")
    mark = 7 if script.chance(30) else None
    service = script.service("rr", script.pick(p.TCP, p.UDP), method=script.pick("-m", "-m", "-g", "-i"), mark=mark)
    script.server(service, 10, 1)
    if mark and script.chance(30):
        service.address = p.address("8.8.8.8")
    flows = [script.open(script.flow(service)) for _ in range(2)]
    for _ in range(script.random.randrange(9, 14)):
        flow = script.random.choice(flows) if script.chance(80) else script.flow(service)
        back = script.chance(50)
        quoted = quote(flow, not back, "10.0.0.10", 20) + b"z" * script.pick(0, 30, 200, 1200)
        kind, code = script.pick((3, 1), (3, 3), (3, 4), (11, 0), (4, 0), (12, 0), (5, 1))
        message = p.icmp(
            kind, code, 1300 if (kind, code) == (3, 4) else 0, quoted, damage=3 if script.chance(10) else 0
        )
        origin = p.address(script.pick("10.0.0.10", "10.0.0.12")) if back else flow.client
        target = flow.client if back else service.address
        whole = p.ip4(origin, target, p.ICMP, message, ident=script.ident(), ttl=script.pick(64, 64, 64, 2, 1))
        cut = p.fragments(whole, script.pick(8, 16, 24, 64, 600) if len(message) < 60 else 600)
        if script.chance(30):
            script.random.shuffle(cut)
        for piece in cut if script.chance(90) else cut[1:]:
            if back:
                script.packet(p.frame(origin, piece), on="server")
            else:
                script.packet(piece, mark if script.chance(50) else None)
    script.conns()
    script.look()
    return script


def bypass(seed: int) -> Script:
    """cache_bypass: a mark's packets to near and far, to all and to the director itself, mostly without a server."""
    script = Script("bypass", seed, marks=[7])
    script.sysctl("cache_bypass", 1)
    six = script.chance(50)
    service = script.service("rr", p.TCP, six=six, mark=7, flags=script.pick((), ("-p", 30), ("-o",)))
    if script.chance(40):
        script.server(service, 10, script.pick(0, 0, 1))
    for address in script.random.sample(SIX if six else FOUR, 7):
        place = Service(service.words, script.pick(p.TCP, p.UDP, p.SCTP), p.address(address), 80, 7)
        flow = script.open(script.flow(place), ttl=script.pick(64, 64, 2, 1))
        if script.chance(50):
            script.open(flow) if place.protocol != p.TCP else script.packet(script.segment(flow, p.ACK), 7)
        if script.chance(30):
            client_error(script, flow)
    script.conns()
    script.look()
    return script


def everybody(seed: int) -> Script:
    """Virtual addresses that are not one host's, by address and by mark; from the servers' wire, too, in frames to all."""
    script = Script("everybody", seed, marks=[7])
    six = script.chance(40)
    switched(script, "snat_reroute", "nat_icmp_send")
    names, services = script.random.sample(ALL6 if six else ALL4, 4), []
    for name in [*names, "mark"]:
        mark, protocol = (7 if name == "mark" else None), script.pick(p.TCP, p.UDP, p.UDP, p.SCTP)
        words = (
            ["-f", "7", *(["-6"] if six else [])]
            if mark
            else [OPTIONS[protocol], f"[{name}]:80" if six else f"{name}:80"]
        )
        script.ipvsadm("-A", *words, "-s", "rr", *script.pick((), ("-p", 60)))
        service = Service(
            words, protocol, p.address(names[0] if mark else name), 80, mark, script.pick("-m", *METHODS), 80
        )
        if script.chance(85):
            script.server(service, 10, 1)
        services.append(service)
    for _ in range(script.random.randrange(20, 28)):
        service = script.random.choice(services)
        flow = script.flow(service)
        if script.chance(30):
            flow.client = p.address("fd00:10::c" if six else "10.0.0.12")
            frame = p.frame(flow.client, script.opening(flow))
            to = script.pick(
                frame[:6], frame[:6], b"\xff" * 6, bytes.fromhex("333300000001" if six else "01005e000001")
            )
            script.packet(to + frame[6:], on="server")
            continue
        script.open(flow, ttl=script.pick(64, 64, 2))
        server = "fd00:10::a" if six else "10.0.0.10"
        if script.chance(40):
            turn(script, flow, server)
        if script.chance(20):
            server_error(script, flow, server)
    script.conns()
    script.look()
    return script


KINDS: dict[str, Callable[[int], Script]] = {
    "unsent": unsent, "strays": strays, "shared": shared, "torn": torn, "bypass": bypass, "everybody": everybody,
}  # fmt: skip
