"""Kinds about what releases of Linux do otherwise: each behaviour of ``ipvssim.behaviours`` is met by one of them.

`limits` (conn_max), `hooks` (packets while no service exists), `hashed` (a flag that is the kernel's own), `reuse`
(conn_reuse_mode=0), `nodest` (deleted servers), `dead` (templates whose server is gone), `replies` (packets of routed
servers that pass the director), `twos` (a scheduler that not every package has), `caches` (of lblc and lblcr), `uneven`
(requests in pieces of different sizes). `growth`, `shrinking`, `settings`, `narrow`, `corners`, `pieces` and `ftp_helper`,
in files of their own, meet the others. They hold only what has one right answer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from . import packets as p
from .administration import attribute, request
from .script import Flow, Script, Service

HASHED = 2
NEW_SERVICE, SET_SERVICE = 1, 2
TWOS = "ip_vs_twos"


def beginning(
    script: Script, *flags: object, six: bool = False, method: str | None = None
) -> tuple[Service, list[str]]:
    """A service by rr, with two servers of weight 1."""
    protocol = script.pick(p.TCP, p.TCP, p.UDP)
    service = script.service("rr", protocol, six=six, flags=flags, method=method)
    return service, [script.server(service, number, 1) for number in (10, 11)]


def limits(seed: int) -> Script:
    """conn_max, written before and between connections, templates and one-packet connections among them."""
    script = Script("limits", seed)
    flags = script.pick((), (), ("-p", 60), ("-p", 60))
    service, servers = beginning(script, *flags, six=script.chance(20))
    script.sysctl("conn_max", script.random.randrange(0, 6))
    flows: list[Flow] = []
    for _ in range(script.random.randrange(14, 24)):
        what = script.random.randrange(100)
        if what < 60 or not flows:
            flows.append(script.open(script.flow(service)))
        elif what < 75:
            script.open(script.random.choice(flows))
        elif what < 88:
            script.sysctl("conn_max", script.pick(0, 1, 3, 5, 8, 12, -1, 2147483647))
        elif what < 94 and service.protocol == p.TCP:
            script.packet(script.segment(script.random.choice(flows), p.RST))
        else:
            script.conns()
    if script.chance(30):
        script.edit(service, servers[0], 0)
        script.open(script.flow(service))
    script.look(stats=script.chance(30))
    return script


def hooks(seed: int) -> Script:
    """Packets of both sides while services of the one family, the other, or none exist; connections outlive them."""
    script = Script("hooks", seed)
    pairs = [beginning(script, six=six, method="-m") for six in script.pick((False,), (True,), (False, True))]
    flows = [(script.open(script.flow(service)), server) for service, servers in pairs for server in servers]
    for _ in range(script.random.randrange(4, 8)):
        what = script.random.randrange(100)
        if what < 45:
            script.ipvsadm(*script.pick(("-C",), ("-C",), ("-D", *script.random.choice(pairs)[0].words)))
        else:
            words, server = script.pick(
                (("-u", "203.0.113.200:5353"), "10.0.0.12:53"), (("-u", "[2001:db8:80::c8]:5353"), "[fd00:10::c]:53")
            )
            script.ipvsadm("-A", *words, "-s", "rr")
            script.ipvsadm("-a", *words, "-r", server, "-m")
        for flow, server in flows:
            if flow.service.protocol == p.TCP:
                script.segment_back(flow, server, p.SYN | p.ACK)
            else:
                script.datagram_back(flow, server)
            if script.chance(40):
                script.open(flow)
    script.look(stats=False)
    return script


def hashed(seed: int) -> Script:
    """Services added and edited with flags that the kernel keeps for itself; commands that look for them."""
    script = Script("hashed", seed)
    for sequence in range(1, script.random.randrange(5, 9)):
        port = script.pick(80, 81)
        flags, mask = (
            script.pick(HASHED, HASHED, HASHED | 1, 0, 1, 0xF0),
            script.pick(0xFFFFFFFF, 0xFFFFFFFF, HASHED, 0),
        )
        made = [
            attribute(1, struct.pack("=H", 2)), attribute(2, struct.pack("=H", p.TCP)),
            attribute(3, p.address("203.0.113.1").ljust(16, b"\0")), attribute(4, struct.pack("!H", port)),
            attribute(6, b"rr\0"), attribute(7, struct.pack("=II", flags, mask)),
            attribute(8, struct.pack("=I", 60 if flags & 1 else 0)), attribute(9, struct.pack("=I", 0xFFFFFFFF)),
        ]  # fmt: skip
        script.netlink(
            request(script.pick(NEW_SERVICE, NEW_SERVICE, SET_SERVICE), sequence, 4, attribute(1, b"".join(made)))
        )
        what = script.random.randrange(100)
        if what < 30:
            script.ipvsadm("-A", "-t", f"203.0.113.1:{port}", "-s", "rr")
        elif what < 50:
            script.ipvsadm("-a", "-t", f"203.0.113.1:{port}", "-r", "10.0.0.10", "-g")
        elif what < 75:
            script.ipvsadm("-D", "-t", f"203.0.113.1:{port}")
        script.ipvsadm("-Ln")
    script.ipvsadm("-C")
    script.ipvsadm("-Ln")
    return script


def reuse(seed: int) -> Script:
    """A port that a client uses again, with the server's weight 0 or not, and every mode of reusing."""
    script = Script("reuse", seed)
    script.sysctl("conn_reuse_mode", script.pick(0, 0, 0, 1))
    script.sysctl("expire_nodest_conn", script.pick(1, 1, 0))
    service = script.service("rr", p.TCP, six=script.chance(20), flags=script.pick((), (), ("-p", 60)))
    servers = [script.server(service, number, 1) for number in (10, 11)]
    flows = [script.open(script.flow(service)) for _ in range(3)]
    for flow in flows:
        if script.chance(60):
            script.packet(script.segment(flow, p.ACK))
    for _ in range(script.random.randrange(5, 10)):
        script.edit(service, script.random.choice(servers), script.pick(0, 0, 1))
        flow = script.random.choice(flows)
        script.packet(script.segment(flow, script.pick(p.SYN, p.SYN, p.SYN, p.FIN | p.ACK, p.ACK)))
        script.sleep(0.1)
    script.look(stats=False)
    return script


