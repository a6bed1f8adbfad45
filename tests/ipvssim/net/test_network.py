"""The director's network: where packets go, what an address is, who resolves."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton

import pytest

from ipvssim.net.network import ETHERNET, LOOPBACK, Network
from ipvssim.net.networks import default_network, trace_network, vectors_network


def packed(text: str) -> bytes:
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text)


TRACE = trace_network()


@pytest.mark.parametrize(
    ("address", "kind", "device", "source"),
    [
        ("10.0.0.10", "unicast", "server", "10.0.0.1"),
        ("10.0.255.255", "broadcast", "server", "10.0.0.1"),
        ("10.0.0.1", "local", "server", "10.0.0.1"),
        ("198.51.100.9", "unicast", "client", "198.51.100.1"),
        ("8.8.8.8", "unicast", "client", "198.51.100.1"),
        ("203.0.113.0", "local", "lo", "203.0.113.0"),
        ("203.0.113.255", "local", "lo", "203.0.113.255"),
        ("127.9.9.9", "local", "lo", "127.0.0.1"),
        ("255.255.255.255", "broadcast", "client", "198.51.100.1"),
        ("224.0.0.1", "multicast", "client", "198.51.100.1"),
        ("2001:db8:80::ffff", "local", "lo", "2001:db8:80::ffff"),
        ("fd00:10::a", "unicast", "server", "fd00:10::1"),
        ("2001:db8:c::6", "unicast", "client", "2001:db8:1::1"),
        ("::1", "local", "lo", "::1"),
    ],
)
def test_paths_of_the_trace_network(address: str, kind: str, device: str, source: str) -> None:
    """The longest prefix decides, the local table first; the source is the address that the host would send from."""
    path = TRACE.path(packed(address))
    assert (path.kind, path.device.name if path.device else "", path.source) == (kind, device, packed(source))
    assert path.next_hop == packed(address) and not path.gateway
    assert path.is_local == (kind == "local")


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("10.0.0.10", "02000a00000a"),
        ("10.0.0.25", "02000a000019"),
        ("10.0.0.26", None),
        ("fd00:10::d", "0200fd00000d"),
        ("fd00:10::e", None),
    ],
)
def test_neighbours_of_the_trace_network(address: str, mac: str | None) -> None:
    """Sixteen IPv4 and four IPv6 servers from 10 up resolve; others never do."""
    found = TRACE.resolve(TRACE.devices["server"], packed(address))
    assert found == (None if mac is None else bytes.fromhex(mac))
    assert TRACE.resolve(TRACE.devices["client"], packed(address)) == b""


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("198.51.100.1", "blackhole"),
        ("203.0.113.1", "unreachable"),
        ("192.0.2.1", "prohibit"),
        ("8.8.8.8", "none"),
        ("fe80::1", "local"),
        ("fe80::2", "unicast"),
    ],
)
def test_routes_that_lead_nowhere(address: str, kind: str) -> None:
    """Each kind of dead end is told apart; no route at all is ``none``."""
    path = vectors_network().path(packed(address))
    assert path.kind == kind
    assert (path.device is None) == (kind not in ("local", "unicast"))


def test_address_types_come_from_the_local_table_alone() -> None:
    """A blackhole is unicast to inet_addr_type, a subnet's last address is broadcast, 127/8 is local."""
    network = vectors_network()
    types = {
        text: network.address_type(packed(text))
        for text in ("198.51.100.1", "10.255.255.255", "127.1.2.3", "224.0.0.9")
    }
    assert list(types.values()) == ["unicast", "broadcast", "local", "multicast"]


def test_before_the_first_ipv4_address_all_is_broadcast() -> None:
    """The local table comes with the first address, and stays when the device goes down."""
    network = Network(loopback=False)
    assert network.address_type(packed("8.8.8.8")) == "broadcast"
    network.add_device("lo", LOOPBACK, "127.0.0.1/8")
    assert network.address_type(packed("8.8.8.8")) == "unicast"
    network.devices["lo"].up = False
    network.changed()
    assert network.address_type(packed("127.0.0.1")) == "unicast"


def test_gateways_mtus_and_devices_that_are_down() -> None:
    """A route has a gateway's next hop, its own MTU and source; it vanishes while its device is down."""
    network = Network()
    device = network.add_device("eth0", ETHERNET, "192.0.2.1/24", mtu=1400)
    network.add_route("0.0.0.0/0", device="eth0", via="192.0.2.254")
    network.add_route("10.0.0.0/8", device="eth0", via="192.0.2.253", mtu=1280, source="192.0.2.1")
    path = network.path(packed("9.9.9.9"))
    assert (path.next_hop, path.mtu, path.source) == (packed("192.0.2.254"), 1400, packed("192.0.2.1"))
    assert network.path(packed("10.1.1.1")).mtu == 1280
    assert network.path(packed("10.1.1.1")) is network.path(packed("10.1.1.1"))
    device.up = False
    network.changed()
    assert network.path(packed("9.9.9.9")).kind == "none"


def test_a_learnt_mtu_is_for_later_lookups() -> None:
    """Paths handed out before keep the size that they had."""
    network = default_network()
    before = network.path(packed("8.8.8.8"))
    network.learn_mtu(packed("8.8.8.8"), 1300)
    assert (before.mtu, network.path(packed("8.8.8.8")).mtu, network.path(packed("8.8.4.4")).mtu) == (1500, 1300, 1500)


def test_the_default_network_takes_any_ordinary_destination() -> None:
    """No unicast address is a broadcast address there."""
    network = default_network()
    for text in ("10.255.255.255", "192.168.1.255", "172.16.0.0", "192.0.2.255"):
        assert network.address_type(packed(text)) == "unicast"


def test_the_source_for_ipv6_is_of_the_targets_scope() -> None:
    """A link-local target is spoken to from a link-local address, others from the longest common prefix."""
    network = Network()
    device = network.add_device("eth0", ETHERNET, "fe80::5/64", "2001:db8:1::1/64", "2001:db8:2::1/64")
    assert network.source_for(device, packed("fe80::9")) == packed("fe80::5")
    assert network.source_for(device, packed("2001:db8:2::9")) == packed("2001:db8:2::1")
