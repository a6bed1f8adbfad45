"""Kinds about when the kernel's timers fire, to the jiffy: `lapses` (connections, templates), `given_up` (packets whose
other fragments, or whose neighbour's answer, do not come) and `levels` (those of defence). A timer may be late by an eighth
of its time, and these traces look at just that eighth. `ages` are long times, all sorts of them.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import again, turn
from .pieces import cut6
from .script import Flow, Script

LATE = 8
"""A timer is late by one of so many parts of its time at most."""
FRAGMENTS4, FRAGMENTS6, NEIGHBOUR = 30, 60, 3
"""Seconds after which a packet is given up."""


LONG = ("ages",)
"""Kinds whose traces last half an hour: for kernels in which waiting takes no time."""


def lapses(seed: int) -> Script:
    """Short timeouts, and many looks at the connections around the end of one of them."""
    script = Script("lapses", seed)
    times = [script.random.randrange(1, 75) for _ in range(3)]
    script.ipvsadm("--set", *times)
    flags = ("-p", script.random.randrange(1, 40)) if script.chance(30) else ()
    service = script.service("rr", script.pick(p.TCP, p.TCP, p.UDP, p.SCTP), six=script.chance(20), flags=flags)
    server = script.server(service, 10, 1)
    flows = []
    for _ in range(script.random.randrange(3, 7)):
        flows.append(script.open(script.flow(service)))
        for _ in range(script.random.randrange(3)):
            turn(script, script.random.choice(flows), server)
    if service.protocol == p.TCP and script.chance(60):
        for flow in flows:
            script.packet(script.segment(flow, script.pick(p.ACK, p.FIN | p.ACK, p.RST)), flow.mark)
    script.conns()
    short = script.pick(min(times), *times, *(int(word) for word in flags[1:]))
    script.sleep(max(short - 0.6, 0.1))
    for _ in range(script.random.randrange(12, 20)):
        script.sleep(round(script.random.uniform(0, (short / LATE + 1) / 10), 3))
        script.conns()
        if script.chance(10):
            turn(script, script.random.choice(flows), server)
    script.look(stats=False)
    return script


def given_up(seed: int) -> Script:
    """First pieces without the others and packets to silent servers, then other packets for as long as anybody may be told
    of them."""
    script = Script("given_up", seed)
    kind = script.pick("neighbour", "neighbour", "neighbour", "four", "four", "six")
    six = kind == "six" or (kind == "neighbour" and script.chance(30))
    service = script.service("rr", p.UDP, six=six, method=script.pick("-m", "-g", "-i"))
    other = script.service("rr", p.UDP, six=six, method="-m", port=9999)
    script.server(other, 11, 1)
    if kind == "neighbour":
        text = "fd00:10::c8" if six else "10.0.0.200"
        script.ipvsadm("-a", *service.words, "-r", script.real(service, text), service.method)
    else:
        script.server(service, 10, 1)
    for _ in range(script.random.randrange(1, 4)):
        flow = script.flow(service)
        whole = script.datagram(flow, b"p" * script.pick(900, 1400))
        if kind == "neighbour":
            script.packet(whole)
        else:
            size = script.pick(256, 512)
            script.packet(cut6(script, whole, size, ())[0] if six else p.fragments(whole, size)[0])
        if script.chance(40):
            script.sleep(round(script.random.uniform(0, 0.3), 3))
    time = {"neighbour": NEIGHBOUR, "four": FRAGMENTS4, "six": FRAGMENTS6}[kind]
    script.sleep(time - 0.5 if kind != "six" else time + script.random.randrange(3))
    watcher = script.flow(other)
    for _ in range(40 if kind != "six" else 90):
        script.packet(script.datagram(watcher))
    script.look(stats=False)
    return script


def levels(seed: int) -> Script:
    """Packets that open connections, while their rate of drops is written: it counts from the next tick on."""
    script = Script("levels", seed)
    script.sysctl("am_droprate", script.pick(2, 3))
    service = script.service("rr", p.UDP)
    script.server(service, 10, 1)
    if script.chance(50):
        script.sleep(round(script.random.uniform(0, 30), 2))
    script.sysctl("drop_packet", 3)
    for number in range(80):
        script.open(script.flow(service))
        if number % 25 == 5:
            script.sysctl("am_droprate", script.pick(1, 2, 3, 4, 7))
    script.look(stats=False)
    return script


def ages(seed: int) -> Script:
    """Minutes between packets: connections, templates, deleted servers and entries of caches that are old, or over."""
    script = Script("ages", seed)
    script.ipvsadm("--set", script.pick(0, 60, 900, 7200, 2000000), script.pick(0, 30, 400), script.pick(0, 20, 3000))
    for name, values in (
        ("lblc_expiration", (60, 200, 5000)), ("lblcr_expiration", (60, 200, 5000)), ("expire_nodest_conn", (0, 1)),
        ("expire_quiescent_template", (0, 1)), ("conntrack", (1,)), ("secure_tcp", (3,)), ("run_estimation", (0,)),
    ):  # fmt: skip
        if script.chance(35):
            script.sysctl(name, script.random.choice(values))
    flags = ("-p", script.pick(20, 60, 300, 7200, 2000000)) if script.chance(50) else ()
    protocol = script.pick(p.TCP, p.TCP, p.UDP, p.SCTP)
    service = script.service(script.pick("lblc", "lblcr", "rr", "wlc", "sh"), protocol, flags=flags, method="-m")
    for number in (10, 11, 12):
        script.server(service, number)
    flows: list[Flow] = []
    for _ in range(script.random.randrange(30, 45)):
        what = script.random.randrange(100)
        away = [number for number in (10, 11, 12, 13) if f"10.0.0.{number}" not in service.servers]
        if what < 25:
            longest = script.pick(3, 70, 70, 130, 200, 400, 1000, 3000)
            script.sleep(round(script.random.uniform(0, longest), 3))
        elif what < 35 and service.servers:
            script.remove(service, script.random.choice(list(service.servers)))
        elif what < 45 and away:
            script.server(service, script.random.choice(away))
        elif what < 62 or not flows:
            flows.append(script.open(script.flow(service)))
        elif what < 75:
            again(script, script.random.choice(flows))
        elif what < 85 and service.servers:
            turn(script, script.random.choice(flows), script.random.choice(list(service.servers)))
        else:
            script.conns()
    script.look()
    return script


KINDS: dict[str, Callable[[int], Script]] = {"lapses": lapses, "given_up": given_up, "levels": levels, "ages": ages}