def nodest(seed: int) -> Script:
    """Connections whose server is deleted, then packets of theirs, old ones and beginning ones."""
    script = Script("nodest", seed)
    script.sysctl("expire_nodest_conn", script.pick(1, 1, 0))
    service, servers = beginning(script, *script.pick((), (), ("-p", 60)))
    flows = [script.open(script.flow(service)) for _ in range(4)]
    tcp = service.protocol == p.TCP
    for flow in flows if tcp else ():
        script.packet(script.segment(flow, script.pick(p.ACK, p.ACK, p.FIN | p.ACK)))
    script.conns()
    script.remove(service, servers[0])
    script.sleep(0.3)
    script.conns()
    for _ in range(2):
        for flow in flows:
            what = script.pick(p.ACK, p.PSH | p.ACK, p.SYN)
            script.packet(script.segment(flow, what, b"x") if tcp else script.datagram(flow))
        script.sleep(0.1)
        script.conns()
        if script.chance(40):
            script.server(service, 10, 1)
    return script


def dead(seed: int) -> Script:
    """Templates whose server gets weight 0 or is deleted: the client comes again, to the same port and to others."""
    script = Script("dead", seed)
    script.sysctl("expire_quiescent_template", script.pick(1, 1, 0))
    script.sysctl("expire_nodest_conn", script.pick(1, 0))
    mark = 7 if script.chance(25) else None
    script.header["marks"] = [7]
    port = 0 if mark is None and script.chance(30) else None
    service = script.service("rr", p.TCP, port=port, mark=mark, flags=("-p", 60))
    if port == 0:
        service.port, service.server_port = 80, 80 if service.method != "-m" else 0
    servers = [script.server(service, number, 1) for number in (10, 11)]
    clients = [script.client() for _ in range(3)]
    for client in clients:
        flow = script.open(script.flow(service, client))
        if script.chance(50):
            script.packet(script.segment(flow, p.ACK), mark)
    script.conns()
    for text in script.pick(servers[:1], servers):
        if script.chance(60):
            script.edit(service, text, 0)
        else:
            script.remove(service, text)
    script.server(service, 12, 1)
    for client in clients:
        script.open(script.flow(service, client))
        script.conns()
    script.look(stats=False)
    return script


