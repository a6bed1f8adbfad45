"""Scapy packets and captures, in and out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ipvssim import worlds as w

pytest.importorskip("scapy")

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

from ipvssim.doors.capture import play
from tests.places import ROOT


def test_scapy_packets_come_in_and_out_with_the_decision() -> None:
    """A scapy packet is received as its bytes are, and what leaves are scapy packets with their device."""
    world = w.World()
    server = world.server(world.service())
    result = world.director.receive(IP(src="192.0.2.1", dst="203.0.113.1") / TCP(sport=5, dport=80), on="client")
    (packet,) = result.packets
    assert (packet[IP].dst, packet[TCP].dport, packet.sniffed_on) == ("10.0.0.10", 8080, "server")
    assert packet[Ether].dst == "02:00:0a:00:00:0a" and result.server is server
    answer = IP(src="10.0.0.10", dst="192.0.2.1") / TCP(sport=8080, dport=5, flags="SA")
    (back,) = world.director.receive(answer, on="server").packets
    assert (back.src, back.sport, back.sniffed_on) == ("203.0.113.1", 80, "client")


def test_scapy_agrees_with_our_checksums() -> None:
    """Packets that leave are what scapy builds from the same fields, tunnels and errors included."""
    world = w.World()
    world.server(world.service(w.UDP), method=w.TUNNEL)
    world.service()
    (tunnelled,) = world.director.receive(
        IP(src="192.0.2.1", dst="203.0.113.1") / UDP(sport=5, dport=80) / b"x"
    ).packets
    (refused,) = world.director.receive(IP(src="192.0.2.1", dst="203.0.113.1") / TCP(sport=5, dport=80)).packets
    assert refused[ICMP].code == 3 and tunnelled[IP].payload[IP].dst == "203.0.113.1"
    for packet in (tunnelled, refused):
        rebuilt = packet.__class__(bytes(packet))
        for layer in (rebuilt.getlayer(IP, 1), rebuilt.getlayer(ICMP)):
            if layer is not None:
                layer.chksum = None
        assert bytes(rebuilt) == bytes(packet)


def test_ipv6_through_scapy() -> None:
    """IPv6 packets are told from IPv4 by themselves."""
    world = w.World()
    world.server(world.service(address=w.VIRTUAL6), w.SERVER6)
    result = world.director.receive(IPv6(src="2001:db8:c::1", dst="2001:db8:80::1") / TCP(sport=5, dport=80))
    assert result.packets[0][IPv6].dst == "fd00:10::a"


def test_a_capture_is_played(tmp_path: Path) -> None:
    """Time stamps move the clock, packets come in where their source is, and what leaves is a capture too."""
    request = IP(src="192.0.2.1", dst="203.0.113.1") / TCP(sport=5, dport=80)
    answer = IP(src="10.0.0.10", dst="192.0.2.1") / TCP(sport=8080, dport=5, flags="SA")
    late = IP(src="192.0.2.1", dst="203.0.113.1") / TCP(sport=5, dport=80, flags="A")
    for packet, when in ((request, 1000.0), (answer, 1000.5), (late, 1200.0)):
        packet.time = when
    wrpcap(str(tmp_path / "in.pcap"), [request, answer, late])
    world = w.World()
    world.server(world.service())
    told: list[str] = []
    counts = play(
        world.director, tmp_path / "in.pcap", tmp_path / "out.pcap", told=lambda result: told.append(result.reason)
    )
    assert (counts.received, counts.sent, dict(counts.verdicts)) == (3, 2, {"forward": 2, "local": 1})
    assert told == ["opened a connection", "reply", "no packet that opens a connection"]
    out = rdpcap(str(tmp_path / "out.pcap"))
    assert [(packet[IP].src, packet[IP].dst) for packet in out] == [
        ("192.0.2.1", "10.0.0.10"),
        ("203.0.113.1", "192.0.2.1"),
    ]
    assert float(out[1].time) == 1000.5


def test_the_bytes_path_never_imports_scapy() -> None:
    """A director that is given bytes works without scapy being loaded."""
    code = (
        "import sys; from tests.ipvssim import worlds as w; world = w.World(); world.server(world.service());"
        "assert world.client(w.tcp()).out; sys.exit('scapy' in sys.modules)"
    )
    root = ROOT
    paths = [str(root), str(root / "sim")]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, env={"PYTHONPATH": ":".join(paths)}).returncode == 0
