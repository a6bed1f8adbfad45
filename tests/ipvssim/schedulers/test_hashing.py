"""The hash functions, and what they make of the observed addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvssim.schedulers._hashing import fold, hash_32, hsiphash
from ipvssim.schedulers.mh import SLOTS, assign, turns
from tests.ipvssim.schedulers import reference
from tests.ipvssim.schedulers.harness import Lab

BUCKETS_OF_CLIENTS = [50, 148, 246, 88, 185, 27, 125, 223]
BUCKETS_OF_PORTS = [84, 182, 24, 122, 220, 61, 159, 1]
BUCKETS_OF_DESTINATIONS = [50, 147, 245, 87, 185, 26, 124, 222]


def test_hash_32() -> None:
    """The buckets of 192.0.2.1 to .8, of its ports 1024 to 1031, and of 203.0.113.1 to .8."""
    client = fold(bytes([192, 0, 2, 1]))
    assert [hash_32(client + step, 8) for step in range(8)] == BUCKETS_OF_CLIENTS
    assert [hash_32(client + port, 8) for port in range(1024, 1032)] == BUCKETS_OF_PORTS
    assert [hash_32(fold(bytes([203, 0, 113, host])), 8) for host in range(1, 9)] == BUCKETS_OF_DESTINATIONS


def test_fold_of_ipv6() -> None:
    """The four words XORed."""
    assert fold(bytes.fromhex("20010db8000000050000000700000001")) == 0x20010DB8 ^ 5 ^ 7 ^ 1


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [(2654435761, 0, 0x1D5A77C2), (2654435761, 1, 0x16EC66B2), (2654446892, 1, 0x8210AAD1)],
)
def test_hsiphash(key: int, value: int, expected: int) -> None:
    """The kernel's values for mh's two keys."""
    assert hsiphash(value, key) == expected


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_hsiphash_is_siphash(value: int, key: int) -> None:
    """It is SipHash-1-3 as its paper has it, cut to 32 bits."""
    assert hsiphash(value, key) == reference.hashed(key, value)


def test_mh_slots() -> None:
    """Three servers of weights 1, 2, 3 share 4093 slots as observed."""
    lab = Lab("mh")
    for host, weight in ((10, 1), (11, 2), (12, 3)):
        lab.add(host, weight)
    slots = assign(lab.servers)
    counts = {server.address[-1]: slots.count(server) for server in lab.servers}
    assert counts == {10: 682, 11: 1364, 12: 2047}


def test_mh_slots_of_clients() -> None:
    """The slots of 192.0.2.1 to .8."""
    client = fold(bytes([192, 0, 2, 1]))
    expected = [2891, 746, 998, 3044, 3958, 4037, 1589, 1122]
    assert [hsiphash(client + step, 2654435761) % SLOTS for step in range(8)] == expected


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([10, 20, 0], [1, 2, 0]),
        ([0, 0], [0, 0]),
        ([1, 65535], [1, 63]),
        ([64, 1], [32, 1]),
        ([], []),
    ],
)
def test_mh_turns(weights: list[int], expected: list[int]) -> None:
    """Weights by their divisor, scaled down to six bits, but at least one turn for a weight that is not 0."""
    assert turns(weights) == expected
