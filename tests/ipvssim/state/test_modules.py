"""Kernel modules by their names: what is there without asking, and what is refused."""

from __future__ import annotations

import pytest

from ipvsnl.causes import SCHEDULERS
from ipvssim import Kernel
from ipvssim.state.modules import Modules
from tests.kernel.traces import packets as p

CLIENT, VIRTUAL = p.address("198.51.100.7"), p.address("192.0.2.1")
SYN = p.ip4(CLIENT, VIRTUAL, p.TCP, p.tcp(CLIENT, VIRTUAL, (4000, 80), p.SYN))


def test_what_is_always_there() -> None:
    """The schedulers and the engine that Debian's kernel loads on demand need no name; ip_vs_ftp and ip_vs_twos do."""
    plain, named = Modules(), Modules(["ip_vs_ftp", "ip-vs-twos", "ip_vs_rr"])
    for name in ("ip_vs", "ip_vs_rr", "ip_vs_pe_sip"):
        assert name in plain
    for name in ("ip_vs_ftp", "ip_vs_twos"):
        assert name not in plain and name in named
    assert (plain.ftp_ports, named.ftp_ports) == ((), (21,))


def test_ports_of_the_helper() -> None:
    """ip_vs_ftp takes up to eight ports; 0 is none."""
    assert Modules(["ip_vs_ftp ports=21,2121,0"]).ftp_ports == (21, 2121)


@pytest.mark.parametrize(
    "name", ["ip_vs_nosuch", "", "ip_vs_twos ports=1", "ip_vs_ftp port=1", "ip_vs_ftp ports=x", "ip_vs_ftp ports=65536",
             "ip_vs_ftp ports=1,2,3,4,5,6,7,8,9"],
)  # fmt: skip
def test_what_is_refused(name: str) -> None:
    """No module of IPVS, no parameter of it, no value of the parameter."""
    with pytest.raises(ValueError, match=r"module|parameter|ports|port"):
        Kernel(modules=[name])


def test_every_scheduler_of_the_kernel_works() -> None:
    """Every name that Linux 6.1 has gives a new connection a server; twos where its module is loaded."""
    for name in sorted(SCHEDULERS - {"none"}):
        kernel = Kernel(f"-A -t 192.0.2.1:80 -s {name}\n-a -t 192.0.2.1:80 -r 10.9.8.7:80 -m", modules=["ip_vs_twos"])
        assert kernel.receive(SYN).explain()["server"] == "10.9.8.7:80", name


def test_a_module_that_is_not_loaded() -> None:
    """twos without its module, and an engine that there is not, are ENOENT; the words say how a kernel here loads one."""
    done = Kernel().ipvsnl("-A", "-t", "192.0.2.1:80", "-s", "twos")
    assert done.status and "Kernel(modules=['ip_vs_twos'])" in done.stderr and "modprobe" not in done.stderr
    done = Kernel().ipvsnl("-A", "-u", "192.0.2.1:80", "-s", "rr", "--pe", "nosuch")
    assert done.status and "it knows sip" in done.stderr
