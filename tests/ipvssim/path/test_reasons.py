"""Every verdict names what decided it: each kind of reason is a case."""

from __future__ import annotations

import pytest

from ipvssim.net.packets import ICMP
from tests.ipvssim import worlds as w

OTHER = bytes((10, 0, 0, 11))


def explaining(**sysctls: int) -> w.World:
    world = w.World("6.1.176", **sysctls)
    world.director.explaining = True
    return world


def told(world: w.World, data: bytes, *, server: bool = False, mark: int = 0) -> str:
    """All the sentences about a packet, a sentence a line."""
    return "\n".join((world.from_server(data) if server else world.client(data, mark)).why)


def opened(**sysctls: int) -> w.World:
    """A director with a service, a server, and a connection from port 1024."""
    world = explaining(**sysctls)
    world.server(world.service())
    assert world.client(w.tcp()).opened
    return world


# --- which service ---


def test_the_service_is_named_and_how_it_was_found() -> None:
    """By address and port, by mark, as the one for all ports, or as FTP's."""
    world = explaining()
    world.server(world.service())
    world.server(world.service(port=0, persistent=60))
    world.server(world.service(port=21, persistent=60))
    world.server(world.service(fwmark=7))
    assert "TCP 203.0.113.1:80 is a virtual service (rr, 1 server)" in told(world, w.tcp())
    assert "no service for port 81 alone, but one for all ports, TCP 203.0.113.1:0" in told(world, w.tcp(to=81))
    assert "but one for FTP, TCP 203.0.113.1:21" in told(world, w.tcp(to=20))
    assert "FWM 7 (rr, 1 server) takes packets with firewall mark 7" in told(world, w.tcp(port=7), mark=7)


def test_a_packet_for_no_service_hears_which_there_are() -> None:
    """The ports that the address has; else that it has none, and which marks have one."""
    world = explaining()
    for protocol, port in ((w.TCP, 80), (w.TCP, 443), (w.UDP, 53)):
        world.service(protocol, port=port)
    world.service(fwmark=9)
    assert "TCP port 81 has none, 203.0.113.1 has TCP :80, TCP :443 and UDP :53" in told(world, w.tcp(to=81))
    other = told(world, w.tcp(target=bytes((203, 0, 113, 9))), mark=3)
    assert "mark 3 has none, and 203.0.113.9 has none (services by firewall mark take marks 9)" in other


def test_a_packet_that_is_not_the_directors_hears_so() -> None:
    """A destination that is not local is forwarded, whatever service its address or mark has."""
    world = explaining()
    far = bytes((192, 0, 2, 200))
    world.service(address=far)
    world.service(fwmark=5)
    said = told(world, w.tcp(source=OTHER, target=far), server=True)
    assert "192.0.2.200 is no address of the director's" in said
    assert "A service has the address 192.0.2.200, but the director's host does not" in said
    assert "Its mark 5 has a service, but only" in "\n".join(world.client(w.tcp(target=far), 5).why)


# --- the scheduler and its servers ---


def test_nobody_to_take_it_names_each_server_and_why() -> None:
    """Weight 0 and overload are named with the server, and what the client gets."""
    world = explaining()
    service = world.service()
    assert "rr finds nobody: the service has no server" in told(world, w.tcp())
    world.server(service, weight=0)
    world.server(service, OTHER, overloaded=True)
    said = told(world, w.tcp())
    assert "rr finds nobody: 10.0.0.11:8080 is overloaded, 10.0.0.10:8080 has weight 0" in said
    assert "the client is told that the port is unreachable (ICMP)" in said


def test_a_service_that_is_not_persistent_takes_only_its_port() -> None:
    """The catch-all of port 0 works only with persistence, which is said."""
    world = explaining()
    world.server(world.service(port=0))
    assert "is not persistent, and only persistent services take other ports" in told(world, w.tcp())


def test_a_bypass_is_named() -> None:
    """cache_bypass sends what finds no server past the servers."""
    world = explaining(cache_bypass=1)
    world.director.network.local_marks.add(4)
    world.service(fwmark=4)
    far = w.tcp(target=bytes((10, 0, 0, 12)))
    said = told(world, far, mark=4)
    assert "cache_bypass=1 sends it on to its own destination" in said and "It is sent to 10.0.0.12 by bypass" in said


