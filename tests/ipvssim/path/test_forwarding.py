"""The forwarding methods: packet bytes in, packet bytes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvssim.net.packets import parse4
from ipvssim.path.result import Verdict
from tests.ipvssim import worlds as w

ETHERNET = 14


def sent(result: object) -> bytes:
    """The one packet that left, without its link header."""
    ((device, data),) = result.out  # type: ignore[attr-defined]
    return data[ETHERNET:] if device == "server" else data  # type: ignore[no-any-return]


@given(st.binary(max_size=300), st.sampled_from((w.TCP, w.UDP)), st.integers(2, 255))
def test_translation_there_and_back_keeps_checksums_right(payload: bytes, protocol: int, ttl: int) -> None:
    """A translated packet has right checksums in both directions; its payload, ports and lifetime are as they should be."""
    world = w.World()
    world.server(world.service(protocol))
    request = w.tcp(payload=payload, ttl=ttl) if protocol == w.TCP else w.udp(payload=payload, ttl=ttl)
    there = sent(world.client(request))
    assert w.is_sound(there) and there[8] == ttl - 1
    assert there[16:20] == w.SERVER and there[20:24] == (1024).to_bytes(2, "big") + (8080).to_bytes(2, "big")
    make = w.tcp if protocol == w.TCP else w.udp
    answer = make(port=8080, to=1024, payload=payload, source=w.SERVER, target=w.CLIENT)
    back = sent(world.from_server(answer))
    assert w.is_sound(back) and back[12:16] == w.VIRTUAL and back[20:22] == b"\0\x50"
    assert back[len(back) - len(payload) :] == payload


def test_a_wrong_checksum_stays_as_wrong() -> None:
    """TCP's checksum is changed by the difference: its error is still there behind the translation."""
    world = w.World()
    world.server(world.service())
    before = [int.from_bytes(w.tcp(damage=damage)[36:38], "big") for damage in (0, 0x0101)]
    after = [int.from_bytes(sent(world.client(w.tcp(damage=damage)))[36:38], "big") for damage in (0, 0x0101)]
    assert (before[0] - before[1] - after[0] + after[1]) % 0xFFFF == 0


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_a_missing_udp_checksum_is_filled_in(six: bool) -> None:
    """A UDP checksum of 0 is replaced by the right one, in both families."""
    client, virtual, server = (w.CLIENT6, w.VIRTUAL6, w.SERVER6) if six else (w.CLIENT, w.VIRTUAL, w.SERVER)
    world = w.World()
    world.server(world.service(w.UDP, virtual), server)
    data = sent(world.client(w.udp(source=client, target=virtual, checked=False)))
    start = 40 if six else 20
    assert data[start:] == w.udp(1024, 8080, source=client, target=server)[start:]


def test_sctp_is_summed_anew_only_where_the_port_changes() -> None:
    """A wrong CRC is repaired with the port, and left alone without."""
    for port, repaired in ((8080, True), (80, False)):
        world = w.World()
        world.server(world.service(w.SCTP), port=port)
        data = sent(world.client(w.sctp(w.chunk(1, bytes(16)), damage=1)))
        good = w.sctp(w.chunk(1, bytes(16)), to=port, target=w.SERVER)
        assert (data[20:] == good[20:]) is repaired


def test_direct_routing_changes_the_mac_and_the_lifetime_only() -> None:
    """The server's MAC is the destination, the IP packet the client's with a smaller TTL; the port is not changed."""
    world = w.World()
    world.server(world.service(), method=w.DIRECT)
    request = w.tcp(ttl=9)
    ((device, frame),) = world.client(request).out
    assert device == "server" and frame[:6] == bytes.fromhex("02000a00000a") and frame[6:12] == w.ROUTER
    assert frame[ETHERNET:] == w.tcp(ttl=8)


KINDS = {"ipip": (0, 0, 4, 0), "gue": (1, 0, 17, 12), "gue csum": (1, 1, 17, 12), "gue remcsum": (1, 2, 17, 12),
         "gre": (2, 0, 47, 4), "gre csum": (2, 1, 47, 8)}  # fmt: skip


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_all_tunnels_carry_the_packet(kind: str, inner: int, outer: int) -> None:
    """Each of the 24 combinations wraps the client's packet, its lifetime reduced, behind the header of its kind."""
    number, flags, protocol, extra = KINDS[kind]
    client, virtual = (w.CLIENT, w.VIRTUAL) if inner == 4 else (w.CLIENT6, w.VIRTUAL6)
    server = w.SERVER if outer == 4 else w.SERVER6
    world = w.World()
    world.server(
        world.service(address=virtual),
        server,
        method=w.TUNNEL,
        tunnel_type=number,
        tunnel_flags=flags,
        tunnel_port=5555,
    )
    request = w.tcp(source=client, target=virtual, ttl=9)
    data = sent(world.client(request))
    start = 20 if outer == 4 else 40
    expected = (4 if inner == 4 else 41) if kind == "ipip" else protocol
    assert data[9 if outer == 4 else 6] == expected
    assert data[start + extra :] == w.tcp(source=client, target=virtual, ttl=8)
    if number == 1:
        assert data[start + 2 : start + 4] == (5555).to_bytes(2, "big")
        assert data[start + 8 : start + 12] == bytes((0, 4 if inner == 4 else 41, 0, 0))
        assert bool(int.from_bytes(data[start + 6 : start + 8], "big")) is bool(flags)
        assert outer == 6 or w.is_sound(data)


