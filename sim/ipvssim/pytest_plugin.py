"""A pytest plugin: fixtures by which other projects' tests run against the simulated kernel, without root.

    def test_my_controller(ipvs):            # an ipvsnl client on a fresh, empty table
        my_controller.apply(ipvs)
        assert ipvs.services()

    def test_where_packets_go(ipvs, director):   # the same kernel's packet path
        ...
        assert director.receive(syn).opened

Loaded by pytest itself wherever ipvsnl is installed; nothing is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ipvsnl.client import IPVS
    from ipvssim.director import Director


@pytest.fixture
def director() -> Director:
    """A director on a fresh simulated kernel: packets (``receive``), time (``clock.advance``), connections. Clients are on
    its device ``client``, servers from 10.0.0.10 on its device ``server``; 203.0.113.0/24 are its own addresses."""
    from ipvssim.director import Director
    from ipvssim.namespace import Namespace
    from ipvssim.networks import trace_network

    namespace = Namespace(network=trace_network(servers4=245, servers6=64))
    made = Director(namespace)
    namespace.connections = made.connections
    return made


@pytest.fixture
def ipvs(director: Director) -> Iterator[IPVS]:
    """A client on the same simulated kernel as ``director``; it speaks to it as to a real one, in netlink's bytes."""
    from contextlib import nullcontext

    from ipvsnl.client import IPVS
    from ipvsnl.link import SimulatedLink
    from ipvssim.netlink import NetlinkSocket

    socket = NetlinkSocket(director.namespace, cap_ack=True, ext_ack=True)
    with IPVS(SimulatedLink(nullcontext(socket))) as client:
        yield client
