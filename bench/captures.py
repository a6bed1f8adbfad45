"""What ``ipvssim pcap`` takes for a capture: the whole process, by the express lane and one packet after another, in turns.

    python -m bench.captures

The capture has what comes to a director: ten thousand connections of a hundred packets of a hundred bytes, half of them
replies. Times are the processor's, of the whole process: start-up, reading, the report, and what left being written. The
table goes into docs/inside/performance.md in the place of the one that is there, and to ``bench/report.py``, which writes
the whole page.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from struct import pack

from bench.page import ROOT, shown, write
from ipvssim.kernel import Kernel
from ipvssim.lane import compiled
from tests.ipvssim import worlds as w

TABLE = ROOT / "build" / "bench" / "captures.md"
_HEAD = "| microseconds a packet, the whole process | one by one | by the lane | ratio of medians |"
TURNS = 3
CONNECTIONS, EACH = 10_000, 100
FEW = 50_000
"""Packets that are given one by one."""
SIZE = 100
RULES = "-A -t 203.0.113.1:80 -s rr\n" + "".join(
    f"-a -t 203.0.113.1:80 -r 10.0.0.{number}:8080 -m\n" for number in range(10, 20)
)
_PLAIN = "import ipvssim.lane.lane as lane; lane.compiled = False;"
_HEADER = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
_ETHERNET = bytes.fromhex("020000000001" + "020000000002" + "0800")


def _connection(kernel: Kernel, number: int) -> list[bytes]:
    """The packets of a connection, as the server that it gets answers them."""
    client, port, payload = pack("!I", 0x0B000000 + number // 5000), 1024 + number % 5000, bytes(SIZE - 54)
    first = w.tcp(w.SYN, port, 80, payload, source=client)
    result = kernel.receive(first)
    assert result.server is not None
    server = result.server.address
    asks = w.tcp(w.ACK, port, 80, payload, source=client)
    opens = w.tcp(w.SYN | w.ACK, 8080, port, payload, source=server, target=client)
    answers = w.tcp(w.ACK, 8080, port, payload, source=server, target=client)
    last = w.tcp(w.FIN | w.ACK, port, 80, payload, source=client)
    return [first, opens, *([asks, answers] * (EACH // 2 - 2)), asks, last]


def _made(path: Path) -> None:
    """Connections in crowds of a hundred, whose packets take turns."""
    kernel, when = Kernel(RULES), 1_700_000_000_000_000
    with path.open("wb") as file:
        file.write(_HEADER)
        for crowd in range(0, CONNECTIONS, 100):
            for packets in zip(*(_connection(kernel, crowd + one) for one in range(100)), strict=True):
                for packet in packets:
                    when += 17
                    size = len(packet) + len(_ETHERNET)
                    file.write(pack("<IIII", when // 1_000_000, when % 1_000_000, size, size) + _ETHERNET + packet)


def _spent(folder: Path, capture: str, before: str = "") -> tuple[float, float]:
    """Seconds of the processor, and that passed."""
    code = f"{before}import sys; from ipvssim.doors.pcap import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "rules", capture, "out"]
    began = time.perf_counter()
    child = os.posix_spawn(
        sys.executable,
        words,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, "report", os.O_WRONLY | os.O_CREAT, 0o600)],
    )
    _, status, usage = os.wait4(child, 0)
    passed = time.perf_counter() - began
    if status or not (folder / "out").stat().st_size:
        raise SystemExit(f"ipvssim pcap ended with {status}")
    (folder / "out").unlink()
    return usage.ru_utime + usage.ru_stime, passed


def main() -> None:
    """Print the table, and write it."""
    if not compiled:
        raise SystemExit("the express lane's C was not built")
    packets = CONNECTIONS * EACH
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        (folder / "rules").write_text(RULES)
        _made(folder / "many")
        record = SIZE + 16
        (folder / "few").write_bytes((folder / "many").read_bytes()[: len(_HEADER) + FEW * record])
        turns = [(_spent(folder, "few", _PLAIN)[0], *_spent(folder, "many")) for _ in range(TURNS)]
        os.chdir(ROOT)
    one = [spent / FEW * 1e6 for spent, _, _ in turns]
    many = [spent / packets * 1e6 for _, spent, _ in turns]
    told = (
        f"A million packets take {median([spent for _, spent, _ in turns]):.1f} s of the processor, and "
        f"{min(passed for _, _, passed in turns):.1f} s passed in the fastest of {TURNS} turns."
    )
    row = f"| a capture of packets of {SIZE} bytes, read and written | {shown(one)} | {shown(many)} |"
    table = (
        "\n".join([_HEAD, "| --- | --- | --- | --- |", f"{row} {median(one) / median(many):.0f} |", "", told]) + "\n"
    )
    write(TABLE, _HEAD, table, "## ")


if __name__ == "__main__":
    main()
