"""Random captures, played by the express lane and one packet after the other: what differs is a fault.

    python -m tests.ipvssim.doors.capture_streams [CAPTURES [SEED]]

The second is the campaign that a change of either should pass.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ipvssim.doors.capture import Captured, play
from ipvssim.doors.captures import express, report, window
from ipvssim.doors.captures.files import CaptureError
from ipvssim.kernel import Kernel
from ipvssim.lane import records
from ipvssim.path.result import Result
from tests.ipvssim import worlds as w
from tests.ipvssim.doors import captured as c
from tests.ipvssim.lane.compared import brief, order, whole
from tests.ipvssim.lane.disturbances import PORTS, SERVERS, VIRTUALS
from tests.ipvssim.lane.streams import RELEASES, Twins

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "rr", "wlc", "sh", "sed")
PLAYED = (c.CLIENT_ROUTER, c.DIRECTOR)
Mistake = Callable[[records.Records], None]


class Stream(Twins):
    """Packets, and a director that captured them: what comes to it, and what left."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.sent, self.open, self.back, self.seen = [], [], [], Counter()
        self.rules, self.release = rules(chance), chance.choice(RELEASES)
        self.director = Kernel(self.rules, release=self.release)
        self.when = chance.choice((0, 5_000, 1_700_000_000_000_000))

    def wires(self, count: int) -> list[c.Wire]:
        """What a capture between two of the sides, or at one of them, has."""
        chance = self.chance
        sides = chance.choice((("in",), ("in",), ("client",), ("server",), ("in", "out"), ("in", "out")))
        longest = chance.choice((0, 3000, 40_000, 3_000_000, 1_000_000_000))
        made: list[c.Wire] = []
        for packet in (one for _ in range(count) for one in self._some()):
            self.when += chance.randrange(longest + 1) if chance.random() < 0.5 else 0
            result = self.director.receive(packet)
            self._learn(result)
            from_server = packet[12:16] in SERVERS
            came = c.Wire(self._time(), packet, b"\x02\0" + packet[12:16].ljust(4, b"\0") if from_server else PLAYED[0])
            if "in" in sides or ("server" if from_server else "client") in sides:
                made.append(came._replace(interface=int(from_server)))
            made += [
                one for one in self._left(result) if "out" in sides or ("client", "server")[one.interface] in sides
            ]
            if chance.random() < 0.01:
                made.append(came._replace(data=chance.choice((b"\0" * 9, b"\x45", bytes(60), packet[:30]))))
        return made

    def _time(self) -> int:
        return max(self.when - (2_000_000 if self.chance.random() < 0.01 else 0), 0)

    def _left(self, result: Result) -> list[c.Wire]:
        made = []
        for device, data in result.out:
            server = device == "server"
            target = data[:6] if server else c.CLIENT_ROUTER
            made.append(c.Wire(self._time(), data[14:] if server else data, c.DIRECTOR, target, True, int(server)))
        return made

    def file(self, wires: list[c.Wire]) -> bytes:
        """A capture file of them, of any kind."""
        chance, link = self.chance, self.chance.choice((*c.LINKS, "ethernet", "raw", "cooked", "cooked2"))
        how: dict[str, Any] = {"order": chance.choice("<>"), "snaplen": chance.choice((65535,) * 4 + (54, 68, 200))}
        if chance.random() < 0.6:
            magic = 0xA1B2CD34 if chance.random() < 0.1 else 0
            return c.classic(link, wires, nano=not magic and chance.random() < 0.4, magic=magic, **how)
        if chance.random() < 0.3:
            other = chance.choice(c.LINKS)
            return c.pcapng([link, other], wires, resolution=chance.choice((6, 9)), **how)
        wires = [one._replace(interface=0) for one in wires]
        resolution = chance.choice((6, 6, 9, 3, 0x80 | 20))
        return c.pcapng([link], wires, resolution=resolution, kind=chance.choice((6, 6, 6, 2, 3)), **how)


def rules(chance: Random) -> str:
    """Random services and servers for the streams' addresses."""
    lines = []
    for address in VIRTUALS:
        for port in PORTS:
            if chance.random() < 0.3:
                continue
            place = f"{'-u' if port in (53, 5353) else '-t'} {'.'.join(map(str, address))}:{port}"
            lines.append(f"-A {place} -s {chance.choice(SCHEDULERS)}{' -p 60' if chance.random() < 0.05 else ''}")
            for server in chance.sample(SERVERS, chance.randrange(len(SERVERS))):
                method = chance.choice(("-m",) * 8 + ("-g", "-g", "-i"))
                real = chance.choice((8080, 8080, port)) if method == "-m" else port
                upper = f" -x {chance.choice((3, 8))}" if chance.random() < 0.1 else ""
                name = f"{'.'.join(map(str, server))}:{real}"
                lines.append(f"-a {place} -r {name} {method} -w {chance.choice((0, 1, 1, 2, 3))}{upper}")
    return "\n".join(lines)


def played(stream: Stream, data: bytes, *, lane: bool, on: str | None) -> dict[str, object]:
    """All that comes of a capture."""
    kernel, counts, said = Kernel(stream.rules, release=stream.release), Captured(), ""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.write_bytes(data)
        try:
            play(kernel.director, source, target, on=on, counts=counts, lane=kernel._lane if lane else None)
        except CaptureError as wrong:
            said = str(wrong).replace(folder, "")
        left = target.read_bytes() if target.exists() else None
    world = cast("w.World", SimpleNamespace(namespace=kernel.namespace, director=kernel.director))
    return {
        "error": said, "lines": list(report.lines(counts)), "JSON": "".join(report.as_json(counts)), "left": left,
        "verdicts": dict(counts.verdicts), "table": brief(world), "connections": whole(world), "order": order(world),
    }  # fmt: skip


def run(seed: int, patch: pytest.MonkeyPatch) -> Counter[str]:
    """One capture both ways, in pieces and blocks of any size; its packets by what became of them."""
    chance = Random(seed)
    stream = Stream(chance)
    data = stream.file(stream.wires(chance.choice((20, 100, 600))))
    if chance.random() < 0.2:
        data = data[: chance.randrange(len(data))]
    elif chance.random() < 0.2:
        at = chance.randrange(len(data))
        data = data[:at] + chance.randbytes(chance.randrange(1, 5)) + data[at + chance.randrange(5) :]
    patch.setattr(window, "PIECE", chance.choice((1 << 21, 1 << 21, 700, 5000)))
    patch.setattr(records, "_ROWS", chance.choice((1 << 15, 1, 7)))
    patch.setattr(express, "_SINGLY", chance.choice((0, 0, 0, 0, 1, 7)))
    on = chance.choice((None,) * 8 + ("client", "server"))
    plain, found = (played(stream, data, lane=lane, on=on) for lane in (False, True))
    for name, value in plain.items():
        assert found[name] == value, (seed, name)
    return Counter(cast("dict[str, int]", plain["verdicts"])) + Counter({"errors": int(bool(plain["error"]))})


if __name__ == "__main__":
    every: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patched:
        first = int((sys.argv[2:] or ["1"])[0])
        for number in range(first, first + int((sys.argv[1:] or ["300"])[0])):
            every += run(number, patched)
            if not number % 50:
                print(number, dict(every), flush=True)
    print("equal:", dict(every))
