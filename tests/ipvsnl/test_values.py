"""Values: immutable, compared by their fields, canonical in their addresses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given

from ipvsnl.errors import EncodeError
from ipvsnl.model import Daemon, Destination, Service, Statistics, Timeouts
from tests.ipvsnl.strategies import DESTINATIONS, SERVICES


def test_a_value_cannot_be_changed() -> None:
    """What was read stays what was read."""
    service = Service("tcp", "192.0.2.1", 80)
    with pytest.raises(AttributeError, match=r"use \.replace\(port=\.\.\.\)"):
        service.port = 81  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del service.port
    assert service.port == 80


def test_replace_changes_what_it_names_and_refuses_what_there_is_not() -> None:
    """A change is another value; an unknown field is a TypeError, never silently lost."""
    service = Service("tcp", "192.0.2.1", 80, scheduler="rr")
    assert service.replace(scheduler="wrr") == Service("tcp", "192.0.2.1", 80, scheduler="wrr")
    with pytest.raises(TypeError):
        service.replace(sheduler="wrr")


BAD = {
    "no key": (lambda: Service(), "Service.address: a service needs an address"),
    "protocol": (lambda: Service("bogus", "192.0.2.1", 80), "Service.protocol: 'bogus' is not one of tcp, udp, sctp"),
    "address": (lambda: Service("tcp", "web.example", 80), "Service.address: 'web.example' is not an IPv4 or IPv6"),
    "spelling": (lambda: Service("tcp", "192.0.2.01", 80), "Service.address: '192.0.2.01'"),
    "bytes": (lambda: Service("tcp", b"abcd", 80), "Service.address: b'abcd'"),  # type: ignore[arg-type]
    "port": (lambda: Service("tcp", "192.0.2.1", 65536), "Service.port: 65536 is not a whole number from 0 to 65535"),
    "negative port": (lambda: Service("tcp", "192.0.2.1", -1), "Service.port: -1"),
    "text port": (lambda: Service("tcp", "192.0.2.1", "80"), "Service.port: '80'"),  # type: ignore[arg-type]
    "mark": (lambda: Service(fwmark=2**32), "Service.fwmark: 4294967296 is not a whole number from 0 to 4294967295"),
    "family": (lambda: Service(fwmark=1, family=7), "Service.family: 7 is not AF_INET"),
    "other family": (lambda: Service("tcp", "192.0.2.1", 80, family=10), "Service.family: 10 is not the family of"),
    "scheduler": (lambda: Service(fwmark=1, scheduler=None), "Service.scheduler: None is not text"),  # type: ignore[arg-type]
    "long scheduler": (lambda: Service(fwmark=1, scheduler="s" * 16), "Service.scheduler: 's+' is longer than 15"),
    "NUL": (lambda: Service(fwmark=1, scheduler="r\0r"), "Service.scheduler: .* cannot be printed"),
    "forged line": (lambda: Service(fwmark=1, scheduler="rr\n-D"), "Service.scheduler: .* cannot be printed"),
    "mask": (lambda: Service("tcp", "192.0.2.1", 80, netmask=24), "Service.netmask: 24 is not the mask of an IPv4"),
    "mask of IPv6": (
        lambda: Service("tcp", "::1", 80, netmask="255.0.0.0"),
        "Service.netmask: '255.0.0.0' is not the p",
    ),
    "prefix": (lambda: Service("tcp", "::1", 80, netmask=129), "Service.netmask: 129 is not the prefix length"),
    "persistence": (lambda: Service(fwmark=1, persistence=-1), "Service.persistence: -1"),
    "server": (lambda: Destination("nowhere", 80), "Destination.address: 'nowhere'"),
    "server port": (lambda: Destination("10.0.0.1", 70000), "Destination.port: 70000"),
    "forwarding": (lambda: Destination("10.0.0.1", 80, "mask"), "Destination.forwarding: 'mask' is not one of masq"),
    "forwarding number": (lambda: Destination("10.0.0.1", 80, 8), "Destination.forwarding: 8"),
    "weight": (lambda: Destination("10.0.0.1", weight=2**31), "Destination.weight: 2147483648"),
    "weight of none": (lambda: Destination("10.0.0.1", weight=None), "Destination.weight: None"),  # type: ignore[arg-type]
    "tunnel": (lambda: Destination("10.0.0.1", tunnel_type="vxlan"), "Destination.tunnel_type: 'vxlan' is not one of"),
    "tunnel port": (lambda: Destination("10.0.0.1", tunnel_port=-1), "Destination.tunnel_port: -1"),
    "role": (lambda: Daemon("boss", "eth0"), "Daemon.role: 'boss' is not one of master, backup"),
    "interface": (lambda: Daemon("master", "e" * 16), "Daemon.interface: 'e+' is longer than 15"),
    "group": (lambda: Daemon("master", "eth0", group="all"), "Daemon.group: 'all'"),
    "ttl": (lambda: Daemon("master", "eth0", ttl=256), "Daemon.ttl: 256 is not a whole number from 0 to 255"),
    "timeout": (lambda: Timeouts(tcp=-1), "Timeouts.tcp: -1 is not a whole number from 0 to 4294967295"),
}


@pytest.mark.parametrize(("make", "says"), BAD.values(), ids=BAD)
def test_a_value_checks_itself_when_it_is_made(make: Callable[[], object], says: str) -> None:
    """A wrong field is an EncodeError at once, which names the field, what it was given and what it takes."""
    with pytest.raises(EncodeError, match=says) as refused:
        make()
    assert isinstance(refused.value, ValueError)


def test_a_change_is_checked_too() -> None:
    """What ``replace`` makes is a value like any other."""
    with pytest.raises(EncodeError, match=r"Service\.port: 70000"):
        Service("tcp", "192.0.2.1", 80).replace(port=70000)


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1"])
def test_objects_of_ipaddress_are_addresses(text: str) -> None:
    """An address object, or an interface's address, is the same value as its text."""
    plain = Service("tcp", text, 80)
    for given_ in (ip_address(text), ip_interface(f"{text}/24")):
        assert Service("tcp", given_, 80) == plain
        assert Destination(given_, 80) == Destination(text, 80)
        assert type(Service("tcp", given_, 80).address) is str
    with pytest.raises(EncodeError, match=r"Destination\.address"):
        Destination(ip_network(f"{text}/32", strict=False))  # type: ignore[arg-type]


