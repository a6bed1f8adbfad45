"""What the kernel's log says at debug level 12: a trace for each part of IPVS, the same each time."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .script import Flow, Script, Service

LEVEL = 12


def script(name: str, marks: tuple[int, ...] = (), level: int = LEVEL) -> Script:
    made = Script("log", 0, marks)
    made.header.update(name=f"log-{name}", debug_level=level)
    return made


def levels(level: int) -> Callable[[], Script]:
    """The same story at a lower level."""

    def make() -> Script:
        made = script(f"level-{level}", level=level)
        service = made.service("wlc", method="-m", port=80, flags=("-p", 300))
        server = made.server(service, 10, 1)
        made.ipvsadm("-a", *service.words, "-r", made.real(service, server), "-m")
        made.edit(service, server, 3, "-x", 2, "-y", 5)
        talk(made, made.flow(service), server)
        made.remove(service, server)
        made.open(made.flow(service))
        made.ipvsadm("-C")
        return made

    return make


def flood() -> Script:
    """More errors than the kernel writes in five seconds."""
    made = script("flood")
    service = made.service("lc", method="-m")
    for _ in range(14):
        made.open(made.flow(service))
    made.sleep(6)
    made.open(made.flow(service))
    return made


def talk(made: Script, flow: Flow, server: str) -> None:
    """A whole TCP conversation through address translation, to its end from both sides."""
    made.packet(made.segment(flow, p.SYN), flow.mark)
    made.segment_back(flow, server, p.SYN | p.ACK)
    made.packet(made.segment(flow, p.ACK), flow.mark)
    made.packet(made.segment(flow, p.FIN | p.ACK), flow.mark)
    made.segment_back(flow, server, p.FIN | p.ACK)
    made.packet(made.segment(flow, p.ACK), flow.mark)


def admin() -> Script:
    """Commands, refused ones too."""
    made = script("admin")
    service = made.service("wlc", method="-m")
    server = made.server(service, 10, 1)
    made.ipvsadm("-a", *service.words, "-r", made.real(service, server), "-m")
    made.edit(service, server, 3, "-x", 5, "-y", 2)
    made.edit(service, server, 3, "-x", 2, "-y", 5)
    made.ipvsadm("-e", *service.words, "-r", "10.0.0.99:80", "-m")
    made.ipvsadm("-d", *service.words, "-r", "10.0.0.99:80")
    made.ipvsadm("-a", *service.words, "-r", "10.0.0.12", "-i", "--tun-type", "gue", "--tun-port", "0")
    made.ipvsadm("-E", *service.words, "-s", "rr")
    made.ipvsadm("-E", *service.words, "-s", "nosuch")
    made.ipvsadm("-A", "-t", "203.0.113.200:80", "-s", "nosuch")
    made.ipvsadm("-A", *service.words, "-s", "rr")
    made.ipvsadm("--set", 100, 0, 30)
    made.remove(service, server)
    made.server(service, 10, 2)
    made.ipvsadm("-Ln")
    made.ipvsadm("-Z")
    made.server(service, 11, 2)
    made.ipvsadm("-D", *service.words)
    six = made.service("rr", six=True, method="-m")
    made.server(six, 12, 1)
    made.service("rr", mark=9)
    for scheduler in ("lblc", "sh", "mh", "dh", "wrr"):
        made.ipvsadm("-E", *six.words, "-s", scheduler)
    made.ipvsadm("-E", *six.words, "-s", "wrr", "-p", 20, "--pe", "sip")
    made.ipvsadm("-C")
    return made


def trash() -> Script:
    """Servers with and without connections go to the trash, come back, and are freed; the service last."""
    made = script("trash")
    made.ipvsadm("--set", 0, 0, 30)
    service = made.service("rr", p.UDP, method="-m")
    kept = made.server(service, 10, 1)
    made.open(made.flow(service))
    idle = made.server(service, 11, 1)
    made.remove(service, kept)
    made.server(service, 10, 1)
    made.remove(service, kept)
    made.remove(service, idle)
    third = made.server(service, 12, 1)
    made.sleep(70)
    made.remove(service, third)
    made.server(service, 13, 1)
    made.ipvsadm("-D", *service.words)
    made.ipvsadm("-A", *service.words, "-s", "rr")
    made.server(service, 13, 1)
    made.remove(service, "10.0.0.13")
    made.sleep(260)
    made.ipvsadm("-D", *service.words)
    return made


def life() -> Script:
    """A connection from SYN to its expiry, and packets that belong to none."""
    made = script("life")
    service = made.service("wlc", method="-m", port=80)
    server = made.server(service, 10, 2)
    flow = made.flow(service)
    talk(made, flow, server)
    stray = made.flow(service)
    made.packet(made.segment(stray, p.ACK))
    made.segment_back(stray, server, p.ACK)
    elsewhere = Flow(Service(service.words, p.TCP, service.address, 81), made.client(), 4000)
    made.packet(made.segment(elsewhere, p.SYN))
    made.packet(made.segment(made.flow(service), p.SYN))
    made.sleep(150)
    return made


def methods() -> Script:
    """Direct routing, tunnels, local servers, UDP, one-packet scheduling."""
    made = script("methods")
    for number, (method, protocol, flags) in enumerate(
        (("-g", p.TCP, ()), ("-i", p.TCP, ()), ("-g", p.UDP, ("-o",)), ("-m", p.UDP, ()), ("-m", p.UDP, ("-o",)))
    ):
        service = made.service("rr", protocol, method=method, port=100 + number, flags=flags)
        server = made.server(service, 10 + number, 1)
        flow = made.open(made.flow(service))
        made.packet(made.segment(flow, p.ACK) if protocol == p.TCP else made.datagram(flow), None)
        if method == "-m":
            made.datagram_back(flow, server)
    return made


def picks(name: str, schedulers: tuple[str, ...], count: int = 6) -> Callable[[], Script]:
    """Each scheduler picks a few times, with servers of several weights, one of them 0."""

    def make() -> Script:
        made = script(name)
        for number, scheduler in enumerate(schedulers):
            service = made.service(scheduler, method="-m", port=1000 + number)
            for server, weight in ((10, 1), (11, 3), (12, 0)):
                made.server(service, server, weight)
            for _ in range(count):
                flow = made.open(made.flow(service))
            made.packet(made.segment(flow, p.ACK))
            made.open(made.flow(service))
            made.edit(service, "10.0.0.10", 0)
            made.remove(service, "10.0.0.11")
            made.open(made.flow(service))
            made.ipvsadm("-D", *service.words)
        return made

    return make


def nobody() -> Script:
    """No server to be had: no scheduler's fault, each scheduler's own words."""
    made = script("nobody")
    for number, scheduler in enumerate(("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf")):
        service = made.service(scheduler, method="-m", port=1000 + number)
        made.open(made.flow(service))
        made.server(service, 10, 0)
        made.open(made.flow(service))
        made.sleep(6)
    return made


def persist() -> Script:
    """Templates: made, found, orphaned; by address, mark and port 0."""
    made = script("persist", marks=(7,))
    service = made.service("rr", method="-m", port=80, flags=("-p", 300))
    server = made.server(service, 10, 1)
    made.server(service, 11, 1)
    client = made.client()
    flow = made.open(made.flow(service, client))
    made.segment_back(flow, server, p.SYN | p.ACK)
    made.packet(made.segment(flow, p.ACK))
    made.open(made.flow(service, client))
    made.open(made.flow(service))
    made.remove(service, "10.0.0.11")
    made.open(made.flow(service, client))
    marked = made.service("wlc", method="-m", mark=7, port=80, flags=("-p", 300))
    made.open(made.flow(marked))
    made.server(marked, 12, 1)
    made.open(made.flow(marked))
    zero = made.service("rr", method="-m", port=0, flags=("-p", 300, "-M", "255.255.255.0"))
    made.server(zero, 13, 1)
    made.open(made.flow(Service(zero.words, p.TCP, zero.address, 8080)))
    return made


def templates() -> Script:
    """A template outlives its time, since it controls a connection; then both go."""
    made = script("templates")
    service = made.service("rr", method="-m", port=80, flags=("-p", 10))
    made.server(service, 10, 1)
    made.open(made.flow(service))
    made.sleep(16)
    made.sleep(90)
    return made


def gone() -> Script:
    """The server of a persistent connection goes, and with expire_nodest_conn all that it had."""
    made = script("gone")
    made.sysctl("expire_nodest_conn", 1)
    service = made.service("rr", method="-m", port=80, flags=("-p", 300))
    server = made.server(service, 10, 1)
    made.open(made.flow(service))
    made.remove(service, server)
    made.sleep(1)
    made.ipvsadm("-Ln")
    return made


def marks() -> Script:
    """Services by firewall mark, and port 0 without persistence."""
    made = script("marks", marks=(7, 8))
    service = made.service("rr", method="-m", mark=7, port=80)
    made.server(service, 10, 1)
    made.open(made.flow(service))
    unmarked = Service(service.words, p.TCP, service.address, 80, 8)
    made.open(made.flow(unmarked))
    zero = made.service("rr", method="-m", port=0)
    made.server(zero, 11, 1)
    made.open(made.flow(Service(zero.words, p.TCP, zero.address, 8080)))
    return made


def six() -> Script:
    """IPv6, TCP and UDP."""
    made = script("six")
    service = made.service("wlc", six=True, method="-m", port=80)
    server = made.server(service, 10, 2)
    talk(made, made.flow(service), server)
    direct = made.service("rr", p.UDP, six=True, method="-g", port=53)
    made.server(direct, 11, 1)
    made.open(made.flow(direct))
    made.remove(service, server)
    made.ipvsadm("-C")
    return made


def reuse() -> Script:
    """Connections that make place: a reused port, a server of weight 0, servers that are gone."""
    made = script("reuse")
    service = made.service("rr", method="-m", port=80)
    made.server(service, 10, 1)
    made.server(service, 11, 1)
    flow = made.flow(service)
    talk(made, flow, "10.0.0.11")
    made.packet(made.segment(flow, p.SYN))
    made.sysctl("expire_nodest_conn", 1)
    other = made.open(made.flow(service))
    made.edit(service, "10.0.0.11", 0)
    made.packet(made.segment(other, p.SYN))
    made.remove(service, "10.0.0.11")
    made.sleep(1)
    made.packet(made.segment(other, p.ACK))
    made.sysctl("expire_nodest_conn", 0)
    made.server(service, 12, 1)
    gone = made.open(made.flow(service))
    made.remove(service, "10.0.0.12")
    made.packet(made.segment(gone, p.ACK))
    return made


def errors() -> Script:
    """ICMP about connections, from both sides."""
    made = script("errors")
    service = made.service("rr", method="-m", port=80)
    server = made.server(service, 10, 1)
    flow = made.open(made.flow(service))
    back = p.ip(service.address, flow.client, p.TCP, p.tcp(service.address, flow.client, (80, flow.port), p.ACK))
    made.packet(p.ip(flow.client, service.address, p.ICMP, p.icmp(3, 4, 1400, back)))
    made.packet(p.ip(flow.client, service.address, p.ICMP, p.icmp(3, 1, 0, back, damage=1)))
    origin = p.address(server)
    there = p.ip(flow.client, origin, p.TCP, p.tcp(flow.client, origin, (flow.port, service.server_port), p.ACK))
    made.packet(p.frame(origin, p.ip(origin, flow.client, p.ICMP, p.icmp(3, 3, 0, there))), on="server")
    return made


def sctp() -> Script:
    """SCTP's states."""
    made = script("sctp")
    service = made.service("rr", p.SCTP, method="-m", port=80)
    server = made.server(service, 10, 1)
    flow = made.open(made.flow(service))
    back, there = (service.server_port, flow.port), (flow.port, 80)
    made.reply(flow, server, p.SCTP, p.sctp(back, 1, p.chunk(2, 0, bytes(16))))
    for kind in (10, 0, 7):
        made.packet(p.ip(flow.client, service.address, p.SCTP, p.sctp(there, 1, p.chunk(kind, 0, bytes(12)))))
        made.reply(flow, server, p.SCTP, p.sctp(back, 1, p.chunk(11, 0)))
    return made


SCRIPTS: tuple[Callable[[], Script], ...] = (
    admin,
    trash,
    life,
    methods,
    picks("loads", ("lc", "wlc", "sed", "nq")),
    picks("turns", ("rr", "wrr", "fo", "ovf")),
    picks("caches", ("lblc", "lblcr")),
    picks("hashes", ("dh", "mh")),
    picks("source", ("sh",)),
    nobody,
    persist,
    marks,
    six,
    reuse,
    errors,
    sctp,
    templates,
    gone,
    flood,
    levels(0),
    levels(3),
    levels(7),
)


def main() -> None:
    """Write them all into a directory."""
    import sys
    from pathlib import Path

    for make in SCRIPTS:
        made = make()
        (Path(sys.argv[1]) / f"{made.header['name']}.trace").write_text(made.text())


if __name__ == "__main__":
    main()