# --- templates ---


def test_a_template_is_named_with_its_age_and_its_end() -> None:
    """Whose it is, since when, for how long, and that no scheduler is asked."""
    world = explaining()
    world.server(world.service(persistent=300))
    first = told(world, w.tcp())
    assert "No template holds 192.0.2.1: the scheduler is asked, and 192.0.2.1 is to stay for 300 s" in first
    world.pass_seconds(12)
    result = world.client(w.tcp(port=1025))
    assert result.choice is None
    again = "\n".join(result.why)
    assert "A template holds 192.0.2.1 on 10.0.0.10:8080 (begun 12 s ago), and would for 288 s more" in again


def test_a_template_of_a_quiescent_server_is_void_or_not() -> None:
    """A server of weight 0 keeps its clients unless expire_quiescent_template says otherwise; either is said."""
    world = explaining()
    server = world.server(world.service(persistent=300))
    world.client(w.tcp())
    server.weight = 0
    assert server.service is not None and server.service.scheduler is not None
    server.service.scheduler.edited(server)
    assert "since expire_quiescent_template=0" in told(world, w.tcp(port=1025))
    world.kernel.sysctl["expire_quiescent_template"] = 1
    assert "weight 0, and expire_quiescent_template=1 makes its templates void" in told(world, w.tcp(port=1026))


def test_a_template_of_a_deleted_server_is_void() -> None:
    """The scheduler is asked anew, and that is said."""
    world = explaining()
    service = world.service(persistent=300)
    server = world.server(service)
    world.client(w.tcp())
    world.namespace.table.delete_server(server)
    world.server(service, OTHER)
    assert "10.0.0.10:8080 (begun 0 s ago), but that server is gone: the scheduler is asked" in told(
        world, w.tcp(port=7)
    )


def test_a_template_of_a_net_names_the_net() -> None:
    """With a netmask it is the client's net that is held."""
    world = explaining()
    service = world.service(persistent=300)
    service.netmask = int.from_bytes(bytes((255, 255, 255, 0)), "little")
    world.server(service)
    assert "No template holds 192.0.2.0/24" in told(world, w.tcp())


# --- known connections ---


def test_a_known_connection_is_told_before_and_after() -> None:
    """Its two ends, its state, its age and rest before the packet; the new state and its timeout after."""
    world = opened()
    world.pass_seconds(2)
    result = world.client(w.tcp(w.ACK))
    said = "\n".join(result.why)
    assert "192.0.2.1:1024 -> 203.0.113.1:80 -> 10.0.0.10:8080 is known, in SYN_RECV (begun 2 s ago), with 58 s" in said
    assert "from SYN_RECV to ESTABLISHED; without another packet it ends in 900 s" in said
    assert result.explain()["before"] == {"state": "SYN_RECV", "age": 2.0}


def test_a_reply_names_its_connection() -> None:
    """And that the client sees the virtual address."""
    world = opened()
    reply = w.tcp(w.SYN | w.ACK, 8080, 1024, source=w.SERVER, target=w.CLIENT)
    said = told(world, reply, server=True)
    assert "It is a reply of the connection 192.0.2.1:1024" in said and "come from 203.0.113.1:80" in said


@pytest.mark.parametrize(("fields", "word"), [({"weight": 0}, "has weight 0"), ({"overloaded": True}, "is overloaded")])
def test_a_server_that_takes_nothing_new_keeps_what_it_has(fields: dict[str, int], word: str) -> None:
    """Weight 0 and overload end no connection, which is said."""
    world = opened()
    (server,) = next(world.director.table.services()).servers()
    for name, value in fields.items():
        setattr(server, name, value)
    assert f"Its server {word}: it gets no new connections, and keeps this one" in told(world, w.tcp(w.ACK))


def closed(**sysctls: int) -> w.World:
    """The connection was reset."""
    world = opened(**sysctls)
    world.client(w.tcp(w.ACK))
    world.client(w.tcp(w.RST))
    assert world.states() == ["CLOSE"]
    return world


