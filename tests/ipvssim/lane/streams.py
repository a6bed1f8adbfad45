"""Random traffic for two equal kernels, of which one gets it in batches: what differs is a fault.

    python -m tests.ipvssim.lane.streams [PACKETS [SEED]]

Of a million packets this is the campaign that a change of the lane should pass.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from ipvssim.path.result import Result
from tests.ipvssim import worlds as w
from tests.ipvssim.lane.compared import brief, order, told, whole
from tests.ipvssim.lane.disturbances import CLIENTS, DISTURBANCES, EVERYWHERE, FLAGS, PORTS, SERVERS, VIRTUALS
from tests.ipvssim.path.test_hostile import mutated

ODD_SOURCES = (bytes((127, 0, 0, 1)), bytes(4), bytes((224, 0, 0, 5)), b"\xff" * 4, SERVERS[0], VIRTUALS[0],
               bytes((198, 51, 100, 1)), bytes((10, 0, 0, 1)), bytes((10, 0, 255, 255)))  # fmt: skip
RELEASES = ("6.1.176", "6.1.176", "6.1.192", "6.12.104", "5.10", "4.19")
OTHERS = ("sh", "dh", "lblc", "mh", "fo", "ovf")


class Twins:
    """Two worlds made alike; ``plain`` gets packet by packet, ``lane`` batches."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        release, seed = chance.choice(RELEASES), chance.getrandbits(32)
        self.plain, self.lane = (_world(Random(seed), release) for _ in range(2))
        self.sent: list[bytes] = []
        self.open: list[tuple[bytes, bytes, int, int]] = []
        """Sources, targets and ports of requests that were forwarded, and (``back``) of replies to them."""
        self.back: list[tuple[bytes, bytes, int, int]] = []
        self.seen: Counter[str] = Counter()

    # --- what comes in ---

    def packets(self, count: int) -> list[bytes]:
        """So many packets, whose connections are mostly those of a few clients."""
        made: list[bytes] = []
        while len(made) < count:
            made += self._some()
        return made[:count]

    def _some(self) -> list[bytes]:
        chance = self.chance
        kind = chance.random()
        if kind < 0.60:
            made = [self._request()]
        elif kind < 0.93:
            made = [self._reply()]
        elif kind < 0.95:
            made = self._sliced()
        elif kind < 0.97:
            made = [self._error()]
        else:
            made = [self._odd()]
        self.sent = (self.sent + made)[-50:]
        return made

    def _request(self) -> bytes:
        chance = self.chance
        if self.open and chance.random() < 0.6:
            return self._packet(*chance.choice(self.open))
        source = chance.choice(CLIENTS) if chance.random() < 0.97 else chance.choice(ODD_SOURCES)
        return self._packet(source, chance.choice(VIRTUALS), self._client_port(), chance.choice(PORTS))

    def _reply(self) -> bytes:
        chance = self.chance
        if self.back and chance.random() < 0.9:
            return self._packet(*chance.choice(self.back))
        source = chance.choice(SERVERS if chance.random() < 0.9 else VIRTUALS)
        return self._packet(source, chance.choice(CLIENTS), chance.choice((8080, *PORTS)), self._client_port())

    def _client_port(self) -> int:
        chance = self.chance
        return chance.choice((0, 20)) if chance.random() < 0.02 else 1024 + chance.randrange(12)

    def _packet(self, source: bytes, target: bytes, port: int, to: int) -> bytes:
        chance = self.chance
        payload = bytes(chance.choice((0, 0, 0, 1, 4, 7, 600, 1460)) if chance.random() < 0.97 else 1461)
        header: dict[str, Any] = {"ttl": chance.choice((64,) * 20 + (2, 1, 255)), "df": chance.random() < 0.3}
        header["ident"] = chance.randrange(65536)
        if chance.random() < 0.02:
            header["options"] = chance.choice((b"\x01\x01\x01\0", b"\x07\x07\x04\0\0\0\0\0", b"\x83\x03\x04\0"))
        if to in (53, 5353) or port in (53, 5353):
            return w.udp(port, to, payload, source=source, target=target, checked=chance.random() < 0.7, **header)
        damage = chance.choice((0, 0, 0, 0, 1, 0xFFFF))
        return w.tcp(chance.choice(FLAGS), port, to, payload, source=source, target=target, damage=damage, **header)

    def _sliced(self) -> list[bytes]:
        whole = self._request() if self.chance.random() < 0.6 else self._reply()
        if whole[0] != 0x45 or len(whole) < 60:
            return [whole]
        pieces = w.fragments(whole, 8 * self.chance.randrange(1, 90))[:8]
        if self.chance.random() < 0.3:
            self.chance.shuffle(pieces)
        return pieces

    def _error(self) -> bytes:
        chance = self.chance
        quoted = chance.choice(self.sent or [self._request()])[: chance.choice((20, 27, 28, 60))]
        kind = chance.choice((3, 3, 11, 4, 0, 12))
        if chance.random() < 0.5:
            source, target = chance.choice(CLIENTS), chance.choice(VIRTUALS)
        else:
            source, target = chance.choice(SERVERS), chance.choice(CLIENTS)
        return w.icmp(kind, chance.randrange(5), 1400, quoted, source=source, target=target)

    def _odd(self) -> bytes:
        chance = self.chance
        data = chance.choice(self.sent or [self._request()])
        kind = chance.randrange(5)
        if kind == 0:
            return data + bytes(chance.randrange(1, 30))
        if kind == 1:
            return w.sctp(w.chunk(1, bytes(16)), source=chance.choice(CLIENTS), target=chance.choice(VIRTUALS))
        if kind == 2:
            return w.ip(
                chance.choice(CLIENTS), chance.choice(VIRTUALS), chance.choice((1, 4, 47, 50, 51, 99)), bytes(40)
            )
        if kind == 3:
            return w.tcp(source=w.CLIENT6, target=w.VIRTUAL6)
        return mutated(chance, data, self.sent or [data])

    # --- batches ---

    def batch(self, count: int) -> None:
        """The same packets to both, and every answer compared."""
        chance = self.chance
        packets, on = self.packets(count), None
        if chance.random() < 0.2:
            on = chance.choice(("client", "server"))
        if on == "server":
            mac = w.ROUTER if chance.random() < 0.9 else b"\x02\0\0\0\0\x09"
            head = mac + b"\x02\0\x0a\0\0\x0a"
            packets = [head + (b"\x08\0" if one[:1] < b"\x60" else b"\x86\xdd") + one for one in packets]
        times = self._times(count) if chance.random() < 0.6 else None
        batch = self.lane.kernel.receive_many(packets, on, times=times)
        for number, packet in enumerate(packets):
            if times is not None:
                self.plain.namespace.clock.advance_to(times[number])
            expected, found = self.plain.kernel.receive(packet, on), batch[number]
            assert told(found) == told(expected), (number, packet.hex(), told(found), told(expected))
            self._learn(found)
            self.seen[("general", "known", "opened", "reply")[batch.kinds[number]]] += 1
        assert brief(self.lane) == brief(self.plain)

    def _learn(self, result: Result) -> None:
        """What was forwarded comes again, and is answered."""
        if (
            result.packet is not None
            and result.reason in ("opened a connection", "known connection")
            and result.packet.key
        ):
            packet = result.packet
            self.open = [*self.open[-30:], (packet.source, packet.destination, packet.client_port, packet.port)]
            for device, frame in result.out:
                data = frame[14:] if device == "server" else frame
                if data[:1] == b"\x45" and data[9] in (w.TCP, w.UDP):
                    port, to = int.from_bytes(data[20:22], "big"), int.from_bytes(data[22:24], "big")
                    self.back = [*self.back[-30:], (data[16:20], data[12:16], to, port)]

    def _times(self, count: int) -> list[int]:
        chance, now = self.chance, self.plain.namespace.clock.now
        longest = chance.choice((0, 3000, 40_000, 3_000_000))
        times = []
        for _ in range(count):
            now += chance.randrange(longest + 1) if chance.random() < 0.7 else 0
            if chance.random() < 0.002:
                now += 130_000_000
            times.append(now - (5000 if chance.random() < 0.02 else 0))
        return times

    # --- between batches ---

    def disturb(self) -> None:
        """An administrator comes, time passes, or somebody looks: the same happens to both."""
        chance = self.chance
        seed, what = chance.getrandbits(32), chance.choice(DISTURBANCES)
        for world in (self.plain, self.lane):
            what(world, Random(seed))
        assert brief(self.lane) == brief(self.plain), what


