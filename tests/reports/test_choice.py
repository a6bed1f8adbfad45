"""Reports about hashing schedulers, thresholds, and synchronisation daemons."""

from __future__ import annotations

import pytest

from tests.reports.site import ONE, THREE, TWO, WEB, Site, farm

SERVERS = (f"{ONE}:80", f"{TWO}:80", f"{THREE}:80")
CLIENTS = [f"198.51.100.{n}" for n in range(1, 201)]


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_a_hash_of_addresses_sends_a_client_to_one_server(scheduler: str) -> None:
    """All connections of one address have one server; with the port flag they are spread."""
    assert len(Site(farm(f"-t {WEB} -s {scheduler}", *SERVERS)).shares(60)) == 1
    assert len(Site(farm(f"-t {WEB} -s {scheduler} -b {scheduler}-port", *SERVERS)).shares(60)) == 3


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_two_directors_hash_alike(scheduler: str) -> None:
    """Directors with the same table send a client to the same server, so that one can take over from another."""
    first, second = (Site(farm(f"-t {WEB} -s {scheduler} -b {scheduler}-port", *SERVERS)) for _ in range(2))
    assert [first.open(port) for port in range(1000, 1100)] == [second.open(port) for port in range(1000, 1100)]


def test_the_order_of_servers_does_not_matter_to_maglev() -> None:
    """mh gives the same answer whatever order servers were added in; sh does not."""

    def answers(scheduler: str, servers: tuple[str, ...]) -> list[str | None]:
        site = Site(farm(f"-t {WEB} -s {scheduler}", *servers))
        return [site.open(1000, client) for client in CLIENTS]

    assert answers("mh", SERVERS) == answers("mh", SERVERS[::-1])
    assert answers("sh", SERVERS) != answers("sh", SERVERS[::-1])


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_a_server_of_weight_0_loses_its_clients_without_fallback(scheduler: str) -> None:
    """Clients whose hash names a server of weight 0 are refused (sh) or, under mh, moved as its table is made anew; an
    overloaded one needs the fallback flag under both."""
    crowded = tuple(f"{one} -x 1" for one in SERVERS)
    plain, fallback = (
        Site(farm(f"-t {WEB} -s {scheduler}{flag}", *crowded)) for flag in ("", f" -b {scheduler}-fallback")
    )
    assert [site.open(1000) is not None for site in (plain, fallback)] == [True, True]
    assert plain.open(1001) is None
    assert fallback.open(1001) is not None


def test_maglev_moves_few_clients_and_no_connection() -> None:
    """A server more moves about its share of new clients; a connection that is known never moves, under any scheduler."""
    site = Site(farm(f"-t {WEB} -s mh", *SERVERS))
    before = {client: site.open(1000, client) for client in CLIENTS}
    site.ipvsadm("-a", "-t", WEB, "-r", "10.0.0.4:80", "-m")
    assert {client: site.open(1000, client) for client in CLIENTS} == before
    moved = sum(site.open(1001, client) != before[client] for client in CLIENTS)
    assert 0.15 < moved / len(CLIENTS) < 0.4


def test_an_upper_threshold_closes_a_server_until_the_lower_one() -> None:
    """At its upper threshold a server gets no new connection, below its lower one it does again; its weight stays."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80 -x 4 -y 2", f"{TWO}:80"))
    opened = {port: site.open(port) for port in range(1000, 1020)}
    mine = [port for port, server in opened.items() if server == ONE]
    assert len(mine) == 4 and "Masq    1      4" in site.ipvsadm("-Ln")
    site.kernel.advance(901)
    assert ONE in site.shares(4)


def test_one_daemon_of_each_role() -> None:
    """A director runs one master and one backup at a time, each with its own syncid; a second one is refused."""
    site = Site("")
    for role, number in (("master", "1"), ("backup", "2")):
        site.ipvsadm("--start-daemon", role, "--mcast-interface", "lo", "--syncid", number)
    assert site.kernel.ipvsadm("--start-daemon", "master", "--mcast-interface", "lo", "--syncid", "3").status != 0
    listed = site.ipvsadm("-L", "--daemon")
    assert "master sync daemon" in listed and "backup sync daemon" in listed and "syncid=2" in listed
