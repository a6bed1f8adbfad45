"""Loaders and dumpers side by side on a real kernel: one boot of the laboratory, a fresh network namespace each time.

    python bench/kernel_bench.py [--quick] [--spread] [--json FILE]

boots the kernel, measures in it (this file again, with ``--inside``), and writes the figures. ``python bench/report.py``
makes docs/inside/performance.md of them. Peers that are not installed are left out. Root's rights are the kernel's own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "sim")]

from bench.laboratory import (  # noqa: E402
    BUILD,
    INSTALLED,
    Measures,
    client,
    encoded,
    farm,
    floor,
    in_fresh_namespace,
    install,
    process,
    rules,
    timed,
    warm,
)

RESULTS, SPREAD = BUILD / "kernel.json", BUILD / "kernel-spread.json"
IPVSNL = [str(INSTALLED / "bin" / "ipvsnl")]
PYTHON = str(INSTALLED / "bin" / "python")


# --- inside the kernel -----------------------------------------------------------------------------------------------


def ours(text: bytes, **how: Any) -> float:
    ipvs = warm()
    return timed(lambda: ipvs.load(text, **how))


def inside(quick: bool, loads_only: bool) -> Measures:
    from bench import peers
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
    if not loads_only:
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
        ipvs = warm()
        ipvs.load(text)
        return timed(lambda: ipvs.reload(text))

    def second_half() -> float:
        import ipvsnl.bulk.reload as reload_module
        from ipvsnl.bulk.feed import load

        ipvs = warm()
        ipvs.load(text)
        seconds: list[float] = []

        def timed_load(*arguments: Any, **more: Any) -> None:
            seconds.append(timed(lambda: load(*arguments, **more)))

        vars(reload_module)["load"] = timed_load
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
        from ipvsnl.backends import native
        from ipvsnl.family import Command
        from ipvsnl.wire import records
        from ipvsnl.wire.exchange import DUMP

        ipvs = client()
        asked = [native.encode(ipvs._conversation.family, Command.GET_SERVICE, DUMP, 1)]
        for status in ipvs.services():
            asked.append(
                native.encode(ipvs._conversation.family, Command.GET_DEST, DUMP, 1, records.service_key(status.service))
            )
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
            "ipvsnl -Ln": loaded(lambda: process([*IPVSNL, "-Ln"])),
            "ipvsadm -Ln": loaded(lambda: process(["ipvsadm", "-Ln"])),
            "python": loaded(lambda: process([PYTHON, "-c", ""])),
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
        seconds = in_fresh_namespace(partial(process, ["strace", "-f", "-o", str(trace), *command], lines))
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
    parser.add_argument("--quick", action="store_true", help="five runs of each instead of nine")
    parser.add_argument("--spread", action="store_true", help="loads and dumps, on all of the host's processors")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="where the figures go (build/bench/kernel.json, kernel-spread.json)")
    options = parser.parse_args()
    options.json = options.json or (SPREAD if options.spread else RESULTS)
    if options.inside:
        measures = inside(options.quick, options.spread)
        options.json.write_text(json.dumps({"seconds": measures.seconds, **measures.facts}, indent=1))
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    install()
    subprocess.run(["cc", "-O2", "-o", BUILD / "floor", ROOT / "bench/floor.c"], check=True)
    flags = [f"--{name}" for name in ("quick", "spread") if getattr(options, name)]
    arguments = ["--inside", "--json", str(options.json), *flags]
    environment = {**os.environ, "IPVSNL_LAB_SPREAD": "1" if options.spread else ""}
    laboratory = [sys.executable, "-m", "ipvsnl.lab_kernel", "--as-root", "--timeout", "1800", "--"]
    done = subprocess.run([*laboratory, sys.executable, __file__, *arguments], cwd=ROOT, env=environment)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
