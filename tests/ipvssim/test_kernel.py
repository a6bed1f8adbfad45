"""The front door: a kernel in one line, any addresses, values that read like what they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

import ipvsnl
from ipvssim import Kernel, Network

RULES = "-A -t 192.0.2.1:80 -s wrr\n-a -t 192.0.2.1:80 -r 10.9.8.7:8080 -m -w 3"


def syn(source: str, destination: str, port: int = 80) -> Packet:
    """The first packet of a TCP connection."""
    layer = IPv6 if ":" in source else IP
    return layer(src=source, dst=destination) / TCP(sport=1024, dport=port)


def test_the_first_packet_is_five_lines_away() -> None:
    """Rules, a packet, its server and its way, time, a client on the same table, what the table remembers."""
    kernel = Kernel(rules=RULES)
    result = kernel.receive(syn("198.51.100.7", "192.0.2.1"))
    assert repr(result.server) == "<RealServer 10.9.8.7:8080 masq weight 3>"
    assert result.explain()["server"] == "10.9.8.7:8080"
    (packet,) = result.packets
    assert (packet[IP].dst, packet[TCP].dport) == ("10.9.8.7", 8080)
    assert [one.destination for one in kernel.connections()] == ["10.9.8.7"]
    kernel.advance(60)
    assert kernel.now == 60 and kernel.connections() == []
    with kernel.connect() as ipvs:
        web = ipvs.services()[0].service
        ipvs.delete_server(web, ipvs.servers(web)[0].destination)
    assert str(kernel.trash()[0]) == "10.9.8.7:8080 of TCP 192.0.2.1:80, deleted 0 s ago, refcnt 1: freed in 180 s"
    assert [len(entry.destinations) for entry in kernel.snapshot()] == [0]


def test_values_say_what_they_are() -> None:
    """Services, connections, templates, results, devices and ways are shown with addresses as text and states by name."""
    kernel = Kernel(
        rules="-A -t 192.0.2.1:80 -p 60\n-a -t 192.0.2.1:80 -r 10.9.8.7 -g\n-A -f 7 -6\n-A -u [2001:db8::1]:53"
    )
    result = kernel.receive(syn("198.51.100.7", "192.0.2.1"))
    assert repr(result) == "<Result forward 10.9.8.7:80: opened a connection; packets out 1>"
    assert repr(result.service) == "<VirtualService TCP 192.0.2.1:80 wlc servers 1>"
    assert result.connection is not None
    flow = "198.51.100.7:1024 -> 192.0.2.1:80 -> 10.9.8.7:80 route"
    assert repr(result.connection) == f"<Connection TCP {flow} SYN_RECV>"
    assert repr(result.connection.control) == f"<Template TCP {flow.replace('1024', '0')} NONE>"
    assert {repr(service) for service in kernel.table.services()} == {
        "<VirtualService TCP 192.0.2.1:80 wlc servers 1>",
        "<VirtualService FWM 7 IPv6 wlc servers 0>",
        "<VirtualService UDP [2001:db8::1]:53 wlc servers 0>",
    }
    path = kernel.network.path(ip_address("10.9.8.7").packed)
    assert repr(path) == "<Path unicast by server to 10.9.8.7 from 192.0.0.9 mtu 1500>"
    assert "<Device client raw 192.0.0.8/32 100::1/128 mtu 1500>" in repr(kernel.network)
    assert repr(kernel) == "<Kernel 6.1.176 services=3 now=0>"


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.ip_addresses(v=4), st.sampled_from("mgi"))
def test_any_addresses_work(virtual: object, server: object, client: object, method: str) -> None:
    """Whatever unicast addresses the rules and the packets have, the first packet opens a connection and leaves."""
    three = {str(virtual), str(server), str(client)}
    unicast = all(0 < int(one.split(".")[0]) < 224 and not one.startswith("127.") for one in three)
    if len(three) < 3 or not unicast or three & {"192.0.0.8", "192.0.0.9"}:
        return
    kernel = Kernel(rules=f"-A -t {virtual}:80 -s rr\n-a -t {virtual}:80 -r {server}:80 -{method}")
    result = kernel.receive(syn(str(client), str(virtual)))
    assert (result.opened, len(result.out)) == (True, 1), result


def test_bytes_are_bare_where_no_device_is_named() -> None:
    """Bytes without a device begin with the IP header, whatever kind of device they are taken to come in by."""
    network = Network()
    network.add_device("eth0", "ethernet", "203.0.113.1/24", "192.0.2.1/32", mac="02:00:00:00:00:01")
    network.add_neighbour("eth0", "203.0.113.9", "02:00:00:00:00:09")
    kernel = Kernel(rules="-A -t 192.0.2.1:80\n-a -t 192.0.2.1:80 -r 203.0.113.9 -m", network=network)
    data = bytes(syn("203.0.113.7", "192.0.2.1"))
    assert kernel.receive(data).opened and not kernel.receive(data).opened
    assert kernel.receive(bytes.fromhex("020000000001 020000000007 0800") + data, on="eth0").connection is not None


def test_packets_of_a_marked_service_are_the_directors_own() -> None:
    """A service by firewall mark has no address: the mark alone brings a packet to it."""
    kernel = Kernel(rules="-A -f 5\n-a -f 5 -r 10.9.8.7 -g")
    assert kernel.receive(syn("198.51.100.7", "192.0.2.77"), mark=5).opened
    assert kernel.receive(syn("198.51.100.7", "192.0.2.77"), mark=6).server is None


def test_a_network_of_ones_own_takes_text_and_objects() -> None:
    """Addresses, prefixes and link-layer addresses are text, bytes, or objects of ipaddress."""
    network = Network()
    network.add_device("lan", "ethernet", ip_interface("10.1.0.1/24"), "192.0.2.1/32", mac="02:00:00:00:00:01")
    network.add_device("wan", "raw", "203.0.113.1/24")
    network.add_route("0.0.0.0/0", device="wan")
    network.add_neighbour("lan", ip_address("10.1.0.7"), "02-00-00-00-00-07")
    kernel = Kernel(rules="-A -t 192.0.2.1:80\n-a -t 192.0.2.1:80 -r 10.1.0.7 -m", network=network)
    ((device, frame),) = kernel.receive(syn("203.0.113.9", "192.0.2.1")).out
    assert device == "lan" and frame[:12].hex() == "020000000007020000000001"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda network: network.add_device("a", "wifi"), "unknown kind 'wifi': one of raw, ethernet"),
        (lambda network: network.add_device("a", "raw", "10.0.0.1/33"), "prefix length is a number from 0 to 32"),
        (lambda network: network.add_device("a", "raw", "10.0.0/8"), "not an IP address: '10.0.0'"),
        (lambda network: network.add_route("0.0.0.0/0", device="b"), "no device 'b': one of lo"),
        (lambda network: network.add_route("0.0.0.0/0", "nowhere"), "unknown kind 'nowhere': one of unicast"),
        (lambda network: network.add_local("10.0.0.1", "c"), "no device 'c': one of lo"),
        (lambda network: network.add_neighbour("lo", "10.0.0.1", "02:00"), "'02:00' is no link-layer address"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused(wrong: object, says: str) -> None:
    """What a network is told wrongly is a ValueError that names it and says what there is."""
    network = Network()
    with pytest.raises(ValueError, match=says):
        wrong(network)  # type: ignore[operator]


def test_a_refused_rule_is_named() -> None:
    """Rules of a new kernel that are refused are a ValueError with their lines and the likely cause."""
    with pytest.raises(ValueError, match=r"line 2: .*Service not defined") as refused:
        Kernel(rules="-A -t 192.0.2.1:80\n-a -t 192.0.2.2:80 -r 10.9.8.7")
    assert "10.9.8.7" in str(refused.value)


def test_command_lines_run_on_it() -> None:
    """ipvsadm's command line, and ours, on the table of this kernel alone."""
    kernel = Kernel(rules=RULES)
    assert kernel.ipvsadm("-E", "-t", "192.0.2.1:80", "-s", "rr") == (0, "", "")
    assert kernel.ipvsadm("-S", "-n").stdout == (
        "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.9.8.7:8080 -m -w 3\n"
    )
    assert kernel.ipvsadm("-D", "-t", "192.0.2.9:80").status != 0
    assert kernel.ipvsadm("-Ln", "--json").status != 0
    assert json.loads(kernel.ipvsnl("-Ln", "--json").stdout)["services"][0]["scheduler"] == "rr"
    assert kernel.ipvsnl("plan", "-", stdin="-A -t 192.0.2.9:80\n").stdout.startswith("+ ")


