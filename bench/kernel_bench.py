"""Loaders and dumpers side by side on a real kernel: one boot of the laboratory, a fresh network namespace each time.

    python bench/kernel_bench.py [--quick] [--json FILE]

boots the kernel, measures in it (this file again, with ``--inside``), and writes the figures. ``python bench/report.py``
makes docs/performance.md of them. Peers that are not installed are left out. Root's rights are the kernel's own.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "sim")]
BUILD = ROOT / "build" / "bench"
RESULTS = ROOT / "build" / "bench" / "kernel.json"
IPVSNL = [sys.executable, "-m", "ipvsnl.cli.main"]


def rules(count: int) -> bytes:
    """The first lines of the large sample: services of ten servers, tcp, rr to wlc."""
    text = lzma.decompress((ROOT / "tests/data/rules/cluster-100k.rules.xz").read_bytes())
    return b"".join(text.splitlines(keepends=True)[:count])


def farm(servers: int, scheduler: str) -> bytes:
    lines = [b"-a -t 10.0.0.1:80 -r 10.1.%d.%d:80 -m -w 1\n" % (n >> 8, n & 255) for n in range(servers)]
    return b"-A -t 10.0.0.1:80 -s %s\n" % scheduler.encode() + b"".join(lines)


# --- inside the kernel -----------------------------------------------------------------------------------------------


def in_fresh_namespace(call: Callable[[], Any]) -> Any:
    """What ``call`` returns in a child with a network namespace of its own."""
    from tests.conftest import enter_fresh_namespace

    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            enter_fresh_namespace()
            result = call()
            os.write(write_end, json.dumps(result).encode())
            os._exit(0)
        except BaseException as wrong:
            print(f"{type(wrong).__name__}: {wrong}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else None


def timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def client() -> Any:
    from ipvsnl.client import IPVS
    from ipvsnl.link import KernelLink

    return IPVS(KernelLink(), timeout=60)


def encoded(text: bytes, each: int) -> Path:
    """The requests of a text in a file, an acknowledgement at every ``each``-th."""
    from array import array

    from ipvsnl.backends import native
    from ipvsnl.bulk import Progress
    from ipvsnl.exchange import acknowledge

    out, progress = bytearray(176 * (text.count(b"\n") + 1)), Progress()
    progress.sequence = 1
    family = in_fresh_namespace(lambda: client()._family)
    native.rules(text, progress, family, b"", out, 0, array("Q", bytes(16 * (text.count(b"\n") + 1))), 0)
    messages = native.split(bytes(out[: progress.length]))
    for index, (*_, start, _) in enumerate(messages, start=1):
        if index % each == 0 or index == len(messages):
            acknowledge(out, start - 16)
    path = Path(tempfile.mkstemp(dir="/tmp")[1])
    path.write_bytes(out[: progress.length])
    return path


def floor(*arguments: object) -> float:
    done = subprocess.run([str(BUILD / "floor"), *map(str, arguments)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def process(command: list[str], stdin: bytes = b"", env: dict[str, str] | None = None) -> float:
    """Seconds of a whole process, output thrown away."""
    path = Path(tempfile.mkstemp(dir="/tmp")[1])
    path.write_bytes(stdin)
    try:
        with path.open("rb") as source:
            begin = time.perf_counter()
            subprocess.run(
                command, stdin=source, stdout=subprocess.DEVNULL, check=True, env={**os.environ, **(env or {})}
            )
            return time.perf_counter() - begin
    finally:
        path.unlink()


def warm() -> Any:
    """A client that has loaded and read something: its modules are there, and the pages of this child its own."""
    ipvs = client()
    ipvs.load("-A -f 1 -s rr\n-D -f 1\n")
    list(ipvs.snapshot())
    return ipvs


def ours(text: bytes, **how: Any) -> float:
    ipvs = warm()
    return timed(lambda: ipvs.load(text, **how))


class Measures:
    """Runs by name: the contenders of a group take turns, so that a slow minute is everybody's."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.facts: dict[str, Any] = {}

    def turns(self, times: int, **contenders: Callable[[], float]) -> None:
        for _ in range(times):
            for name, call in contenders.items():
                result = in_fresh_namespace(call)
                if result is not None:
                    self.seconds.setdefault(name, []).append(result)
        print(*contenders, flush=True)


def inside(quick: bool) -> Measures:
    from bench import peers
    from ipvsnl import loading, snapshot, transfer  # noqa: F401 (loaded before the forks)
    from ipvsnl.backends import _native_bulk  # noqa: F401

    measures = Measures()
    times = 5 if quick else 9
    texts = {"10k": rules(10_000), "50k": rules(50_000)}
    for size, text in texts.items():
        path = encoded(text, 1000)
        measures.turns(
            times,
            **{
                f"floor {size}": lambda path=path: floor("load", path, 1000),
                f"load {size}": lambda text=text: ours(text),
            },
        )
    single = encoded(texts["10k"], 1)
    measures.turns(times, **{"one by one 10k": lambda: floor("load", single, 1)})
    measures.turns(
        5, **{"ipvsnl -R 10k": lambda: process([*IPVSNL, "-R"], texts["10k"]), **peers.loaders(texts["10k"], process)}
    )
    schedulers(measures, times)
    reloads(measures, texts["50k"], times)
    dumps(measures, texts["10k"], times)
    large = rules(100_000)
    measures.turns(5, **{"ipvsnl -R 100k": lambda: process([*IPVSNL, "-R"], large)})
    if shutil.which("ipvsadm"):
        measures.turns(1 if quick else 5, **{"ipvsadm -R 100k": lambda: process(["ipvsadm", "-R"], large)})
    measures.facts["calls"] = calls(texts["10k"])
    measures.facts["bytes"] = encoded(texts["10k"], 1000).stat().st_size / 10_000
    measures.facts["kernel"] = os.uname().release
    return measures


