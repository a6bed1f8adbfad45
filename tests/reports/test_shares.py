"""Reports of uneven loads and of weights that are not what people expect."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.ipvssim import worlds as w
from tests.reports.site import ONE, THREE, TWO, VIRTUAL, WEB, Site, farm

THREE_SERVERS = (f"{ONE}:80", f"{TWO}:80", f"{THREE}:80")


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "wlc", "lc"])
def test_every_director_begins_with_the_same_server(scheduler: str) -> None:
    """Directors know nothing of each other: a first connection each, and all of them have the same server."""
    first = [Site(farm(f"-t {WEB} -s {scheduler}", *THREE_SERVERS)).open() for _ in range(8)]
    assert len(set(first)) == 1 and first[0] is not None


def test_round_robin_is_even_for_each_director_and_not_for_all() -> None:
    """Eight directors in turn, thirty servers: each director's shares differ by one, the sum by up to eight."""
    servers = [f"10.0.0.{n}:80" for n in range(1, 31)]
    directors = [Site(farm(f"-t {WEB} -s rr", *servers)) for _ in range(8)]
    total: Counter[str | None] = Counter()
    for director in directors:
        shares = director.shares(50)
        assert max(shares.values()) - min(shares.values()) <= 1
        total += shares
    assert max(total.values()) - min(total.values()) == 8


def test_least_connections_counts_its_own_director_s_alone() -> None:
    """A server that other directors have filled looks idle to a new one."""
    full, new = (Site(farm(f"-t {WEB} -s lc", *THREE_SERVERS)) for _ in range(2))
    filled = [full.open() for _ in range(3)]
    assert sorted(full.active().values()) == [1, 1, 1] and set(new.active().values()) == {0}
    assert new.open() == filled[0]


def test_weights_are_shares_of_new_connections() -> None:
    """Weighted round robin with 3, 1 and 0 gives three quarters, one quarter, and nothing."""
    site = Site(farm(f"-t {WEB} -s wrr", f"{ONE}:80 -w 3", f"{TWO}:80 -w 1", f"{THREE}:80 -w 0"))
    assert site.shares(40) == {ONE: 30, TWO: 10}


def test_round_robin_knows_no_weight_but_0() -> None:
    """rr gives equal shares whatever the weights are; a server of weight 0 gets none."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80 -w 100", f"{TWO}:80 -w 1", f"{THREE}:80 -w 0"))
    assert site.shares(40) == {ONE: 20, TWO: 20}


def test_a_new_server_gets_every_new_connection_until_it_has_as_many() -> None:
    """Under least connections a server that is added takes all that comes: that is no fault of the weights."""
    site = Site(farm(f"-t {WEB} -s wlc", f"{ONE}:80", f"{TWO}:80"))
    site.shares(20)
    site.ipvsadm("-a", "-t", WEB, "-r", f"{THREE}:80", "-m")
    assert site.shares(9) == {THREE: 9}


def test_a_forgotten_weight_0_is_a_difference_that_a_plan_shows() -> None:
    """A weight 0 that a controller left behind is shown by plan, mended by apply, and no connection is lost."""
    wanted = farm(f"-t {WEB} -s rr", f"{ONE}:80 -w 1", f"{TWO}:80 -w 9")
    site = Site(wanted)
    site.open(1000)
    site.ipvsadm("-e", "-t", WEB, "-r", f"{TWO}:80", "-m", "-w", "0")
    before = site.states()
    shown = site.kernel.ipvsnl("plan", "-", stdin=wanted)
    assert shown.status == 2 and "weight 0 -> 9" in shown.stdout
    assert site.kernel.ipvsnl("apply", "-", stdin=wanted).status == 0
    assert set(site.shares(4)) == {ONE, TWO} and before[0] in site.states()


def test_all_servers_of_weight_0_leave_nobody() -> None:
    """With weight 0 everywhere the client is refused, and the result says that no server takes it."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80 -w 0"))
    result = site.tcp(w.SYN, 1000)
    assert result.server is None and result.out and "no" in result.reason


def test_translation_leaves_the_clients_address() -> None:
    """IPVS changes where a packet goes, never who sent it: source translation is netfilter's."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:8080"))
    (frame,) = site.tcp(w.SYN, 1000).out
    packet = frame[1][-40:]
    assert packet[12:16] == bytes((198, 51, 100, 1)) and packet[16:20] == bytes((10, 0, 0, 1))
    assert packet[22:24] == (8080).to_bytes(2, "big") and VIRTUAL == "203.0.113.1"
