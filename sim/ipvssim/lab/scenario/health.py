"""What keeps a table healthy, as a scenario writes it: checks of servers, and how a server that comes gets its weight."""

from __future__ import annotations

from dataclasses import dataclass

from ipvssim.lab.scenario.reader import Reader, ScenarioError, shown
from ipvssim.lab.scenario.rules import MOST_WEIGHT

ACTIONS = ("remove", "weight 0")
MOST_CHECKS = 1000
"""In a row, and steps of a slow start."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Every server is checked every ``interval`` seconds from the beginning on. After ``fall`` checks in a row that nothing
    answered within ``timeout`` seconds it is taken out, by ``action``; after ``rise`` answered ones it comes back."""

    interval: float
    timeout: float
    fall: int
    rise: int
    action: str


@dataclass(frozen=True, slots=True)
class SlowStart:
    """A server that comes begins with a weight of ``first``, and grows to its own in so many steps, one every so many
    seconds."""

    first: int
    steps: int
    every: float

    def weights(self, whole: int) -> list[int]:
        """The weights of the steps, for a server whose own is ``whole``; none where it does not begin below that."""
        if whole <= self.first:
            return []
        return [self.first + (whole - self.first) * step // self.steps for step in range(1, self.steps + 1)]


def read_checks(top: Reader) -> Checks | None:
    """The table ``[checks]``."""
    if not top.has("checks"):
        return None
    with Reader(top.need("checks", dict), top.name("checks")).whole() as reader:
        interval = reader.positive("interval")
        found = Checks(
            interval=interval,
            timeout=reader.positive("timeout") if reader.has("timeout") else min(1.0, interval),
            fall=reader.whole_number("fall", 3, 1, MOST_CHECKS),
            rise=reader.whole_number("rise", 2, 1, MOST_CHECKS),
            action=reader.choice("action", ACTIONS, "remove"),
        )
    if found.timeout > found.interval:
        raise ScenarioError(
            f"{reader.name('timeout')}: {shown(found.timeout)} is not above 0 and at most the interval, {interval:g}"
        )
    return found


def read_slow_start(top: Reader) -> SlowStart | None:
    """The table ``[slow_start]``."""
    if not top.has("slow_start"):
        return None
    with Reader(top.need("slow_start", dict), top.name("slow_start")).whole() as reader:
        return SlowStart(
            first=reader.whole_number("from", 1, 1, MOST_WEIGHT),
            steps=reader.whole_number("steps", None, 1, MOST_CHECKS),
            every=reader.positive("every"),
        )
