"""Kinds about the connection table's size, which follows the connections since Linux 7.1.

`growth` (rows with more and more connections), `shrinking` (connections go: when rows go, and how many).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import packets as p
from .releases import beginning
from .script import Flow, Script, Service

PERIOD = 2
"""Seconds from one look of the kernel's at its table to the next."""
MANY, FEW = 7, 8
"""Marks of two services."""


def growth(seed: int) -> Script:
    """The table's size, before the first service, with more and more connections, and after the last service."""
    script = Script("growth", seed)
    script.ipvsadm("-Ln")
    if script.chance(30):
        script.sysctl("conn_lfactor", script.pick(-8, -5, -4, -2, -1, 1, 2))
    service, _ = beginning(script, six=script.chance(20))
    for _ in range(script.random.randrange(1, 4)):
        script.ipvsadm("-Ln")
        for _ in range(script.pick(4, 20, 40, 70)):
            script.open(script.flow(service))
        script.sleep(1.5)
    script.ipvsadm("-Ln")
    if script.chance(40):
        script.sysctl("conn_lfactor", script.pick(-8, -4, -2, 1, 2))
        script.sleep(1.5)
        script.ipvsadm("-Ln")
        for _ in range(script.pick(2, 20)):
            script.open(script.flow(service))
        script.sleep(1.5)
    script.ipvsadm("-C")
    script.sleep(0.5)
    script.ipvsadm("-Ln")
    if script.chance(50):
        service, _ = beginning(script)
        script.ipvsadm("-Ln")
        script.open(script.flow(service))
        script.conns()
    return script


def shrinking(seed: int) -> Script:
    """The table's size while most connections end, all at once or by their timeouts, and a few stay; with several load
    factors, also one that is written again. The size is listed a good half of a second from where the kernel looks at it."""
    script = Script("shrinking", seed, marks=[MANY, FEW])
    script.sysctl("expire_nodest_conn", 1)
    if script.chance(40):
        script.sysctl("conn_lfactor", script.pick(-5, -4, -3, -1, 0, 1))
    services = {mark: _marked(script, mark, number) for mark, number in ((MANY, 10), (FEW, 11))}
    times_out = script.chance(30)
    for mark, count in (
        (FEW, script.pick(0, 1, 5, 20, 40, 70)),
        (MANY, 70 if times_out else script.pick(70, 150, 300)),
    ):
        if mark == MANY and times_out:
            script.ipvsadm("--set", 0, 0, 3)
        if count:
            _connect(script, services[mark], mark, count)
    if times_out:
        script.sleep(3.5)
    else:
        if script.chance(75):
            script.remove(services[MANY], next(iter(services[MANY].servers)))
        else:
            script.ipvsadm("-C")
        script.sleep(0.6)
    script.ipvsadm("-Ln")
    if script.chance(40):
        script.sysctl("conn_lfactor", script.pick(-5, -2, -2, -2, 0))
        script.sleep(0.9)
        script.ipvsadm("-Ln")
    for _ in range(2):
        script.sleep(PERIOD)
        script.ipvsadm("-Ln")
    return script


def _marked(script: Script, mark: int, number: int) -> Service:
    service = script.service("rr", p.UDP, six=True, mark=mark, method="-g")
    script.server(service, number, 1)
    return service


def _connect(script: Script, service: Service, mark: int, count: int) -> None:
    """So many connections of one client, each to another address."""
    flow = script.flow(service)
    first = p.address(f"2001:db8:80::{mark}:0")
    script.flood(script.datagram(Flow(replace(service, address=first), flow.client, flow.port)), count, mark)


KINDS: dict[str, Callable[[int], Script]] = {"growth": growth, "shrinking": shrinking}
