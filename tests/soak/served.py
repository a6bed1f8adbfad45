"""``ipvssim serve --table``: what it acknowledged is in the table, by whatever signal it ended."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from ipvsnl.client import open as open_ipvs
from ipvsnl.errors import IPVSError
from ipvsnl.model import Service
from tests.soak.cases import Case, World, full_table
from tests.soak.processes import finish, start

SERVE = Case(
    "ipvssim serve --table", lambda world: ("serve", str(world.place / "s"), "--table", str(world.table)), ours=False,
    share=0.7,
)  # fmt: skip


class Campaign:
    """Kills of a server that is being written to."""

    def __init__(self, case: Case, world: World) -> None:
        self.case, self.world = case, world
        self.found: Counter[str] = Counter()
        self.table = full_table()
        self.main = case.main(world)

    def kill(self, chance: random.Random) -> None:
        """One server, some changes, and its end."""
        world = self.world
        self.case.prepare(world, b"")
        world.table.write_bytes(self.table)
        before = world.ipvsnl("-Sn")[1]
        numbers = chance.choice(
            [[signal.SIGKILL], [signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM],
             [signal.SIGINT, signal.SIGTERM], [signal.SIGTERM, signal.SIGKILL], [signal.SIGTERM, signal.SIGINT]]
        )  # fmt: skip
        process = start(self.main, world.folder, counted=False)
        asked, made = self._changes(chance, process, numbers)
        ended = finish(process, world.folder)
        kept = world.ipvsnl("-Sn")[1]
        lost = [port for port in made if f"-A -t 192.0.2.7:{port} " not in kept]
        self.found["all kept" if not lost else "as before" if kept == before else "part"] += 1
        self.found[f"status {ended.code}"] += 1
        detail = f"{[one.name for one in numbers]}, {ended}, {len(made)} of {asked} acknowledged, lost {lost}"
        assert "Traceback" not in ended.errors and "Exception ignored" not in ended.errors, detail
        assert not lost, detail
        assert not ended.killed or -ended.code in numbers, detail
        self._next(detail)

    def _changes(self, chance: random.Random, process: int, numbers: list[signal.Signals]) -> tuple[int, list[int]]:
        """Services that are added until the server goes: how many were asked for, and those that it acknowledged."""
        asked, made = 0, []
        shots = sorted(chance.random() * 0.06 for _ in numbers)
        gap = chance.random() * 0.004
        shots[1:] = [shots[0] + gap] * len(shots[1:])
        began = time.perf_counter() + (10 if chance.random() < 0.8 else 0)  # mostly once it answers, at last then
        due = list(zip(shots, numbers, strict=True))
        client = None
        while due or client is not None:
            if due and time.perf_counter() - began >= due[0][0]:
                os.kill(process, due.pop(0)[1])
                continue
            if not due and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            try:
                client = client or open_ipvs(f"unix:{self.world.place / 's'}", timeout=2)
                asked += 1
                client.add_service(Service("tcp", "192.0.2.7", asked))
                made.append(asked)
                began = min(began, time.perf_counter())
            except (IPVSError, OSError):
                time.sleep(0.001)
                if client is not None and not due:
                    break
        if client is not None:
            client.close()
        return asked, made

    def _next(self, detail: str) -> None:
        """Another server takes the same socket and the same table at once."""
        process = start(self.main, self.world.folder, counted=False)
        deadline = time.monotonic() + 60
        while True:
            try:
                with open_ipvs(f"unix:{self.world.place / 's'}") as ipvs:
                    ipvs.add_service(Service("tcp", "192.0.2.8", 80))
                break
            except (IPVSError, OSError) as wrong:
                assert time.monotonic() < deadline, f"no other server: {wrong}; {detail}"
                time.sleep(0.002)
        os.kill(process, signal.SIGTERM)
        ended = finish(process, self.world.folder)
        assert ended.code == 0, (ended, detail)
        assert "-A -t 192.0.2.8:80 " in self.world.ipvsnl("-Sn")[1], detail
        assert not self.world.left() and not Path(self.world.place / "s").exists(), (self.world.left(), detail)
