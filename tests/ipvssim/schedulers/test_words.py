"""What schedulers say of their picks is true: computed by hand from what is said, the same server comes out."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim.schedulers import KERNEL, Flow, Scheduler, Server
from tests.ipvssim.schedulers.harness import Lab

SERVERS = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 5), st.integers(0, 300)), min_size=1, max_size=6
)
LOADS: dict[str, Callable[[dict[str, int]], Fraction | int]] = {
    "wlc": lambda one: Fraction(256 * one["active"] + one["inactive"], one["weight"]),
    "lc": lambda one: 256 * one["active"] + one["inactive"],
    "sed": lambda one: Fraction(one["active"] + 1, one["weight"]),
    "nq": lambda one: Fraction(one["active"] + 1, one["weight"]) if one["active"] else 0,
    "fo": lambda one: -one["weight"],
    "ovf": lambda one: -one["weight"],
}


def filled(name: str, servers: list[tuple[int, bool, int, int]], flags: int = 0) -> Lab:
    lab = Lab(name, flags=flags)
    for host, (weight, overloaded, active, inactive) in enumerate(servers, start=2):
        server = lab.add(host, weight)
        lab.load(server, active, inactive)
        lab.mark(server, overloaded)
    return lab


def usable(choice: dict[str, Any]) -> list[str]:
    return [name for name, one in choice["servers"].items() if one["weight"] > 0 and not one["overloaded"]]


def in_turn(choice: dict[str, Any]) -> str | None:
    """rr and wrr: down the list from the last, pass by pass."""
    names: list[str] = list(choice["servers"])
    state = choice["state"]
    good = usable(choice)
    least, step = state.get("current_weight", 1), state.get("step", 1)
    at = names.index(state["last"]) + 1 if state["last"] else 0
    for _ in range(200):
        for name in names[at:]:
            if name in good and choice["servers"][name]["weight"] >= least:
                return name
        at, least = 0, least - step
        if least <= 0:
            least = state.get("top_weight", 1)
    return None


def drawn(good: list[str], servers: dict[str, dict[str, int]], state: dict[str, int]) -> str | None:
    """twos: each number reaches a server down the list, by weight; the one of less load by weight, the first of equals."""

    def reached(number: int) -> str:
        for name in good:
            number -= servers[name]["weight"]
            if number <= 0:
                return name
        raise AssertionError("a number is beyond the sum of the weights")

    pair = [reached(state["first"]), reached(state["second"])] if good else []
    return min(pair, key=lambda one: LOADS["wlc"](servers[one]), default=None)


def by_hand(name: str, choice: dict[str, Any]) -> str | None:
    good, servers, state = usable(choice), choice["servers"], choice["state"]
    if name in ("rr", "wrr"):
        return in_turn(choice) if good else None
    if name in ("dh", "sh", "mh"):
        return str(state["holds"]) if state["holds"] in good else None
    if name in ("lblc", "lblcr"):
        kept = state["cached"] if name == "lblc" else state["best"]
        stays = state["serves"] if name == "lblc" else kept is not None and not state["too_much"]
        if stays:
            return str(kept)
        name = "wlc"
    if name == "ovf":
        good = [one for one in good if servers[one]["active"] <= servers[one]["weight"]]
    if name == "twos":
        return drawn(good, servers, state)
    return min(good, key=lambda one: LOADS[name](servers[one]), default=None)


@pytest.mark.parametrize("name", list(KERNEL))
@settings(max_examples=40, deadline=None)
@given(servers=SERVERS, times=st.integers(1, 4))
def test_the_look_gives_the_server_by_hand(name: str, servers: list[tuple[int, bool, int, int]], times: int) -> None:
    """From the loads, weights, cursor or bucket that a choice tells, one finds its server without the simulator."""
    lab = filled(name, servers)
    for _ in range(times):
        choice = lab.scheduler.explain(lab.flow())
        assert choice["picked"] == by_hand(name, choice)
        said = re.search(r"(?:takes|which|has) (10\.0\.0\.\d+:80)", choice["why"])
        assert choice["picked"] is None or (said is not None and f" {choice['picked']}" in choice["why"])
        lab.connect()


@pytest.mark.parametrize("name", list(KERNEL))
@settings(max_examples=30, deadline=None)
@given(servers=SERVERS, flags=st.sampled_from([0, 8]))
def test_what_keeps_a_server_from_its_turn_is_all_that_does(
    name: str, servers: list[tuple[int, bool, int, int]], flags: int
) -> None:
    """Where nobody is found, whoever is named takes the flow once that alone is mended which is said of it."""
    lab = filled(name, servers, flags)
    why = lab.scheduler.explain(lab.flow())["why"]
    if lab.scheduler.peek(lab.flow()) is not None:
        return
    for host, said in re.findall(
        r"10\.0\.0\.(\d+):80 (?:has: that )?((?:has weight|is overloaded|has \d+ active)[^:]*)", why
    ):
        again = filled(name, servers, flags)
        server = next(one for one in again.service.servers() if one.address[-1] == int(host))
        mine = said.split(", 10.")[0].split(", and")[0]
        if "has weight 0" in mine:
            again.edit(server, 1)
        if "is overloaded" in mine:
            again.mark(server, False)
        if " active, more" in mine:
            again.load(server)
        assert again.pick() == int(host)


def test_the_words_name_what_decides() -> None:
    """Each kind of scheduler names its own: figures, the cursor, the current weight, the bucket, the cache."""
    servers = [(1, False, 2, 1), (4, False, 0, 9), (0, False, 0, 0)]
    said = {name: filled(name, servers).scheduler.explain(Lab(name).flow())["why"] for name in KERNEL}
    zero = "10.0.0.4:80 has weight 0"
    assert "(256 * 0 active + 9 inactive) / weight 4; the next is 10.0.0.2:80: (256 * 2 active" in said["wlc"]
    assert "(0 active + 1) / weight 4" in said["sed"] and "no active connection" in said["nq"]
    assert "256 * 0 active + 9 inactive" in said["lc"] and "weight 4, 0 active" in said["ovf"]
    assert said["rr"] == f"rr takes 10.0.0.3:80: the first usable server in list order; {zero}"
    assert "at least the current weight 1" in said["wrr"] and zero in said["wrr"]
    assert all(words in said[name] for name, words in (("dh", "bucket"), ("sh", "bucket 50 of 256"), ("mh", "slot")))
    assert "no server for the destination 10.0.0.1 yet" in said["lblc"] and "no set" in said["lblcr"]


def test_a_scheduler_without_words_tells_its_rule() -> None:
    """Somebody's own scheduler says what is known of it, its rule and state, and no more."""

    class Own(Scheduler):
        NAME, RULE = "own", "the first"

        def pick(self, flow: Flow) -> Server | None:
            return next(self.service.servers(), None)

        def state(self, flow: Flow) -> dict[str, Any]:
            return {"mood": "good"}

    lab = filled("rr", [(1, False, 0, 0)])
    own = Own(lab.service)
    assert own.explain(lab.flow())["why"] == "own takes 10.0.0.2:80 by its rule (the first): mood good"