def _world(chance: Random, release: str) -> w.World:
    made = w.World(release, uptime=chance.choice((None, chance.uniform(0, 1000))), hz=chance.choice((100, 250)))
    for address in VIRTUALS:
        for port in PORTS:
            if chance.random() < 0.25:
                continue
            protocol = w.UDP if port in (53, 5353) else w.TCP
            scheduler = chance.choice(EVERYWHERE if chance.random() < 0.85 else OTHERS)
            lasting, flags = (60, 0) if chance.random() < 0.08 else (None, chance.choice((0, 0, 0, 0, 4)))
            service = made.service(protocol, address, port, scheduler=scheduler, persistent=lasting, flags=flags)
            for server in chance.sample(SERVERS, chance.randrange(len(SERVERS))):
                method = chance.choice((w.MASQUERADE,) * 6 + (w.DIRECT, w.TUNNEL))
                upper = chance.choice((0, 0, 0, 3, 8))
                weight, real = chance.choice((0, 1, 1, 2, 3, 7)), chance.choice((8080, 8080, port, 0))
                made.server(service, server, real, method, weight, upper=upper, lower=min(upper, chance.randrange(3)))
    return made


def run(seed: int, rounds: int, longest: int = 300) -> Counter[str]:
    """So many rounds of one pair of worlds: a batch, and what comes between. What became of the packets, by kind."""
    chance = Random(seed)
    twins = Twins(chance)
    for _ in range(rounds):
        twins.batch(chance.randrange(1, longest) if chance.random() < 0.8 else chance.randrange(8))
        if chance.random() < 0.3:
            assert whole(twins.lane) == whole(twins.plain)
            assert order(twins.lane) == order(twins.plain)
        if chance.random() < 0.6:
            twins.disturb()
    assert whole(twins.lane) == whole(twins.plain)
    return twins.seen


def campaign(packets: int, seed: int) -> Iterator[tuple[int, Counter[str]]]:
    """Pairs of worlds, until so many packets came; the seed of each, and what became of its packets."""
    while packets > 0:
        seen = run(seed, 20, 800)
        yield seed, seen
        packets -= seen.total()
        seed += 1


if __name__ == "__main__":
    every: Counter[str] = Counter()
    for number, some in campaign(int((sys.argv[1:] or ["1000000"])[0]), int((sys.argv[2:] or ["1"])[0])):
        every += some
        if number % 10 == 0:
            print(number, dict(every), flush=True)
    print("equal:", dict(every), every.total())
