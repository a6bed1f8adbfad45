"""Kernels before 5.10, which our laboratory does not boot: what their sources say, against the release that changed it."""

from __future__ import annotations

import struct

import pytest

from ipvsnl.consts import FORWARDING
from ipvssim import Kernel
from ipvssim.net.packets import sign4
from ipvssim.path.result import Verdict
from tests.ipvssim import worlds as w
from tests.ipvssim.requests import attribute, dest_key, message, new_service, outcome, service, service_key

IPIP, GRE = 4, 47
NEW_SERVICE, NEW_DEST, HASHED = 1, 5, 2
FOREIGN = bytes((10, 0, 0, 200))
MARK = 7


def sent(world: w.World, data: bytes) -> list[bytes]:
    """The IP packets that leave to the server when a client's comes in."""
    return [frame[14:] for _, frame in world.client(data).out]


# --- tunnels ---


@pytest.mark.parametrize(
    ("release", "kind", "outer", "shown"),
    [("4.18", "gue", IPIP, "ipip"), ("5.1", "gre", IPIP, "ipip"), ("5.2", "gue", w.UDP, "gue"), ("5.2", "gre", IPIP, "gre"),
     ("5.3", "gre", GRE, "gre")],
)  # fmt: skip
def test_tunnels_are_ipip_until_their_release(release: str, kind: str, outer: int, shown: str) -> None:
    """Before 5.2 the type is ignored and not told; 5.2 knows GUE, tells any type, and sends by GRE as by IPIP."""
    kernel = Kernel(release=release)
    port = " --tun-port 6080" if kind == "gue" else ""
    kernel.load(f"-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i --tun-type {kind}{port}\n")
    with kernel.connect() as ipvs:
        (server,) = ipvs.servers(ipvs.services()[0].service)
    assert server.destination.tunnel_type == shown
    world = w.World(release)
    world.server(world.service(), method=w.TUNNEL, tunnel_type=("ipip", "gue", "gre").index(shown), tunnel_port=6080)
    (data,) = sent(world, w.tcp())
    assert data[9] == outer


def test_checksums_of_tunnels_came_later_than_gue() -> None:
    """5.2 has no attribute for a tunnel's checksum: GUE goes without one; 5.3 keeps it."""
    for release, flags in (("5.2", 0), ("5.3", 1)):
        kernel = Kernel(release=release)
        kernel.load(
            "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i --tun-type gue --tun-port 6080 --tun-csum\n"
        )
        with kernel.connect() as ipvs:
            (server,) = ipvs.servers(ipvs.services()[0].service)
        assert server.destination.tunnel_flags == flags


@pytest.mark.parametrize(("release", "said"), [("4.18", "OK"), ("5.3", "EINVAL")])
def test_a_broken_tunnel_attribute_is_not_looked_at_before(release: str, said: str) -> None:
    """What the old policy does not know is skipped, however short it is."""
    kernel = Kernel(release=release)
    assert outcome(kernel.socket(), new_service(service_key())) == "OK"
    server = dest_key(bytes((10, 0, 0, 1))) + b"".join((
        attribute(3, struct.pack("=I", FORWARDING["tunnel"])), attribute(4, struct.pack("=i", 1)),
        attribute(5, bytes(4)), attribute(6, bytes(4)), attribute(14, b"\1"),
    ))  # fmt: skip
    data = message(NEW_DEST, attribute(1, service_key()) + attribute(2, server))
    assert outcome(kernel.socket(), data) == said


@pytest.mark.parametrize(("release", "told"), [("5.2", True), ("5.3", False)])
def test_errors_about_any_ipip_were_looked_into(release: str, told: bool) -> None:
    """Until 5.2 nobody asked whether a tunnel of ours leads there."""
    world = w.World(release)
    service = world.service()
    world.server(service, method=w.TUNNEL)
    (wrapped,) = sent(world, w.tcp())
    elsewhere = wrapped[:16] + bytes((10, 0, 0, 99)) + wrapped[20:]
    host = world.director.network.path(w.SERVER).source
    result = world.client(w.icmp(3, 1, 0, elsewhere, source=bytes((10, 0, 0, 30)), target=host))
    assert bool(result.out) is told