def test_a_reused_port_names_conn_reuse_mode() -> None:
    """It lets a new connection replace one that is over, or it does not."""
    assert "in CLOSE (begun 0 s ago): conn_reuse_mode=1 lets a new one replace" in told(closed(), w.tcp())
    assert "conn_reuse_mode=0 lets none replace one in CLOSE, as 1 would" in told(closed(conn_reuse_mode=0), w.tcp())
    assert "the known one is in SYN_RECV, and only those that are over" in told(opened(), w.tcp())


def test_what_placed_by_a_template_is_not_replaced() -> None:
    """A controlled connection is kept even if it is over."""
    world = explaining()
    world.server(world.service(persistent=60))
    world.client(w.tcp())
    world.client(w.tcp(w.RST))
    assert "a template placed the known one, and those are not replaced" in told(world, w.tcp())


def test_a_deleted_server_names_expire_nodest_conn() -> None:
    """0 drops in silence; 1 ends the connection, and the scheduler is asked."""
    for mode, words in (
        (0, "expire_nodest_conn=0 keeps the connection, and drops"),
        (1, "expire_nodest_conn=1 ends it"),
    ):
        world = opened(expire_nodest_conn=mode)
        (server,) = next(world.director.table.services()).servers()
        world.namespace.table.delete_server(server)
        world.server(next(world.director.table.services()), OTHER)
        assert words in told(world, w.tcp(w.ACK))


def test_two_tunables_that_each_suffice_are_both_named() -> None:
    """A weight of 0 with expire_nodest_conn, and an ended connection with conn_reuse_mode."""
    world = closed(expire_nodest_conn=1)
    (server,) = next(world.director.table.services()).servers()
    server.weight = 0
    said = told(world, w.tcp())
    assert "expire_nodest_conn=1 lets a new connection replace it (and conn_reuse_mode=1" in said


# --- what opens nothing, and what is dropped ---


def test_a_stray_segment_names_sloppy_tcp_and_the_last_connection() -> None:
    """Why it opens nothing, and what became of the connection that it may have belonged to."""
    world = opened()
    assert "A RST opens no connection" in told(world, w.tcp(w.RST, port=5))
    assert "No connection of this client and port is known" in told(world, w.tcp(w.ACK, port=5))
    world.pass_seconds(72)
    said = told(world, w.tcp(w.ACK))
    assert "The last connection of this client and port, to 10.0.0.10:8080, expired 12 s ago" in said
    assert "It is no SYN, and sloppy_tcp=0 lets only a SYN open" in said
    world.kernel.sysctl["sloppy_tcp"] = 1
    assert "but sloppy_tcp=1 lets any packet but a RST open one" in told(world, w.tcp(w.ACK))


def test_sctp_has_its_own_words() -> None:
    """No INIT, no connection, but with sloppy_sctp."""
    world = explaining()
    world.server(world.service(w.SCTP))
    assert "It is no INIT, and sloppy_sctp=0" in told(world, w.sctp(w.chunk(0, bytes(12))))
    world.kernel.sysctl["sloppy_sctp"] = 1
    assert "sloppy_sctp=1 lets any packet but an ABORT" in told(world, w.sctp(w.chunk(0, bytes(12))))


def test_the_defence_is_named() -> None:
    """drop_packet with its rate."""
    world = explaining(drop_packet=3, am_droprate=1)
    world.server(world.service())
    assert "drop_packet=3 drops one in 1 (am_droprate)" in told(world, w.tcp())


def test_what_the_host_drops_keeps_its_reason() -> None:
    """A martian, an ended lifetime on the way to a server: the reason is in the sentence."""
    world = explaining()
    world.server(world.service())
    assert told(world, w.tcp(source=w.VIRTUAL)) == "It is dropped: martian source"
    assert "On the way to 10.0.0.10:8080 it is dropped: lifetime ended" in told(world, w.tcp(ttl=1))


def test_what_is_no_packet_hears_why() -> None:
    """Bytes that are dropped before anybody looks have their reason, too."""
    assert told(explaining(), b"") == "It is dropped: no IP packet"
    assert told(explaining(), w.tcp()[:10]) == "It is dropped: shorter than an IPv4 header"


