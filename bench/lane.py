"""What the express lane brings: the same packets in batches and one by one, in turns; and what ten million connections take.

    python -m bench.lane

Each row is microseconds of the processor a packet, the median of some turns and the range from the fastest to the slowest.
Batches are one buffer with offsets. Every opening turn has a kernel of its own. The table goes into
docs/inside/performance.md in the place of the one that is there, and to ``bench/report.py``, which writes the whole page.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from bench.page import ROOT, shown, write
from ipvssim.lane import Batch, Packed, compiled
from tests.ipvssim import worlds as w

TABLE = ROOT / "build" / "bench" / "lane.md"
_HEAD = "| microseconds | one by one | in batches | ratio of medians |"
TURNS = 7
PACKETS = 100_000
SINGLE = 5_000
LIVE = 10_000_000
_AT_ONCE = 500_000
_CLIENTS = 0x0B000000


def _world(scheduler: str, servers: int) -> w.World:
    made = w.World()
    service = made.service(w.TCP, scheduler=scheduler)
    for number in range(servers):
        made.server(service, bytes((10, 0, 0, 10 + number % 16)), 8080 + number // 16)
    return made


def _packets(flags: int, clients: int) -> list[bytes]:
    return [w.tcp(flags, source=struct.pack("!I", _CLIENTS + number)) for number in range(clients)]


def _spent(work: Callable[[], object], packets: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / packets * 1e6


def _each(world: w.World, packets: list[bytes]) -> float:
    def work() -> None:
        for packet in packets:
            world.client(packet)

    return _spent(work, len(packets))


def _known() -> tuple[list[float], list[float]]:
    """A world for each way: one by one, in batches."""
    plain, lane = _world("wlc", 10), _world("wlc", 10)
    opened, packets = _packets(w.SYN, 50), _packets(w.ACK, 50) * (PACKETS // 50)
    _each(plain, opened)
    lane.kernel.receive_many(opened)
    packed = Packed.of(packets)
    turns = [
        (_each(plain, packets[:SINGLE]), _spent(lambda: lane.kernel.receive_many(packed), PACKETS))
        for _ in range(TURNS)
    ]
    return [one for one, _ in turns], [many for _, many in turns]


def _opening(scheduler: str, servers: int) -> tuple[list[float], list[float]]:
    packets = _packets(w.SYN, PACKETS)
    packed, turns = Packed.of(packets), []
    for _ in range(TURNS):
        kernel = _world(scheduler, servers).kernel
        many = _spent(lambda kernel=kernel: kernel.receive_many(packed), PACKETS)  # type: ignore[misc]
        turns.append((_each(_world(scheduler, servers), packets[:SINGLE]), many))
    return [one for one, _ in turns], [many for _, many in turns]


def _requests(first: int, count: int) -> Packed:
    """The SYNs of so many clients, their headers' checksums right."""
    data = np.tile(np.frombuffer(w.tcp(w.SYN), dtype=np.uint8), (count, 1))
    clients = np.arange(_CLIENTS + first, _CLIENTS + first + count, dtype=np.uint32)
    for place, shift in enumerate((24, 16, 8, 0)):
        data[:, 12 + place] = clients >> shift & 0xFF
    data[:, 10:12] = 0
    sums = (data[:, 0:20:2].astype(np.uint32) * 256 + data[:, 1:20:2]).sum(axis=1)
    data[:, 10:12] = (65535 - sums % 65535).astype(">u2").view(np.uint8).reshape(-1, 2)
    size = data.shape[1]
    return Packed(data.reshape(-1), np.arange(0, (count + 1) * size, size, dtype=np.int64))  # type: ignore[arg-type]


def _resident() -> float:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096.0


def _many() -> str:
    """Ten million live connections, and their end."""
    world, before = _world("wlc", 100), _resident()
    for first in range(0, LIVE, _AT_ONCE):
        batch: Batch = world.kernel.receive_many(_requests(first, _AT_ONCE))
        if batch.kinds.count(2) != _AT_ONCE:
            raise SystemExit("not every packet opened a connection in the lane")
        del batch
    taken, bytes_ = _resident() - before, world.kernel._lane.memory / LIVE
    seconds = _spent(lambda: world.pass_seconds(61), 1) / 1e6
    if world.kernel._lane.count:
        raise SystemExit("not every connection expired")
    return (
        f"Ten million live connections take {bytes_:.0f} bytes each, index and timer included (the process grew by "
        f"{taken / 1e9:.2f} GB), and expire in {seconds:.1f} s of the processor."
    )


def main() -> None:
    """Print the table, and write it."""
    if not compiled:
        raise SystemExit("the express lane's C was not built")
    lines = [_HEAD, "| --- | --- | --- | --- |"]
    rows = {"a packet of a known connection, NAT": _known()}
    for scheduler, servers in (("rr", 10), ("wlc", 100), ("wlc", 1000)):
        rows[f"a packet that opens one, {scheduler} of {servers}"] = _opening(scheduler, servers)
    for name, (one, many) in rows.items():
        lines.append(f"| {name} | {shown(one)} | {shown(many)} | {median(one) / median(many):.0f} |")
    table = "\n".join([*lines, "", _many()]) + "\n"
    write(TABLE, _HEAD, table, "## ")


if __name__ == "__main__":
    main()
