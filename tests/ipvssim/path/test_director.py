"""The order of work on a request: what schedules, what is accepted, what is dropped, and with which reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim.net.packets import sign4
from ipvssim.path.result import Verdict
from tests.ipvssim import worlds as w

OTHER = bytes((10, 0, 0, 11))


@pytest.mark.parametrize("sloppy", [0, 1])
@pytest.mark.parametrize("flags", [2, 18, 3, 19, 6, 20, 16, 1, 17, 0, 8, 32])
def test_which_segments_open_a_connection(flags: int, sloppy: int) -> None:
    """A SYN opens a connection whatever else is set, but RST; without SYN only sloppy_tcp lets it."""
    world = w.World(sloppy_tcp=sloppy)
    world.server(world.service())
    result = world.client(w.tcp(flags))
    opens = not flags & w.RST and bool(flags & w.SYN or sloppy)
    assert result.opened is opens
    assert result.verdict is (Verdict.FORWARD if opens else Verdict.LOCAL)


def test_without_a_server_the_client_is_told() -> None:
    """No destination: ICMP port unreachable from the virtual address, and the packet is dropped."""
    world = w.World()
    world.service()
    result = world.client(w.tcp())
    ((device, data),) = result.out
    assert result.verdict is Verdict.DROP and device == "client"
    assert (data[12:16], data[16:20], data[20:22]) == (w.VIRTUAL, w.CLIENT, b"\3\3")


def test_a_fwmark_wins_over_the_address_and_falls_through() -> None:
    """The service of the packet's mark is asked first, whatever address and protocol; a mark without service is ignored."""
    world = w.World()
    marked, plain = world.service(fwmark=7), world.service()
    world.server(marked)
    world.server(plain, OTHER)
    assert world.client(w.tcp(), mark=7).service is marked
    assert world.client(w.tcp(port=2), mark=8).service is plain
    assert world.client(w.udp(port=3, to=9), mark=7).service is marked


def test_ftp_data_and_port_zero_are_found_last() -> None:
    """A virtual FTP service answers for port 20 and unprivileged ports, a port-0 service for all others."""
    world = w.World()
    ftp, every = world.service(port=21, persistent=60), world.service(port=0, persistent=60)
    world.server(ftp)
    world.server(every)
    found = [world.client(w.tcp(port=1000 + port, to=port)).service for port in (20, 5000, 81, 1023)]
    assert found == [ftp, ftp, every, every]


def test_client_port_20_is_never_scheduled() -> None:
    """Whatever the protocol, packets from port 20 go to the local stack."""
    world = w.World()
    for protocol in (w.TCP, w.UDP):
        world.server(world.service(protocol))
    assert world.client(w.tcp(port=20)).local and world.client(w.udp(port=20)).local


def test_drop_packet_drops_the_first_and_every_nth() -> None:
    """With rate 3: drop, keep, keep, drop...; the counter survives switching off and on."""
    world = w.World(am_droprate=3, drop_packet=3)
    world.server(world.service())
    kept = [world.client(w.tcp(port=1000 + number)).opened for number in range(6)]
    assert kept == [False, True, True, False, True, True]


def test_rates_are_computed_at_full_seconds_since_the_namespace_began() -> None:
    """Whenever drop_packet was switched on, a new am_droprate counts from the next full second. Recorded, too: ticks-1."""
    world = w.World()
    world.server(world.service())
    world.pass_seconds(0.5)
    world.kernel.sysctl["drop_packet"] = 3
    world.pass_seconds(0.2)
    world.kernel.sysctl["am_droprate"] = 1
    world.pass_seconds(0.5)
    assert [world.client(w.tcp(port=1000 + number)).opened for number in range(3)] == [False] * 3


def test_last_service_gone_leaves_packets_to_the_host() -> None:
    """Without a service of its family IPVS sees no packet; connections stay, unused."""
    world = w.World()
    service = world.service()
    world.server(service)
    world.client(w.tcp())
    world.namespace.table.delete_service(service)
    assert world.client(w.tcp(w.ACK)).local
    world.service(port=99)
    assert world.client(w.tcp(w.ACK)).reason == "its server is gone"


