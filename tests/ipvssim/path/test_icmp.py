"""ICMP: the director's own errors, and those of others about its connections."""

from __future__ import annotations

from typing import Any

import pytest

from ipvssim.net.packets import Packet, parse4, sign4
from ipvssim.path.result import Verdict
from tests.ipvssim import worlds as w

ROUTER = bytes((10, 0, 0, 30))


def quoted(source: bytes, target: bytes, port: int, to: int, payload: bytes = b"x" * 20, **header: int) -> bytes:
    return w.tcp(w.ACK, port, to, payload, source=source, target=target, **header)


def opened(method: int = w.MASQUERADE, release: str = "6.1.176", **sysctls: int) -> tuple[w.World, object]:
    world = w.World(release, **sysctls)
    server = world.server(world.service(), port=8080 if method == w.MASQUERADE else 80, method=method)
    world.client(w.tcp())
    return world, server


def test_own_errors_quote_what_fits() -> None:
    """The director's errors come from the virtual address, TTL 64, TOS with precedence 6, 576 bytes at most."""
    world = w.World()
    world.service(w.UDP)
    for size, length in ((10, 66), (1000, 576)):
        ((_, data),) = world.client(w.udp(payload=bytes(size), tos=0xFF)).out
        assert (len(data), data[1], data[8], data[12:16]) == (length, 0xDE, 64, w.VIRTUAL)
        assert not int.from_bytes(data[20:], "big") % 0xFFFF


def test_no_error_answers_an_error_or_a_later_fragment() -> None:
    """ICMP errors, later fragments and frames for all get no error in answer."""
    world = w.World()
    forwarded = {"source": bytes((10, 0, 0, 11)), "target": w.CLIENT}
    error = w.icmp(3, 3, 0, w.tcp(), **forwarded, ttl=1)  # type: ignore[arg-type]
    assert world.from_server(error).out == []
    _, later = w.fragments(w.udp(9, 9, bytes(100), **forwarded, ttl=1), 56)  # type: ignore[arg-type]
    assert world.from_server(later).out == []


def test_an_error_of_the_client_reaches_the_server_translated() -> None:
    """Address and port of the quoted packet become the server's, checksums of both headers and of the message are right, the
    quoted transport checksum stays stale, and the TTL sinks by one."""
    world, server = opened()
    original = quoted(w.VIRTUAL, w.CLIENT, 80, 1024)
    ((_, frame),) = world.client(w.icmp(3, 4, 1300, original)).out
    data = frame[14:]
    assert (data[8], data[16:20]) == (63, w.SERVER) and isinstance(parse4(data), Packet)
    assert not int.from_bytes(data[20:], "big") % 0xFFFF
    inner = data[28:]
    assert (inner[12:16], inner[20:22]) == (w.SERVER, (8080).to_bytes(2, "big"))
    assert inner[22:] == original[22:]
    assert server.counters.inpkts == 2  # type: ignore[attr-defined]


def test_an_error_about_a_servers_packet_leaves_as_the_virtual_address() -> None:
    """Whoever sends it, also a router on the way: the client sees the virtual address and its own packet."""
    world, _ = opened()
    ((device, data),) = world.from_server(
        w.icmp(11, 0, 0, quoted(w.CLIENT, w.SERVER, 1024, 8080), source=ROUTER, target=w.CLIENT)
    ).out
    assert (device, data[12:16], data[28 + 16 : 28 + 20], data[50:52]) == ("client", w.VIRTUAL, w.VIRTUAL, b"\0\x50")


@pytest.mark.parametrize(("release", "passes"), [("6.1.176", False), ("6.1.192", True)])
def test_a_broken_error_for_a_direct_server(release: str, passes: bool) -> None:
    """6.1.176 drops an ICMP error with a bad checksum for any method, 6.1.192 only where it translates."""
    for method, through in ((w.DIRECT, passes), (w.MASQUERADE, False)):
        world, _ = opened(method, release)
        data = w.icmp(3, 1, 0, quoted(w.VIRTUAL, w.CLIENT, 80, 1024))
        broken = data[:22] + bytes((data[22] ^ 1,)) + data[23:]
        assert bool(world.client(broken).out) is through


