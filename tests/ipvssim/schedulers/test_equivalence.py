"""Every pick of every scheduler is the one that the kernel's own scan makes, whatever happened before."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from ipvssim.schedulers import locality, names, replicas
from tests.ipvssim.schedulers.harness import Lab
from tests.ipvssim.schedulers.reference import MODELS, Model

ADDRESSES = [bytes([10, 0, 0, host]) for host in range(2, 12)] + [bytes(15) + bytes([host]) for host in (1, 2)]
SMALL = st.integers(0, 8)
WEIGHTS = {"wrr": SMALL | st.sampled_from([12, 30, 256]), "mh": SMALL | st.sampled_from([100, 65535])}
ANY_WEIGHT = SMALL | st.sampled_from([100, 65535, 0x7FFFFFFF])
COUNTS = st.integers(0, 12) | st.sampled_from([128, 256, 257, 1 << 22, 1 << 23, 3 << 22, (1 << 24) - 1])
WHICH = st.integers(0, 1 << 16)
CLIENTS = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
DESTINATIONS = st.sampled_from([bytes([203, 0, 113, host]) for host in range(8)])


class Equivalence(RuleBasedStateMachine):
    """One service: its scheduler and the model of the kernel's scans, given the same changes."""

    name = ""
    lab: Lab
    model: Any

    @initialize(sublevel=st.sampled_from([176, 192]), flags=st.sampled_from([0, 8, 16, 24]))
    def begin(self, sublevel: int, flags: int) -> None:
        model: Model = MODELS[self.name]()
        model.sublevel, model.flags = sublevel, flags
        model.full, model.bound = locality.FULL, locality.BOUND
        self.model = model
        self.lab = Lab(self.name, sublevel=sublevel, flags=flags, model=model)
        self.deleted: list[Any] = []

    def some(self, which: int) -> Any:
        servers = self.lab.servers
        return servers[which % len(servers)] if servers else None

    @rule(address=st.sampled_from(ADDRESSES), data=st.data())
    def add(self, address: bytes, data: st.DataObject) -> None:
        if (address, 80) not in self.lab.service.destinations:
            self.lab.add(address, data.draw(WEIGHTS.get(self.name, ANY_WEIGHT)))

    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        if server := self.some(which):
            self.lab.delete(server)
            self.deleted.append(server)

    @rule(which=WHICH, data=st.data())
    def edit(self, which: int, data: st.DataObject) -> None:
        if server := self.some(which):
            self.lab.edit(server, data.draw(WEIGHTS.get(self.name, ANY_WEIGHT)))

    @rule(which=WHICH, active=COUNTS, inactive=COUNTS)
    def load(self, which: int, active: int, inactive: int) -> None:
        if server := self.some(which):
            self.lab.load(server, active, inactive)

    @rule(which=WHICH, active=COUNTS)
    def load_deleted(self, which: int, active: int) -> None:
        """Connections of deleted servers end too."""
        if self.deleted:
            server = self.deleted[which % len(self.deleted)]
            self.lab.load(server, active, server.inactive)

    @rule(which=WHICH, overloaded=st.booleans())
    def mark(self, which: int, overloaded: bool) -> None:
        if server := self.some(which):
            self.lab.mark(server, overloaded)

    @rule(
        times=st.integers(1, 12),
        connect=st.booleans(),
        client=CLIENTS,
        port=st.integers(0, 65535),
        destination=DESTINATIONS,
        protocol=st.sampled_from([6, 17, 132, 51]),
    )
    def pick(self, times: int, connect: bool, **flow: Any) -> None:
        for _ in range(times):
            asked = self.lab.flow(**flow)
            explained = self.lab.scheduler.peek(asked)
            picked = self.lab.scheduler.pick(asked)
            assert picked is explained
            assert picked is self.model.pick(asked)
            if connect and picked is not None:
                self.lab.load(picked, picked.active + 1, picked.inactive)

    @rule(minutes=st.sampled_from([0.01, 0.5, 1, 5, 7, 31]))
    def wait(self, minutes: float) -> None:
        """Time passes, and the table has the scheduler collect every minute."""
        due = int((self.lab.clock.now + minutes * 60e6) // 60e6) - int(self.lab.clock.now // 60e6)
        first = (int(self.lab.clock.now // 60e6) + 1) * 6000
        self.lab.wait(minutes * 60)
        for minute in range(due):
            self.model.collect(first + minute * 6000)

    @rule(seconds=st.sampled_from([0, 1, 60, 86400]))
    def tune(self, seconds: int) -> None:
        self.model.expiration = self.lab.tunables.lblc_expiration = self.lab.tunables.lblcr_expiration = seconds

    @precondition(lambda self: self.name in ("lblc", "lblcr"))
    @invariant()
    def holds_what_is_cached(self) -> None:
        held = self.model.held()
        assert all(server.holders == held.count(server) for server in [*self.lab.servers, *self.lab.table.trash()])


@pytest.mark.parametrize("name", names())
def test_picks_as_the_kernels_scan(name: str) -> None:
    """Adds, deletions, revivals, edits, loads, marks, time: at every pick, the scan's server, and peek foretold it."""
    machine = type(f"Equivalence_{name}", (Equivalence,), {"name": name})
    steps = settings(
        max_examples=15 if name == "mh" else 60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    with (
        mock.patch.object(locality, "FULL", 4),
        mock.patch.object(locality, "BOUND", 6),
        mock.patch.object(replicas, "FEW", 2),
        mock.patch.object(replicas, "KEPT", 16),
    ):
        run_state_machine_as_test(machine, settings=steps)
