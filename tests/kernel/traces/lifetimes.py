"""Kinds about how long things live: `states`, `timers`, `persist`, `trash`, and `sysctls`, which turn all the screws."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .script import SCHEDULERS, Flow, Script, Service

WORDS = (
    p.SYN,
    p.ACK,
    p.FIN | p.ACK,
    p.RST,
    p.PSH | p.ACK,
    p.SYN | p.ACK,
    p.FIN,
    p.RST | p.ACK,
    p.PSH,
    p.SYN | p.FIN,
    0,
    p.URG,
)
CHUNKS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 0, 12)


def chunks(script: Script) -> bytes:
    """A packet's chunks; the first one counts, and an abort behind a cookie."""
    kind = script.random.choice(CHUNKS)
    value = bytes(12) if kind in (0, 1, 2, 3) else b"abcd" if kind in (4, 10) else bytes(4) if kind == 7 else b""
    made = p.chunk(kind, 0, value)
    return made + p.chunk(script.pick(6, 0, 14), 0, bytes(12)) if script.chance(15) else made


def turn(script: Script, flow: Flow, server: str) -> None:
    """One packet of a connection, from either side."""
    service, back = flow.service, script.chance(45)
    if service.protocol == p.TCP:
        flags = script.random.choices(WORDS, (3, 8, 6, 3, 4, 2, 2, 1, 1, 1, 1, 1))[0]
        if back:
            script.segment_back(flow, server, flags, script.payload())
        else:
            script.packet(script.segment(flow, flags, script.payload()), flow.mark)
        return
    if service.protocol == p.UDP:
        if back:
            script.datagram_back(flow, server, script.payload(), script.chance(20))
        else:
            script.packet(script.datagram(flow, script.payload()), flow.mark)
        return
    ports = (service.server_port, flow.port) if back else (flow.port, service.port)
    inner = p.sctp(ports, script.ident(), chunks(script), damage=5 if script.chance(8) else 0)
    if back:
        script.reply(flow, server, p.SCTP, inner)
    else:
        script.packet(p.ip(flow.client, service.address, p.SCTP, inner, ident=script.ident()), flow.mark)


def states(seed: int) -> Script:
    """A few connections of one server, each pushed about by packets from both sides."""
    script = Script("states", seed)
    for name, values in (
        ("sloppy_tcp", (0, 1)),
        ("sloppy_sctp", (0, 1)),
        ("secure_tcp", (0, 3)),
        ("conn_reuse_mode", (0, 1, 2, 3)),
    ):
        if script.chance(25):
            script.sysctl(name, script.random.choice(values))
    service = script.service(
        "rr", script.pick(p.TCP, p.TCP, p.TCP, p.SCTP, p.SCTP, p.UDP), method=script.pick("-m", "-m", "-g", "-i")
    )
    server = script.server(service, 10, 1)
    for _ in range(script.random.randrange(3, 6)):
        flow = script.flow(service)
        if script.chance(85):
            script.open(flow)
        for _ in range(script.random.randrange(3, 9)):
            turn(script, flow, server)
            if script.chance(45):
                script.conns()
    script.look(stats=script.chance(30))
    return script


def timers(seed: int) -> Script:
    """Short timeouts, and a sleep that is surely longer than some of them and shorter than the others."""
    script = Script("timers", seed)
    script.ipvsadm("--set", script.pick(3, 60), script.pick(3, 60), script.pick(3, 60))
    service = script.service("rr", script.pick(p.TCP, p.UDP, p.SCTP), method="-m")
    server = script.server(service, 10, 1, *script.thresholds(50))
    flows = []
    for _ in range(script.random.randrange(2, 5)):
        flows.append(script.open(script.flow(service)))
        if service.protocol == p.TCP:
            script.segment_back(flows[-1], server, p.SYN | p.ACK)
            script.packet(script.segment(flows[-1], script.pick(p.ACK, p.ACK, p.FIN | p.ACK)))
        elif script.chance(50):
            turn(script, flows[-1], server)
    script.conns()
    script.sleep(6)
    script.look(stats=False)
    for flow in flows[:2]:
        turn(script, flow, server)
    script.conns()
    return script


def visits(script: Script, services: list[Service], count: int) -> None:
    """Connections to a service at several ports and, by mark, at several addresses."""
    for _ in range(count):
        service = script.random.choice(services)
        port = script.pick(80, 443, 8443) if service.port == 0 or service.mark else service.port
        place = Service(service.words, service.protocol, service.address, port, service.mark, service.method)
        if service.mark and script.chance(30):
            place.protocol = script.pick(p.TCP, p.UDP)
        if service.port == 21 and script.chance(50):
            place.port = script.pick(20, 1023, 1024, 5000)
        flow = script.flow(place, script.client(len(service.address) == 16, near=6))
        script.open(flow)
        if script.chance(15):
            script.packet(script.segment(flow, p.ACK) if place.protocol == p.TCP else script.datagram(flow), flow.mark)