def test_sysctls_are_a_mapping() -> None:
    """Tunables are read and set by their short or full names; what the kernel refuses is an OSError."""
    kernel = Kernel(sysctl={"conn_reuse_mode": 0})
    assert kernel.sysctl["net.ipv4.vs.conn_reuse_mode"] == "0"
    kernel.sysctl["conn_reuse_mode"] = 1
    assert kernel.sysctl["conn_reuse_mode"] == "1"
    with pytest.raises(KeyError):
        kernel.sysctl["nothing"] = 1


def test_the_kernel_is_the_same_every_time_it_is_asked_for_the_same() -> None:
    """Chance has one source, and it has a seed."""
    rules = "-A -t 192.0.2.1:80 -s wlc\n" + "\n".join(f"-a -t 192.0.2.1:80 -r 10.9.8.{i} -m" for i in range(1, 9))
    ways = []
    for _ in range(2):
        kernel = Kernel(rules=rules, seed=3, hash_key=17)
        ways.append([kernel.receive(syn(f"198.51.100.{i}", "192.0.2.1")).out for i in range(2, 40)])
    assert ways[0] == ways[1]


def test_a_table_that_nobody_keeps() -> None:
    """``sim::memory:`` is a new, empty table each time it is opened, and has no place."""
    web = ipvsnl.Service("tcp", "192.0.2.1", 80)
    for _ in range(2):
        with ipvsnl.open("sim::memory:") as ipvs:
            assert ipvs.services() == [] and ipvs.place == ""
            ipvs.add_service(web)
            assert len(ipvs.services()) == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Kernel(rules=["-A -f 1"]), "rules are text"),  # type: ignore[arg-type]
        (lambda: Kernel(network="eth0"), "a network is an ipvssim.Network"),  # type: ignore[arg-type]
        (lambda: Kernel(release="five"), "'five': no release of Linux"),
        (lambda: Kernel(release="3.10"), "kernels before 4.18 are not modelled"),
        (lambda: Kernel().advance(-1), "-1: seconds to let pass"),
        (lambda: Kernel().advance(float("nan")), "nan: seconds to let pass"),
        (lambda: Kernel().advance(float("inf")), "inf: seconds to let pass"),
        (lambda: Kernel().advance("5"), "'5': seconds to let pass"),  # type: ignore[arg-type]
        (lambda: Kernel().receive(None), "None is no packet"),
        (lambda: Kernel().receive("E"), "'E' is no packet"),
        (lambda: Kernel().receive(b"", mark=-1), "mark=-1: a firewall mark is 0 to 4294967295"),
    ],
)  # fmt: skip
def test_what_the_front_door_is_told_wrongly_is_named(wrong: Callable[[], object], says: str) -> None:
    """Arguments that cannot be are a ValueError that shows them and says what is taken."""
    with pytest.raises(ValueError, match=says):
        wrong()


def test_a_kernel_that_knows_its_uptime_has_the_wheel() -> None:
    """A connection of a minute is there until the wheel gets to it, its time over; by HZ that is another jiffy."""
    ends = {}
    for hz, uptime in ((100, None), (100, 0), (250, 0), (1000, 7.5)):
        kernel = Kernel(rules=RULES, hz=hz, uptime=uptime)
        kernel.receive(syn("198.51.100.7", "192.0.2.1"))
        kernel.advance(59.9)
        while kernel.connections():
            kernel.advance(0.001)
        ends[hz, uptime] = round(kernel.now, 3)
    assert ends == {(100, None): 60, (100, 0): 64.48, (250, 0): 60.384, (1000, 7.5): 63.124}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"hz": 300}, "hz=300"),
        ({"uptime": -1}, "uptime=-1"),
        ({"hz": "a"}, "hz="),
        ({"uptime": "a"}, "uptime="),
        ({"hz": 100.0}, "hz="),
        ({"uptime": float("nan")}, "uptime="),
    ],
)
def test_wrong_times_of_a_kernel_are_refused(words: dict[str, Any], what: str) -> None:
    """The error names the value."""
    with pytest.raises(ValueError, match=what):
        Kernel(**words)
