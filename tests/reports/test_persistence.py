"""Reports about persistence (session affinity): too long, too short, or for the wrong client."""

from __future__ import annotations

import pytest

from ipvsnl.tables.table import TableError
from ipvsnl.tables.wanted import read_table
from tests.ipvssim import worlds as w
from tests.reports.site import ONE, TWO, VIRTUAL, WEB, Site, farm

TWO_SERVERS = (f"{ONE}:80", f"{TWO}:80")
NONE = "NONE"


def template(site: Site) -> bool:
    return any(one.client_port == 0 for one in site.kernel.connections())


def test_a_closed_connection_holds_its_template() -> None:
    """Five seconds of persistence last for minutes, for a template waits while one of its connections is in TIME_WAIT."""
    site = Site(farm(f"-t {WEB} -s rr -p 5", *TWO_SERVERS))
    server = site.open(1000)
    assert server is not None
    site.close(1000, server)
    assert "TIME_WAIT" in site.states()
    site.kernel.advance(100)
    assert template(site) and site.open(1001) == server
    site.kernel.advance(2000)
    assert not template(site)


def test_a_template_without_connections_ends_with_its_timeout() -> None:
    """Once its last connection is gone, a template lasts no longer than its timeout, or 60 s more where it was waiting."""
    site = Site(farm(f"-t {WEB} -s rr -p 5", *TWO_SERVERS))
    site.tcp(w.SYN, 1000)
    site.kernel.advance(60 + 60 + 6)  # SYN_RECV, then what the template was given while it waited
    assert not template(site) and site.states() == []


def test_persistence_is_kept_as_long_as_the_client_comes() -> None:
    """Each new connection renews the template, so that a client that keeps coming keeps its server for ever."""
    site = Site(farm(f"-t {WEB} -s rr -p 300", *TWO_SERVERS))
    servers = set()
    for hour in range(20):
        servers.add(site.open(1000 + hour))
        site.kernel.advance(290)
    assert len(servers) == 1


def test_weight_0_does_not_end_persistence() -> None:
    """A client of a server that is being drained comes back to it, unless expire_quiescent_template is set."""
    for expire, again in ((0, True), (1, False)):
        site = Site(farm(f"-t {WEB} -s rr -p 3600", *TWO_SERVERS), expire_quiescent_template=expire)
        server = site.open(1000)
        site.ipvsadm("-e", "-t", WEB, "-r", f"{server}:80", "-m", "-w", "0")
        assert (site.open(1001) == server) is again


def test_a_removed_server_ends_persistence() -> None:
    """The template of a server that was deleted is void: the next connection has another server."""
    site = Site(farm(f"-t {WEB} -s rr -p 1800", *TWO_SERVERS))
    server = site.open(1000)
    site.ipvsadm("-d", "-t", WEB, "-r", f"{server}:80")
    assert site.open(1001) == ({ONE, TWO} - {server}).pop()


def test_two_services_are_two_affinities_and_a_mark_is_one() -> None:
    """A client is remembered for each service of its own; one firewall mark over both ports makes it one memory."""
    both = (
        farm(f"-t {WEB} -s rr -p 60", *TWO_SERVERS)
        + "\n"
        + farm(f"-t {VIRTUAL}:443 -s rr -p 60", f"{ONE}:443", f"{TWO}:443")
    )
    site = Site(both)
    site.open(999, "198.51.100.77")  # so that the two services' turns differ
    assert site.open(1000) != site.open(1001, dport=443)
    marked = Site(farm("-f 7 -s rr -p 60", f"{ONE}:0", f"{TWO}:0"))
    results = [marked.tcp(w.SYN, 1000 + n, dport=port, mark=7) for n, port in enumerate((80, 443, 8080))]
    assert len({result.server for result in results}) == 1 and results[0].server is not None


def test_clients_behind_one_address_are_one_client() -> None:
    """Whoever hides behind one address, or within one netmask, gets one server."""
    site = Site(farm(f"-t {WEB} -s rr -p 60", *TWO_SERVERS))
    assert len(site.shares(20)) == 1
    wide = Site(farm(f"-t {WEB} -s rr -p 60 -M 255.255.255.0", *TWO_SERVERS))
    assert len({wide.open(1000, f"198.51.100.{n}") for n in range(1, 9)}) == 1
    assert len({wide.open(1000, f"198.51.{n}.1") for n in range(1, 9)}) == 2


def test_without_the_flag_there_is_no_persistence() -> None:
    """The same client without persistence is spread; with it, it is not."""
    assert len(Site(farm(f"-t {WEB} -s rr", *TWO_SERVERS)).shares(20)) == 2
    assert len(Site(farm(f"-t {WEB} -s rr -p 10", *TWO_SERVERS)).shares(20)) == 1


def test_another_timeout_is_an_edit() -> None:
    """A changed persistence timeout is one edit of the service in a plan; servers and connections stay."""
    site = Site(farm(f"-t {WEB} -s rr -p 299", *TWO_SERVERS))
    site.open(1000)
    for timeout, shown in ((60, "persistence 299 -> 60"), (None, "persistence 60 -> none")):
        wanted = farm(f"-t {WEB} -s rr{f' -p {timeout}' if timeout else ''}", *TWO_SERVERS)
        done = site.kernel.ipvsnl("apply", "-", stdin=wanted)
        assert done.status == 0 and shown in done.stdout and done.stdout.count("\n") == 2
    assert "ESTABLISHED" in site.states()


def test_a_timeout_that_is_too_long_is_named() -> None:
    """A persistence_timeout that the kernel's counter can't hold is refused with its line."""
    text = "virtual_server 192.0.2.1 80 {\n persistence_timeout 4294967295\n real_server 10.0.0.1 80 {\n }\n}\n"
    with pytest.raises(TableError, match=r"^line 2: timeout '4294967295' is not a number from 0 to 2678400"):
        read_table(text)
