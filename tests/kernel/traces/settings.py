"""`settings`: tunables, timeouts and thresholds in and out of the ranges that releases of Linux give them."""

from __future__ import annotations

import struct
from collections.abc import Callable

from . import packets as p
from .administration import attribute, request
from .script import Script

NEW_SERVER, SET_CONFIG = 5, 12
SETTINGS = (
    ("run_estimation", (0, 1)), ("est_nice", (5, 40, -20, -21)), ("est_cpulist", (0,)),
    ("conn_lfactor", (-8, 8, -9, 9, -2)), ("svc_lfactor", (-8, 8, -9, 9, -2)), ("conn_max", (100, -1, 0, 2147483647)),
    ("sync_version", (0, 1, 2, 7, -1)), ("sync_threshold", (1, 3)), ("sync_retries", (3, 4, -1)),
    ("expire_quiescent_template", (1, 0)), ("ignore_tunneled", (1,)), ("schedule_icmp", (1,)), ("am_droprate", (10, 20)),
)  # fmt: skip
"""Tunables, and what is written to them."""
TIMEOUTS = (0, 60, 900, 2147483, 30000000, 0x7FFFFFFF)
"""Seconds: what fits into an int of jiffies, however many of them a second has (100 to 1000), and what does not."""


def settings(seed: int) -> Script:
    """Tunables in and out of their ranges; timeouts and thresholds too large for some kernels, by raw requests."""
    script = Script("settings", seed)
    script.ipvsadm("-A", "-t", "203.0.113.1:80", "-s", "wlc")
    sequence = 1
    for name, values in script.random.sample(SETTINGS, len(SETTINGS)):
        script.sysctl(name, script.random.choice(values))
        sequence += 1
        if script.chance(50):
            kinds = script.random.sample((4, 5, 6), 2)
            made = [attribute(kind, struct.pack("=I", script.random.choice(TIMEOUTS))) for kind in kinds]
            script.netlink(request(SET_CONFIG, sequence, 4, *made))
            script.ipvsadm("-L", "--timeout")
        elif script.chance(50):
            upper = script.pick(0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 5)
            script.netlink(request(NEW_SERVER, sequence, 4, *threshold(script.random.randrange(10, 14), upper)))
            script.ipvsadm("-Ln", "--thresholds")
    return script


def threshold(number: int, upper: int) -> list[bytes]:
    """Attributes of a server with that upper threshold."""
    service = [
        attribute(1, struct.pack("=H", 2)), attribute(2, struct.pack("=H", p.TCP)),
        attribute(3, p.address("203.0.113.1").ljust(16, b"\0")), attribute(4, struct.pack("!H", 80)),
    ]  # fmt: skip
    server = [
        attribute(1, p.address(f"10.0.0.{number}").ljust(16, b"\0")), attribute(2, struct.pack("!H", 80)),
        attribute(3, struct.pack("=I", 0)), attribute(4, struct.pack("=i", 1)),
        attribute(5, struct.pack("=I", upper)), attribute(6, struct.pack("=I", 0)),
    ]  # fmt: skip
    return [attribute(1, b"".join(service)), attribute(2, b"".join(server))]


KINDS: dict[str, Callable[[int], Script]] = {"settings": settings}
