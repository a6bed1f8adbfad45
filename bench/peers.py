"""Other loaders of rules, each by its own means; those that are not installed are left out."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ipvsnl.text.rules import PlainReader

METHODS = {"masq": 0, "tunnel": 2, "route": 3}
FEW = {"pyroute2": 500, "gnlpy": 2000}
"""Rules of the slow ones: what they take is in proportion (seconds are those of 10,000)."""


def loaders(text: bytes, process: Callable[..., float]) -> dict[str, Callable[[], float]]:
    """Seconds of a load of ``text`` by every peer there is."""
    found: dict[str, Callable[[], float]] = {}
    if shutil.which("ipvsadm"):
        found["ipvsadm -R 10k"] = lambda: process(["ipvsadm", "-R"], text)
    if shutil.which("keepalived"):
        found["keepalived 10k"] = lambda: keepalived(text)
    for name, load in (("pyroute2", pyroute2), ("gnlpy", gnlpy)):
        few = text.splitlines(keepends=True)[: FEW[name]]
        found[f"{name} 10k"] = partial(_in_proportion, load, few, text.count(b"\n"))
    return found


def _in_proportion(load: Callable[[list[bytes]], float], few: list[bytes], rules: int) -> float:
    return load(few) * rules / len(few)


def parsed(lines: list[bytes]) -> list[Any]:
    read = PlainReader()
    return [read(line.decode()) for line in lines]


def pyroute2(lines: list[bytes]) -> float:
    """pyroute2 0.9.7: IPVS().service and .dest, one call a rule."""
    from pyroute2 import IPVS, IPVSDest, IPVSService

    rules = parsed(lines)
    with IPVS() as ipvs:
        begin = time.perf_counter()
        for _, service, server in rules:
            known = IPVSService(addr=service.address, port=service.port, protocol=6, sched_name=service.scheduler)
            if server is None:
                ipvs.service("add", service=known)
            else:
                to = IPVSDest(addr=server.address, port=server.port, weight=server.weight, fwd_method=0)
                ipvs.dest("add", service=known, dest=to)
        return time.perf_counter() - begin


def gnlpy(lines: list[bytes]) -> float:
    """gnlpy 0.1.2, with the two names that Python 3.9 removed."""
    import array

    import gnlpy.netlink

    if not hasattr(array.array, "fromstring"):
        from types import SimpleNamespace

        class Array(array.array):  # type: ignore[type-arg]
            def fromstring(self, data: bytes | str) -> None:
                self.frombytes(data.encode("latin-1") if isinstance(data, str) else data)

            tostring = array.array.tobytes

        gnlpy.netlink.array = SimpleNamespace(array=Array)
    import gnlpy.ipvs

    gnlpy.netlink.subprocess.check_call = lambda _: 0  # it wants to load the module that is there
    rules = parsed(lines)
    client = gnlpy.ipvs.IpvsClient()
    begin = time.perf_counter()
    for _, service, server in rules:
        if server is None:
            client.add_service(service.address, service.port, protocol=6, sched_name=service.scheduler)
        else:
            client.add_dest(service.address, service.port, server.address, protocol=6, weight=server.weight, method=0)
    return time.perf_counter() - begin


def keepalived(text: bytes) -> float:
    """From the start of keepalived to its last rule in the table, without health checks; as it is configured at start."""
    path = Path(tempfile.mkstemp(dir="/tmp")[1])
    parts: list[str] = []
    for _, service, server in parsed(text.splitlines(keepends=True)):
        if server is None:
            parts.append("}\n" if parts else "")
            how = f"lb_algo {service.scheduler}\nlb_kind NAT\nprotocol TCP\n"
            parts.append(f"virtual_server {service.address} {service.port} {{\n{how}")
        else:
            parts.append(f"real_server {server.address} {server.port} {{\nweight {server.weight}\n}}\n")
    path.write_text("".join(parts) + "}\n")
    wanted = text.count(b"\n") + 3
    directory = tempfile.mkdtemp(dir="/tmp")
    files = [f"--pid={directory}/a", f"--checkers_pid={directory}/b"]
    begin = time.perf_counter()
    daemon = subprocess.Popen(
        ["keepalived", "-n", "-C", "-f", str(path), *files], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while Path("/proc/net/ip_vs").read_bytes().count(b"\n") < wanted:
            if daemon.poll() is not None or time.perf_counter() - begin > 120:
                raise RuntimeError("keepalived did not load its rules")
            time.sleep(0.05)
        return time.perf_counter() - begin
    finally:
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
