"""What a packet costs, beside scapy's parse of it and a bare struct rewrite; what a million connections cost.

Run by ``make bench`` (which keeps what is not measured by pytest-benchmark out); with ``-s`` the two large ones print.
"""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Callable
from itertools import count, cycle

import pytest

from ipvssim.clock import SECOND
from ipvssim.net.packets import parse4
from tests.ipvssim import worlds as w

PAYLOAD = b"x" * 64
MILLION = 1_000_000


def world(scheduler: str = "wlc", method: int = w.MASQUERADE, servers: int = 10, protocol: int = w.TCP) -> w.World:
    made = w.World()
    service = made.service(protocol, scheduler=scheduler)
    for number in range(servers):
        made.server(service, bytes((10, 0, 0, 10 + number % 16)), 8080 + number // 16, method)
    return made


def from_client(number: int) -> bytes:
    return struct.pack("!I", 0x0B000000 + number)


@pytest.mark.parametrize("method", [w.MASQUERADE, w.DIRECT, w.TUNNEL], ids=["nat", "direct", "ipip"])
def test_packet_of_a_known_connection(benchmark: Callable[..., object], method: int) -> None:
    """At most 8 µs for NAT."""
    made = world(method=method)
    for number in range(50):
        made.client(w.tcp(w.SYN, source=from_client(number)))
    packets = cycle([w.tcp(w.ACK, payload=PAYLOAD, source=from_client(number)) for number in range(50)])
    receive = made.director.receive
    benchmark(lambda: receive(next(packets)))


def test_reply_of_a_known_connection(benchmark: Callable[..., object]) -> None:
    made = world(servers=1)
    made.client(w.tcp(w.SYN))
    frame = w.ROUTER + bytes(6) + b"\x08\0" + w.tcp(18, 8080, 1024, PAYLOAD, source=w.SERVER, target=w.CLIENT)
    benchmark(lambda: made.director.receive(frame, "server"))


@pytest.mark.parametrize("servers", [10, 1000])
@pytest.mark.parametrize("scheduler", ["rr", "wlc"])
def test_packet_that_opens_a_connection(benchmark: Callable[..., object], scheduler: str, servers: int) -> None:
    """At most 20 µs, among 1,000 servers too."""
    made = world(scheduler, servers=servers)
    packets = iter([w.tcp(w.SYN, source=from_client(number)) for number in range(60_000)])
    receive = made.director.receive
    benchmark.pedantic(lambda: receive(next(packets)), rounds=50, iterations=1000, warmup_rounds=1)  # type: ignore[attr-defined]


def test_a_bare_rewrite_with_struct(benchmark: Callable[..., object]) -> None:
    """The least that any program does to a packet: unpack, change, pack, sum."""
    data = w.tcp(w.ACK, payload=PAYLOAD)
    header = struct.Struct("!BBHHHBBH4s4sHH")

    def rewrite() -> bytes:
        fields = list(header.unpack_from(data))
        fields[5] -= 1
        fields[7] = 0
        fields[9], fields[11] = w.SERVER, 8080
        new = header.pack(*fields)
        check = 0xFFFF - sum(struct.unpack("!10H", new[:20])) % 0xFFFF
        return bytes(new[:10] + check.to_bytes(2, "big") + new[12:] + data[24:])

    assert parse4(rewrite())
    benchmark(rewrite)


def test_scapys_parse_of_the_packet(benchmark: Callable[..., object]) -> None:
    """The yardstick."""
    inet = pytest.importorskip("scapy.layers.inet")
    data = w.tcp(w.ACK, payload=PAYLOAD)
    benchmark(lambda: inet.IP(data))


def test_scapys_parse_build_and_parse(benchmark: Callable[..., object]) -> None:
    """What comes and goes as scapy packets cannot cost less than this."""
    inet = pytest.importorskip("scapy.layers.inet")
    ether = pytest.importorskip("scapy.layers.l2").Ether
    data = w.tcp(w.ACK, payload=PAYLOAD)
    header = bytes.fromhex("02000a00000a0200000000010800")

    def both() -> object:
        packet = inet.IP(data)
        packet.ttl = 9
        packet.chksum = None
        return [ether(header + bytes(packet))]

    benchmark(both)


def test_through_scapy(benchmark: Callable[..., object]) -> None:
    """A scapy packet in, a scapy packet out: at most a tenth above scapy's own work."""
    inet = pytest.importorskip("scapy.layers.inet")
    made = world()
    made.client(w.tcp(w.SYN))
    data = w.tcp(w.ACK, payload=PAYLOAD)

    def both() -> object:
        packet = inet.IP(data)
        packet.ttl = 9
        packet.chksum = None
        return made.director.receive(packet).packets

    benchmark(both)


def test_a_million_connections() -> None:
    """In under 1 GiB, and gone in 2 s."""
    made = world("rr")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    server = iter(made.namespace.table.services()).__next__().servers().__next__()
    entries = made.director.connection_table
    numbers = count()
    for _ in range(MILLION):
        key = from_client(next(numbers)) + w.VIRTUAL + b"\4\0\0\x50"
        made.director.connection_table.used(entries.open(w.TCP, key, server.address, b"\x1f\x90", 0x100, server, 0))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    began = time.perf_counter()
    made.namespace.clock.advance(5 * SECOND)
    took = time.perf_counter() - began
    print(f"\na million connections: {grown / MILLION:.0f} bytes each; their expiry: {took:.2f} s")
    assert not len(entries) and grown < 1 << 30