@pytest.mark.parametrize(("tos", "outer"), [(0x00, 0x00), (0x2D, 0x2D), (0x2E, 0x2E), (0x2F, 0x2E), (0xFF, 0xFE)])
def test_a_tunnels_tos_is_the_packets_but_for_congestion(tos: int, outer: int) -> None:
    """The outer TOS copies the inner one; the mark CE becomes ECT(0). DF is copied, and a packet with DF has id 0."""
    world = w.World()
    world.server(world.service(), method=w.TUNNEL)
    data = sent(world.client(w.tcp(tos=tos, df=True)))
    assert (data[1], data[4:8]) == (outer, b"\0\0\x40\0")


def test_an_mtu_leaves_room_for_the_tunnel() -> None:
    """With DF, what does not fit with the tunnel's header is refused with the MTU that would; pmtu_disc=0 fragments it."""
    for number, flags, room in ((0, 0, 1480), (1, 0, 1468), (2, 0, 1476), (2, 1, 1472)):
        world = w.World()
        world.server(world.service(w.UDP), method=w.TUNNEL, tunnel_type=number, tunnel_flags=flags)
        fits = w.udp(payload=bytes(room - 28), df=True)
        assert len(world.client(fits).out) == 1
        result = world.client(w.udp(payload=bytes(room - 27), df=True))
        ((device, data),) = result.out
        assert (device, data[20:22], data[26:28]) == ("client", b"\3\4", room.to_bytes(2, "big"))
        world.namespace.sysctls.pmtu_disc = 0
        assert len(world.client(w.udp(payload=bytes(room - 27), df=True)).out) == 2


def test_a_server_on_the_director_is_served_locally() -> None:
    """A local server gets the packet from any method; translation to a loopback address is refused from outside."""
    for method in (w.MASQUERADE, w.DIRECT, w.TUNNEL):
        for address, verdict in ((bytes((10, 0, 0, 1)), Verdict.LOCAL), (bytes((127, 0, 0, 1)), Verdict.LOCAL)):
            if method == w.MASQUERADE and address[0] == 127:
                verdict = Verdict.DROP
            world = w.World()
            world.server(world.service(), address, method=method)
            assert world.client(w.tcp(ttl=1)).verdict is verdict


def test_recorded_routes_name_the_virtual_address() -> None:
    """Record Route is filled in as for a packet to the director itself; the tunnel's outer header has no options."""
    options = bytes((7, 7, 4, 0, 0, 0, 0, 0))
    for method, start in ((w.MASQUERADE, 0), (w.DIRECT, 0), (w.TUNNEL, 20)):
        world = w.World()
        world.server(world.service(), method=method)
        data = sent(world.client(w.tcp(options=options)))  # type: ignore[arg-type]
        assert data[start + 20 : start + 28] == bytes((7, 7, 8)) + w.VIRTUAL + b"\0"
        assert not isinstance(parse4(data), str)


@pytest.mark.parametrize("group", [bytes((224, 0, 0, 1)), b"\xff" * 4], ids=["multicast", "broadcast"])
@pytest.mark.parametrize("rerouted", [1, 0])
@pytest.mark.parametrize("error", [False, True], ids=["reply", "error"])
def test_no_reply_is_routed_anew_from_a_groups_address(group: bytes, rerouted: int, error: bool) -> None:
    """With snat_reroute a reply from a group's address finds no way: it is dropped, uncounted, and changes no state."""
    world = w.World(snat_reroute=rerouted)
    server = world.server(world.service(address=group), port=80)
    world.client(w.tcp(w.SYN, target=group))
    request = w.tcp(w.ACK, source=w.CLIENT, target=w.SERVER)
    answer = w.tcp(w.RST, 80, 1024, source=w.SERVER, target=w.CLIENT)
    result = world.from_server(w.icmp(3, 3, 0, request, source=w.SERVER, target=w.CLIENT) if error else answer)
    assert (len(result.out), server.counters.outpkts) == ((0, 0) if rerouted else (1, 1))
    assert (result.verdict is Verdict.DROP) == bool(rerouted)
    assert world.states() == ["SYN_RECV" if rerouted or error else "CLOSE"]
