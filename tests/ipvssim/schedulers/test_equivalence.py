"""Every pick of every scheduler is the one that the kernel's own scan makes, whatever happened before.

Two drivers of one machine: Hypothesis, which shrinks what it finds, and long seeded walks, which get farther.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ipvssim.clock import SECOND
from ipvssim.schedulers import Flow, _locality, _replicas, names
from ipvssim.state.services import RealServer
from tests.ipvssim.schedulers.harness import Lab
from tests.ipvssim.schedulers.reference import MODELS

ADDRESSES = [bytes([10, 0, 0, host]) for host in range(2, 12)] + [bytes(15) + bytes([host]) for host in (1, 2)]
DESTINATIONS = [bytes([203, 0, 113, host]) for host in range(8)]
WEIGHTS = {"wrr": [0, 1, 2, 3, 4, 6, 12, 30, 256], "mh": [0, 1, 2, 3, 7, 100, 65535]}
ANY_WEIGHT = [0, 0, 1, 1, 2, 2, 3, 4, 7, 100, 65535, 0x7FFFFFFF]
COUNTS = [0, 0, 0, 1, 1, 2, 3, 4, 5, 8, 128, 256, 257]
WRAPPING = [1 << 22, 1 << 23, 3 << 22, (1 << 24) - 1, 1 << 24]
PROTOCOLS = [6, 17, 132, 51]


class Pair:
    """A scheduler and the model of the kernel's scans, given the same changes; a pick compares them."""

    def __init__(self, name: str, sublevel: int, flags: int) -> None:
        self.name = name
        self.model = MODELS[name]()
        self.model.sublevel, self.model.flags = sublevel, flags
        self.model.full, self.model.bound = _locality.FULL, _locality.BOUND
        self.lab = Lab(name, sublevel=sublevel, flags=flags, model=self.model)
        self.deleted: list[RealServer] = []
        self.weights = WEIGHTS.get(name, ANY_WEIGHT)

    def toggle(self, address: bytes, weight: int) -> None:
        """Add the server, or delete it."""
        server = self.lab.service.destinations.get((address, 80))
        if server is None:
            self.lab.add(address, weight)
        else:
            self.lab.delete(server)
            self.deleted.append(server)

    def pick(self, flow: Flow, connect: bool) -> None:
        scheduler = self.lab.scheduler
        foretold, picked = scheduler.peek(flow), scheduler.pick(flow)
        assert picked is foretold
        assert picked is self.model.pick(flow)
        if connect and picked is not None:
            self.lab.load(picked, picked.active + 1, picked.inactive)
        if self.name in ("lblc", "lblcr"):
            held = self.model.held()
            assert all(server.holders == held.count(server) for server in [*self.lab.servers, *self.lab.table.trash])

    def wait(self, seconds: float) -> None:
        """Time passes, and the table has the scheduler collect every minute."""
        minute = 60 * SECOND
        done = self.lab.clock.now // minute
        self.lab.wait(seconds)
        for due in range(done + 1, self.lab.clock.now // minute + 1):
            self.model.collect(due * 6000)

    def tune(self, seconds: int) -> None:
        self.model.expiration = self.lab.tunables.lblc_expiration = self.lab.tunables.lblcr_expiration = seconds


def walk(pair: Pair, random: Random, steps: int) -> None:
    """So many random steps, most of them picks."""
    lab, choice = pair.lab, random.choice
    for _ in range(steps):
        action = random.random()
        servers = lab.servers
        if action < 0.08 or not servers:
            pair.toggle(choice(ADDRESSES), choice(pair.weights))
        elif action < 0.16:
            lab.edit(choice(servers), choice(pair.weights))
        elif action < 0.3:
            counts = COUNTS if random.random() < 0.95 else WRAPPING
            lab.load(choice(servers + pair.deleted[-2:]), choice(counts), choice(COUNTS))
        elif action < 0.36:
            lab.mark(choice(servers), random.random() < 0.4)
        elif action < 0.38:
            for server in servers:
                lab.mark(server, random.random() < 0.9)
        elif action < 0.42:
            pair.wait(choice([0.01, 1, 2, 61, 400, 2000]))
        elif action < 0.43:
            pair.tune(choice([0, 1, 60, 86400]))
        else:
            client = random.randbytes(choice([4, 16]))
            flow = lab.flow(client, random.randrange(65536), choice(DESTINATIONS), choice(PROTOCOLS))
            pair.pick(flow, random.random() < 0.5)


class Equivalence(RuleBasedStateMachine):
    """The pair, driven by Hypothesis."""

    name = ""
    pair: Pair

    @initialize(
        sublevel=st.sampled_from([176, 192]),
        flags=st.sampled_from([0, 8, 16, 24]),
        weights=st.lists(st.integers(0, 8), max_size=8),
    )
    def begin(self, sublevel: int, flags: int, weights: list[int]) -> None:
        self.pair = Pair(self.name, sublevel, flags)
        for address, weight in zip(ADDRESSES, weights, strict=False):
            self.pair.toggle(address, weight)

    @rule(random=st.randoms(use_true_random=False), steps=st.integers(1, 5))
    def walk(self, random: Random, steps: int) -> None:
        walk(self.pair, random, steps)

    @rule(which=st.sampled_from(ADDRESSES), weight=st.integers(0, 8))
    def toggle(self, which: bytes, weight: int) -> None:
        self.pair.toggle(which, weight)

    @rule(times=st.integers(1, 12), client=st.binary(min_size=4, max_size=4), connect=st.booleans())
    def pick(self, times: int, client: bytes, connect: bool) -> None:
        for _ in range(times):
            self.pair.pick(self.pair.lab.flow(client, 1024, DESTINATIONS[0]), connect)


@pytest.fixture(autouse=True)
def small_bounds() -> Iterator[None]:
    """Caches that are full with four entries, sets that are large with three."""
    with (
        mock.patch.object(_locality, "FULL", 4),
        mock.patch.object(_locality, "BOUND", 6),
        mock.patch.object(_replicas, "FEW", 2),
        mock.patch.object(_replicas, "KEPT", 16),
    ):
        yield


@pytest.mark.parametrize("name", names())
def test_picks_as_the_kernels_scan(name: str) -> None:
    """Adds, deletions, revivals, edits, loads, marks, time: at every pick, the scan's server, and peek foretold it."""
    machine = type(f"Equivalence_{name}", (Equivalence,), {"name": name})
    steps = settings(
        max_examples=10 if name == "mh" else 30,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=steps)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", names())
def test_picks_as_the_kernels_scan_over_long_walks(name: str, seed: int) -> None:
    """The same over thousands of steps, for both releases and all flags."""
    pair = Pair(name, sublevel=[176, 192][seed % 2], flags=[0, 24, 16, 8][seed])
    walk(pair, Random(seed), 150 if name == "mh" else 2500)
