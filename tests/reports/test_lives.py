"""Reports about how long connections live, about ports that are used again, and about servers that go."""

from __future__ import annotations

import pytest

from tests.ipvssim import worlds as w
from tests.reports.site import ONE, TWO, VIRTUAL, WEB, Site, farm, went

TWO_SERVERS = (f"{ONE}:80", f"{TWO}:80")
DNS = f"-u {VIRTUAL}:53 -s rr"
DNS_SERVERS = (f"{ONE}:53", f"{TWO}:53")

# --- timeouts ---


def test_an_idle_connection_is_forgotten_after_its_timeout() -> None:
    """900 s of silence, and the next segment belongs to no connection: it is not sent on to the server."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS))
    site.open(1000)
    site.kernel.advance(899)
    assert went(site.tcp(w.ACK, 1000)) is not None
    site.kernel.advance(901)
    assert site.states() == [] and went(site.tcp(w.ACK, 1000)) is None


def test_keepalives_below_the_timeout_keep_it() -> None:
    """A keepalive every 870 s keeps a connection for a day, with one server."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS))
    server = site.open(1000)
    for _ in range(100):
        site.kernel.advance(870)
        assert went(site.tcp(w.ACK, 1000)) == server


def test_timeouts_are_shown_and_set() -> None:
    """900, 120 and 300 s by default; a longer one counts from a connection's next packet."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS))
    assert site.ipvsadm("-L", "--timeout") == "Timeout (tcp tcpfin udp): 900 120 300\n"
    site.open(1000)
    site.ipvsadm("--set", "7200", "0", "0")
    site.tcp(w.ACK, 1000)
    site.kernel.advance(7000)
    assert site.states() == ["ESTABLISHED"]


def test_a_half_closed_connection_lasts_a_minute() -> None:
    """The client closes its half; a server that answers after 60 s finds no connection, and its answer goes out untranslated
    or not at all, never as the virtual address."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80"))
    site.open(1000)
    site.tcp(w.FIN | w.ACK, 1000)
    assert site.states() == ["CLOSE_WAIT"]
    site.kernel.advance(59)
    assert site.answer(1000, ONE).out[0][1][-28:-24] == bytes((203, 0, 113, 1))
    site.kernel.advance(62)
    assert site.states() == []
    assert all(frame[-28:-24] != bytes((203, 0, 113, 1)) for _, frame in site.answer(1000, ONE).out)


# --- UDP ---


def test_a_udp_client_that_keeps_sending_keeps_its_server() -> None:
    """One client port is one connection for as long as datagrams come, however short the timeout is."""
    site = Site(farm(DNS, *DNS_SERVERS))
    site.ipvsadm("--set", "0", "0", "1")
    servers = set()
    for _ in range(50):
        servers.add(site.udp(5000))
        site.kernel.advance(0.5)
    assert len(servers) == 1
    assert {site.udp(5000 + n) for n in range(4)} == {ONE, TWO}


def test_one_packet_scheduling_spreads_each_datagram() -> None:
    """With -o every datagram of one client port is scheduled, and no connection is kept."""
    site = Site(farm(f"{DNS} -o", *DNS_SERVERS))
    sent = [site.udp(5000) for _ in range(10)]
    assert sent.count(ONE) == sent.count(TWO) == 5 and site.states() == []


def test_active_udp_connections_are_none() -> None:
    """A UDP connection is inactive all its life, so that zero active connections do not mean an idle server."""
    site = Site(farm(DNS, f"{ONE}:53"))
    for port in range(5000, 5005):
        site.udp(port)
    assert site.active() == {ONE: 0}
    assert "0          5" in site.ipvsadm("-Ln")


def test_a_udp_flow_stays_with_a_server_of_weight_0() -> None:
    """Weight 0 stops new flows; a flow that never pauses goes to the old server for ever."""
    site = Site(farm(DNS, *DNS_SERVERS))
    server = site.udp(5000)
    site.ipvsadm("-e", "-u", f"{VIRTUAL}:53", "-r", f"{server}:53", "-m", "-w", "0")
    for _ in range(100):
        site.kernel.advance(200)
        assert site.udp(5000) == server


