"""The link by the old interface, on a simulated kernel's: the client does not notice, but where it cannot say a thing."""

from __future__ import annotations

from errno import EOPNOTSUPP, EPERM, ESRCH
from typing import Any

import pytest

from ipvsnl import Daemon, Destination, Service
from ipvsnl.client import IPVS
from ipvsnl.errors import LinkError
from ipvsnl.link.simulated import SimulatedLink
from ipvsnl.link.sockopt import SockoptLink, instead
from ipvsnl.refusals import BatchError, KernelError
from ipvssim import Kernel
from ipvssim.netlink.old_interface import OldInterface
from tests.kernel.rootless import changes, outcome

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
ONE = Destination("10.0.0.1", 80, "masq")


def spoken(kernel: Kernel) -> IPVS:
    """A client that speaks the old interface."""
    return IPVS(SockoptLink(OldInterface(kernel), SimulatedLink(kernel.socket())))


@pytest.mark.parametrize("seed", range(6))
def test_what_netlink_does_the_old_interface_does(seed: int) -> None:
    """Random verbs, batches, loads, plans and questions have the same outcome, and leave the same table."""
    by_netlink, by_options = Kernel().connect(), spoken(Kernel())
    for number, change in enumerate(changes(seed, 150)):
        assert outcome(by_options, change) == outcome(by_netlink, change), number


@pytest.mark.parametrize(
    ("service", "server", "field"),
    [
        (Service("tcp", "2001:db8::1", 80), None, "family"),
        (Service(fwmark=7, family=10), None, "family"),
        (Service(47, "192.0.2.1", 0), None, "protocol"),
        (Service("tcp", "192.0.2.1", 81, persistence=60, persistence_engine="sip"), None, "persistence_engine"),
        (WEB, Destination("2001:db8::2", 80, "tunnel"), "family"),
        (WEB, ONE.replace(forwarding="tunnel", tunnel_type="gre"), "tunnel_type"),
        (WEB, ONE.replace(tunnel_port=6080), "tunnel_port"),
        (WEB, ONE.replace(tunnel_flags=1), "tunnel_flags"),
    ],
    ids=str,
)
def test_what_it_cannot_say_is_refused(service: Service, server: Destination | None, field: str) -> None:
    """One error a kind, which names the field, and the table stays as it was: nothing is left out in silence."""
    kernel = Kernel("-A -t 192.0.2.1:80 -s rr")
    before = kernel.ipvsadm("-S", "-n").stdout
    with spoken(kernel) as ipvs, pytest.raises(KernelError) as refused:
        ipvs.add_service(service) if server is None else ipvs.add_server(service, server)
    assert (refused.value.errno, refused.value.field) == (EOPNOTSUPP, field)
    assert "old interface" in refused.value.cause
    assert kernel.ipvsadm("-S", "-n").stdout == before


@pytest.mark.parametrize(
    ("field", "value"), [("max_length", 1000), ("group", "224.0.0.9"), ("group", "ff02::1"), ("port", 9), ("ttl", 9)]
)
def test_a_daemon_that_it_cannot_start(field: str, value: Any) -> None:
    """It leaves all but role, device and number to the kernel; what the kernel takes anyway may be said."""
    with spoken(Kernel()) as ipvs:
        with pytest.raises(KernelError) as refused:
            ipvs.start_daemon(Daemon("master", "eth0").replace(**{field: value}))
        assert (refused.value.errno, refused.value.field) == (EOPNOTSUPP, field)
        ipvs.start_daemon(Daemon("master", "lo", 3, group="224.0.0.81", port=8848, ttl=1))
        assert ipvs.daemons() == [Daemon("master", "lo", 3)]
        ipvs.stop_daemon("master")
        assert ipvs.daemons() == []