def test_a_deleted_servers_connection_is_silent_and_revives() -> None:
    """Packets of a deleted server's connection are dropped in silence, replies still translated; adding it again revives it
    with the method that the connection had."""
    world = w.World()
    service = world.service()
    server = world.server(service)
    world.client(w.tcp())
    world.namespace.table.delete_server(server)
    silent = world.client(w.tcp(w.ACK))
    assert (silent.verdict, silent.out) == (Verdict.DROP, [])
    answer = w.tcp(18, 8080, 1024, source=w.SERVER, target=w.CLIENT)
    assert world.from_server(answer).out[0][1][12:16] == w.VIRTUAL
    assert server.counters.outpkts == 0
    assert world.server(service, method=w.DIRECT) is server
    assert world.client(w.tcp(w.ACK)).out[0][1][30:34] == w.SERVER


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("method", "state"), [(w.MASQUERADE, "CLOSE"), (w.DIRECT, "FIN_WAIT"), (w.MASQUERADE, "CLOSE_WAIT")]
)
def test_when_a_syn_makes_a_connection_anew(mode: int, method: int, state: str) -> None:
    """conn_reuse_mode: a SYN to a closed connection is scheduled anew if it is not 0, to one in FIN_WAIT whose answers don't
    pass if it has bit 2; other states go on."""
    world = w.World(conn_reuse_mode=mode)
    world.server(world.service(), method=method)
    world.client(w.tcp(w.SYN))
    world.client(w.tcp(w.ACK))
    world.client(w.tcp(0 if state == "CLOSE" else w.FIN | w.ACK))
    assert world.states() == [state]
    anew = {"CLOSE": mode != 0, "FIN_WAIT": bool(mode & 2), "CLOSE_WAIT": False}[state]
    assert world.client(w.tcp(w.SYN)).opened is anew
    assert len(world.states()) == 1


def test_the_scheduler_sees_the_connection_that_goes() -> None:
    """A reused connection still counts while its successor is scheduled: lc prefers the other server."""
    world = w.World()
    service = world.service(scheduler="lc")
    world.server(service)
    world.server(service, OTHER)
    first = world.client(w.tcp(w.SYN)).server
    world.client(w.tcp(0))
    assert world.client(w.tcp(w.SYN)).server is not first


def test_persistence_ignores_weight_and_port_of_wide_services() -> None:
    """A client stays with its server though its weight is 0; a persistent fwmark service keeps the packet's port."""
    world = w.World()
    service = world.service(fwmark=5, persistent=60)
    server = world.server(service, port=8080)
    assert world.client(w.tcp(), mark=5).out[0][1][36:38] == b"\0\x50"
    server.weight = 0
    assert service.scheduler is not None
    service.scheduler.edited(server)
    assert world.client(w.udp(to=53), mark=5).server is server
    world.namespace.sysctls.expire_quiescent_template = 1
    assert world.client(w.udp(to=54), mark=5).server is None


def test_requests_count_even_if_they_do_not_leave() -> None:
    """A packet whose TTL ends opens its connection and counts; the director's own error counts as output where the virtual
    address answers itself."""
    for method, outpkts in ((w.MASQUERADE, 0), (w.DIRECT, 1), (w.TUNNEL, 1)):
        world = w.World()
        server = world.server(world.service(), method=method)
        result = world.client(w.tcp(ttl=1))
        assert result.opened and result.out[0][1][20:22] == b"\x0b\0"
        counters = server.counters
        assert (counters.conns, counters.inpkts, counters.inbytes, counters.outpkts) == (1, 1, 40, outpkts)
        assert counters.outbytes == outpkts * 68


def test_protocols_that_are_not_balanced_are_the_hosts() -> None:
    """Echo, GRE and others to a virtual address are the director's own, even of a fwmark service."""
    world = w.World()
    world.server(world.service(fwmark=7))
    assert world.client(w.icmp(8, 0, 0, b"ping"), mark=7).local
    assert world.client(w.ip(w.CLIENT, w.VIRTUAL, 47, b"gre!"), mark=7).local


