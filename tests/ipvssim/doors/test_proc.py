"""The simulated /proc/net files, column by column."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import IP, TCP

from ipvssim import Kernel
from ipvssim.clock import SECOND
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.state.namespace import Namespace
from ipvssim.state.procfs import lines, protocol_name
from tests.ipvssim.requests import ask, attribute, dest, mark_key, message, service, service_key

V6 = bytes.fromhex("20010db8000000000000000000000001")


def row(namespace: Namespace, start: str) -> str:
    (found,) = [line for line in lines(namespace, "ip_vs") if line.startswith(start)]
    return found


def test_the_tables_lines() -> None:
    """Flags, blanks and byte orders are the kernel's, odd as they are."""
    namespace = Namespace()
    socket = NetlinkSocket(namespace)

    def add(key: bytes, flags: int = 0, mask: int = 0xFFFFFFFF) -> None:
        ask(socket, message(1, service(key, b"rr", flags, 60, mask)))

    for port, flags in ((0x50, 0), (0x51, 4), (0x52, 1), (0x53, 5)):
        add(service_key(port, bytes([10, 0, 0, 1])), flags)
    add(service_key(0x50, V6), 4, 64)
    add(service_key(0x51, V6), 1, 128)
    for mark, flags in ((7, 0), (8, 4), (10, 5)):
        add(mark_key(mark), flags)
    ask(socket, message(5, attribute(1, service_key(0x50, V6)) + dest(V6[:15] + b"\5", 0x1F90, 1234567, 2)))
    ask(socket, message(5, attribute(1, mark_key(7)) + dest(bytes([172, 16, 0, 1]), 0x1F90, 1, 5)))
    assert row(namespace, "TCP  0A000001:0050") == "TCP  0A000001:0050 rr  \n"
    assert row(namespace, "TCP  0A000001:0051") == "TCP  0A000001:0051 rr ops  \n"
    assert row(namespace, "TCP  0A000001:0052") == "TCP  0A000001:0052 rr  persistent 6000 FFFFFFFF\n"
    assert row(namespace, "TCP  0A000001:0053") == "TCP  0A000001:0053 rr ops  persistent 6000 FFFFFFFF\n"
    text = "TCP  [2001:0db8:0000:0000:0000:0000:0000:0001]:005"
    assert row(namespace, text + "0") == text + "0 rr \n"
    assert row(namespace, text + "1") == text + "1 rr persistent 6000 80000000\n"
    assert row(namespace, "FWM  00000007") == "FWM  00000007 rr \n"
    assert row(namespace, "FWM  00000008") == "FWM  00000008 rr ops \n"
    assert row(namespace, "FWM  0000000A") == "FWM  0000000A rr ops persistent 6000 FFFFFFFF\n"
    six = "  -> [2001:0db8:0000:0000:0000:0000:0000:0005]:1F90      Tunnel  1234567 0          0         \n"
    assert row(namespace, "  -> [") == six
    assert row(namespace, "  -> AC") == "  -> AC100001:1F90      Masq    1      0          0         \n"


def test_the_statistics_lines() -> None:
    """Hexadecimal, as of the last tick; a processor's row is live and is never zeroed."""
    namespace = Namespace()
    total = namespace.table.total
    total.conns, total.inbytes = 18, 1280
    namespace.clock.advance(2 * SECOND)
    total.conns = 20
    total.zero()
    shown = list(lines(namespace, "ip_vs_stats"))
    assert shown[2] == "       0        0        0                0                0\n" and shown[3] == "\n"
    per_cpu = list(lines(namespace, "ip_vs_stats_percpu"))
    assert per_cpu[2] == "  0       14        0        0              500                0\n"
    assert per_cpu[3] == "  ~        0        0        0                0                0\n"


def test_connections_come_from_the_packet_path() -> None:
    """Whoever hangs a connection table in has it shown; without one there is the title alone."""
    namespace = Namespace()
    assert len(list(lines(namespace, "ip_vs_conn"))) == 1
    names = ("proto", "client", "cport", "virtual", "vport", "dest", "dport", "state")
    values = ("TCP", "01020304", "1F90", "CB007101", "0050", "0A00000A", "0050", "SYN_RECV")
    one = dict(zip(names, values, strict=True))
    namespace.connections = lambda: [{**one, "expires": 59}]
    assert list(lines(namespace, "ip_vs_conn"))[1] == (
        "TCP 01020304 1F90 CB007101 0050 0A00000A 0050 SYN_RECV         59\n"
    )


def test_names() -> None:
    """Protocols without a name have a number; files that are not there are not found."""
    assert (protocol_name(132), protocol_name(47)) == ("SCTP", "IP_47")
    assert struct.calcsize("=I") == 4
    with pytest.raises(FileNotFoundError):
        lines(Namespace(), "ip_vs_nothing")


def test_connections_tell_where_they_are_from() -> None:
    """``ip_vs_conn_sync`` as Linux 6.1.176 wrote it of a connection that its own host had made (recorded)."""
    kernel = Kernel("-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.9.9.1:80 -m")
    kernel.receive(IP(src="192.0.2.200", dst="192.0.2.1") / TCP(sport=0x80E8, dport=80, flags="S"))
    assert list(kernel.proc("ip_vs_conn_sync")) == [
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n",
        "TCP C00002C8 80E8 C0000201 0050 0A090901 0050 SYN_RECV    LOCAL       60\n",
    ]
