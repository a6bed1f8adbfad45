"""The connection table: lookups, lives, templates, loads."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ipvssim.clock import SECOND
from tests.ipvssim import worlds as w


def counts(world: w.World) -> Counter[str]:
    return Counter(world.states())


def test_a_connection_waits_its_states_timeout() -> None:
    """A SYN_RECV connection lives 60 s after its last packet, an ESTABLISHED one 900 s."""
    world = w.World()
    world.server(world.service())
    world.client(w.tcp(w.SYN))
    world.pass_seconds(59)
    world.client(w.tcp(w.ACK))
    world.pass_seconds(899)
    assert world.states() == ["ESTABLISHED"]
    world.pass_seconds(2)
    assert world.states() == []


def test_set_timeouts_count_from_the_next_packet() -> None:
    """``--set`` changes only ESTABLISHED, FIN_WAIT and UDP, and existing connections take it at their next packet."""
    world = w.World()
    world.server(world.service())
    world.client(w.tcp(w.SYN))
    world.client(w.tcp(w.ACK))
    world.namespace.timeouts.tcp = 5
    world.pass_seconds(10)
    assert world.states() == ["ESTABLISHED"]
    world.client(w.tcp(w.ACK))
    world.pass_seconds(6)
    assert world.states() == []


def test_source_port_zero_is_a_new_connection_every_time() -> None:
    """Requests from client port 0 never match; a reply does."""
    world = w.World()
    server = world.server(world.service(w.UDP))
    for _ in range(4):
        assert world.client(w.udp(0)).opened
    assert server.conns == 4
    answer = world.from_server(w.udp(8080, 0, source=w.SERVER, target=w.CLIENT))
    assert answer.out[0][1][12:16] == w.VIRTUAL


def test_of_equal_keys_the_newest_is_found_and_the_older_after_it() -> None:
    """Where several connections have one key, the newest answers until it goes, then the next."""
    world = w.World()
    service = world.service(w.UDP)
    world.server(service, port=1)
    world.client(w.udp(0))
    world.pass_seconds(1)
    world.client(w.udp(0))
    index = world.director.connection_table.replies[w.UDP]
    (key,) = index
    newest = index[key]
    world.director.connection_table.expire(newest)
    assert index[key] is not newest
    world.director.connection_table.flush()
    assert not index


def test_loads_follow_the_states() -> None:
    """A SYN alone is an active connection; UDP is never active; what closes is inactive."""
    world = w.World()
    tcp, udp = world.server(world.service()), world.server(world.service(w.UDP))
    world.client(w.tcp(w.SYN))
    world.client(w.udp())
    assert (tcp.active, tcp.inactive, udp.active, udp.inactive) == (1, 0, 0, 1)
    world.client(w.tcp(0))
    assert (tcp.active, tcp.inactive) == (0, 1)
    world.pass_seconds(400)
    assert (tcp.active, tcp.inactive, udp.inactive, udp.conns) == (0, 0, 0, 0)


def test_thresholds_by_release() -> None:
    """With -x 8 a full server is free again at five connections; with -y 3 at two; in both releases."""
    for release in ("6.1.176", "6.1.192"):
        for lower, free_at in ((0, 5), (3, 2)):
            world = w.World(release)
            server = world.server(world.service(), upper=8, lower=lower)
            for port in range(1, 9):
                world.client(w.tcp(port=1000 + port))
            assert server.overloaded
            for connection in list(world.director.connection_table):
                assert server.overloaded == (server.conns > free_at)
                world.director.connection_table.expire(connection)


def test_one_packet_connections_leave_nothing() -> None:
    """One-packet scheduling counts connections but keeps none; the reply is not translated."""
    world = w.World()
    server = world.server(world.service(w.UDP, flags=4))
    for _ in range(3):
        assert world.client(w.udp()).opened
    assert (server.counters.conns, server.conns, world.states()) == (3, 0, [])
    assert world.from_server(w.udp(8080, 1024, source=w.SERVER, target=w.CLIENT)).out[0][1][12:16] == w.SERVER


def test_a_template_is_late_once_and_then_for_good() -> None:
    """A template whose timer fires while it controls connections lives 60 s more, and has 60 s from then on."""
    world = w.World()
    world.server(world.service(persistent=10))
    world.client(w.tcp(w.SYN))
    world.client(w.tcp(w.ACK))
    (template,) = [one for one in world.director.connection_table if one.is_template]
    assert template.timeout == 10 * SECOND and template.state == 1
    world.pass_seconds(12)
    assert template.timeout == 60 * SECOND
    world.client(w.tcp(w.SYN, 2000))
    assert template.expires - world.namespace.clock.now >= 59 * SECOND


def test_a_template_whose_server_is_gone_is_orphaned() -> None:
    """An unusable template runs out its time under the ports FFFF, and the client gets another."""
    world = w.World()
    service = world.service(persistent=100)
    first, second = world.server(service), world.server(service, bytes((10, 0, 0, 11)))
    picked = world.client(w.tcp(w.SYN)).server
    assert picked in (first, second) and picked is not None
    world.namespace.table.delete_server(picked)
    assert world.client(w.tcp(w.SYN, 2000)).server is not picked
    ports = {row["vport"] for row in world.director.connections() if row["cport"] == "0000"}
    assert ports == {"FFFF", "0050"}


def test_deleted_servers_connections_go_a_tick_later_if_asked() -> None:
    """With expire_nodest_conn, the connections of a deleted server and their templates are swept away."""
    world = w.World(expire_nodest_conn=1)
    service = world.service(persistent=100)
    server = world.server(service)
    world.client(w.tcp(w.SYN))
    world.namespace.table.delete_server(server)
    assert len(world.director.connection_table) == 2
    world.pass_seconds(0.02)
    assert len(world.director.connection_table) == 0 and not server.referenced


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from((0, 1, 2, 4, 16, 18))), max_size=60), st.booleans())
def test_loads_are_the_sum_of_the_connections(steps: list[tuple[int, int]], persistent: bool) -> None:
    """Whatever happens, a server's counts are those of its connections, and all return to zero."""
    world = w.World()
    server = world.server(world.service(persistent=20 if persistent else None))
    for port, flags in steps:
        world.client(w.tcp(flags, 1000 + port))
        world.pass_seconds(port)
        mine = [one for one in world.director.connection_table if not one.is_template]
        assert server.conns == len(mine) == server.active + server.inactive
        assert server.active == sum(1 for one in mine if not one.flags & 0x100)
    world.director.connection_table.flush()
    assert (server.active, server.inactive, server.persistent, len(world.director.connection_table)) == (0, 0, 0, 0)


def test_a_template_outlives_connections_that_go_with_others() -> None:
    """expire_nodest_conn takes a template along with a connection that it controls, but not with one that goes since its own
    data connection did."""
    for chained in (False, True):
        world = w.World(expire_nodest_conn=1)
        service = world.service(persistent=60)
        server = world.server(service)
        first = world.client(w.tcp()).connection
        world.client(w.tcp(w.ACK))
        if chained:
            data = world.client(w.tcp(port=1025)).connection
            assert first is not None and data is not None and data.control is not None
            data.control.controlled -= 1
            data.control = None
            world.director.connection_table.control(data, first)
        world.namespace.table.delete_server(server)
        world.pass_seconds(1)
        assert world.states() == (["ASSURED"] if chained else [])