def test_icmp_names_what_it_quotes() -> None:
    """An error of no connection names schedule_icmp; an echo request is the host's own."""
    world = explaining()
    world.server(world.service())
    quoted = w.tcp(w.ACK, 80, 1024, source=w.VIRTUAL, target=w.CLIENT)
    error = w.icmp(3, 3, 0, quoted)
    assert "of which no connection is known; schedule_icmp=0 lets an ICMP error open none" in told(world, error)
    world.kernel.sysctl["schedule_icmp"] = 1
    assert "schedule_icmp=1 lets an ICMP error open a connection" in told(world, error)
    assert "It is an ICMP error; what it quotes decides" in told(world, error)
    echo = w.ip(w.CLIENT, w.VIRTUAL, ICMP, bytes((8, 0, 0xF7, 0xFF, 0, 0, 0, 0)))
    assert "Only TCP, UDP, SCTP, AH and ESP are balanced" in told(world, echo)


# --- from a server, and of no connection ---


def answer(port: int = 8080) -> bytes:
    return w.tcp(w.ACK, port, 1024, source=w.SERVER, target=w.CLIENT)


def test_a_servers_packet_of_no_connection_hears_when_it_ended() -> None:
    """The last one expired so long ago; or there was none; or it comes from another port."""
    world = opened()
    world.pass_seconds(72)
    first = "10.0.0.10:8080 is a real server of TCP 203.0.113.1:80 by masq, "
    assert f"{first}but no connection fits: the last one expired 12 s ago" in told(world, answer(), server=True)
    other = w.tcp(w.ACK, 8080, 77, source=w.SERVER, target=w.CLIENT)
    assert f"{first}but no connection fits: none with the client 192.0.2.1:77 was opened" in told(
        world, other, server=True
    )
    assert f"{first}and this packet comes from port 9" in told(world, answer(9), server=True)


def test_one_packet_scheduling_keeps_none() -> None:
    """A reply to a datagram that was scheduled alone finds nothing, since nothing is kept."""
    world = explaining()
    world.server(world.service(w.UDP, flags=4))
    assert "One-packet scheduling keeps no connection" in told(world, w.udp())
    reply = w.udp(8080, 1024, source=w.SERVER, target=w.CLIENT)
    assert "but no connection fits: one-packet scheduling keeps none" in told(world, reply, server=True)


def test_a_server_by_direct_routing_sends_no_replies_from_its_own_address() -> None:
    """Such replies come from the virtual address."""
    world = explaining()
    world.server(world.service(), method=w.DIRECT)
    assert "by direct routing, but this is no reply to a client" in told(world, answer(), server=True)


def test_nat_icmp_send_is_named() -> None:
    """It refuses what comes from a server and belongs to nothing."""
    world = explaining(nat_icmp_send=1)
    world.server(world.service())
    assert "nat_icmp_send=1 answers a server's packet of no connection" in told(world, answer(), server=True)


# --- how ---


def test_the_tunables_on_the_way_are_listed() -> None:
    """Those that were read, with their values, and no other."""
    world = opened(conn_reuse_mode=2)
    consulted = world.client(w.tcp()).explain()["sysctls"]
    assert consulted["conn_reuse_mode"] == "2" and "sloppy_tcp" not in consulted


def test_nothing_is_gathered_unless_asked() -> None:
    """Without explanations a result has none, and the tunables are the plain ones again."""
    world = opened()
    world.director.explaining = False
    result = world.client(w.tcp(w.ACK))
    assert result.why == () and "why" not in result.explain() and "sysctls" not in result.explain()
    assert type(world.namespace.sysctls).__name__ == "Sysctls" and world.director.connection_table.memory is None


def test_the_last_fragment_of_a_reply_tells_the_connection_that_it_met() -> None:
    """An answer in pieces is put together at the hook: what there was before is that of the whole."""
    world = explaining()
    world.server(world.service(w.UDP, port=53))
    assert world.client(w.udp(1024, 53)).opened
    answer = w.udp(8080, 1024, source=w.SERVER, target=w.CLIENT, payload=bytes(100))
    first, last = (world.from_server(piece) for piece in w.fragments(answer, 64))
    assert first.out == [] and last.packet is not None and not last.packet.fragment
    assert last.before is not None and last.before.reply is not None  # type: ignore[attr-defined]
    assert last.reason == "reply"
