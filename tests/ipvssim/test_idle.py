"""Time in which nothing happens costs nothing, and leaves what so many single ticks would leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim.clock import SECOND, Clock
from ipvssim.kernel import Kernel
from ipvssim.schedulers import find
from ipvssim.schedulers._base import Flow
from ipvssim.state.statistics import TICK, Counters, Estimator

from . import worlds as w

DAY, YEAR = 86400, 366 * 86400
RULES = "\n".join(
    f"-A -t 192.0.2.{number}:80 -s {scheduler}\n-a -t 192.0.2.{number}:80 -r 10.0.0.{number}:80"
    for number in range(1, 51)
    for scheduler in [("wlc", "lblc", "lblcr")[number % 3]]
)


def steps(clock: Clock, seconds: int) -> None:
    """The same time, a second after the other."""
    for _ in range(seconds):
        clock.advance(SECOND)


@given(st.lists(st.tuples(*[st.integers(0, 1 << 40)] * 5), min_size=1, max_size=4), st.integers(1, 400))
def test_rates_fall_in_one_step_as_in_many(bursts: list[tuple[int, ...]], ticks: int) -> None:
    """After any traffic, so many idle ticks at once leave the counters and rates that they leave one by one, to the bit."""
    pair = []
    for jump in (True, False):
        clock, counters = Clock(), Counters()
        Estimator(clock).start(counters)
        for burst in bursts:
            counters.conns, counters.inpkts, counters.outpkts, counters.inbytes, counters.outbytes = (
                old + new for old, new in zip(counters.live(), burst, strict=True)
            )
            clock.advance(TICK)
        for _ in range(1 if jump else ticks):
            clock.advance(TICK * ticks if jump else TICK)
        pair.append((counters.saved(), counters.shown(), clock.now))
    assert pair[0] == pair[1]


Event = tuple[str, int, int]
EVENTS = st.lists(
    st.tuples(st.sampled_from(("wait", "open", "delete", "add", "again")), st.integers(0, 4000), st.integers(1, 3)),
    max_size=10,
)


def history(events: list[Event], scheduler: str, passing: Callable[[Clock, int], None], **sysctls: Any) -> list[Any]:
    """What can be seen of a director after each event."""
    world = w.World(**sysctls)
    service = world.service(w.UDP, scheduler=scheduler)
    servers = {number: world.server(service, bytes((10, 0, 0, 9 + number)), 80) for number in (1, 2, 3)}
    table, seen = world.namespace.table, []
    for what, amount, number in events:
        if what == "wait":
            passing(world.namespace.clock, amount)
        elif what == "open":
            world.client(w.udp(port=1024 + amount, source=bytes((192, 0, 2, number))))
        elif what == "delete" and servers[number].available:
            table.delete_server(servers[number])
        elif what == "add" and not servers[number].available:
            servers[number] = world.server(service, bytes((10, 0, 0, 9 + number)), 80)
        elif what == "again":
            table.edit_service(service, find("rr"))
            table.edit_service(service, find(scheduler))
        seen.append((
            world.states(), [(one.idle_since, one.holders, one.conns) for one in table.trash], table.total.shown(),
            getattr(service.scheduler, "_minutes", None), getattr(service.scheduler, "_counted", None),
            [server.counters.shown() for server in service.servers()],
        ))  # fmt: skip
    return seen


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.sampled_from(("rr", "lblc", "lblcr")), st.sampled_from((30, 600, 86400)), st.sampled_from((0, 3)))
def test_a_leap_equals_its_steps(events: list[Event], scheduler: str, expiration: int, drop_entry: int) -> None:
    """Connections, trash, caches and statistics after any history are the same whether time passed at once or by the
    second."""
    tunables: dict[str, Any] = {"lblc_expiration": expiration, "lblcr_expiration": expiration, "drop_entry": drop_entry}
    leapt = history(events, scheduler, lambda clock, seconds: clock.advance(seconds * SECOND), **tunables)
    assert leapt == history(events, scheduler, steps, **tunables)


@given(st.integers(1, 30), st.lists(st.integers(0, 5000), max_size=5), st.integers(1, 200), st.booleans())
def test_caches_say_when_they_will_change(minutes: int, ages: list[int], times: int, full: bool) -> None:
    """The collections that lblc says are idle drop nothing, and skipping them counts the minutes as making them does."""
    made = []
    for _ in range(2):
        world = w.World(lblc_expiration=600)
        service = world.service(scheduler="lblc")
        world.server(service)
        scheduler: Any = service.scheduler
        for number, age in enumerate(ages):
            scheduler.pick(Flow(6, w.CLIENT, 1, bytes((203, 0, 113, number)), 80, 5000 - age))
        scheduler._minutes = minutes
        scheduler._counted += 20_000 * full
        made.append(scheduler)
    skipped, stepped = made
    idle = skipped.idle_collections(6000, 6000)
    for number in range(min(idle, times)):
        stepped.collect(6000 * (number + 1))
    skipped.skip_collections(min(idle, times))
    assert len(stepped._cache) == len(ages) and stepped._minutes == skipped._minutes
    if idle <= times and ages:
        before = len(stepped._cache), stepped._minutes
        stepped.collect(6000 * (idle + 1))
        assert (len(stepped._cache), stepped._minutes) != before


@pytest.mark.parametrize("seconds", [DAY, YEAR, 136 * YEAR, 10**15])
def test_idle_ages_pass_at_once(seconds: int) -> None:
    """Fifty services, a referenced server in the trash, every defence on: an age costs what happens in it, not its ticks."""
    kernel = Kernel(RULES, sysctl={"drop_entry": 3})
    for number in range(1, 51):
        kernel.receive(w.tcp(target=bytes((192, 0, 2, number))))
    kernel.ipvsadm("-d", "-t", "192.0.2.1:80", "-r", "10.0.0.1:80")
    kernel.advance(4000)
    kernel.advance(seconds)  # tick by tick it would not come back
    assert kernel.now == seconds + 4000 and not kernel.connections() and not kernel.trash()