def test_lines_of_a_load_are_refused_one_by_one() -> None:
    """Each line that cannot be said is told with its number, the others are carried out; all or nothing undoes them."""
    kernel = Kernel()
    rules = "-A -t 192.0.2.1:80 -s rr\n-A -t [2001:db8::1]:80 -s rr\n-A -t 192.0.2.2:80 -s rr\n"
    with spoken(kernel) as ipvs:
        with pytest.raises(BatchError) as some:
            ipvs.load(rules)
        assert [(one.tag, one.field) for one in some.value.refused] == [(2, "family")]
        assert len(ipvs.services()) == 2


def test_a_mark_is_found_by_its_protocol() -> None:
    """The old interface wants the protocol that a mark was added with, which netlink does not know: it is asked for."""
    kernel = Kernel("-A -f 7 -s rr")
    service = next(iter(kernel.table.services()))
    service.protocol = 17
    marked = Service(fwmark=7, scheduler="wrr")
    with spoken(kernel) as ipvs:
        ipvs.edit_service(marked)
        ipvs.add_server(marked, ONE)
        assert len(ipvs.servers(marked)) == 1
        ipvs.delete_service(marked)
        with pytest.raises(KernelError) as refused:
            ipvs.zero(marked)
        assert refused.value.errno == ESRCH


def test_zero_of_the_service_that_means_all() -> None:
    """TCP 0.0.0.0:0 is every service to the old interface: zeroing just that one is refused."""
    with spoken(Kernel("-A -t 0.0.0.0:0 -s rr -p 60")) as ipvs, pytest.raises(KernelError) as refused:
        ipvs.zero(Service("tcp", "0.0.0.0", 0))
    assert refused.value.field == "address"


@pytest.mark.parametrize(
    "rules",
    ["-A -t [2001:db8::1]:80", "-A -f 7 -6 -s rr", "-A -t 192.0.2.1:80\n-a -t 192.0.2.1:80 -r [2001:db8::2]:80 -i"],
)
def test_what_it_does_not_show_is_no_table_without_it(rules: str) -> None:
    """IPv6 services and servers are invisible to it: a dump says so instead of leaving them out."""
    with spoken(Kernel(rules)) as ipvs, pytest.raises(LinkError, match="does not show"):
        ipvs.snapshot()


def test_the_client_says_how_it_speaks() -> None:
    """``interface`` tells the two apart."""
    kernel = Kernel()
    with spoken(kernel) as ipvs, kernel.connect() as other:
        assert (ipvs.interface, other.interface) == ("sockopt", "netlink")


class _Allowed:
    """The old interface of a simulated kernel as a socket of this process; ``errno`` refuses it."""

    errno = 0
    kernel: Kernel

    def __init__(self, _: object = None) -> None:
        self._old = OldInterface(self.kernel)
        self.closed = False

    def set(self, optname: int, value: bytes) -> int:
        return self.errno or self._old.set(optname, value)

    def get(self, optname: int, value: bytes, room: int) -> tuple[int, bytes]:
        return (self.errno, b"") if self.errno else self._old.get(optname, value, room)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("privilege", "errno", "interface"),
    [("root", 0, "netlink"), ("userns_root", 0, "sockopt"), ("userns_root", EPERM, "netlink")],
)
def test_the_old_interface_is_chosen_where_it_alone_is_allowed(
    privilege: str, errno: int, interface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Netlink wherever it is allowed; and where neither is, netlink's refusal is the one that is told."""
    kernel = Kernel()
    monkeypatch.setattr(_Allowed, "kernel", kernel, raising=False)
    monkeypatch.setattr(_Allowed, "errno", errno)
    monkeypatch.setattr("ipvsnl.link.sockopt.KernelOptions", _Allowed)
    link: Any = SimulatedLink(kernel.socket(privilege=privilege))
    with IPVS(instead(link, None)) as ipvs:
        assert ipvs.interface == interface
        if errno:
            with pytest.raises(KernelError) as refused:
                ipvs.flush()
            assert refused.value.errno == EPERM
        else:
            ipvs.add_service(WEB)
            assert len(ipvs.services()) == 1