# --- templates ---


@pytest.mark.parametrize(
    ("release", "protocol", "before", "after"),
    [("4.18", w.TCP, "NONE", "NONE"), ("4.18", w.UDP, "UDP", "UDP"), ("4.19", w.TCP, "NONE", "ASSURED")],
)
def test_states_of_templates(release: str, protocol: int, before: str, after: str) -> None:
    """Before 4.19 a template shows the first state of its protocol, whatever its connections do."""
    world = w.World(release)
    world.server(world.service(protocol, persistent=60), port=80)
    make = w.tcp if protocol == w.TCP else w.udp
    world.client(make())
    assert template(world) == before
    back = {"source": w.SERVER, "target": w.CLIENT}
    world.from_server(w.tcp(18, 80, 1024, **back) if protocol == w.TCP else w.udp(80, 1024, **back))  # type: ignore[arg-type]
    world.client(w.tcp(w.ACK) if protocol == w.TCP else w.udp())
    assert template(world) == after


def template(world: w.World) -> str:
    return next(row["state"] for row in world.director.connections() if row["cport"] == "0000")


def test_drop_entry_left_templates_alone() -> None:
    """Before 4.19 a template stays another minute when its half-open connection is dropped; later both go at once."""
    for release, left in (("4.18", 1), ("4.19", 0)):
        world = w.World(release)
        world.server(world.service(persistent=600))
        world.client(w.tcp())
        table = world.director.connection_table
        (connection,) = (one for one in table if not one.is_template)
        table.drop(connection)
        assert len(table) == left
        world.pass_seconds(75)
        assert len(table) == 0


@pytest.mark.parametrize("release", ["4.18", "6.1.176"])
def test_templates_of_one_packet_services_go_when_they_idle(release: str) -> None:
    """Of these drop_entry looks at the time since their last use, and at how many packets they placed; on any release."""
    world = w.World(release, drop_entry=3)
    world.server(world.service(w.UDP, persistent=60000, flags=4))
    world.client(w.udp())
    world.pass_seconds(60)
    assert len(world.director.connection_table) == 1
    world.pass_seconds(1000)
    assert len(world.director.connection_table) == 0


# --- replies ---


@pytest.mark.parametrize(("release", "seen"), [("5.9", False), ("5.10", True)])
@pytest.mark.parametrize("method", [w.DIRECT, w.TUNNEL])
def test_replies_of_routed_servers(release: str, seen: bool, method: int) -> None:
    """From 5.10 on they are counted and change the connection's state; before, they pass unseen."""
    world = w.World(release)
    server = world.server(world.service(fwmark=MARK), port=80, method=method)
    world.director.network.local_marks.add(MARK)
    world.client(w.tcp(target=FOREIGN), MARK)
    result = world.from_server(w.tcp(18, 80, 1024, source=FOREIGN, target=w.CLIENT))
    assert (result.verdict, len(result.out)) == (Verdict.FORWARD, 1)
    assert server.counters.outpkts == int(seen)
    assert (result.connection is not None) is seen


@pytest.mark.parametrize(("release", "seen"), [("5.9", False), ("5.10", True)])
def test_errors_that_pass_out(release: str, seen: bool) -> None:
    """The director's own error about a routed request counts as a reply from 5.10 on, and so does a router's."""
    world = w.World(release)
    server = world.server(world.service(), port=80, method=w.DIRECT)
    world.client(w.tcp(ttl=1))
    assert server.counters.outpkts == int(seen)
    world.client(w.tcp())
    quoted = w.tcp(target=w.VIRTUAL)
    world.from_server(w.icmp(11, 0, 0, quoted, source=bytes((10, 0, 0, 30)), target=w.CLIENT))
    assert server.counters.outpkts == 2 * seen


