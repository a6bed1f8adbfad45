"""Why the kernel refused: the field and the likely cause, of the kernel's own refusals. Simulated and real."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from ipvsnl._value import maker
from ipvsnl.causes import diagnose
from ipvsnl.client import IPVS
from ipvsnl.family import Command
from ipvsnl.model import Daemon, Destination, Service, Timeouts
from ipvsnl.refusals import KernelError

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
SIX = Service("tcp", "2001:db8::1", 80, scheduler="rr")
ONE = Destination("10.0.0.1", 80, "masq")
TUNNELLED = Destination("fd00::1", 80, "tunnel")


def unchecked(service: Service, **changes: object) -> Service:
    """A service with fields that a checked one would refuse, as a kernel may still be asked."""
    fields = {name: getattr(service, name) for name in Service.__fields__} | changes
    return maker(Service)(*fields.values())


def six(ipvs: IPVS) -> IPVS:
    """With an IPv6 service."""
    ipvs.add_service(SIX)
    return ipvs


CASES: dict[str, tuple[Callable[[IPVS], object], int, str, str]] = {
    "an unknown scheduler": (lambda ipvs: ipvs.edit_service(WEB, scheduler="nosuch"), errno.ENOENT, "scheduler", "nosuch"),
    "an unknown engine": (
        lambda ipvs: ipvs.edit_service(WEB, persistence_engine="x", persistence=9), errno.ENOENT, "persistence_engine",
        "persistence engine 'x'"),
    "a prefix of no length": (
        lambda ipvs: ipvs.add_service(unchecked(SIX, netmask=129)), errno.EINVAL, "netmask", "1 to 128"),
    "a service twice": (lambda ipvs: ipvs.add_service(WEB), errno.EEXIST, "key", "-E"),
    "no such service": (lambda ipvs: ipvs.delete_service(SIX), errno.ESRCH, "key", "must all agree"),
    "a server twice": (lambda ipvs: ipvs.add_server(WEB, ONE), errno.EEXIST, "key", "-e"),
    "no such server": (lambda ipvs: ipvs.delete_server(WEB, ONE.replace(port=9)), errno.ENOENT, "key", "no server"),
    "a server of no service": (lambda ipvs: ipvs.add_server(SIX, ONE), errno.ESRCH, "service", "add it first"),
    "thresholds upside down": (
        lambda ipvs: ipvs.edit_server(WEB, ONE, lower_threshold=2, upper_threshold=1), errno.ERANGE, "lower_threshold",
        "above the upper"),
    "a negative weight": (lambda ipvs: ipvs.edit_server(WEB, ONE, weight=-1), errno.ERANGE, "weight", "not negative"),
    "mixed families": (
        lambda ipvs: ipvs.add_server(WEB, TUNNELLED.replace(forwarding="masq")), errno.EINVAL, "forwarding", "tunnel"),
    "a gue tunnel without a port": (
        lambda ipvs: ipvs.add_server(WEB, Destination("10.0.0.2", 80, "tunnel", tunnel_type="gue")), errno.EINVAL,
        "tunnel_port", "--tun-port"),
    "multicast": (
        lambda ipvs: ipvs.add_server(WEB, Destination("224.0.0.1", 80)), errno.EINVAL, "address", "not a unicast"),
    "link-local": (
        lambda ipvs: six(ipvs).add_server(SIX, Destination("fe80::1", 80)), errno.EINVAL, "address", "link-local"),
    "a broadcast address": (
        lambda ipvs: ipvs.add_server(WEB, Destination("127.255.255.255", 80)), errno.EINVAL, "address", "lo up"),
    "a timeout beyond the clock": (
        lambda ipvs: ipvs.set_timeouts(Timeouts(tcp=2**31 - 1)), errno.EINVAL, "timeouts", "longer than the kernel"),
    "no such device": (
        lambda ipvs: ipvs.start_daemon(Daemon("backup", "nosuch0")), errno.ENODEV, "interface", "'nosuch0'"),
    "no multicast group": (
        lambda ipvs: ipvs.start_daemon(Daemon("backup", "lo", group="10.0.0.1")), errno.EINVAL, "group", "multicast"),
    "no daemon to stop": (lambda ipvs: ipvs.stop_daemon("master"), errno.ESRCH, "role", "no daemon"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_refusal_names_the_field_and_the_cause(
    ipvs: IPVS, case: tuple[Callable[[IPVS], object], int, str, str]
) -> None:
    """Of each of the kernel's refusals, concluded from the rule."""
    ipvs.add_service(WEB)
    ipvs.add_server(WEB, ONE)
    call, number, field, words = case
    with pytest.raises(KernelError) as refused:
        call(ipvs)
    assert (refused.value.errno, refused.value.field) == (number, field)
    assert words in refused.value.cause


def test_daemons_and_mixed_families_exclude_each_other(ipvs: IPVS) -> None:
    """Whichever comes second is told of the other."""
    ipvs.add_service(WEB)
    ipvs.start_daemon(Daemon("backup", "lo"))
    with pytest.raises(KernelError) as refused:
        ipvs.add_server(WEB, TUNNELLED)
    assert "a synchronisation daemon runs" in refused.value.cause
    ipvs.stop_daemon("backup")
    ipvs.add_server(WEB, TUNNELLED)
    with pytest.raises(KernelError) as refused:
        ipvs.start_daemon(Daemon("backup", "lo"))
    assert "of another address family" in refused.value.cause


def test_what_is_not_known_is_not_made_up() -> None:
    """A number without a cause says nothing; privilege is always explained."""
    assert diagnose(errno.EIO, Command.NEW_SERVICE, WEB, None) is None
    assert KernelError(errno.EIO, Command.NEW_SERVICE).cause == ""
    assert "initial user namespace" in KernelError(errno.EPERM, Command.GET_INFO).cause


def test_the_plain_listing_agrees_with_the_whole_one(ipvs: IPVS) -> None:
    """What /proc/net/ip_vs tells is what netlink tells; what it does not tell is named."""
    services = [
        WEB.replace(one_packet=True), SIX.replace(scheduler="mh", persistence=60, netmask=64),
        Service("udp", "192.0.2.1", 53, scheduler="sh", flags=8, persistence=300, netmask="255.255.0.0"),
        Service("sctp", "192.0.2.1", 5060), Service(fwmark=4000000000, scheduler="wlc", persistence=9),
    ]  # fmt: skip
    servers = [ONE, Destination("10.0.0.2", 0, "route", 0), Destination("10.0.0.3", 8080, "tunnel", 70000)]
    for service in services:
        ipvs.add_service(service)
    for one in servers:
        ipvs.add_server(WEB, one)
    ipvs.add_server(SIX, TUNNELLED)
    info, listed = ipvs.plain()
    whole = ipvs.snapshot()
    assert info == ipvs.info()
    assert [one.service.key for one in listed] == [entry.service.key for entry in whole]
    for found, entry in zip(listed, whole, strict=True):
        unknown = {name: getattr(entry.service, name) for name in found.unknown if name != "statistics"}
        assert found.service.replace(**unknown) == entry.service
        assert found.persistent is (entry.service.persistence is not None)
        for server, other in zip(found.servers, entry.destinations, strict=True):
            assert server.destination == other.destination
