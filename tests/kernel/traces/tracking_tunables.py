"""`tracked_tunables`: connection tracking with other timeouts and switches (net.netfilter.nf_conntrack_*).

Flows of one service, none with another's port, each of which a client opens after a pause: an entry whose time is over may
stand in another one's way until the kernel sweeps it, once a minute, and a minute of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .lifetimes import turn
from .script import Flow, Script
from .tracking import Talk, asks, association, made

NETFILTER = "net.netfilter.nf_conntrack_"
SHORT = {
    p.TCP: ("syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "max_retrans",
            "unacknowledged"),
    p.UDP: ("", "stream"),
    p.SCTP: ("closed", "cookie_wait", "cookie_echoed", "established", "shutdown_sent", "shutdown_recd", "shutdown_ack_sent",
             "heartbeat_sent"),
}  # fmt: skip
SWITCHES = ("tcp_loose", "tcp_be_liberal", "tcp_ignore_invalid_rst")


def tunable(script: Script, protocol: int) -> None:
    """One of them gets another value, some of which are refused."""
    if protocol == p.TCP and script.chance(45):
        name = script.random.choice(SWITCHES)
        script.sysctl(name, script.pick(0, 1, 1) if script.chance(96) else script.pick(-1, 2), NETFILTER)
    elif protocol == p.TCP and script.chance(15):
        script.sysctl("tcp_max_retrans", script.pick(0, 1, 2, 255, 256), NETFILTER)
    else:
        kind = {p.TCP: "tcp", p.UDP: "udp", p.SCTP: "sctp"}[protocol]
        state = script.random.choice(SHORT[protocol])
        seconds = script.pick(2, 2, 6, 6, 1000) if script.chance(96) else script.pick(-1, 21474837)
        script.sysctl(f"{kind}_timeout{'_' if state else ''}{state}", seconds, NETFILTER)


def tracked_tunables(seed: int) -> Script:
    """A few flows of one service, with tunables turned now and then, and pauses in which entries end."""
    script = Script("tracked_tunables", seed, marks=[7])
    six = script.chance(15)
    script.sysctl("conntrack", 1)
    asks(script, six)
    service = made(script, six)
    for _ in range(script.random.randrange(1, 5)):
        tunable(script, service.protocol)
    talks = []
    for _ in range(3):
        flow = script.flow(service)
        talks.append(Talk(script, flow, script.random.choice(list(service.servers))))
    rested = set(talks)
    for _ in range(script.random.randrange(22, 34)):
        happens(script, script.random.choice(talks), talks, rested)
        if script.chance(22):
            script.conns()
    script.look(stats=script.chance(40))
    return script


def happens(script: Script, talk: Talk, talks: list[Talk], rested: set[Talk]) -> None:
    """One event. Those that ``rested`` have not spoken since the last pause."""
    what, protocol = script.random.randrange(100), talk.flow.service.protocol
    if what < 10:
        tunable(script, protocol)
    elif what < 22:
        script.sleep(script.pick(1, 3.5, 3.5, 7.5))
        rested.update(talks)
    elif what < 28 and protocol == p.TCP:
        renewed = Flow(talk.flow.service, talk.flow.client, script.flow(talk.flow.service).port)
        other = talks[talks.index(talk)] = Talk(script, renewed, talk.server)
        rested.add(other)
    elif protocol == p.TCP and talk in rested:
        rested.remove(talk)
        script.pick(talk.again, talk.handshake, talk.handshake)()
    elif protocol == p.TCP:
        script.pick(talk.again, talk.handshake, talk.step, talk.step, talk.step)()
    elif protocol == p.SCTP:
        association(script, talk.flow, talk.server)
    else:
        turn(script, talk.flow, talk.server)


KINDS: dict[str, Callable[[int], Script]] = {"tracked_tunables": tracked_tunables}
