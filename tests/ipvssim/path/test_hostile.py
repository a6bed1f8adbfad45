"""Hostile packets: whatever the bytes are, there is a result, and what leaves is an IP packet."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from random import Random
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim.clock import Clock
from ipvssim.net import icmp
from ipvssim.net.cutting import split4, split6
from ipvssim.net.fragments import Reassembler
from ipvssim.net.options4 import BadOptionError, echo, of_later_fragments, received
from ipvssim.net.options6 import BadOption6Error, verify_destination, verify_hops
from ipvssim.net.packets import BROKEN, Packet, parse4, parse6, quote, sign4, walk6
from ipvssim.path.result import Result
from tests.ipvssim import worlds as w
from tests.places import DATA

TRACES = DATA / "traces"
MUTATED = 20_000
EXTENSIONS = (0, 43, 44, 50, 51, 59, 60, 6, 17, 58)
ANY4, ANY6 = bytes(4), bytes(16)
OPTIONS4 = st.binary(max_size=40).map(lambda data: data + bytes(-len(data) % 4))


@st.composite
def chains(draw: st.DrawFn) -> bytes:
    """An IPv6 packet whose extension headers may be of any kind, size and order; some lie about their size, some are cut."""
    kinds = draw(st.lists(st.sampled_from(EXTENSIONS), min_size=1, max_size=4))
    body = b""
    for kind, following in pairwise([*kinds, draw(st.sampled_from((6, 17, 58, 59)))]):
        words = draw(st.integers(0, 3))
        size = 8 if kind == 44 else 4 * words + 8 if kind == 51 else 8 * words + 8
        inner = draw(st.sampled_from((b"\1\4\0\0\0\0", b"\0\0\0\0\0\1", b"\0\1\0\0\0\1", b"\0\x28\0\0\0\1")))
        body += bytes((following, words)) + inner + bytes(size - 8)
    body += draw(st.sampled_from((b"", b"\4\0\0\x50" + bytes(28), bytes(8))))
    if draw(st.integers(0, 9)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    return pack("!IHBB", 6 << 28, len(body), kinds[0], 64) + w.CLIENT6 + draw(targets6) + body


targets6 = st.sampled_from([w.VIRTUAL6, w.SERVER6, bytes.fromhex("20010db8000c00000000000000000009")])


@st.composite
def with_options(draw: st.DrawFn) -> bytes:
    """An IPv4 packet with any options, which may be a fragment."""
    options, payload = draw(OPTIONS4), draw(st.binary(max_size=40))
    data = w.ip(
        w.CLIENT, draw(st.sampled_from([w.VIRTUAL, w.SERVER])), draw(st.sampled_from((1, 6, 17, 132))), payload,
        options=options, ttl=draw(st.integers(0, 3)),
    )  # fmt: skip
    header = data[: 20 + len(options)]
    return sign4(header[:6] + draw(st.binary(min_size=2, max_size=2)) + header[8:]) + payload


def parsers() -> list[Callable[[bytes], object]]:
    """Every reader of net/, as the packet path calls it."""

    def options6(verify: Callable[[bytes], None]) -> Callable[[bytes], object]:
        def read(data: bytes) -> object:
            packet = parse6(data)
            if not isinstance(packet, Packet) or packet.offset <= 40:
                return None
            if verify is verify_destination and packet.protocol == BROKEN:  # the director drops it before
                return None
            with suppress(BadOption6Error):
                if verify is verify_destination or data[6] == 0:
                    verify(data)
            return None

        return read

    def options4(data: bytes) -> object:
        try:
            changed = received(data, ANY4, lambda _: True, 1)
        except BadOptionError:
            return None
        return echo(changed, ANY4, 1), of_later_fragments(data)

    def fragment(data: bytes) -> object:
        packet = parse4(data) if data[:1] < b"\x60" else parse6(data)
        return Reassembler(Clock()).add(packet, "local") if isinstance(packet, Packet) and packet.fragment else None

    def cut(data: bytes) -> object:
        packet = parse4(data) if data[:1] < b"\x60" else parse6(data)
        if not isinstance(packet, Packet):
            return None
        return split4(packet.data, 100) if packet.family == 2 else split6(packet.data, 1280, 1)

    return [
        parse4, parse6, lambda data: quote(data, 2, reverse=True), lambda data: quote(data, 10, reverse=False),
        lambda data: walk6(data, 40, data[6]) if len(data) >= 40 else None, options6(verify_hops),
        options6(verify_destination), options4, fragment, cut,
        lambda data: icmp.answers(packet) if isinstance(packet := parse6(data), Packet) else None,
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(parsers())))
@settings(deadline=None)
@given(data=st.one_of(st.binary(max_size=120), chains(), with_options(), OPTIONS4))
def test_every_parser_takes_any_bytes(number: int, data: bytes) -> None:
    """A reader answers any bytes, and raises nothing but what its page says."""
    parsers()[number](data)


def world() -> w.World:
    """A director with services of every protocol, of both families, by every method."""
    made = w.World(nat_icmp_send=1, schedule_icmp=1)
    for number, protocol in enumerate((w.TCP, w.UDP, w.SCTP)):
        for address, server in ((w.VIRTUAL, w.SERVER), (w.VIRTUAL6, w.SERVER6)):
            for port, method in ((80, w.MASQUERADE), (53, w.DIRECT), (0, w.TUNNEL)):
                service = made.service(protocol, address, port, persistent=None if port else 60)
                made.server(service, server, port and port + number, method)
    return made


def sound(result: Result) -> None:
    """The law of a result."""
    assert result.verdict is not None and (result.out or result.reason or result.local)
    for device, frame in result.out:
        sent = frame[14:] if device == "server" else frame
        assert len(sent) >= 20 and sent[0] >> 4 in (4, 6), frame.hex()
        if sent[0] >> 4 == 4:
            assert int.from_bytes(sent[: (sent[0] & 15) * 4], "big") % 0xFFFF == 0, frame.hex()


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.one_of(chains(), with_options(), st.binary(max_size=80))), max_size=6))
def test_a_director_takes_any_packets(packets: list[tuple[bool, bytes]]) -> None:
    """Whatever comes in from either side, there is a result."""
    made = world()
    for outside, data in packets:
        sound(made.client(data) if outside or not data else made.from_server(data))


def test_mutated_packets_of_the_recorded_traces() -> None:
    """Twenty thousand packets of real conversations, damaged, cut, joined and with their checksums set right again."""
    chance = Random(12)
    known = sorted({bytes.fromhex(step["hex"]) for step in steps() if step["on"] == "client"})
    backs = sorted({bytes.fromhex(step["hex"])[14:] for step in steps() if step["on"] == "server"})
    made = world()
    for number in range(MUTATED):
        if number % 2000 == 0:
            made = world()
        outside = chance.random() < 0.7
        data = mutated(chance, chance.choice(known if outside else backs), known)
        sound(made.client(data) if outside or not data else made.from_server(data))


def steps() -> list[dict[str, str]]:
    """The packets of the recorded traces."""
    lines = [line for trace in sorted(TRACES.glob("*.trace")) for line in trace.read_text().splitlines()[1:]]
    return [step for step in map(json.loads, lines) if step["do"] == "packet"]


def mutated(chance: Random, data: bytes, others: list[bytes]) -> bytes:
    """One packet with a few things wrong; an IPv4 header's checksum and either family's length mostly fit."""
    damaged = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        what = chance.randrange(7)
        at = chance.randrange(len(damaged)) if damaged else 0
        if what < 3 and damaged:
            damaged[at] = chance.choice((0, 1, 4, 44, 51, 60, 127, 128, 255, chance.randrange(256)))
        elif what == 3:
            del damaged[at:]
        elif what == 4:
            damaged[at:at] = chance.randbytes(chance.choice((1, 8, 16)))
        elif what == 5 and len(damaged) > 48 and damaged[0] >> 4 == 6:
            kind = chance.choice(EXTENSIONS)
            damaged[40:40] = bytes((damaged[6], chance.choice((0, 0, 1, 200)))) + chance.randbytes(6)
            damaged[6] = kind
        elif what == 6:
            other = chance.choice(others)
            damaged[at:] = other[at:]
    return fitting(bytes(damaged)) if chance.random() < 0.9 else bytes(damaged)


def fitting(data: bytes) -> bytes:
    """The packet with its lengths, and an IPv4 header's checksum, set right."""
    if len(data) >= 40 and data[0] >> 4 == 6:
        return data[:4] + pack("!H", min(len(data) - 40, 0xFFFF)) + data[6:]
    size = (data[0] & 15) * 4 if data else 0
    if len(data) >= 20 and data[0] >> 4 == 4 and 20 <= size <= len(data):
        header = data[:2] + pack("!H", min(len(data), 0xFFFF)) + data[4:size]
        return sign4(header) + data[size:]
    return data
