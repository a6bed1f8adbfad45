"""Does a pick among 1,000 servers cost at most twice a pick among 10?

Each round is 1,000 new connections of changing clients. For the schedulers that look at loads a connection counts as active,
and from two connections a server on, one ends for each that begins; both are told to the scheduler, as the packet path does.
``lblc`` and ``lblcr`` are asked for one virtual address, as for any service with an address, so lblcr's set grows to all of
its servers. The table's rows are of 1,000 connections: 1 ms there is 1 µs each. ``test_ratio`` compares the best rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from ipvssim.clock import Clock
from ipvssim.schedulers import Flow, Server, find, names
from ipvssim.state.service_table import ServiceTable
from ipvssim.state.services import VirtualService

VIP = bytes([10, 255, 0, 1])
PICKS = 1000
LIMIT = 2.0


def service(name: str, servers: int) -> VirtualService:
    """A service with so many servers of weights 1 to 10."""
    table = ServiceTable(Clock())
    made = VirtualService(2, 0, 6, VIP, 80)
    table.add_service(made, find(name))
    for number in range(servers):
        server = table.add_server(made, 2, bytes([10, 0, number >> 8, number & 255]), 80)
        server.weight = server.last_weight = 1 + number % 10
        table.server_added(server)
    return made


def connections(name: str, servers: int) -> Callable[[], None]:
    """A function that opens PICKS connections; its state is a steady one."""
    scheduler = service(name, servers).scheduler
    assert scheduler is not None
    pick, loaded, cares = scheduler.pick, scheduler.loaded, scheduler.LOADS
    random = Random(servers)
    flows = [Flow(6, random.randbytes(4), 1024 + number, VIP, 80) for number in range(PICKS)]
    live: list[Server] = []

    def run() -> None:
        for flow in flows:
            server = pick(flow)
            if server is None or not cares:
                continue
            server.active += 1
            loaded(server)
            live.append(server)
            if len(live) > 2 * servers:
                place = random.randrange(len(live))
                live[place], live[-1] = live[-1], live[place]
                ended = live.pop()
                ended.active -= 1
                loaded(ended)

    for _ in range(2 + 3 * servers // PICKS):
        run()
    return run


@pytest.mark.parametrize("servers", [10, 100, 1000])
@pytest.mark.parametrize("name", names())
def test_pick(benchmark: Any, name: str, servers: int) -> None:
    """A thousand connections."""
    benchmark.group = f"{PICKS} picks of {name}"
    benchmark.extra_info["servers"] = servers
    benchmark.pedantic(connections(name, servers), rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("name", names())
def test_ratio(benchmark: Any, name: str) -> None:
    """The best of rounds with 1,000 servers against the best with 10, taken in turns: at most twice."""
    few, many = connections(name, 10), connections(name, 1000)
    best = {few: float("inf"), many: float("inf")}

    def both() -> None:
        for run in (few, many):
            began = time.perf_counter()
            run()
            best[run] = min(best[run], time.perf_counter() - began)

    benchmark.group = "ratio of 1,000 servers to 10"
    benchmark.pedantic(both, rounds=20, warmup_rounds=2)
    benchmark.extra_info["ns_of_10"] = round(best[few] * 1e9 / PICKS)
    benchmark.extra_info["ns_of_1000"] = round(best[many] * 1e9 / PICKS)
    benchmark.extra_info["ratio"] = round(best[many] / best[few], 2)
    assert best[many] <= LIMIT * best[few]
