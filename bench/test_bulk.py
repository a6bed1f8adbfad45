"""Encoding, decoding, rule text, loads, dumps and the start, on this machine: one figure a question, beside memcpy.

    python -m pytest bench/test_bulk.py --benchmark-only

``extra_info`` has the microseconds of one rule or message.
"""

from __future__ import annotations

import lzma
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from ipvsnl._native._core import ffi, lib

from ipvsnl.backends import native
from ipvsnl.bulk.changes import MOST_REQUESTS, ROOM
from ipvsnl.bulk.load import Progress
from ipvsnl.client import IPVS
from ipvsnl.model import Destination, Service
from ipvsnl.text.compat import OURS
from ipvsnl.text.listing import Listing
from ipvsnl.text.saving import saved
from ipvsnl.wire import records
from ipvsnl.wire.columns import Columns
from ipvsnl.wire.snapshot import Snapshot
from ipvssim import Kernel
from ipvssim.net.networks import default_network

ROOT = Path(__file__).parent.parent
WEB = Service("tcp", "10.0.0.1", 80, scheduler="rr")
ONE = Destination("10.0.0.2", 80, "masq")
COUNT = 1000


@pytest.fixture(scope="module")
def text() -> bytes:
    return lzma.decompress((ROOT / "tests/data/rules/cluster-100k.rules.xz").read_bytes())


def simulated() -> IPVS:
    return Kernel(network=default_network()).connect()


def each(benchmark: Any, of: int, call: Callable[[], object]) -> None:
    benchmark(call)
    if benchmark.stats is not None:
        benchmark.extra_info["us_each"] = benchmark.stats.stats.median / of * 1e6


@pytest.mark.benchmark(group="encode")
def test_encode_one_call_a_rule(benchmark: Any) -> None:
    key, record = records.service_key(WEB), records.destination_record(ONE)
    each(benchmark, COUNT, lambda: [native.encode(28, 5, 1, 7, key, record) for _ in range(COUNT)])


@pytest.mark.benchmark(group="encode")
def test_encode_values(benchmark: Any) -> None:
    encode, key, record = native.encode, records.service_key, records.destination_record
    each(benchmark, COUNT, lambda: [encode(28, 5, 1, 7, key(WEB), record(ONE)) for _ in range(COUNT)])


@pytest.mark.benchmark(group="encode")
def test_encode_columns(benchmark: Any) -> None:
    columns = Columns(
        "add-server", WEB, ONE, address=bytes(4 * COUNT), port=array("H", bytes(2 * COUNT)),
        server_address=bytes(4 * COUNT), server_port=array("H", bytes(2 * COUNT)), weight=array("i", bytes(4 * COUNT)),
    )  # fmt: skip
    pattern = columns.pattern(native, 28)
    places, out = columns.places(pattern), bytearray(len(pattern) * COUNT)
    each(benchmark, COUNT, lambda: native.stamp(pattern, 1, places, 0, COUNT, out, 0))


@pytest.mark.benchmark(group="encode")
def test_memcpy_of_the_same_bytes(benchmark: Any) -> None:
    size = 164 * COUNT
    source, target = ffi.new("char[]", size), ffi.new("char[]", size)
    each(benchmark, COUNT, lambda: ffi.memmove(target, source, size))


@pytest.mark.benchmark(group="text")
def test_text_to_wire(benchmark: Any, text: bytes) -> None:
    """Batches as a load takes them."""
    out, origins = bytearray(ROOM), memoryview(array("Q", bytes(16 * MOST_REQUESTS)))

    def read() -> None:
        progress = Progress()
        progress.sequence, progress.stop = 1, 1
        while progress.stop == 1:
            native.rules(text, progress, 28, b"", out, 0, origins, 0)

    each(benchmark, text.count(b"\n"), read)


@pytest.fixture(scope="module")
def table(text: bytes) -> Snapshot:
    """10,000 entries, read."""
    ipvs = simulated()
    ipvs.load(b"".join(text.splitlines(keepends=True)[:10_000]))
    return ipvs.snapshot()


@pytest.mark.benchmark(group="text")
@pytest.mark.parametrize("kind", ["", "stats", "rate"])
def test_listing(benchmark: Any, table: Snapshot, kind: str) -> None:
    listing = Listing(frozenset(("numeric", kind)), OURS)
    each(benchmark, 10_000, lambda: "".join(listing.table(table)))


@pytest.mark.benchmark(group="text")
def test_listing_of_values(benchmark: Any, table: Snapshot) -> None:
    """In Python, as names are listed, and what is not plain: without making the values."""
    entries, listing = list(table), Listing(frozenset(("numeric",)), OURS)
    each(benchmark, 10_000, lambda: "".join(listing.table(entries)))


@pytest.mark.benchmark(group="text")
def test_saved_text(benchmark: Any, table: Snapshot) -> None:
    each(benchmark, 10_000, lambda: "".join(saved(table, frozenset(("numeric",)), OURS)))


@pytest.fixture(scope="module")
def datagram() -> bytes:
    """A full datagram of a dump of servers."""
    ipvs = simulated()
    ipvs.load([(WEB, [ONE.replace(address=f"10.1.{n >> 8}.{n & 255}") for n in range(200)])])
    ipvs._conversation.link.send(native.encode(ipvs._conversation.family, 8, 0x301, 7, records.service_key(WEB)))
    return ipvs._conversation.link.receive(1.0)