def replies(seed: int) -> Script:
    """Packets of routed, tunnelled and translated servers that pass the director, and what is counted of them. So is its own
    error about a packet whose lifetime ends."""
    script = Script("replies", seed)
    service, servers = beginning(script, method=script.pick("-g", "-i", "-g", "-m"))
    for server in servers:
        flow = script.open(script.flow(service))
        inner = p.tcp(service.address, flow.client, (service.port, flow.port), p.SYN | p.ACK, sequence=5)
        if service.protocol == p.UDP:
            inner = p.udp(service.address, flow.client, (service.port, flow.port), b"ok")
        for _ in range(script.random.randrange(1, 3)):
            script.reply(flow, server, service.protocol, inner, service.address)
        if script.chance(50):
            script.open(flow, ttl=1)
    script.conns()
    script.look()
    return script


def twos(seed: int) -> Script:
    """The scheduler that chooses by chance, with one server that can be chosen; in a kernel that has loaded it."""
    script = Script("twos", seed)
    script.header["modules"] = [TWOS]
    service = script.service("twos", script.pick(p.TCP, p.UDP), six=script.chance(20))
    script.server(service, 10, script.pick(1, 3))
    if script.chance(50):
        script.server(service, 11, 0)
    for _ in range(script.random.randrange(3, 7)):
        script.open(script.flow(service))
    script.edit(service, "fd00:10::a" if len(service.address) == 16 else "10.0.0.10", script.pick(0, 5))
    script.open(script.flow(service))
    script.ipvsadm("-E", *service.words, "-s", script.pick("rr", "twos"))
    script.open(script.flow(service))
    script.look(stats=script.chance(30))
    return script


def caches(seed: int) -> Script:
    """Services by destination address (lblc, lblcr) whose cache fills, or whose one entry is replaced as often."""
    script = Script("caches", seed, marks=[7])
    service = script.service(script.pick("lblc", "lblcr"), p.UDP, six=True, mark=7, method="-g")
    for number in (10, 11):
        script.server(service, number, 1)
    flow = script.flow(service)
    count = 24600 if script.chance(15) else script.pick(20, 100)
    far = p.address("2001:db8:80::1:0")
    script.flood(script.datagram(Flow(replace(service, address=far), flow.client, flow.port)), count, 7)
    for _ in range(script.random.randrange(4, 8)):
        script.open(script.flow(service))
    script.ipvsadm("-Ln")
    return script


def uneven(seed: int) -> Script:
    """Requests in pieces of different sizes: small ones move into the first one's buffer, and the packet is cut anew."""
    script = Script("uneven", seed)
    service = script.service("rr", p.UDP, method=script.pick("-m", "-g", "-i"))
    for number in (10, 11):
        script.server(service, number, 1)
    flow = script.open(script.flow(service))
    for _ in range(script.random.randrange(6, 10)):
        whole = script.datagram(flow, b"u" * script.pick(700, 1300, 2500))
        pieces, at, payload = [], 0, whole[20:]
        while at < len(payload):
            size = script.pick(48, 200, 400, 600, 1200)
            pieces.append(
                p.ip4(whole[12:16], whole[16:20], p.UDP, payload[at : at + size], ttl=whole[8], offset=at,
                      ident=int.from_bytes(whole[4:6], "big"), more=at + size < len(payload))
            )  # fmt: skip
            at += size
        if script.chance(40):
            script.random.shuffle(pieces)
        for piece in pieces:
            script.packet(piece)
    script.look(stats=script.chance(30))
    return script


KINDS: dict[str, Callable[[int], Script]] = {
    "limits": limits, "hooks": hooks, "hashed": hashed, "reuse": reuse, "nodest": nodest, "dead": dead,
    "replies": replies, "twos": twos, "caches": caches, "uneven": uneven,
}  # fmt: skip
