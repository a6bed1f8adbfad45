"""The lane and the general way are one kernel: the same packets, the same answers, whatever comes between."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from ipvssim.lane import Packed, compiled
from tests.ipvssim import worlds as w
from tests.ipvssim.lane import streams

SEEDS = range(1, 9)
needs_lane = pytest.mark.skipif(not compiled, reason="the express lane's C was not built")


def optioned(flags: int, port: int = 1024, *, source: bytes = w.CLIENT, target: bytes = w.VIRTUAL) -> bytes:
    """A segment that is not plain: its IPv4 header has options."""
    plain = w.tcp(flags, port, source=source, target=target)
    return w.ip(source, target, w.TCP, plain[20:], options=b"\1\1\1\0")


@needs_lane
@pytest.mark.parametrize("seed", SEEDS)
def test_random_streams(seed: int) -> None:
    """Random traffic, administrators and time: each packet's fate, all counters and in the end all connections are equal."""
    streams.run(seed, 6)


@needs_lane
def test_streams_use_the_lane() -> None:
    """The streams above are no test unless many of their packets are the lane's, of each kind."""
    seen = sum((streams.run(seed, 5) for seed in range(50, 54)), start=Counter())
    assert min(seen[kind] for kind in ("opened", "known", "reply", "general")) > 30, seen


def test_without_the_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the C was not built, every packet goes the general way, with the same answers."""
    monkeypatch.setattr("ipvssim.lane.lane.compiled", False)
    assert set(streams.run(5, 4)) == {"general"}


def _pair(scheduler: str, servers: int = 4, **fields: int) -> list[w.World]:
    made = []
    for _ in range(2):
        world = w.World()
        service = world.service(scheduler=scheduler)
        for number in range(servers):
            world.server(service, bytes((10, 0, 0, 10 + number)), weight=1 + number % 3, **fields)
        made.append(world)
    return made


@needs_lane
@pytest.mark.parametrize("scheduler", streams.EVERYWHERE)
@pytest.mark.parametrize("upper", [0, 3])
def test_picks(scheduler: str, upper: int) -> None:
    """Each scheduler's picks in C are those of its Python, thresholds and weights of 0 included, cut anywhere."""
    chance = Random(scheduler)
    plain, lane = _pair(scheduler, 9, upper=upper)
    for _ in range(40):
        sources = [bytes((10, 1, chance.randrange(4), chance.randrange(250))) for _ in range(chance.randrange(1, 30))]
        packets = [
            w.tcp(chance.choice((w.SYN, w.SYN, w.RST)), chance.randrange(1024, 1030), source=one) for one in sources
        ]
        batch = lane.kernel.receive_many(packets)
        for number, packet in enumerate(packets):
            assert streams.told(batch[number]) == streams.told(plain.client(packet))
        assert streams.brief(lane) == streams.brief(plain)
        seed = chance.getrandbits(32)
        for world in (plain, lane):
            streams.weighs(world, Random(seed))
            world.pass_seconds(seed % 20)


@needs_lane
def test_one_packet_batches() -> None:
    """A batch may be as small as one packet, or none."""
    plain, lane = _pair("wlc")
    assert len(lane.kernel.receive_many([])) == 0
    for port in range(1024, 1054):
        packet = w.tcp(w.SYN, port)
        assert streams.told(lane.kernel.receive_many([packet])[0]) == streams.told(plain.client(packet))
    assert streams.whole(lane) == streams.whole(plain)


@needs_lane
def test_connections_stay_in_the_lane() -> None:
    """What a general packet does not concern stays where it is: one in ten that is not plain converts no store."""
    lane = _pair("rr")[1]
    lane.kernel.receive_many([w.tcp(w.SYN, port) for port in range(1024, 2024)])
    before = lane.kernel._lane.count
    packets = [optioned(w.ACK, 1024 + n) if n % 10 == 0 else w.tcp(w.ACK, 1024 + n) for n in range(100)]
    batch = lane.kernel.receive_many(packets)
    assert batch.kinds.count(0) == 10
    lane.client(w.tcp(w.ACK, 1035))
    assert before == 1000 and lane.kernel._lane.count == 999


@needs_lane
def test_expiry() -> None:
    """Connections of the lane end when those of the table would, and free their server then."""
    plain, lane = _pair("lc")
    packets = [w.tcp(w.SYN, port) for port in range(1024, 1124)]
    lane.kernel.receive_many(packets, times=range(0, 100 * 70_000, 70_000))
    for number, packet in enumerate(packets):
        plain.namespace.clock.advance_to(number * 70_000)
        plain.client(packet)
    for _ in range(700):
        assert streams.brief(lane) == streams.brief(plain)
        for world in (plain, lane):
            world.pass_seconds(0.1)
    assert lane.kernel._lane.count == 0


@needs_lane
def test_newest_is_found() -> None:
    """Of two connections whose replies look the same the newer is found, on whichever side either is kept."""
    chance = Random(7)
    plain, lane = w.World(), w.World()
    for world in (plain, lane):
        for address in streams.VIRTUALS:
            world.server(world.service(address=address))
    for _ in range(60):
        packets = []
        for _ in range(chance.randrange(1, 6)):
            source, target = chance.choice(streams.CLIENTS[:2]), chance.choice(streams.VIRTUALS)
            make = chance.choice((w.tcp, w.tcp, optioned))
            packets.append(make(chance.choice((w.SYN, w.ACK, w.RST)), source=source, target=target))
            packets.append(w.tcp(w.ACK, 8080, 1024, source=w.SERVER, target=source))
        batch = lane.kernel.receive_many(packets)
        for number, packet in enumerate(packets):
            assert streams.told(batch[number]) == streams.told(plain.kernel.receive(packet))
        if chance.random() < 0.3:
            assert streams.order(lane) == streams.order(plain)
        for world in (plain, lane):
            world.pass_seconds(3)


def test_refusals() -> None:
    """What is no packet, no device and no time is refused before anything is done."""
    kernel = _pair("rr")[0].kernel
    with pytest.raises(ValueError, match="no packet"):
        kernel.receive_many([b"x", "y"])  # type: ignore[list-item]
    with pytest.raises(KeyError):
        kernel.receive_many([b"x"], "nowhere")
    with pytest.raises(ValueError, match="times"):
        kernel.receive_many([b"x"], times=[1, 2])
    for offsets in ([], [0, 3], [2, 1], [-1, 1]):
        with pytest.raises(ValueError, match="offsets"):
            Packed(b"xx", offsets)
