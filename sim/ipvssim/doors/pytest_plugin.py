"""A pytest plugin: fixtures by which other projects' tests run against the simulated kernel, without root.

    def test_my_controller(ipvs):            # an ipvsnl client on a fresh, empty table
        my_controller.apply(ipvs)
        assert ipvs.services()

    @pytest.mark.ipvs(rules="-A -t 192.0.2.1:80 -s rr\\n-a -t 192.0.2.1:80 -r 10.9.8.7:80 -m")
    def test_where_packets_go(kernel):       # the same kernel: table, packets and time
        assert kernel.receive(syn).opened
        kernel.advance(60)

Loaded by pytest itself wherever ipvsnl is installed; nothing is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ipvsnl.client import IPVS
    from ipvssim.kernel import Kernel
    from ipvssim.path.director import Director
    from ipvssim.run.programs import Programs


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "ipvs(rules='', network=None, release=..., sysctl=...): what the fixture `kernel` is made of"
    )


@pytest.fixture
def make_kernel() -> Callable[..., Kernel]:
    """Makes simulated kernels: takes what :class:`ipvssim.Kernel` takes."""
    from ipvssim.kernel import Kernel

    return Kernel


@pytest.fixture
def kernel(request: pytest.FixtureRequest, make_kernel: Callable[..., Kernel]) -> Kernel:
    """A fresh simulated kernel; ``@pytest.mark.ipvs(rules="...", network=...)`` says of what.

    Without a network of the test's own, any addresses work (:class:`ipvssim.net.networks.OpenNetwork`), and those of
    203.0.113.0/24 and 2001:db8:80::/64 are the director's own, whether a service has them or not.
    """
    from ipvssim.net.networks import OpenNetwork

    marker = request.node.get_closest_marker("ipvs")
    how = dict(marker.kwargs) if marker is not None else {}
    if how.get("network") is None:
        how["network"] = network = OpenNetwork()
        network.add_local("203.0.113.0/24")
        network.add_local("2001:db8:80::/64")
    return make_kernel(*(marker.args if marker is not None else ()), **how)


@pytest.fixture
def director(kernel: Kernel) -> Director:
    """The packet path of ``kernel``: packets (``receive``), connections."""
    return kernel.director


@pytest.fixture
def ipvs(kernel: Kernel) -> Iterator[IPVS]:
    """A client of ``kernel``'s table; it speaks to it as to a real one, in netlink's bytes."""
    with kernel.connect() as client:
        yield client


@pytest.fixture
def ipvs_run(kernel: Kernel) -> Iterator[Programs]:
    """Runs any program on ``kernel``: ``ipvs_run(["ipvsadm", "-Ln"]).stdout``; ``ipvs_run.start([...])`` for one that goes
    on while the test lets time pass, or hands packets in. Programs that run still are ended with the test."""
    from ipvssim.run.system import RunError, check_system

    try:
        check_system()
    except RunError as wrong:
        pytest.skip(f"programs can't be run here: {wrong}")
    yield kernel.programs
    kernel.programs.close()