def test_esp_follows_its_key_exchange() -> None:
    """ESP and AH go where the UDP connection 500 to 500 of the same addresses goes; without one they are the host's."""
    world = w.World()
    world.server(world.service(w.UDP, port=500), port=500)
    esp = w.ip(w.CLIENT, w.VIRTUAL, 50, b"sealed")
    assert world.client(esp).local
    world.client(w.udp(500, 500))
    assert world.client(esp).out[0][1][14:] == w.ip(w.CLIENT, w.SERVER, 50, b"sealed", ttl=63)


def test_frames_for_others_are_not_looked_at() -> None:
    """A frame to another MAC is dropped; one to all is none of IPVS's business."""
    world = w.World()
    world.server(world.service())
    frame = w.ROUTER + bytes(6) + b"\x08\0" + w.tcp(source=bytes((10, 0, 0, 99)))
    assert world.director.receive(b"\2" + frame[1:6][::-1] + frame[6:], "server").verdict is Verdict.DROP
    assert world.director.receive(b"\xff" * 6 + frame[6:], "server").local
    assert world.director.receive(frame, "server").opened


def test_ordinary_packets_are_forwarded() -> None:
    """What belongs to no connection is forwarded with a smaller TTL, answered at TTL 1, refused over the MTU with DF, and
    dropped with a source that is the director's own."""
    world = w.World()

    def make(ttl: int = 64) -> bytes:
        return w.udp(9, 9, bytes(1472), source=OTHER, target=w.CLIENT, ttl=ttl)

    assert world.from_server(make()).out == [("client", make(ttl=63))]
    assert world.from_server(make(ttl=1)).out[0][1][34:36] == b"\x0b\0"
    big = w.udp(9, 9, bytes(1473), source=OTHER, target=w.CLIENT, df=True)
    assert world.from_server(big).out[0][1][34:36] == b"\3\4"
    assert world.from_server(w.udp(9, 9, source=w.VIRTUAL, target=w.CLIENT)).reason == "martian source"


def test_an_explained_result_says_why() -> None:
    """A result tells the service, what the scheduler looked at, and the reason."""
    world = w.World()
    world.server(world.service(scheduler="wlc"))
    world.director.explaining = True
    told = world.client(w.tcp()).explain()
    assert told["service"] == "TCP 203.0.113.1:80 wlc" and told["server"] == "10.0.0.10:8080"
    assert told["choice"]["scheduler"] == "wlc" and told["choice"]["picked"] == "10.0.0.10:8080"
    assert told["reason"] == "opened a connection" and told["packet"] == "TCP 192.0.2.1:1024 -> 203.0.113.1:80"


def crowded(release: str) -> w.World:
    """A director with services of all kinds."""
    world = w.World(release, sloppy_tcp=1, schedule_icmp=1, nat_icmp_send=1)
    for protocol in (w.TCP, w.UDP, w.SCTP):
        for virtual, server in ((w.VIRTUAL, w.SERVER), (w.VIRTUAL6, w.SERVER6)):
            for port, method in ((80, w.MASQUERADE), (81, w.TUNNEL), (82, w.DIRECT)):
                service = world.service(protocol, virtual, port, persistent=60 if port == 81 else None)
                world.server(service, server, method=method, tunnel_type=protocol % 3, tunnel_port=5555)
    return world


def samples() -> list[bytes]:
    """Packets of all kinds, as seeds."""
    four = [w.tcp(to=to, flags=flags) for to in (80, 81, 82) for flags in (2, 16)]
    four += [w.udp(to=80), w.udp(to=81), w.sctp(w.chunk(1, bytes(16))), w.sctp(w.chunk(10), w.chunk(6))]
    four += [w.icmp(kind, 1, 0, w.tcp(port=80, to=1024, source=w.VIRTUAL, target=w.CLIENT)) for kind in (3, 11, 4, 8)]
    four += w.fragments(w.udp(payload=bytes(100)), 48)
    four.append(w.tcp(options=bytes((7, 7, 4, 0, 0, 0, 0, 1))))  # type: ignore[arg-type]
    six = [w.tcp(to=to, source=w.CLIENT6, target=w.VIRTUAL6) for to in (80, 81, 82)]
    quoted = w.tcp(port=80, to=1024, source=w.VIRTUAL6, target=w.CLIENT6)
    six += [w.icmp(kind, 0, 0, quoted, source=w.CLIENT6, target=w.VIRTUAL6) for kind in (1, 2, 3, 128)]
    six += [six[0][:6] + bytes((44,)) + six[0][7:40] + bytes((6, 0, 0, 1, 0, 0, 0, 9)) + six[0][40:]]
    return four + six


