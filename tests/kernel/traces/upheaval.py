"""`upheaval`: services and servers that change in everything that they can be, while their connections and templates live.

Other kinds change one thing at a time; here one-packet scheduling, persistence, its netmask and engine, schedulers and their
flags, forwarding methods, weights, thresholds and tunables change together, by address, by mark, and for any port.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .calls import message
from .lifetimes import turn
from .paths import client_error, server_error
from .script import OPTIONS, SCHEDULERS, Flow, Script, Service

FLAGS = {"sh": ("sh-port", "sh-fallback"), "mh": ("mh-port", "mh-fallback")}
SWITCHES: dict[str, tuple[int, ...]] = {
    "expire_nodest_conn": (0, 1), "expire_quiescent_template": (0, 1), "conn_reuse_mode": (0, 1, 2, 3),
    "schedule_icmp": (0, 1), "nat_icmp_send": (0, 1), "sloppy_tcp": (0, 1), "secure_tcp": (0, 3),
    "cache_bypass": (0, 1), "drop_packet": (0, 3), "am_droprate": (2, 3), "pmtu_disc": (0, 1),
}  # fmt: skip
MARK = 7


def scheduling(script: Script, service: Service) -> list[object]:
    """A scheduler and flags for a service, as `-A` and `-E` take them."""
    scheduler = script.random.choice(SCHEDULERS)
    words: list[object] = ["-s", scheduler]
    six, any_port = len(service.address) == 16, service.port == 0 and not service.mark
    if any_port or script.chance(45):
        words += ["-p", script.pick(60, 300)]
        if script.chance(50):
            words += ["-M", script.pick("64", "128", "120") if six else script.pick("255.255.255.0", "255.255.0.0")]
        if service.protocol == p.UDP and script.chance(25):
            words += ["--pe", "sip"]
    if script.chance(25):
        words.append("-o")
    if scheduler in FLAGS and script.chance(50):
        words += ["-b", script.random.choice(FLAGS[scheduler])]
    return words


class Scene:
    """The services, the servers behind them, and the flows that were opened."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.six = script.chance(25)
        self.flows: list[Flow] = []
        self.services = [self._made() for _ in range(script.pick(1, 2, 2))]

    def _made(self) -> Service:
        script, six = self.script, self.six
        protocol, number = script.pick(p.TCP, p.UDP), script.random.randrange(1, 4)
        mark = MARK if script.chance(25) else None
        port = 0 if mark else script.pick(80, 80, 5060, 0, 21 if protocol == p.TCP else 53)
        text = f"[2001:db8:80::{number:x}]" if six else f"203.0.113.{number}"
        option = OPTIONS[protocol]
        words = ["-f", str(mark), *(["-6"] if six else [])] if mark else [option, f"{text}:{port}"]
        service = Service(words, protocol, p.address(text.strip("[]")), port, mark, script.pick("-m", "-m", "-g", "-i"))
        service.server_port = script.pick(port, 8080) if service.method == "-m" else port
        script.ipvsadm("-A", *words, *scheduling(script, service))
        for one in script.random.sample((10, 11, 12), script.pick(1, 2, 3)):
            script.server(service, one, script.pick(1, 1, 2), *script.thresholds(15))
        return service

    def place(self, service: Service) -> Service:
        """Where a client of it goes."""
        port = service.port or self.script.pick(80, 443, 5060)
        place = Service(service.words, service.protocol, service.address, port, service.mark, service.method)
        place.server_port = service.server_port or port
        return place

    def server(self) -> str:
        return str(
            self.script.pick("fd00:10::a", "fd00:10::b") if self.six else self.script.pick("10.0.0.10", "10.0.0.11")
        )

    def visit(self) -> None:
        """A client's first packet, or one that looks like it; of a client that was here, now and then."""
        script, service = self.script, self.script.random.choice(self.services)
        place = self.place(service)
        flow = script.flow(place, script.client(self.six, near=4))
        if self.flows and script.chance(15):
            flow.port = script.random.choice(self.flows).port
        self.flows.append(flow)
        if place.protocol == p.UDP:
            script.packet(script.datagram(flow, message(script, unlisted=False)), flow.mark)
        else:
            script.open(flow)

    def changed(self) -> None:
        """The administrator changes something."""
        script, what = self.script, self.script.random.randrange(100)
        service = script.random.choice(self.services)
        known = list(service.servers)
        if what < 40:
            script.ipvsadm("-E", *service.words, *scheduling(script, service))
        elif what < 60 and known:
            self._edited(service, script.random.choice(known))
        elif what < 72 and known:
            script.remove(service, script.random.choice(known))
        elif what < 86:
            tails = {one: f":{one:x}" if self.six else f".{one}" for one in (10, 11, 12)}
            away = [one for one, tail in tails.items() if not any(text.endswith(tail) for text in known)]
            if away:
                script.server(service, script.random.choice(away), script.pick(0, 1, 2), *script.thresholds(15))
        elif what < 90:
            script.ipvsadm("-D", *service.words)
            script.ipvsadm("-A", *service.words, *scheduling(script, service))
            service.servers.clear()
        else:
            name = script.random.choice(list(SWITCHES))
            script.sysctl(name, script.random.choice(SWITCHES[name]))

    def _edited(self, service: Service, text: str) -> None:
        """A server of it has another weight, other thresholds, or is reached otherwise."""
        script = self.script
        if script.chance(40) and service.server_port == service.port:
            service.method = script.pick("-m", "-g", "-i")
        script.edit(service, text, script.pick(0, 1, 3), *script.thresholds(20), *script.tunnel(service))

    def step(self) -> None:
        script, what = self.script, self.script.random.randrange(100)
        flow = script.random.choice(self.flows) if self.flows else None
        if what < 35 or flow is None:
            self.visit()
        elif what < 58:
            turn(script, flow, self.server())
        elif what < 64:
            client_error(script, flow)
        elif what < 69:
            server_error(script, flow, self.server())
        elif what < 94:
            self.changed()
        else:
            script.conns()


def upheaval(seed: int) -> Script:
    """Visits, answers and errors, and an administrator who changes his mind about everything."""
    script = Script("upheaval", seed, marks=[MARK])
    scene = Scene(script)
    for _ in range(script.random.randrange(45, 65)):
        scene.step()
    script.conns()
    script.look(stats=False)
    return script


KINDS: dict[str, Callable[[int], Script]] = {"upheaval": upheaval}