@pytest.mark.parametrize(("release", "passes"), [("6.1.176", False), ("6.1.192", True)])
def test_icmpv6_errors_of_translated_servers(release: str, passes: bool) -> None:
    """6.1.176 drops valid ICMPv6 errors of servers behind translation, 6.1.192 translates them."""
    world = w.World(release)
    world.server(world.service(address=w.VIRTUAL6), w.SERVER6)
    world.client(w.tcp(source=w.CLIENT6, target=w.VIRTUAL6))
    error = w.icmp(1, 4, 0, quoted(w.CLIENT6, w.SERVER6, 1024, 8080), source=w.SERVER6, target=w.CLIENT6)
    result = world.from_server(error)
    assert bool(result.out) is passes
    if passes:
        assert result.out[0][1][8:24] == w.VIRTUAL6


@pytest.mark.parametrize(("release", "local"), [("6.1.176", False), ("6.1.192", True)])
def test_a_quoted_later_fragment(release: str, local: bool) -> None:
    """6.1.176 reads ports from a quoted later fragment, 6.1.192 leaves it to the host."""
    world, _ = opened(w.MASQUERADE, release)
    original = quoted(w.VIRTUAL, w.CLIENT, 80, 1024)
    later = sign4(original[:6] + b"\0\x10" + original[8:20]) + original[20:]
    assert world.client(w.icmp(3, 1, 0, later)).local is local


def test_three_bytes_of_transport_are_not_enough() -> None:
    """An error that quotes less than both ports is the host's own."""
    world, _ = opened()
    original = quoted(w.VIRTUAL, w.CLIENT, 80, 1024)
    assert world.client(w.icmp(3, 1, 0, original[:23])).local
    assert world.client(w.icmp(3, 1, 0, original[:24])).out


def test_redirects_and_parameter_problems_are_not_handled() -> None:
    """Types 5 and 12 are the host's own; unreachable, quench and time exceeded are followed."""
    world, _ = opened()
    original = quoted(w.VIRTUAL, w.CLIENT, 80, 1024)
    followed = {kind: bool(world.client(w.icmp(kind, 0, 0, original)).out) for kind in (3, 4, 5, 11, 12)}
    assert followed == {3: True, 4: True, 5: False, 11: True, 12: False}


def test_schedule_icmp_opens_a_connection_for_the_client() -> None:
    """With schedule_icmp an error about an unknown connection opens one, which the client's SYN then continues."""
    world, _ = opened(schedule_icmp=1)
    result = world.client(w.icmp(3, 1, 0, quoted(w.VIRTUAL, w.CLIENT, 80, 2000)))
    assert result.opened and sorted(world.states()) == ["NONE", "SYN_RECV"]
    assert not world.client(w.tcp(w.SYN, 2000)).opened


def test_errors_never_cause_errors() -> None:
    """An ICMP error whose TTL ends is dropped in silence, but counted."""
    world, server = opened()
    result = world.client(w.icmp(3, 1, 0, quoted(w.VIRTUAL, w.CLIENT, 80, 1024), ttl=1))
    assert (result.verdict, result.out) == (Verdict.DROP, [])
    assert server.counters.inpkts == 2  # type: ignore[attr-defined]


def tunnel_error(request: bytes, code: int, info: int) -> bytes:
    outer = w.ip(bytes((10, 0, 0, 1)), w.SERVER, 4, request, df=True)
    return w.icmp(3, code, info, outer, source=w.SERVER, target=bytes((10, 0, 0, 1)))


def test_an_error_about_a_tunnel_is_told_to_the_client() -> None:
    """Type and code are kept, the quoted packet is the client's own; it counts twice as output."""
    world, server = opened(w.TUNNEL)
    request = w.tcp(w.ACK, ttl=63, payload=b"x" * 100)
    ((device, data),) = world.from_server(tunnel_error(request, 1, 0)).out
    assert (device, data[20:22], data[28:]) == ("client", b"\3\1", request)
    assert server.counters.outpkts == 2  # type: ignore[attr-defined]