SAMPLES = samples()
WORLDS = {release: crowded(release) for release in ("6.1.176", "6.1.192")}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A packet with bytes changed, cut or appended; most with an IPv4 header that adds up."""
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=4)):
        data[at] = value
    data = data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data + draw(st.binary(max_size=9))
    if draw(st.booleans()) and len(data) >= 20 and data[0] >> 4 == 4:
        size = max((data[0] & 15) * 4, 20)
        data[2:4] = len(data).to_bytes(2, "big")
        data[:size] = sign4(bytes(data[:size]))
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(damaged(), st.sampled_from(sorted(WORLDS)), st.booleans())
def test_no_packet_raises(data: bytes, release: str, framed: bool) -> None:
    """Whatever arrives, there is a verdict with a reason, and what leaves is a packet."""
    world = WORLDS[release]
    result = world.from_server(data) if framed and data else world.client(data)
    assert result.reason and result.explain()["verdict"] == result.verdict.value
    for device, out in result.out:
        assert len(out) >= (34 if device == "server" else 20)


@pytest.mark.parametrize("sample", SAMPLES, ids=range(len(SAMPLES)))
def test_every_cut_of_every_packet_has_a_verdict(sample: bytes) -> None:
    """Cut at every byte, a packet is dropped, held or handed on with a reason."""
    for size in range(len(sample)):
        assert WORLDS["6.1.176"].client(sample[:size]).reason


@pytest.mark.parametrize(("method", "source"), [(w.DIRECT, w.VIRTUAL), (w.MASQUERADE, w.VIRTUAL)])
def test_clients_on_the_director_are_served_too(method: int, source: bytes) -> None:
    """The director's own packets to a virtual address are balanced, TTL reduced; replies come back through LOCAL_IN."""
    world = w.World()
    server = world.server(world.service(), port=8080 if method == w.MASQUERADE else 80, method=method)
    ((device, frame),) = world.director.send(w.tcp(source=w.VIRTUAL)).out
    assert device == "server" and frame[22] == 63 and frame[26:30] == source
    if method == w.MASQUERADE:
        result = world.from_server(w.tcp(18, 8080, 1024, source=w.SERVER, target=w.VIRTUAL))
        assert result.local and server.counters.outpkts == 1


def test_a_port_of_the_director_on_which_nobody_listens_is_refused() -> None:
    """Without a program that listens the host's RST ends the connection at once, and counts as the server's answer."""
    world = w.World()
    server = world.server(world.service(), w.VIRTUAL, 80, w.DIRECT)
    for _ in range(2):
        assert world.client(w.tcp()).local and world.states() == ["CLOSE"]
    assert (server.active, server.inactive, server.counters.outpkts, server.counters.outbytes) == (0, 1, 2, 80)


def test_answers_of_a_server_on_the_director_are_seen() -> None:
    """A local server's answers pass LOCAL_OUT: they drive the connection's state and count."""
    world = w.World()
    world.namespace.network.listens = lambda protocol, port: (protocol, port) == (w.TCP, 80)
    server = world.server(world.service(), w.VIRTUAL, 80, w.DIRECT)
    assert world.client(w.tcp()).local
    assert world.states() == ["SYN_RECV"]
    result = world.director.send(w.tcp(w.FIN | w.ACK, 80, 1024, source=w.VIRTUAL, target=w.CLIENT))
    assert result.out[0][0] == "client" and world.states() == ["TIME_WAIT"] and server.counters.outpkts == 1
