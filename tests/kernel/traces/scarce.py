"""Kinds about what a director lacks: `scarce` (memory, by which it defends itself) and `unanswered` (servers that do not
answer when they are looked for, and the rest of packets in pieces).
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import turn
from .script import Script

PLENTY, TOO_MUCH = 1024, 0x7FFFFFFF
"""Thresholds in pages: what every host has, and what none has."""
PATIENCE = 4.5
"""Seconds after which a neighbour is surely given up."""


def scarce(seed: int) -> Script:
    """Modes of defence that look at memory, on and off, with more of it and less."""
    script = Script("scarce", seed)
    service = script.service(script.pick("rr", "wlc"), p.TCP, six=script.chance(20))
    server = script.server(service, 10, 1)
    flows = [script.open(script.flow(service))]
    for _ in range(script.random.randrange(25, 35)):
        what, flow = script.random.randrange(100), script.random.choice(flows)
        if what < 35:
            name = script.pick("drop_packet", "secure_tcp", "secure_tcp")
            script.sysctl(name, 0)
            script.sysctl("amemthresh", script.pick(PLENTY, TOO_MUCH, TOO_MUCH, -1, 0))
            script.sysctl(name, script.pick(1, 2, 2, 3))
        elif what < 65:
            flows.append(script.open(script.flow(service)))
        elif what < 92:
            turn(script, flow, server)
        else:
            script.conns()
    script.look(stats=False)
    return script


def unanswered(seed: int) -> Script:
    """Packets to servers that do not answer, and a first piece of a packet whose others never come: who is told counts."""
    script = Script("unanswered", seed)
    six = script.chance(40)
    service = script.service("rr", script.pick(p.TCP, p.UDP), six=six)
    options = script.tunnel(service)
    for text in ("fd00:10::c8", "fd00:10::c9") if six else ("10.0.0.200", "10.0.0.201"):
        script.ipvsadm("-a", *service.words, "-r", script.real(service, text), service.method, *options)
    if script.chance(50):
        script.server(service, 10, 1, *options)
    for _ in range(script.pick(1, 2)):
        flows = [
            script.open(script.flow(service), ttl=script.pick(64, 64, 1)) for _ in range(script.random.randrange(2, 6))
        ]
        for flow in flows:
            if script.chance(50):
                script.open(flow, whole=script.chance(50))
            if script.chance(40) and service.protocol == p.UDP and not six:
                for piece in p.fragments(script.datagram(flow, b"p" * script.pick(900, 1400)), 512):
                    script.packet(piece)
        script.sleep(PATIENCE)
    script.look()
    return script


KINDS: dict[str, Callable[[int], Script]] = {"scarce": scarce, "unanswered": unanswered}