def test_the_first_learned_mtu_is_told_late() -> None:
    """The first frag-needed of a tunnel passes on the old MTU; the next big packet gets the new one; a second error is told
    at once. Clients without DF are told nothing."""
    world, _ = opened(w.TUNNEL)
    request = w.tcp(w.ACK, ttl=63, payload=bytes(1300), df=True)

    def mtu(result: Any) -> int | None:
        return int.from_bytes(result.out[0][1][26:28], "big") if result.out else None

    assert mtu(world.from_server(tunnel_error(request, 4, 1400))) == 1480
    assert mtu(world.client(w.tcp(w.ACK, payload=bytes(1400), df=True))) == 1380
    assert mtu(world.from_server(tunnel_error(request, 4, 1300))) == 1280
    assert mtu(world.from_server(tunnel_error(w.tcp(w.ACK, ttl=63), 4, 1200))) is None


def test_nat_icmp_send_answers_strays() -> None:
    """With nat_icmp_send a server's packet of no connection is refused, unless it is a reset or from another port."""
    world, _ = opened(nat_icmp_send=1)

    def stray(flags: int, port: int) -> bytes:
        return w.tcp(flags, port, 999, source=w.SERVER, target=w.CLIENT)

    assert world.from_server(stray(w.ACK, 8080)).out[0][1][34:36] == b"\3\3"
    assert world.from_server(stray(w.RST, 8080)).verdict is Verdict.FORWARD
    assert world.from_server(stray(w.ACK, 8081)).verdict is Verdict.FORWARD


def test_fragments_that_did_not_come_are_told_to_the_sender_and_count() -> None:
    """60 s after the first IPv6 fragment the host says so; of an answer's virtual address that counts as a reply."""
    world = w.World()
    service = world.service(w.UDP, w.VIRTUAL6, 53)
    world.server(service, w.SERVER6, method=w.DIRECT)
    assert world.client(w.udp(1024, 53, source=w.CLIENT6, target=w.VIRTUAL6)).opened
    whole = w.udp(1024, 53, source=w.CLIENT6, target=w.VIRTUAL6, payload=bytes(32))
    header = bytes((17, 0, 0, 1)) + bytes(4)
    first = whole[:4] + (24 + len(header)).to_bytes(2, "big") + b"\x2c" + whole[7:40] + header + whole[40:64]
    assert world.client(first).out == []
    before = service.counters.outpkts
    world.kernel.advance(59)
    assert service.counters.outpkts == before
    world.kernel.advance(2)
    assert (service.counters.outpkts, service.counters.outbytes) == (before + 1, 48 + len(first))


@pytest.mark.parametrize("method", [w.MASQUERADE, w.DIRECT])
@pytest.mark.parametrize("scheduled", [0, 1])
def test_an_own_error_about_a_reply_goes_to_the_server(method: int, scheduled: int) -> None:
    """A packet from a virtual address of another host ends here: the error, which would go to that host, goes to the server
    of its connection, which schedule_icmp opens; without a connection it goes where it is to."""
    elsewhere = bytes((8, 8, 8, 8))
    world = w.World(schedule_icmp=scheduled)
    world.server(world.service(address=elsewhere), port=8080 if method == w.MASQUERADE else 80, method=method)
    ((device, data),) = world.client(w.tcp(w.ACK, 80, 1024, source=elsewhere, target=w.CLIENT, ttl=1)).out
    packet = data[14:] if scheduled else data
    translated = scheduled and method == w.MASQUERADE
    assert device == ("server" if scheduled else "client")
    assert (packet[16:20], packet[8]) == (w.SERVER if translated else elsewhere, 63 if scheduled else 64)
    assert packet[28 + 12 : 28 + 16] == (w.SERVER if translated else elsewhere)
    assert len(world.states()) == scheduled
