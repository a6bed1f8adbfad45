"""Picks observed on Linux 6.1.176 and 6.1.192, one row each. Servers are named by the last byte of their address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ipvssim.schedulers.harness import Lab

Weights = dict[int, int]


def lab(name: str, weights: Weights, **options: Any) -> Lab:
    made = Lab(name, **options)
    for host, weight in weights.items():
        made.add(host, weight)
    return made


def server(made: Lab, host: int) -> Any:
    return next(each for each in made.servers if each.address[-1] == host)


def numbers(text: str) -> list[int | None]:
    """``-`` is a connection that found no server; ``12*4`` four times 12."""
    found: list[int | None] = []
    for word in text.split():
        host, _, times = word.partition("*")
        found += [None if host == "-" else int(host)] * int(times or 1)
    return found


EQUAL, ONE_TWO_FOUR, ONE_TWO_THREE = {10: 1, 11: 1, 12: 1}, {10: 1, 11: 2, 12: 4}, {10: 1, 11: 2, 12: 3}

CONNECTING = [
    ("rr", EQUAL, "12 11 10 12 11"),
    ("wrr", ONE_TWO_FOUR, "12 11 10 12 12 12 11 12 11 10 12 12 12 11"),
    ("wrr", {10: 2, 11: 4, 12: 6}, "12 11 10 12 12 11 12 11 10 12 12 11"),
    ("wrr", {10: 3, 11: 3, 12: 3}, "12 11 10 12 11 10"),
    ("lc", EQUAL, "12 11 10 12 11 10 12"),
    ("wlc", ONE_TWO_FOUR, "12 11 10 12 12 11 12 12 11 10 12 12 11 12"),
    ("wlc", {10: 1, 11: 0, 12: 3}, "12 10 12 12 12 10 12 12"),
    ("lblc", {10: 2, 11: 2, 12: 2}, "12*3 11*3 10*8"),
    ("lblcr", {10: 2, 11: 2, 12: 2}, "12*3 11*3 10*4 11 12 10 11 12 10"),
    ("sed", ONE_TWO_FOUR, "12 12 11 12 12 11 10 12 12 11 12 12 11 10"),
    ("nq", ONE_TWO_FOUR, "12 11 10 12 12 12 11 12 12 11 12 12 11 10"),
    ("fo", {10: 1, 11: 5, 12: 5}, "12 12 12"),
    ("ovf", {10: 2, 11: 3, 12: 3}, "12*4 11*4 10*3 -"),
]


@pytest.mark.parametrize(("name", "weights", "picks"), CONNECTING)
def test_connections_that_stay(name: str, weights: Weights, picks: str) -> None:
    """One client's connections, each of them active and none ending, go to the servers the kernels sent them to."""
    made = lab(name, weights)
    expected = numbers(picks)
    assert [made.connect() for _ in expected] == expected


THRESHOLDS = [
    ("rr", "12 11 10 11 10 10 10"),
    ("wrr", "12 11 10 11 10 10 10"),
    ("lc", "12 11 10 11 10 10 10"),
    ("wlc", "12 11 10 11 10 10 10"),
    ("sed", "12 11 10 11 10 10 10"),
    ("nq", "12 11 10 11 10 10 10"),
    ("fo", "12 11 11 10 10 10"),
    ("ovf", "12 11 11 10*5 -"),
]


@pytest.mark.parametrize(("name", "picks"), THRESHOLDS)
def test_thresholds(name: str, picks: str) -> None:
    """All of weight 4, with room for 1 (12), 2 (11) and any number (10): those that are full are passed over."""
    made, room = lab(name, {10: 4, 11: 4, 12: 4}), {12: 1, 11: 2, 10: 99}
    got = []
    for _ in numbers(picks):
        host = made.connect()
        got.append(host)
        if host is not None and server(made, host).active == room[host]:
            made.mark(server(made, host), True)
    assert got == numbers(picks)


@pytest.mark.parametrize(("name", "picks"), [("lblc", "11 11 10 10 10 10"), ("lblcr", "11 11 10 10 -")])
def test_thresholds_of_cached_servers(name: str, picks: str) -> None:
    """Room for 2 on each: lblc does not look at the mark of a cached server, lblcr does."""
    made = lab(name, {10: 1, 11: 1})
    got = []
    for _ in numbers(picks):
        host = made.connect()
        got.append(host)
        if host is not None and server(made, host).active == 2:
            made.mark(server(made, host), True)
    assert got == numbers(picks)


def test_rr_cursor_through_changes() -> None:
    """A new server is first in the list; when the last picked is deleted its predecessor is the last picked."""
    made = lab("rr", EQUAL)
    assert [made.pick() for _ in range(5)] == [12, 11, 10, 12, 11]
    made.add(13)
    assert [made.pick() for _ in range(3)] == [10, 13, 12]
    made.delete(server(made, 12))
    assert [made.pick() for _ in range(4)] == [11, 10, 13, 11]


def test_wrr_current_weight_through_changes() -> None:
    """An edit to the same weight begins at the head again and keeps the current weight; so does a new server."""
    made = lab("wrr", {10: 3, 11: 2})
    assert [made.pick() for _ in range(2)] == [11, 10]
    made.edit(server(made, 10), 3)
    assert [made.pick() for _ in range(10)] == [11, 10, 10, 11, 10] * 2
    made.add(12, 5)
    assert [made.pick() for _ in range(10)] == [12, 11, 10, 12, 11, 10, 12, 12, 12, 10]


