"""Hypothesis strategies of the values, over everything that the wire has a form for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ipvsnl.consts import AF_INET, AF_INET6, FORWARDING, PROTOCOLS, TUNNEL_TYPES
from ipvsnl.model import Daemon, Destination, Service

ADDRESSES4 = st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number)))
ADDRESSES6 = st.integers(0, 2**128 - 1).map(lambda number: str(IPv6Address(number)))
ADDRESSES = ADDRESSES4 | ADDRESSES6
PORTS = st.integers(0, 65535)
U32 = st.integers(0, 2**32 - 1)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15)
SCHEDULING = {
    "scheduler": NAMES,
    "flags": U32.map(lambda bits: bits & ~0x7),
    "one_packet": st.booleans(),
    "persistence": st.none() | U32,
    "persistence_engine": st.just("") | NAMES,
}
MASKS4 = st.none() | ADDRESSES4.filter(lambda mask: mask != "255.255.255.255")
MASKS6 = st.none() | st.integers(1, 127)


def _by_address(address: str) -> SearchStrategy[Service]:
    return st.builds(
        Service,
        protocol=st.sampled_from(list(PROTOCOLS)) | st.integers(200, 65535),
        address=st.just(address),
        port=PORTS,
        netmask=MASKS6 if ":" in address else MASKS4,
        **SCHEDULING,
    )


def _by_mark(family: int) -> SearchStrategy[Service]:
    return st.builds(
        Service,
        fwmark=st.integers(1, 2**32 - 1),
        family=st.just(family),
        netmask=MASKS6 if family == AF_INET6 else MASKS4,
        **SCHEDULING,
    )


SERVICES = ADDRESSES.flatmap(_by_address) | st.sampled_from((AF_INET, AF_INET6)).flatmap(_by_mark)
DESTINATIONS = st.builds(
    Destination,
    address=ADDRESSES,
    port=PORTS,
    forwarding=st.sampled_from(list(FORWARDING)) | st.integers(5, 7),
    weight=st.integers(-(2**31), 2**31 - 1),
    upper_threshold=U32,
    lower_threshold=U32,
    tunnel_type=st.sampled_from(list(TUNNEL_TYPES)) | st.integers(3, 255),
    tunnel_port=PORTS,
    tunnel_flags=st.integers(0, 65535),
)
DAEMONS = st.builds(
    Daemon,
    role=st.sampled_from(["master", "backup"]),
    interface=NAMES,
    sync_id=U32,
    max_length=PORTS,
    group=ADDRESSES,
    port=PORTS,
    ttl=st.integers(0, 255),
)