@pytest.mark.benchmark(group="decode")
def test_decode_into_columns(benchmark: Any, datagram: bytes) -> None:
    messages = len(native.split(datagram))
    each(benchmark, messages, lambda: native.take_records("dest", datagram, 7))


@pytest.mark.benchmark(group="decode")
def test_decode_into_columns_alone(benchmark: Any, datagram: bytes) -> None:
    """Without what Python adds to a call."""
    messages = len(native.split(datagram))
    room, dump = ffi.new("char[]", 224 * messages), ffi.new("struct ipvsnl_dump *")
    fault = ffi.new("struct ipvsnl_fault *")
    dump.sequence = 7

    def decode() -> None:
        dump.at = 0
        lib.ipvsnl_take_records(lib.IPVSNL_GROUP_DEST, datagram, len(datagram), dump, room, len(room), fault)

    each(benchmark, messages, decode)


@pytest.mark.benchmark(group="decode")
def test_decode_into_values(benchmark: Any, datagram: bytes) -> None:
    messages = len(native.split(datagram))
    counters = array("Q", range(1, 21)).tobytes()
    size = 224

    def decode() -> None:
        list(records.read_destinations(native.take_records("dest", datagram, 7)[0]))

    found = native.take_records("dest", datagram, 7)[0]
    busy = b"".join(counters + found[at + 160 : at + size] for at in range(0, len(found), size))
    benchmark.extra_info["us_each_with_counters"] = (
        _best(lambda: list(records.read_destinations(busy))) / messages * 1e6
    )
    each(benchmark, messages, decode)


def _best(call: Callable[[], object], times: int = 50) -> float:
    best = 1.0
    for _ in range(times):
        begin = perf_counter()
        call()
        best = min(best, perf_counter() - begin)
    return best


@pytest.mark.benchmark(group="simulator")
def test_load_into_the_simulated_kernel(benchmark: Any, text: bytes) -> None:
    benchmark.pedantic(lambda: simulated().load(text), rounds=5)


@pytest.mark.benchmark(group="simulator")
def test_dump_of_the_simulated_kernel(benchmark: Any, text: bytes) -> None:
    ipvs = simulated()
    ipvs.load(b"".join(text.splitlines(keepends=True)[:10_000]))
    benchmark.pedantic(ipvs.snapshot, rounds=5)


@pytest.mark.benchmark(group="simulator")
def test_restore_of_100k_rules_whole_process(benchmark: Any, text: bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ipvsnl", "--target", f"sim:{tmp_path / 'table'}", "-R"]

    def restore() -> None:
        (tmp_path / "table").unlink(missing_ok=True)
        subprocess.run(command, input=text, check=True)

    benchmark.pedantic(restore, rounds=5)


MILLION = """
import io, sys
from pathlib import Path

class Rules(io.RawIOBase):
    at = 0

    def read1(self, size=-1):
        lines = []
        for at in range(self.at, min(self.at + 1000, 1_000_000 // 1000)):
            key = f"10.0.{at >> 8}.{at & 255}:80"
            lines.append(f"-A -t {key} -s wrr\\n")
            lines += [f"-a -t {key} -r 10.1.{n >> 8}.{n & 255}:80 -m -w {n % 7 + 1}\\n" for n in range(999)]
            self.at += 1
            if len(lines) > 10_000:
                break
        return "".join(lines).encode()

def memory(word):
    return int(Path("/proc/self/status").read_text().partition(word + ":")[2].split()[0]) >> 10

import ipvsnl
with ipvsnl.open("sim") as ipvs:
    changes = ipvs.load(Rules()).changes
    print(changes, memory("VmHWM"), memory("VmHWM") - memory("VmRSS"))
"""


def test_a_million_rules_into_the_simulated_kernel() -> None:
    """What a load holds beside the table does not grow with the rules."""
    begin = perf_counter()
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, check=True)
    changes, peak, above = map(int, done.stdout.split())
    print(
        f"\n{changes} rules: {perf_counter() - begin:.1f} s, {peak} MiB at the most, {above} MiB of them above the table"
    )
    assert changes == 1_000_000 and above < 16


STARTS = {
    "bare": "pass",
    "ipvsnl": "import ipvsnl",
    "ipvsnl.open": "import ipvsnl; ipvsnl.open, ipvsnl.Service, ipvsnl.Destination, ipvsnl.backend",
    "the simulator's target": "import ipvsnl; ipvsnl.open; import ipvssim.doors.table_file",
}


@pytest.mark.benchmark(group="start-up")
@pytest.mark.parametrize("what", STARTS)
def test_start(benchmark: Any, what: str) -> None:
    """python -I -S, so that the host's own hooks do not count."""
    import _cffi_backend

    paths = [str(ROOT), str(ROOT / "sim"), str(Path(_cffi_backend.__file__).parent)]
    program = f"import sys; sys.path[:0] = {paths!r}; {STARTS[what]}"
    benchmark.pedantic(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True), rounds=25)