@pytest.mark.parametrize("expire", [0, 1])
def test_a_udp_flow_of_a_deleted_server(expire: int) -> None:
    """Its datagrams vanish for as long as they come (expire_nodest_conn=0), or have another server at once (1)."""
    site = Site(farm(DNS, *DNS_SERVERS), expire_nodest_conn=expire)
    server = site.udp(5000)
    site.ipvsadm("-d", "-u", f"{VIRTUAL}:53", "-r", f"{server}:53")
    for _ in range(3):
        assert site.udp(5000) == (({ONE, TWO} - {server}).pop() if expire else None)
        site.kernel.advance(100)


# --- the same port again ---


@pytest.mark.parametrize(("mode", "again"), [(0, True), (1, False)])
def test_a_port_that_is_used_again_finds_the_drained_server(mode: int, again: bool) -> None:
    """A client that uses its port again within TIME_WAIT gets the old server of weight 0 with conn_reuse_mode 0, and so
    that server is never idle; with 1 it is scheduled anew."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS), conn_reuse_mode=mode)
    server = site.open(1000)
    assert server is not None
    site.close(1000, server)
    site.ipvsadm("-e", "-t", WEB, "-r", f"{server}:80", "-m", "-w", "0")
    assert site.states() == ["TIME_WAIT"]
    assert (site.open(1000) == server) is again


@pytest.mark.parametrize("expire", [0, 1])
def test_a_fixed_port_goes_back_to_a_dead_server(expire: int) -> None:
    """A client that always uses one port (NFS) and never closed: its SYN belongs to the old connection of a server of weight
    0, whatever conn_reuse_mode is; with expire_nodest_conn=1 it is scheduled anew."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS), expire_nodest_conn=expire, conn_reuse_mode=1)
    server = site.open(700)
    site.ipvsadm("-e", "-t", WEB, "-r", f"{server}:80", "-m", "-w", "0")
    assert (went(site.tcp(w.SYN, 700)) == server) is not bool(expire)


# --- servers that go ---


def test_weight_0_lets_connections_end_and_deleting_cuts_them() -> None:
    """A server of weight 0 serves whom it has and gets nobody new; a deleted one serves nobody."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS))
    server = site.open(1000)
    other = ({ONE, TWO} - {server}).pop()
    site.ipvsadm("-e", "-t", WEB, "-r", f"{server}:80", "-m", "-w", "0")
    assert went(site.tcp(w.ACK, 1000)) == server and set(site.shares(6)) == {other}
    site.ipvsadm("-d", "-t", WEB, "-r", f"{server}:80")
    assert went(site.tcp(w.ACK, 1000)) is None


def test_draining_deletes_a_server_when_its_last_connection_ends() -> None:
    """apply --prune --drain: weight 0 first, gone when idle or when the time is over; what is left is said by the plan."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS))
    wanted = farm(f"-t {WEB} -s rr", f"{ONE}:80")
    done = site.kernel.ipvsnl("apply", "--prune", "--drain", "5", "-", stdin=wanted)
    assert done.status == 0 and "1 server deleted" in done.stdout
    assert site.kernel.ipvsnl("plan", "--prune", "-", stdin=wanted).stdout == "nothing to do\n"


def test_connections_of_a_deleted_server_are_listed() -> None:
    """They stay in the table until their timeout, and can be asked for by their server."""
    site = Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS))
    server = site.open(1000)
    site.ipvsadm("-d", "-t", WEB, "-r", f"{server}:80")
    listed = site.kernel.ipvsnl("-Lnc", "--server", f"{server}:80").stdout
    assert f"{server}:80" in listed and "ESTABLISHED" in listed
    assert [one.address for one in site.kernel.trash()] == [server]
