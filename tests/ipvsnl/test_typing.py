"""The types of the public names, as a type checker sees them and as they are at run time.

mypy checks this file in ``make lint``: ``assert_type`` fails there where a type becomes another, and an ignored error that
is none any more fails, too (``warn_unused_ignores``).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import assert_type

import ipvsnl
from ipvsnl import IPVS, Destination, Service
from ipvssim import Kernel, Network
from ipvssim.path.result import Result
from ipvssim.state.services import RealServer


def test_values_and_reads() -> None:
    """Values take what callers have and hold what they say; reads give values."""
    web = Service("tcp", ip_address("192.0.2.1"), 80, netmask="255.255.255.0", persistence=60)
    one = Destination(ip_address("10.0.0.1"), 80, "masq")
    assert_type(web.address, str)
    assert_type(web.persistence, int | None)
    assert_type(web.key, tuple[int, str | int, str, int, int])
    assert_type(one.forwarding, str | int)
    assert_type(web.replace(port=81), Service)
    with ipvsnl.open("sim::memory:") as ipvs:
        assert_type(ipvs, IPVS)
        ipvs.add_service(web)
        assert_type(ipvs.service(web), ipvsnl.ServiceStatus)
        assert_type(ipvs.services(), list[ipvsnl.ServiceStatus])
        assert_type(ipvs.servers(web), list[ipvsnl.DestinationStatus])
        assert_type(ipvs.snapshot(), ipvsnl.Snapshot)
        assert_type(ipvs.snapshot()[0], ipvsnl.Entry)
        assert_type(ipvs.timeouts(), ipvsnl.Timeouts)
        assert_type(ipvs.info().version, tuple[int, int, int])
        assert_type(ipvs.connections(), Iterator[ipvsnl.Connection])


def test_changes_of_many() -> None:
    """Batches, loads and plans have types of their own."""
    web = Service("tcp", "192.0.2.1", 80)
    with ipvsnl.open("sim::memory:") as ipvs:
        with ipvs.batch() as batch:
            assert_type(batch, ipvsnl.Batch)
            batch.add_service(web)
        assert_type(ipvs.load("-A -f 1\n"), ipvsnl.Report)
        plan = ipvs.plan({web: [Destination("10.0.0.1", 80)]})
        assert_type(plan, ipvsnl.Plan)
        ipvs.apply(plan)
        assert_type(ipvsnl.read_table("-A -f 1\n"), ipvsnl.Table)


def test_the_front_door() -> None:
    """The simulated kernel's calls, results and client."""
    kernel = Kernel(rules="-A -f 1\n", network=Network(), sysctl={"conn_reuse_mode": 0})
    assert_type(kernel.connect(), IPVS)
    assert_type(kernel.now, float)
    assert_type(kernel.connections(), list[ipvsnl.Connection])
    result = kernel.receive(bytes(20), on="lo")
    assert_type(result, Result)
    assert_type(result.server, RealServer | None)
    assert_type(kernel.ipvsadm("-Ln").status, int)


def test_wrong_types_are_seen() -> None:
    """A type checker refuses what the values refuse."""
    for wrong in (
        lambda: Service("tcp", "192.0.2.1", "80"),  # type: ignore[arg-type]
        lambda: Service("tcp", None, 80),  # type: ignore[arg-type]
        lambda: Service(fwmark=1, family="ipv5"),  # type: ignore[arg-type]
        lambda: Destination("10.0.0.1", weight=None),  # type: ignore[arg-type]
    ):
        try:
            wrong()
        except ipvsnl.EncodeError:
            continue
        raise AssertionError("a wrong value was taken")
