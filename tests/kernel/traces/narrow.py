"""`narrow`: routers behind the director that can't pass on what it wrapped, and what it then tells its clients."""

from __future__ import annotations

import struct
from collections.abc import Callable

from . import packets as p
from .script import Flow, Script

DIRECTOR = p.address("10.0.0.1")
IPIP, GRE = 4, 47
PORT = 6080
TUNNELS: dict[str, tuple[object, ...]] = {
    "ipip": (), "gre": ("--tun-type", "gre"), "gue": ("--tun-type", "gue", "--tun-port", PORT),
}  # fmt: skip
"""ipvsadm's words for each kind of tunnel."""


def wrapped(kind: str, server: bytes, inner: bytes) -> bytes:
    """A packet as the director sends it to a server, by a tunnel of that kind: the beginning, which an error quotes."""
    if kind == "gre":
        return p.ip4(DIRECTOR, server, GRE, b"\0\0\x08\0" + inner, whole=True)
    if kind == "gue":
        header = bytes((0, IPIP, 0, 0))
        return p.ip4(
            DIRECTOR, server, p.UDP, struct.pack("!HHHH", 40000, PORT, 12 + len(inner), 0) + header + inner, whole=True
        )
    return p.ip4(DIRECTOR, server, IPIP, inner, whole=True)


def narrow(seed: int) -> Script:
    """Requests with and without leave to cut them up, and errors about their wrapped selves, with ever other MTUs."""
    script = Script("narrow", seed)
    if script.chance(20):
        script.sysctl("pmtu_disc", 0)
    kind = script.pick("ipip", "gre", "gue", "gue")
    service = script.service("rr", script.pick(p.TCP, p.UDP), method="-i")
    server = script.server(service, 10, 1, *TUNNELS[kind])
    for _ in range(script.random.randrange(3, 7)):
        flow = script.flow(service)
        first = script.opening(flow, whole=script.chance(75))
        script.packet(first)
        for _ in range(script.random.randrange(1, 3)):
            error(script, flow, kind, server, first)
        if script.chance(40):
            size = script.pick(1200, 1400, 1440)
            script.packet(
                script.segment(flow, p.ACK, b"d" * size, whole=True)
                if service.protocol == p.TCP
                else script.datagram(flow, b"d" * size, whole=True)
            )
    script.look(stats=script.chance(30))
    return script


def error(script: Script, flow: Flow, kind: str, server: str, request: bytes) -> None:
    """What a router says of the request, wrapped: mostly that it is too long."""
    code, mtu = script.pick((4, 1300), (4, 1400), (4, 600), (4, 100), (4, 68), (1, 0))
    quoted = wrapped(kind, p.address(server), request)
    message = p.icmp(3, code, mtu, quoted[: script.pick(len(quoted), 80, 60)])
    origin = p.address("10.0.0.12")
    script.packet(p.frame(origin, p.ip4(origin, DIRECTOR, p.ICMP, message, ident=script.ident())), on="server")


KINDS: dict[str, Callable[[int], Script]] = {"narrow": narrow}