def schedulers(measures: Measures, times: int) -> None:
    """One service with 1,000 servers whose scheduler is costly to change."""
    for name in ("mh", "sh"):
        text = farm(1000, name)
        path = encoded(text, 1000)
        measures.turns(
            times,
            **{
                f"floor {name}": lambda path=path: floor("load", path, 1000),
                f"load {name}": lambda text=text: ours(text, put_off={"mh": 128, "sh": 128}),
                f"load {name}, not put off": lambda text=text: ours(text, put_off={}),
            },
        )


def reloads(measures: Measures, text: bytes, times: int) -> None:
    """50,000 rules again, while the kernel still remembers the old ones."""

    def naive(small: bytes) -> float:
        ipvs = warm()
        ipvs.load(small)
        ipvs.flush()
        return timed(lambda: ipvs.load(small))

    def whole() -> float:
        ipvs = client()
        ipvs.load(text)
        return timed(lambda: ipvs.reload(text))

    def second_half() -> float:
        from ipvsnl import loading

        ipvs = client()
        ipvs.load(text)
        seconds: list[float] = []
        load = loading.load
        loading.load = lambda *a, **k: seconds.append(timed(lambda: load(*a, **k)))  # type: ignore[assignment,func-returns-value]
        ipvs.reload(text)
        return seconds[0]

    measures.turns(
        times,
        **{"fresh 50k": lambda: ours(text), "reload 50k": whole, "reload 50k, without the deletion": second_half},
    )
    measures.turns(1, **{"flush, load 50k in the same order": lambda: naive(text)})


def dumps(measures: Measures, text: bytes, times: int) -> None:
    """10,000 entries, read."""

    def requests() -> Path:
        from ipvsnl import wire
        from ipvsnl.backends import native
        from ipvsnl.exchange import DUMP
        from ipvsnl.family import Command

        ipvs = client()
        asked = [native.encode(ipvs._family, Command.GET_SERVICE, DUMP, 1)]
        for status in ipvs.services():
            asked.append(native.encode(ipvs._family, Command.GET_DEST, DUMP, 1, wire.service_key(status.service)))
        path = Path(tempfile.mkstemp(dir="/tmp")[1])
        path.write_bytes(b"".join(asked))
        return path

    def loaded(call: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            client().load(text)
            return call()

        return run

    measures.turns(
        times,
        **{
            "floor dump": loaded(lambda: floor("dump", requests())),
            "columns": loaded(lambda: columns(warm())),
            "values": loaded(lambda: values(warm())),
            "ipvsnl -Sn": loaded(lambda: process([*IPVSNL, "-Sn"])),
            "ipvsadm -Sn": loaded(lambda: process(["ipvsadm", "-Sn"])),
        },
    )


def columns(ipvs: Any) -> float:
    return timed(ipvs.snapshot)


def values(ipvs: Any) -> float:
    return timed(lambda: list(ipvs.snapshot()))


def calls(text: bytes) -> dict[str, Any]:
    """System calls of whole processes, counted by strace; and of the load alone: sends and receives."""
    found: dict[str, Any] = {}
    if not shutil.which("strace"):
        return found
    for name, command, count in (("ipvsnl", [*IPVSNL, "-R"], 10_000), ("ipvsadm", ["ipvsadm", "-R"], 500)):
        trace = Path(tempfile.mkstemp(dir="/tmp")[1])
        lines = b"".join(text.splitlines(keepends=True)[:count])
        seconds = in_fresh_namespace(lambda t=trace, c=command, x=lines: process(["strace", "-f", "-o", str(t), *c], x))
        if seconds is None:
            continue
        made = trace.read_text(errors="replace").splitlines()
        talk = [
            line for line in made if any(f" {call}(" in line for call in ("sendto", "recvmmsg", "recvmsg", "sendmsg"))
        ]
        found[name] = {"rules": count, "all": len(made), "talk": len(talk)}
    return found


# --- the host's side -------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three runs of each instead of seven")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.inside:
        measures = inside(options.quick)
        options.json.write_text(json.dumps({"seconds": measures.seconds, **measures.facts}, indent=1))
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", BUILD / "floor", ROOT / "bench/floor.c"], check=True)
    arguments = ["--inside", "--json", str(options.json), *(["--quick"] if options.quick else [])]
    laboratory = [sys.executable, str(ROOT / "tests/kernel/uml.py"), "--timeout", "1800", "--"]
    done = subprocess.run([*laboratory, sys.executable, __file__, *arguments], cwd=ROOT)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
