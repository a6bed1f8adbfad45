"""What the host learns from ICMP errors about its own datagrams. Recorded, too: teach-1 and teach6-1."""

from __future__ import annotations

import pytest

from ipvssim.net.checksums import finish, pseudo, total
from ipvssim.path.connections import DIRECT, MASQUERADE
from tests.ipvssim import worlds as w

HOST, HOST6 = bytes((10, 0, 0, 1)), bytes.fromhex("fd000010000000000000000000000001")
ELSEWHERE = bytes((192, 0, 2, 99))
DATAGRAM = bytes.fromhex("1234567800220000") + bytes(26)
ECHO_REPLY, ECHO = bytes(34), b"\x08" + bytes(33)
ICMP, ICMPV6, UDP_LITE = 1, 58, 136


def error4(mtu: int, *, protocol: int = w.UDP, source: bytes = HOST, body: bytes = DATAGRAM) -> bytes:
    """Fragmentation needed, from the server to the host, about a packet of the host's own to that server."""
    return w.icmp(3, 4, mtu, w.ip(source, w.SERVER, protocol, body), source=w.SERVER, target=HOST)


def mtu4(world: w.World) -> int:
    return world.kernel.network.path(w.SERVER).mtu


@pytest.mark.parametrize(
    ("release", "told", "learned"),
    [
        ("6.1.190", {}, 1500),
        ("6.1.191", {}, 900),
        ("6.1.191", {"protocol": w.TCP}, 1500),
        ("6.1.191", {"source": ELSEWHERE}, 1500),
        ("6.1.191", {"body": DATAGRAM[:7]}, 1500),
        ("6.1.190", {"protocol": ICMP, "body": ECHO_REPLY}, 900),
        ("6.1.191", {"protocol": ICMP, "body": ECHO}, 1500),
    ],
)
def test_which_errors_narrow_a_way(release: str, told: dict[str, object], learned: int) -> None:
    """A datagram's since ``udp_errors_teach``, an echo reply's always; not a segment's, not another host's, no short one."""
    world = w.World(release)
    world.from_server(error4(900, **told))  # type: ignore[arg-type]
    assert mtu4(world) == learned


def test_a_broken_error_teaches_nothing() -> None:
    """Its checksum is verified."""
    world = w.World("7.3")
    data = bytearray(error4(900))
    data[22] ^= 1
    world.from_server(bytes(data))
    assert mtu4(world) == 1500


def test_what_is_learned_at_least_holds_for_all() -> None:
    """Less than 552 is taken for 552, and then forwarded packets heed it, too; of more they know nothing."""
    for mtu, own, through in ((900, 900, 1500), (300, 552, 552)):
        world = w.World("7.3")
        world.from_server(error4(mtu))
        path = world.kernel.network.path(w.SERVER)
        assert (path.mtu, path.through, path.beyond().mtu) == (own, through, through)


@pytest.mark.parametrize(
    ("release", "mtu", "protocol", "learned"),
    [
        ("6.12.116", 1300, w.UDP, 1500),
        ("6.12.117", 1300, w.UDP, 1300),
        ("6.12.117", 1300, UDP_LITE, 1300),
        ("7.3", 1300, UDP_LITE, 1500),
        ("7.3", 1200, w.UDP, 1500),
        ("6.1.176", 1300, ICMPV6, 1300),
        ("7.3", 1300, w.TCP, 1500),
    ],
)
def test_over_ipv6(release: str, mtu: int, protocol: int, learned: int) -> None:
    """Of datagrams since ``udp_errors_teach6``, of ICMPv6 always; less than 1280 is nothing."""
    world = w.World(release)
    quoted = w.ip(HOST6, w.SERVER6, protocol, DATAGRAM)
    head = bytes((2, 0, 0, 0)) + mtu.to_bytes(4, "big")
    check = finish(total(head + quoted) + pseudo(w.SERVER6, HOST6, ICMPV6, len(head + quoted)))
    world.from_server(w.ip(w.SERVER6, HOST6, ICMPV6, head[:2] + check.to_bytes(2, "big") + head[4:] + quoted))
    assert world.kernel.network.path(w.SERVER6).mtu == learned


@pytest.mark.parametrize(
    ("method", "before", "sent"), [(DIRECT, True, 1000), (DIRECT, False, 556), (MASQUERADE, True, 556)]
)
@pytest.mark.parametrize("batch", [False, True])
def test_the_way_of_direct_routing_is_as_wide_as_at_first(method: int, before: bool, sent: int, batch: bool) -> None:
    """The first packet of direct routing to a server asks for a route that no table has: what is told then, for the first
    time, does not narrow it. ``batch``: the express lane sends that packet."""
    world = w.World()
    world.server(world.service(), port=80, method=method)
    if before:
        assert (world.kernel.receive_many([w.tcp()], "client")[0] if batch else world.client(w.tcp())).out
    world.from_server(error4(560, protocol=ICMP, body=ECHO_REPLY))
    result = world.client(w.tcp(port=1025, payload=bytes(960)))
    assert max(len(data) - 14 for _, data in result.out) == sent


def narrow(mtu: int) -> w.World:
    world = w.World()
    world.kernel.network.add_route("192.0.2.0/24", device="client", mtu=mtu)
    return world


@pytest.mark.parametrize(
    ("mtu", "options", "sent"),
    [(67, b"", False), (68, b"", True), (68, b"\x07\x17\x04" + bytes(21), False), (92, b"", True)],
)
def test_errors_need_room(mtu: int, options: bytes, sent: bool) -> None:
    """No error of the host's own leaves by a way narrower than 68 bytes, nor one that could quote no more than a header."""
    packet = w.ip(w.CLIENT, bytes((10, 0, 0, 11)), w.UDP, DATAGRAM, ttl=1, options=options)
    assert bool(narrow(mtu).client(packet).out) is sent
