"""Edges: what the ranks, the table of mh and the caches' bounds do at their limits, and what a service's end gives back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvssim.schedulers import _locality, find
from ipvssim.schedulers._ranked import SCALE, overhead
from ipvssim.schedulers._replicas import Replicas
from ipvssim.schedulers.mh import SLOTS
from tests.ipvssim.schedulers.harness import Lab

LOADS = st.integers(-(1 << 31), (1 << 31) - 1)
WEIGHTS = st.integers(1, (1 << 31) - 1)


def address(number: int) -> bytes:
    return bytes([10, 1, number >> 8, number & 255])


@given(LOADS, WEIGHTS, LOADS, WEIGHTS)
def test_ranks_order_fractions(load: int, weight: int, other_load: int, other_weight: int) -> None:
    """Whole-number ranks compare as the kernel's cross products do, for all loads and weights of 32 bits."""
    rank, other = (load << SCALE) // weight, (other_load << SCALE) // other_weight
    left, right = load * other_weight, other_load * weight
    assert (rank > other) == (left > right)
    assert (rank == other) == (left == right)


@pytest.mark.parametrize(
    ("active", "inactive", "expected"),
    [(0, 0, 0), (1, 3, 259), ((1 << 23) - 1, 255, (1 << 31) - 1), (1 << 23, 0, -(1 << 31)), (1 << 24, 7, 7)],
)
def test_overhead_wraps(active: int, inactive: int, expected: int) -> None:
    """Beyond 2^23 active connections a server's overhead is negative, as the kernel's int is."""
    server = Lab("rr").add(2)
    server.active, server.inactive = active, inactive
    assert overhead(server, 256) == expected


def test_mh_refuses_more_servers_than_slots() -> None:
    """A service of more than 4093 servers gets no mh; one that has it keeps its table while there are more."""
    lab = Lab("mh")
    for number in range(SLOTS):
        lab.add(address(number))
    one_more = lab.add(address(SLOTS))
    clients = [bytes([192, 0, number >> 8, number & 255]) for number in range(3000)]
    picked = [lab.scheduler.pick(lab.flow(client=client)) for client in clients]
    assert None not in picked
    assert one_more not in picked
    maglev = find("mh")
    assert maglev is not None
    with pytest.raises(ValueError, match="4093 slots"):
        maglev(lab.service)
    lab.delete(one_more)
    assert [lab.scheduler.pick(lab.flow(client=client)) for client in clients] == picked


def test_where_mh_refuses_the_former_scheduler_begins_anew() -> None:
    """An edit to mh that is refused leaves the scheduler that was there, without its memory (recorded on Linux 6.1.176)."""
    lab = Lab("rr")
    for number in range(SLOTS + 1):
        lab.add(address(number))
    first, *_ = [lab.pick() for _ in range(3)]
    with pytest.raises(ValueError, match="4093 slots"):
        lab.table.edit_service(lab.service, find("mh"))
    assert (lab.service.scheduler_name, lab.pick()) == ("rr", first)


def test_mh_reads_addresses_as_the_services_family() -> None:
    """A server of IPv6 behind an IPv4 service has the slots of the IPv4 address that its first four bytes are."""
    six = Lab("mh")
    six.add(bytes.fromhex("fd000010") + bytes(11) + b"\x0a")
    six.add(12)
    four = Lab("mh")
    four.add(bytes.fromhex("fd000010"))
    four.add(12)
    clients = [bytes([192, 0, 2, number]) for number in range(200)]
    assert [six.scheduler.pick(six.flow(client=client)) is six.servers[0] for client in clients] == [
        four.scheduler.pick(four.flow(client=client)) is four.servers[0] for client in clients
    ]


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_cached_servers_stay_in_the_trash(name: str) -> None:
    """A deleted server is not freed while an address is cached with it; the collector or the service's end lets it go."""
    lab = Lab(name)
    server = lab.add(2)
    lab.pick()
    lab.delete(server)
    lab.wait(1000)
    assert list(lab.table.trash) == [server]
    lab.tunables.lblc_expiration = lab.tunables.lblcr_expiration = 60
    lab.wait(31 * 60)
    assert server.holders == 0
    lab.wait(300)
    assert not list(lab.table.trash)


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_another_scheduler_empties_the_cache(name: str) -> None:
    """Nothing is held after the service got another scheduler, which starts anew; nor is anything collected for it."""
    lab = Lab(name)
    server = lab.add(2)
    lab.pick()
    assert server.holders == 1
    lab.table.edit_service(lab.service, find("rr"))
    assert server.holders == 0
    lab.wait(120)


@pytest.mark.parametrize(("sublevel", "cached"), [(176, 40), (192, 24)])
@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_the_caches_bound(name: str, sublevel: int, cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """6.1.192 adds no more once half as many again as make the cache full are there; 6.1.176 knows no bound."""
    monkeypatch.setattr(_locality, "BOUND", 24)
    lab = Lab(name, sublevel=sublevel)
    server = lab.add(2)
    for number in range(40):
        assert lab.pick(destination=address(number)) == 2
    assert server.holders == cached


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_a_full_cache_loses_what_is_six_minutes_old(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 where 16 make it full, (30 - 16) * 4 / 3 but at most 8 are to go, bucket by bucket; what is younger stays."""
    monkeypatch.setattr(_locality, "FULL", 16)
    lab = Lab(name)
    server = lab.add(2)
    for number in range(30):
        lab.pick(destination=address(number))
    lab.wait(359)
    assert server.holders == 30
    lab.wait(2)
    assert server.holders == 22
    lab.wait(60)
    assert server.holders == 14


@pytest.mark.parametrize("name", ["dh", "lc", "mh", "rr", "sh", "wlc", "wrr"])
def test_adding_four_thousand_servers(name: str) -> None:
    """Adding, weighing and deleting 4,000 servers before one pick is no work of squares: it ends."""
    lab = Lab(name)
    for number in range(4000):
        lab.add(address(number), 1 + number % 7)
    assert lab.scheduler.pick(lab.flow()) is not None
    for server in lab.servers:
        lab.delete(server)
    assert lab.pick() is None


def test_a_set_sheds_no_server_of_weight_0() -> None:
    """lblcr's set drops its most loaded server; where all have weight 0 it drops none."""
    lab = Lab("lblcr")
    first, second = (lab.add(address(number), weight) for number, weight in ((1, 0), (2, 0)))
    replicas = Replicas(first, 0)
    replicas.join(second, 0)
    replicas.shed(1, 0)
    assert set(replicas.members) == {first, second}
    second.weight = 1
    replicas.shed(1, 0)
    assert set(replicas.members) == {first}
