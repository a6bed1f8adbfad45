"""What the benchmarks on a real kernel share: rule text, fresh namespaces, the floor, whole processes, runs in turns."""

from __future__ import annotations

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
BUILD = ROOT / "build" / "bench"


INSTALLED = BUILD / "venv"


def install() -> None:
    """The package as a user has it, in an environment of its own: an editable one looks for its modules at every start."""
    shutil.rmtree(INSTALLED, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", INSTALLED], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(INSTALLED / "bin/python"), "install"]
    subprocess.run([*pip, "--no-deps", "cffi", str(ROOT)], check=True)


def rules(count: int) -> bytes:
    """The first lines of the large sample: services of ten servers, tcp, rr to wlc."""
    text = lzma.decompress((ROOT / "tests/data/rules/cluster-100k.rules.xz").read_bytes())
    return b"".join(text.splitlines(keepends=True)[:count])


def farm(servers: int, scheduler: str) -> bytes:
    lines = [b"-a -t 10.0.0.1:80 -r 10.1.%d.%d:80 -m -w 1\n" % (n >> 8, n & 255) for n in range(servers)]
    return b"-A -t 10.0.0.1:80 -s %s\n" % scheduler.encode() + b"".join(lines)


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
    from ipvsnl.link.kernel import KernelLink

    return IPVS(KernelLink(), timeout=60)


def encoded(text: bytes, each: int) -> Path:
    """The requests of a text in a file, an acknowledgement at every ``each``-th."""
    from array import array

    from ipvsnl.backends import native
    from ipvsnl.bulk.load import Progress
    from ipvsnl.wire.exchange import acknowledge

    out, progress = bytearray(176 * (text.count(b"\n") + 1)), Progress()
    progress.sequence = 1
    family = in_fresh_namespace(lambda: client()._conversation.family)
    native.rules(text, progress, family, b"", out, 0, memoryview(array("Q", bytes(16 * (text.count(b"\n") + 1)))), 0)
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
    from ipvsnl import Service

    ipvs = client()
    ipvs.load("-A -f 1 -s rr\n-D -f 1\n")
    ipvs.add_service(Service(fwmark=1))
    list(ipvs.snapshot())
    ipvs.flush()
    return ipvs


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
