"""ip_vs_pe_sip: which Call-ID is read, and what it does to connections."""

from __future__ import annotations

import pytest

from ipvssim import Kernel
from ipvssim.net.packets import Packet, parse4
from ipvssim.path.engines.sip import call_id
from tests.kernel.traces import packets as p

CLIENT, VIRTUAL = p.address("198.51.100.7"), p.address("192.0.2.1")
RULES = """
-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip
-a -u 192.0.2.1:5060 -r 10.9.8.7:5060 -m
-a -u 192.0.2.1:5060 -r 10.9.8.8:5060 -m
"""


def datagram(payload: bytes, client: bytes = CLIENT, port: int = 5060, virtual: bytes = VIRTUAL) -> bytes:
    return p.ip4(client, virtual, p.UDP, p.udp(client, virtual, (port, 5060), payload))


def read(payload: bytes) -> bytes | None:
    packet = parse4(datagram(payload))
    assert isinstance(packet, Packet)
    return call_id(packet)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"ACK x\r\nCall-ID: a@b\r\n", b"a@b"),
        (b"ACK x\ncall-id:a@b\n", b"a@b"),
        (b"ACK x\ri \t: \ta\r", b"a"),
        (b"ACK x\r\nCall-ID:\r\n  a@b\r\n", b"a@b"),
        (b"ACK x\r\n Call-ID: no\r\nCall-ID: a\r\n", b"a"),
        (b"ACK x\r\nInfo: no\r\n\r\nI: a\r\n", b"a"),
        (b"ACK x\r\nCall-ID: @no\r\nCall-ID: a\r\n", b"a"),
        (b"ACK x\r\nCall-ID: @no\r\nCall-ID: @no\r\nCall-ID: a\r\n", None),  # the search goes on too far behind
        (b"ACK x\r\nCall-ID: \xe9@\xf8\r\n", b"\xe9@\xf8"),
        (b"ACK x\r\nCall-ID: " + b"x" * 255 + b"\r\n", b"x" * 255),
        (b"ACK x\r\nCall-ID: " + b"x" * 256 + b"\r\n", None),
        (b"ACK x\r\nCall-ID: a@b", None),
        (b"ACK x\r\nCall-ID: a b\r\n", None),
        (b"ACK x\r\nCall-ID: a@b@c\r\n", None),
        (b"ACK x\r\nCall-ID a\r\nCall-ID: b\r\n", None),
        (b"Call-ID: a\r\n", None),
        (b"\r\nCall-ID: a\r\n", b"a"),
        (b"ACK x\r\nIx: a\r\n", None),
        (b"", None),
    ],
)
def test_which_call_id(message: bytes, found: bytes | None) -> None:
    """The first such header of a line behind the first, whole and with an end of line behind it; at most 255 bytes."""
    assert read(message) == found


def test_calls_stay_with_their_server() -> None:
    """Connections of one client go by their Call-ID, whatever their ports; each call has a template of its own."""
    kernel = Kernel(RULES)
    servers = [
        kernel.receive(datagram(b"x\r\nCall-ID: %s\r\n" % call, port=port)).explain()["server"]
        for port, call in ((5060, b"one"), (5061, b"two"), (5062, b"one"), (5063, b"two"))
    ]
    assert servers[:2] == servers[2:] and servers[0] != servers[1]
    assert {one.persistence_data for one in kernel.connections() if one.client_port == 0} == {"one", "two"}


def test_a_datagram_without_a_call_is_dropped() -> None:
    """It opens no connection, and nothing is answered; of a known connection it passes."""
    kernel = Kernel(RULES)
    result = kernel.receive(datagram(b"hello"))
    assert not result.out and not result.local and not kernel.connections()
    kernel.receive(datagram(b"x\r\nCall-ID: one\r\n"))
    assert kernel.receive(datagram(b"hello")).out


def test_a_server_may_begin() -> None:
    """A server's own datagram makes a connection and a template, so that the client's call comes to that server."""
    kernel = Kernel(RULES)
    server = p.address("10.9.8.7")
    invite = p.ip4(server, CLIENT, p.UDP, p.udp(server, CLIENT, (5060, 5070), b"x\r\nCall-ID: one\r\n"))
    (_, left), *_ = kernel.receive(invite).out
    assert left[12:16] == VIRTUAL
    for port in (5070, 5071, 5072):
        told = kernel.receive(datagram(b"x\r\nCall-ID: one\r\n", port=port)).explain()
        assert told["server"] == "10.9.8.7:5060"


def test_the_template_shows_its_call() -> None:
    """-Lc --persistent-conn and /proc/net/ip_vs_conn tell the engine and the Call-ID behind a template."""
    kernel = Kernel(RULES)
    kernel.receive(datagram(b"x\r\nCall-ID: one@two\r\n"))
    assert [
        line for line in kernel.proc("ip_vs_conn") if line.endswith(" 59 sip one@two\n") or " 60 sip one@two" in line
    ]
    assert "sip                one@two\n" in kernel.ipvsadm("-Lcn", "--persistent-conn").stdout


def test_an_unusable_template_is_left_to_its_time() -> None:
    """The call of a server that is deleted gets another server and another template; the old one keeps its Call-ID."""
    kernel = Kernel(RULES)
    first = kernel.receive(datagram(b"x\r\nCall-ID: one\r\n")).explain()["server"]
    kernel.ipvsadm("-d", "-u", "192.0.2.1:5060", "-r", first)
    second = kernel.receive(datagram(b"x\r\nCall-ID: one\r\n", port=5061)).explain()["server"]
    assert second != first
    kept = [one for one in kernel.connections() if one.persistence_data == "one"]
    assert sorted(one.virtual_port for one in kept) == [5060, 0xFFFF]
    kernel.advance(400)
    assert kernel.connections() == []


def test_tcp_finds_no_call() -> None:
    """A TCP service under the engine opens no connection: the engine reads UDP alone."""
    kernel = Kernel("-A -t 192.0.2.1:5060 -s rr -p 60 --pe sip\n-a -t 192.0.2.1:5060 -r 10.9.8.7:5060 -m")
    syn = p.ip4(CLIENT, VIRTUAL, p.TCP, p.tcp(CLIENT, VIRTUAL, (4000, 5060), p.SYN))
    result = kernel.receive(syn)
    assert not result.out and not result.local
