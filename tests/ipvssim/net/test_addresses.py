"""What addresses are by themselves."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvssim.net.addresses import (
    common_bits,
    holds,
    is_host_only,
    is_link_local,
    parse_mac,
    parse_prefix,
    special_kind,
)
from ipvssim.net.routes import BROADCAST, MULTICAST

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(ADDRESSES)
def test_kinds_are_those_of_the_standard_library(address: object) -> None:
    """Groups, link-local and loopback addresses are the ones that ipaddress knows as such."""
    known = ip_address(str(address))
    assert special_kind(known.packed) == (
        MULTICAST if known.is_multicast else BROADCAST if known.packed == b"\xff" * 4 else ""
    )
    assert is_host_only(known.packed) == (
        known in ip_network("127.0.0.0/8") if known.version == 4 else known.is_loopback
    )
    if known.version == 6:
        assert is_link_local(known.packed) == known.is_link_local


@given(ADDRESSES, st.integers(0, 128), st.integers(0))
def test_a_prefix_holds_what_ipaddress_says(address: object, length: int, other: int) -> None:
    """A prefix holds an address where the standard library's network does."""
    known = ip_address(str(address))
    length = min(length, known.max_prefixlen)
    near = type(known)(int(known) ^ other % (1 << known.max_prefixlen))
    assert holds(known.packed, length, near.packed) == (near in ip_network((known, length), strict=False))
    assert common_bits(known.packed, known.packed) == known.max_prefixlen
    assert parse_prefix(f"{known}/{length}") == (known.packed, length)


@pytest.mark.parametrize("text", ["10.0.0.1/33", "10.0.0.1/x", "fe80::1/129", "10.0.0/8", "host"])
def test_what_is_no_prefix_is_refused(text: str) -> None:
    """A wrong length and a wrong address are a ValueError."""
    with pytest.raises(ValueError, match=r"\S"):
        parse_prefix(text)


@pytest.mark.parametrize("text", ["02:00", "zz:00:00:00:00:01", b"12345"])
def test_what_is_no_link_layer_address_is_refused(text: str | bytes) -> None:
    """Six bytes, or none."""
    with pytest.raises(ValueError, match="link-layer address"):
        parse_mac(text)
