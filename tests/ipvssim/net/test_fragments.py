"""Fragments: put together before IPVS sees them, cut up again when they leave."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ipvssim.clock import Clock
from ipvssim.net.fragments import Reassembler, split4, split6
from ipvssim.net.packets import Packet, parse4, parse6, sign4
from ipvssim.path.result import Verdict
from tests.ipvssim import worlds as w


@given(st.integers(1, 3000), st.integers(1, 150), st.randoms(use_true_random=False))
def test_what_was_cut_is_put_together(size: int, eighths: int, random: Random) -> None:
    """In any order, the fragments of a packet make the packet, once the last has come."""
    whole = w.udp(payload=bytes(size))
    pieces = w.fragments(whole, eighths * 8)
    random.shuffle(pieces)
    reassembler = Reassembler(Clock())
    results = []
    for piece in pieces:
        packet = parse4(piece)
        assert isinstance(packet, Packet)
        results.append(reassembler.add(packet, "local") if packet.fragment else packet)
    assert all(isinstance(result, str) for result in results[:-1])
    last = results[-1]
    assert isinstance(last, Packet) and last.data == whole and len(reassembler) == 0


@given(st.integers(600, 3000), st.integers(68, 600))
def test_ipv4_pieces_add_up(size: int, limit: int) -> None:
    """Pieces are no longer than allowed, sound, and carry the payload in order."""
    whole = w.udp(payload=bytes(range(256)) * (size // 256))
    pieces = split4(whole, limit)
    assert all(len(piece) <= limit and isinstance(parse4(piece), Packet) for piece in pieces)
    assert b"".join(piece[20:] for piece in pieces) == whole[20:]


@given(st.integers(1300, 4000))
def test_ipv6_pieces_add_up(size: int) -> None:
    """IPv6 fragments carry the payload in order, all under one identification."""
    whole = w.udp(payload=bytes(size), source=w.CLIENT6, target=w.VIRTUAL6)
    pieces = split6(whole, 1280, 77)
    assert all(len(piece) <= 1280 and piece[44:48] == (77).to_bytes(4, "big") for piece in pieces)
    assert b"".join(piece[48:] for piece in pieces) == whole[40:]
    reassembler = Reassembler(Clock())
    packets = [parse6(piece) for piece in pieces]
    last = [reassembler.add(packet, "input") for packet in packets if isinstance(packet, Packet)][-1]
    assert isinstance(last, Packet) and last.data == whole


def test_a_request_in_fragments_is_one_packet() -> None:
    """Nothing is sent before the last fragment; the packet counts whole and leaves in pieces no larger than it came in."""
    world = w.World()
    server = world.server(world.service(w.UDP))
    pieces = w.fragments(w.udp(payload=bytes(2500)), 800)
    verdicts = [world.client(piece) for piece in pieces]
    assert [one.verdict for one in verdicts[:-1]] == [Verdict.HELD] * (len(pieces) - 1)
    assert server.counters.inbytes == 2528 and server.counters.inpkts == 1
    assert max(len(data) - 14 for _, data in verdicts[-1].out) == 820


def test_fragments_of_a_reply_are_translated_together() -> None:
    """A server's fragmented answer leaves from the virtual address, cut where it was cut."""
    world = w.World()
    world.server(world.service(w.UDP))
    world.client(w.udp())
    answer = w.udp(8080, 1024, bytes(1000), source=w.SERVER, target=w.CLIENT)
    results = [world.from_server(piece) for piece in w.fragments(answer, 400)]
    assert [len(data) for _, data in results[-1].out] == [420, 420, 228]
    assert all(data[12:16] == w.VIRTUAL for _, data in results[-1].out)


def test_overlaps_and_contradictions_spoil_the_packet() -> None:
    """Overlapping fragments are refused with all that came before; a repeated one is refused alone."""
    whole = w.udp(payload=bytes(152))
    first, second = w.fragments(whole, 80)
    overlap = sign4(second[:6] + (0x2000 | 5).to_bytes(2, "big") + second[8:20]) + second[20:]
    world = w.World()
    world.server(world.service(w.UDP))
    assert world.client(first).verdict is Verdict.HELD
    assert world.client(first).reason == "fragment refused: duplicate"
    assert world.client(overlap).reason == "fragment refused: overlap"
    assert world.client(second).verdict is Verdict.HELD


def test_waiting_fragments_are_given_up() -> None:
    """After thirty seconds what came of a packet is forgotten."""
    world = w.World()
    world.client(w.fragments(w.udp(payload=bytes(100)), 48)[0])
    assert len(world.director.reassembler) == 1
    world.pass_seconds(31)
    assert len(world.director.reassembler) == 0


def test_an_ipv6_packet_keeps_its_cuts() -> None:
    """IPv6 output is cut where the input was, under a new identification."""
    world = w.World()
    world.server(world.service(w.UDP, w.VIRTUAL6), w.SERVER6)
    whole = w.udp(payload=bytes(2400), source=w.CLIENT6, target=w.VIRTUAL6)
    results = [world.client(piece) for piece in split6(whole, 1280, 5)]
    sizes = [len(data) - 14 for _, data in results[-1].out]
    assert sizes == [len(piece) for piece in split6(whole, 1280, 5)]
