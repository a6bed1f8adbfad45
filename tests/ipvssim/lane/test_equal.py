"""The lane and the general way are one kernel: the same packets, the same answers, whatever comes between."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from random import Random

import pytest

from ipvssim.lane import Packed, compiled
from ipvssim.net.packets import sign4
from ipvssim.path.result import Verdict
from tests.ipvssim import worlds as w
from tests.ipvssim.lane import compared, disturbances, streams
from tests.places import ROOT

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
@pytest.mark.parametrize("scheduler", disturbances.EVERYWHERE)
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
            assert compared.told(batch[number]) == compared.told(plain.client(packet))
        assert compared.brief(lane) == compared.brief(plain)
        seed = chance.getrandbits(32)
        for world in (plain, lane):
            disturbances.weighs(world, Random(seed))
            world.pass_seconds(seed % 20)


_LOADED = """
import sys

class Found:
    def find_spec(name, *_):
        if name == "ipvssim.lane._lane":
            raise {error}

sys.meta_path.insert(0, Found)
from ipvssim.lane import compiled
print(compiled)
"""


@pytest.mark.parametrize(
    ("error", "told"),
    [("ModuleNotFoundError(name, name=name)", "False\n"), ("ImportError('undefined symbol')", "undefined symbol")],
    ids=["missing", "broken"],
)
def test_an_extension_that_is_broken_is_not_passed_over(error: str, told: str) -> None:
    """Where the C was not built there is no lane; where it is there and can't be loaded, that is an error."""
    code = _LOADED.format(error=error)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told in (done.stdout if told == "False\n" else done.stderr)
    assert (done.returncode == 0) is (told == "False\n")


@needs_lane
def test_one_packet_batches() -> None:
    """A batch may be as small as one packet, or none."""
    plain, lane = _pair("wlc")
    assert len(lane.kernel.receive_many([])) == 0
    for port in range(1024, 1054):
        packet = w.tcp(w.SYN, port)
        assert compared.told(lane.kernel.receive_many([packet])[0]) == compared.told(plain.client(packet))
    assert compared.whole(lane) == compared.whole(plain)


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
        assert compared.brief(lane) == compared.brief(plain)
        for world in (plain, lane):
            world.pass_seconds(0.1)
    assert lane.kernel._lane.count == 0


@needs_lane
def test_newest_is_found() -> None:
    """Of two connections whose replies look the same the newer is found, on whichever side either is kept."""
    chance = Random(7)
    plain, lane = w.World(), w.World()
    for world in (plain, lane):
        for address in disturbances.VIRTUALS:
            world.server(world.service(address=address))
    for _ in range(60):
        packets = []
        for _ in range(chance.randrange(1, 6)):
            source, target = chance.choice(disturbances.CLIENTS[:2]), chance.choice(disturbances.VIRTUALS)
            make = chance.choice((w.tcp, w.tcp, optioned))
            packets.append(make(chance.choice((w.SYN, w.ACK, w.RST)), source=source, target=target))
            packets.append(w.tcp(w.ACK, 8080, 1024, source=w.SERVER, target=source))
        batch = lane.kernel.receive_many(packets)
        for number, packet in enumerate(packets):
            assert compared.told(batch[number]) == compared.told(plain.kernel.receive(packet))
        if chance.random() < 0.3:
            assert compared.order(lane) == compared.order(plain)
        for world in (plain, lane):
            world.pass_seconds(3)


def check_sums(values: range) -> None:
    """Packets whose transport checksums and identifications take these values, each way, leave with the same bytes: one in
    256 is compared, and each whose checksum comes to 0 or to 65535."""
    plain, lane = _pair("rr", 1)
    for world in (plain, lane):
        world.server(world.service(w.UDP, port=53), port=5353)
        world.client(w.tcp(w.SYN))
        world.client(w.udp(to=53))
    shapes = (
        w.tcp(w.ACK, payload=b"abc"), w.tcp(w.ACK, 8080, 1024, source=w.SERVER, target=w.CLIENT), w.udp(to=53),
        w.udp(5353, 1024, source=w.SERVER, target=w.CLIENT),
    )  # fmt: skip
    for shape in shapes:
        at = 36 if shape[9] == w.TCP else 26
        packets = [
            sign4(shape[:4] + n.to_bytes(2, "big") + shape[6:20])
            + shape[20:at]
            + n.to_bytes(2, "big")
            + shape[at + 2 :]
            for n in values
        ]
        batch = lane.kernel.receive_many(packets)
        assert 0 not in batch.kinds
        for number, packet in enumerate(packets):
            out = batch.out(number)
            data = out[0][1][14:] if out[0][0] == "server" else out[0][1]
            if number % 256 == 0 or {data[10:12], data[at : at + 2]} & {b"\0\0", b"\xff\xff"}:
                assert out == plain.kernel.receive(packet).out, packet.hex()


@needs_lane
def test_checksums() -> None:
    """Every value of a checksum changes as in the general way: those that come to 0 and to 65535, too."""
    check_sums(range(0x10000))


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


@needs_lane
def test_replies_from_a_groups_address_are_not_plain() -> None:
    """What the general way drops since no way begins at a group's address, the lane does not send."""
    group, fates = bytes((224, 0, 0, 1)), []
    answer = w.tcp(w.RST, 80, 1024, source=w.SERVER, target=w.CLIENT)
    frame = w.ROUTER + bytes((2, 0, 10, 0, 0, 10, 8, 0)) + answer
    for batched in (False, True):
        world = w.World()
        world.server(world.service(address=group), port=80)
        world.client(w.tcp(w.SYN, target=group))
        (fate,) = world.kernel.receive_many([frame], "server") if batched else [world.from_server(answer)]
        fates.append((compared.told(fate), compared.whole(world)))
    assert fates[0] == fates[1] and fates[0][0][0] is Verdict.DROP