def test_a_server_behind_translation_is_answered_for_at_all_times() -> None:
    """Replies that are translated are counted by every release."""
    world = w.World("4.18")
    server = world.server(world.service())
    world.client(w.tcp())
    assert world.from_server(w.tcp(18, 8080, 1024, source=w.SERVER, target=w.CLIENT)).reason == "reply"
    assert server.counters.outpkts == 1


# --- deleted servers ---


@pytest.mark.parametrize(("release", "rows", "verdict"), [("5.8", 1, Verdict.DROP), ("5.9", 0, Verdict.FORWARD)])
def test_packets_for_a_deleted_server(release: str, rows: int, verdict: Verdict) -> None:
    """With expire_nodest_conn: before 5.9 the connection waits for a packet, which is dropped, and then goes; the next
    packet opens another. From 5.9 on it goes by itself, and no packet is lost."""
    world = w.World(release, expire_nodest_conn=1)
    service = world.service(w.UDP)
    server = world.server(service, port=80)
    world.client(w.udp())
    world.server(service, bytes((10, 0, 0, 11)), 80)
    world.namespace.table.delete_server(server)
    world.pass_seconds(0.1)
    assert len(world.director.connection_table) == rows
    assert world.client(w.udp()).verdict is verdict
    assert world.client(w.udp()).verdict is Verdict.FORWARD
    assert len(world.director.connection_table) == 1


def test_without_the_tunable_they_are_dropped_by_all() -> None:
    """expire_nodest_conn=0: the connection stays, and its packets are dropped, on any release."""
    for release in ("4.18", "6.1.176"):
        world = w.World(release)
        server = world.server(world.service(), port=80)
        world.client(w.tcp())
        world.namespace.table.delete_server(server)
        world.service(address=bytes((203, 0, 113, 9)))
        assert world.client(w.tcp(w.ACK)).verdict is Verdict.DROP
        assert len(world.director.connection_table) == 1


# --- HASHED ---


@pytest.mark.parametrize(
    ("release", "found"), [("4.19.193", 0), ("5.4.291", 0), ("5.10.42", 0), ("5.10.43", 1), ("5.13", 1)]
)
def test_hashed_in_a_new_services_flags(release: str, found: int) -> None:
    """The service is added, and where HASHED is not masked nobody finds it: it can be added again and again."""
    kernel = Kernel(release=release)
    data = message(NEW_SERVICE, service(service_key(), flags=HASHED))
    assert outcome(kernel.socket(), data) == "OK"
    assert kernel.ipvsadm("-Ln").stdout.count("203.0.113.1") == found
    assert outcome(kernel.socket(), data) == ("EEXIST" if found else "OK")


# --- fragments ---


@pytest.mark.parametrize(
    ("release", "sizes"),
    [("5.2", [200, 400, 96]), ("5.3", [400, 296]), ("6.2", [400, 296]), ("6.3", [200, 400, 96])],
)
def test_where_a_reassembled_packet_is_cut(release: str, sizes: list[int]) -> None:
    """A small first piece takes the second into its buffer from 5.3 on, while that is large enough (before 6.3), and then
    the packet is cut anew by the size of the largest piece that came."""
    world = w.World(release)
    world.server(world.service(w.UDP), method=w.DIRECT, port=80)
    whole = w.udp(payload=bytes(688))
    payload, at = whole[20:], 0
    out: list[bytes] = []
    for size in (200, 400, 96):
        piece = payload[at : at + size]
        field = at // 8 | (0x2000 if at + size < len(payload) else 0)
        head = whole[:2] + struct.pack("!H", 20 + size) + whole[4:6] + struct.pack("!H", field) + whole[8:20]
        out += sent(world, sign4(head) + piece)
        at += size
    assert [len(data) - 20 for data in out] == sizes