@pytest.mark.parametrize(("sublevel", "host"), [(176, 10), (192, 11)])
@pytest.mark.parametrize("name", ["lc", "wlc", "lblc", "lblcr"])
def test_what_an_active_connection_costs(name: str, sublevel: int, host: int) -> None:
    """One active against 256 inactive connections: a tie on 6.1.176, on 6.1.192 the active one weighs 257."""
    made = lab(name, {11: 1, 10: 1}, sublevel=sublevel)
    made.load(server(made, 10), active=1)
    made.load(server(made, 11), inactive=256)
    assert made.pick() == host


@pytest.mark.parametrize("name", ["lc", "wlc", "nq"])
def test_one_packet_connections(name: str) -> None:
    """Where no connection lasts everything goes to the first of the list."""
    made = lab(name, ONE_TWO_FOUR)
    assert [made.pick() for _ in range(5)] == [12] * 5


@pytest.mark.parametrize(("name", "host"), [("sed", 11), ("nq", 12)])
def test_connections_that_are_never_active(name: str, host: int) -> None:
    """UDP: sed sends all to the highest weight, nq to the first of the list."""
    made = lab(name, {10: 1, 11: 5, 12: 2})
    for _ in range(5):
        picked = made.pick()
        assert picked == host
        made.load(server(made, host), inactive=server(made, host).inactive + 1)


def test_wlc_balances_inactive_connections() -> None:
    """UDP under wlc: by count."""
    made = lab("wlc", EQUAL)
    got = []
    for _ in range(6):
        host = made.pick()
        assert host is not None
        got.append(host)
        made.load(server(made, host), inactive=server(made, host).inactive + 1)
    assert got == [12, 11, 10, 12, 11, 10]


def test_fo_falls_from_weight_to_weight() -> None:
    """The highest weight, then the next as each is set to 0."""
    made = lab("fo", {10: 1, 11: 5, 12: 5})
    got = [made.pick()]
    for host in (12, 11):
        made.edit(server(made, host), 0)
        got.append(made.pick())
    assert got == [12, 11, 10]


def test_lblcr_sets_shrink() -> None:
    """Every lblcr_expiration without a change the most loaded server leaves the set."""
    made = lab("lblcr", {10: 2, 11: 2, 12: 2})
    assert [made.connect() for _ in range(16)] == numbers("12*3 11*3 10*4 11 12 10 11 12 10")
    made.tunables.lblcr_expiration = 1
    made.wait(1.5)
    assert [made.connect() for _ in range(4)] == [11, 12, 11, 12]
    made.wait(1.5)
    assert [made.connect() for _ in range(5)] == [11, 12, 12, 12, 12]


def test_lblc_finds_a_server_again_that_was_added_again() -> None:
    """While it is deleted another serves; lblcr's set still has it when it returns."""
    made = lab("lblcr", {10: 2, 11: 2})
    assert made.pick() == 11
    first = server(made, 11)
    made.delete(first)
    assert made.pick() == 10
    assert made.add(11, 2) is first
    made.load(server(made, 10), active=1)
    assert made.pick() == 11


def clients(made: Lab, last: int) -> list[int | None]:
    return [made.pick(client=bytes([192, 0, 2, host])) for host in range(1, last + 1)]


def ports(made: Lab) -> list[int | None]:
    return [made.pick(port=port) for port in range(1024, 1032)]


def destinations(made: Lab) -> list[int | None]:
    return [made.pick(destination=bytes([203, 0, 113, host])) for host in range(1, 9)]


HASHING: list[tuple[str, int, Weights, int | None, Callable[[Lab], list[int | None]], str]] = [
    ("sh", 0, ONE_TWO_THREE, None, lambda made: clients(made, 8), "12 11 12 11 10 11 10 12"),
    ("sh", 0, ONE_TWO_THREE, 12, lambda made: clients(made, 8), "11 - 11 - 11 10 11 10"),
    ("sh", 8, ONE_TWO_THREE, 12, lambda made: clients(made, 8), "11 11 11 11 11 10 11 10"),
    ("sh", 16, ONE_TWO_THREE, None, ports, "12 12 12 12 11 12 11 12"),
    ("dh", 0, EQUAL, None, destinations, "10 12 10 12 10 10 11 12"),
    ("dh", 0, EQUAL, 12, destinations, "10 - 10 - 10 10 11 -"),
    ("mh", 0, ONE_TWO_THREE, None, lambda made: clients(made, 12), "12 11 12 11 12 11 10 10 11 11 10 12"),
    ("mh", 0, ONE_TWO_THREE, 12, lambda made: clients(made, 12), "- 11 - 11 - 11 10 10 11 11 10 -"),
]


@pytest.mark.parametrize(("name", "flags", "weights", "drained", "asked", "picks"), HASHING)
def test_hashing(name: str, flags: int, weights: Weights, drained: int | None, asked: Any, picks: str) -> None:
    """Clients, ports or destination addresses in a row, with one server set to weight 0 or none."""
    made = lab(name, weights, flags=flags)
    if drained is not None:
        asked(made)
        made.edit(server(made, drained), 0)
    assert asked(made) == numbers(picks)


def test_mh_deletion() -> None:
    """Deleting a server gives its clients to others, and moves few of the others'."""
    made = lab("mh", ONE_TWO_THREE)
    made.delete(server(made, 12))
    assert clients(made, 12) == numbers("11 11 10 11 11 11 10 10 11 11 10 11")