def test_a_number_with_a_word_is_the_word() -> None:
    """Two spellings of one meaning are one value, with one key; so are the names of the address families."""
    assert Service(6, "192.0.2.1", 80).key == Service("tcp", "192.0.2.1", 80).key
    assert Destination("10.0.0.1", 80, 0) == Destination("10.0.0.1", 80, "masq")
    assert Service(fwmark=1, family="ipv6") == Service(fwmark=1, family=10)
    assert Service("tcp", "192.0.2.1", 80, netmask="255.255.255.255").netmask is None


def test_values_of_different_kinds_are_never_equal() -> None:
    """Equality asks for the type first."""
    assert Destination("10.0.0.1", 80) != Service("tcp", "10.0.0.1", 80)
    assert Statistics() != (0,) * 10


def test_an_address_has_one_spelling_and_tells_the_family() -> None:
    """Two spellings of an IPv6 address are one value, with one key."""
    one, other = Service("tcp", "2001:DB8:0:0::1", 80), Service("tcp", "2001:db8::1", 80)
    assert one == other and hash(one) == hash(other) and one.family == 10
    assert Destination("FD00::A").key == Destination("fd00::a").key


@given(SERVICES, DESTINATIONS)
def test_values_survive_copying_and_pickling(service: Service, destination: Destination) -> None:
    """A value that went to another process is the same value."""
    for value in (service, destination):
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
        assert eval(repr(value), {"Service": Service, "Destination": Destination}) == value
