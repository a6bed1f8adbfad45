"""What each scheduler promises, whatever its servers are."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim.schedulers import names
from ipvssim.schedulers.mh import SLOTS, assign
from tests.ipvssim.schedulers.harness import Lab

SERVERS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=8)
CLIENTS = st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=10)


@pytest.mark.parametrize("name", names())
@settings(max_examples=40, deadline=None)
@given(servers=SERVERS, clients=CLIENTS, flags=st.sampled_from([0, 8, 24]))
def test_only_usable_servers_are_picked(
    name: str, servers: list[tuple[int, bool]], clients: list[bytes], flags: int
) -> None:
    """No scheduler sends a new address to a server of weight 0 or with the overload mark."""
    lab = Lab(name, flags=flags)
    for host, (weight, overloaded) in enumerate(servers):
        lab.mark(lab.add(host, weight), overloaded)
    for client in clients:
        picked = lab.scheduler.pick(lab.flow(client=client, destination=client))
        assert picked is None or (picked.weight > 0 and not picked.overloaded)


@pytest.mark.parametrize("name", names())
@settings(max_examples=20, deadline=None)
@given(servers=SERVERS, clients=CLIENTS)
def test_same_inputs_same_picks(name: str, servers: list[tuple[int, bool]], clients: list[bytes]) -> None:
    """Two services with the same history pick the same."""

    def picks() -> list[int | None]:
        lab = Lab(name)
        for host, (weight, overloaded) in enumerate(servers):
            lab.mark(lab.add(host, weight), overloaded)
        return [lab.connect(client=client) for client in clients]

    assert picks() == picks()


@pytest.mark.parametrize("name", names())
def test_no_servers(name: str) -> None:
    """A service without servers has none to give, nor has one whose only server was deleted."""
    lab = Lab(name)
    assert lab.pick() is None
    lab.delete(lab.add(2))
    assert lab.pick() is None


@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_rr_visits_all_in_turn(weights: list[int]) -> None:
    """As many picks as servers are all of them, in list order."""
    lab = Lab("rr")
    for host, weight in enumerate(weights):
        lab.add(host, weight)
    assert [lab.pick() for _ in weights] == [server.address[-1] for server in lab.servers]


@settings(deadline=None)
@given(weights=st.lists(st.integers(0, 12), min_size=1, max_size=7).filter(any), skipped=st.integers(0, 40))
def test_wrr_shares_of_a_cycle(weights: list[int], skipped: int) -> None:
    """From wherever one begins, as many picks as the weights have steps are shared out by weight."""
    lab = Lab("wrr")
    for host, weight in enumerate(weights):
        lab.add(host, weight)
    step = lab.scheduler.state(lab.flow())["step"]
    for _ in range(skipped):
        lab.pick()
    shares = Counter(lab.pick() for _ in range(sum(weights) // step))
    assert shares == Counter({host: weight // step for host, weight in enumerate(weights) if weight})


@settings(deadline=None)
@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_least_load_keeps_shares(weights: list[int]) -> None:
    """With connections that stay, wlc and sed give each server its weight, after every so many connections as weights."""
    for name in ("wlc", "sed"):
        lab = Lab(name)
        for host, weight in enumerate(weights):
            lab.add(host, weight)
        shares = Counter(lab.connect() for _ in range(2 * sum(weights)))
        assert shares == Counter({host: 2 * weight for host, weight in enumerate(weights)})


@settings(max_examples=15, deadline=None)
@given(weights=st.lists(st.integers(1, 4), min_size=2, max_size=10), gone=st.integers(0, 9))
def test_mh_minimal_disruption(weights: list[int], gone: int) -> None:
    """Deleting a server moves its own slots, and of the others' no more than a tenth of all."""
    lab = Lab("mh")
    for host, weight in enumerate(weights):
        lab.add(host, weight)
    before = assign(lab.servers)
    deleted = lab.servers[gone % len(weights)]
    lab.delete(deleted)
    moved = sum(
        1 for old, new in zip(before, assign(lab.servers), strict=True) if old is not new and old is not deleted
    )
    assert moved <= SLOTS // 10


@settings(max_examples=20, deadline=None)
@given(weights=st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_mh_shares(weights: list[int]) -> None:
    """Each server's slots are its share by weight, within the turns of one round."""
    lab = Lab("mh")
    for host, weight in enumerate(weights):
        lab.add(host, weight)
    slots = Counter(assign(lab.servers))
    total = sum(weights)
    assert all(abs(slots[server] - SLOTS * server.weight / total) <= server.weight + 1 for server in lab.servers)


@given(weights=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_ovf_fills_one_after_another(weights: list[int]) -> None:
    """Connections that stay fill the servers by falling weight, one more than the weight each; then there is none."""
    lab = Lab("ovf")
    for host, weight in enumerate(weights):
        lab.add(host, weight)
    got = [lab.connect() for _ in range(sum(weights) + len(weights))]
    assert None not in got
    assert all(weights[old or 0] >= weights[new or 0] for old, new in pairwise(got))
    assert Counter(got) == Counter({host: weight + 1 for host, weight in enumerate(weights)})
    assert lab.connect() is None