def persist(seed: int) -> Script:
    """Persistence by address, port 0, mark and FTP port, with netmasks, weights of 0, and servers that go."""
    script = Script("persist", seed, marks=[7])
    kind = script.pick("plain", "plain", "zero", "mark", "ftp", "six")
    short = script.chance(30)
    flags: tuple[object, ...] = ("-p", 3 if short else script.pick(60, 300))
    if kind != "six" and script.chance(40):
        flags += ("-M", script.pick("255.255.255.0", "255.255.255.252", "255.255.0.0"))
    elif kind == "six" and script.chance(60):
        flags += ("-M", script.pick("64", "126", "128"))
    protocol = p.TCP if kind in ("ftp", "zero") else script.pick(p.TCP, p.UDP)
    service = script.service(
        script.pick("rr", "wrr", "wlc", "lc", "sh"),
        protocol,
        six=kind == "six",
        mark=7 if kind == "mark" else None,
        port={"zero": 0, "ftp": 21}.get(kind),
        flags=flags,
    )
    for number in script.random.sample(range(10, 14), script.random.randrange(2, 5)):
        script.server(service, number, None, *script.thresholds())
    visits(script, [service], script.random.randrange(10, 16))
    script.sysctl("expire_quiescent_template", script.pick(0, 1))
    for _ in range(2 if short else 3):
        text = script.random.choice(list(service.servers))
        if script.chance(60):
            script.edit(service, text, script.pick(0, 0, 2))
        elif len(service.servers) > 1:
            script.remove(service, text)
        if script.chance(25):
            script.ipvsadm("-E", *service.words, "-s", "rr", *script.pick((), ("-p", 90)))
        visits(script, [service], script.random.randrange(3, 7))
    script.conns()
    if short:
        script.sleep(5)
        script.conns()
        visits(script, [service], 5)
    script.look(stats=script.chance(30))
    return script


def again(script: Script, flow: Flow) -> None:
    """A later packet of a connection that may have lost its server, or its service."""
    if flow.service.protocol == p.TCP:
        script.packet(script.segment(flow, script.pick(p.ACK, p.ACK, p.SYN, p.FIN | p.ACK, p.RST)), flow.mark)
    else:
        script.open(flow)


def trash(seed: int) -> Script:
    """Servers and services that go and come back while their connections live on."""
    script = Script("trash", seed)
    for name, values in (("expire_nodest_conn", (0, 1)), ("conn_reuse_mode", (0, 1, 2)), ("sloppy_tcp", (0, 1))):
        if script.chance(35):
            script.sysctl(name, script.random.choice(values))
    protocol = script.pick(p.TCP, p.TCP, p.UDP)
    service = script.service(script.random.choice(SCHEDULERS), protocol, flags=script.pick((), (), ("-p", 60)))
    flows: list[Flow] = []
    spare = {f"10.0.0.{number}": number for number in range(10, 14)}
    for _ in range(script.random.randrange(35, 50)):
        what = script.random.randrange(100)
        away = [text for text in spare if text not in service.servers]
        if what < 22 and away:
            script.server(service, spare[script.random.choice(away)], script.pick(0, 1, 1, 2), *script.thresholds())
        elif what < 36 and service.servers:
            script.remove(service, script.random.choice(list(service.servers)))
        elif what < 41:
            script.ipvsadm(*script.pick(("-D", *service.words), ("-D", *service.words), ("-C",)))
            script.ipvsadm("-A", *service.words, "-s", script.random.choice(SCHEDULERS))
            service.servers.clear()
        elif what < 70 or not flows:
            flows.append(script.open(script.flow(service)))
        elif what < 94:
            again(script, script.random.choice(flows))
        else:
            script.conns()
    script.look(stats=False)  # a server that comes back has its counters zeroed as of the last tick, whenever that was
    return script


SWITCHES: dict[str, tuple[int, ...]] = {
    "sloppy_tcp": (0, 1),
    "sloppy_sctp": (0, 1),
    "conn_reuse_mode": (0, 1, 2, 3),
    "expire_nodest_conn": (0, 1),
    "expire_quiescent_template": (0, 1),
    "nat_icmp_send": (0, 1),
    "cache_bypass": (0, 1),
    "schedule_icmp": (0, 1),
    "pmtu_disc": (0, 1),
    "secure_tcp": (0, 3),
    "drop_packet": (0, 3),
    "am_droprate": (1, 2, 3),
    "snat_reroute": (0, 1),
    "ignore_tunneled": (0, 1),
    "conntrack": (0,),
    "backup_only": (0, 1),
    "sync_version": (2, 1),
    "sync_ports": (1,),
    "run_estimation": (1,),
    "nosuch": (1,),
    "lblcr_expiration": (60,),
}


def sysctls(seed: int) -> Script:
    """Every switch of net.ipv4.vs that decides something, thrown in the middle of traffic."""
    script = Script("sysctls", seed)
    services = [
        script.service(script.pick("rr", "lc", "wrr"), protocol, method=script.pick("-m", "-m", "-g", "-i"))
        for protocol in (p.TCP, p.UDP)
    ]
    servers = [script.server(service, number, 1) for service in services for number in (10, 11)]
    flows: list[Flow] = []
    for _ in range(script.random.randrange(30, 45)):
        what = script.random.randrange(100)
        service = script.random.choice(services)
        if what < 30:
            name = script.random.choice(list(SWITCHES))
            script.sysctl(name, script.random.choice(SWITCHES[name]) if script.chance(95) else script.pick(-1, 4))
        elif what < 55 or not flows:
            flows.append(script.open(script.flow(service)))
        elif what < 80:
            turn(script, script.random.choice(flows), script.random.choice(servers))
        elif what < 86:
            script.edit(service, script.pick("10.0.0.10", "10.0.0.11"), script.pick(0, 1))
        elif what < 92:
            stray = script.flow(service)
            turn(script, stray, script.random.choice(servers))
        else:
            script.conns()
    script.look(stats=script.chance(30))
    return script


KINDS: dict[str, Callable[[int], Script]] = {
    "states": states,
    "timers": timers,
    "persist": persist,
    "trash": trash,
    "sysctls": sysctls,
}
