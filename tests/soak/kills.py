"""Kills at random moments over every command that writes: ``make soak``.

    python -m tests.soak.kills [--kills N] [--seed N] [--only PATTERN]

Each command runs in a process of its own, and is ended by SIGKILL, SIGTERM, SIGINT, or two or three of these in a row; two
thirds of the moments lie between its first write and its end. Then: whatever was acknowledged is there, nothing is half
there, what it said is so, nothing that it began lives on; and the next run takes the lock at once, ends as it should, and
leaves no file of the dead one.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tests.soak import served
from tests.soak.cases import CASES, Case, State, World, full_table
from tests.soak.processes import Ended, Length, aimed, finish, length, start

SIGNALS = [
    ([signal.SIGKILL], 6), ([signal.SIGTERM], 2), ([signal.SIGINT], 2), ([signal.SIGINT, signal.SIGINT], 2),
    ([signal.SIGTERM, signal.SIGTERM], 1), ([signal.SIGINT, signal.SIGTERM, signal.SIGINT], 1),
    ([signal.SIGINT, signal.SIGKILL], 1), ([signal.SIGTERM, signal.SIGKILL], 1),
]  # fmt: skip
"""What a command gets, and how often of 16 times."""


class Broken(AssertionError):  # noqa: N818 (a law is)
    """A law is broken: which command, which signals at which moment, what is wrong."""


class Campaign:
    """Kills of one command."""

    def __init__(self, case: Case, world: World) -> None:
        self.case, self.world = case, world
        self.table = full_table()
        self.found: Counter[str] = Counter()
        self.main = case.main(world)
        case.prepare(world, self.table)
        self.before = case.state(world)
        self.length = self._measured()
        self.after = case.state(world)

    def _measured(self) -> Length:
        """Of a run after another that warmed up what processes share."""
        self._again()
        self.case.prepare(self.world, self.table)
        measured = length(self.main, self.world.folder, self.case.stdin)
        self.case.prepare(self.world, self.table)
        self._again()
        return measured

    def kill(self, chance: random.Random) -> None:
        """One run that is ended, and the next one. Broken where a law is."""
        case, world = self.case, self.world
        case.prepare(world, self.table)
        (numbers,) = chance.choices([numbers for numbers, _ in SIGNALS], [often for _, often in SIGNALS])
        late = chance.random() < 0.25  # a part is shot at from outside, whatever it is doing
        shots = [] if late else aimed(chance, self.length, numbers)
        process = start(self.main, world.folder, case.stdin, shots, counted=not late)
        for number in numbers if late else ():
            time.sleep(chance.random() * self.length.seconds * 1.2)
            os.kill(process, number)  # at worst it is waited for
        ended = finish(process, world.folder)
        self.found[_how(ended)] += 1
        found = case.state(world)
        self.found["after" if found == self.after else "before" if found == self.before else "part"] += 1
        wrong = case.truth(ended, found, self.before, self.after) or self._next(found)
        if wrong:
            raise Broken(f"{case.name}: {wrong}; {shots or numbers}, {ended}")

    def _next(self, found: State) -> str:
        """What is wrong with the run after it."""
        began = time.perf_counter()
        if found not in (self.before, self.after) and not self.case.again:
            self.world.ipvsnl("-C")
            done = found != self.after
        else:
            done = self.case.again or found == self.before
        status = self._again()
        if status != (0 if done else 255):
            return f"the next run ends with {status}"
        if time.perf_counter() - began > 9 and self.case.ours:
            return "the next run waited for a lock"
        if (now := self.case.state(self.world)) != self.after:
            return f"the next run does not complete it: {sorted(set(now) ^ set(self.after))}"
        return f"{self.world.left()} stay" if self.world.left() else ""

    def _again(self) -> int:
        if self.case.ours:
            return self.world.ipvsnl(*self.case.words(self.world), stdin=self.case.stdin)[0]
        return finish(start(self.main, self.world.folder, counted=False), self.world.folder).code


def _how(ended: Ended) -> str:
    return signal.Signals(-ended.code).name if ended.killed else f"status {ended.code}"


def warm() -> None:
    """Import what commands import late: a forked process has it then."""
    for module in ("doors.capture", "doors.pcap", "doors.serve", "doors.captures.progress", "lab.api", "lab.show.html",
                   "lab.show.terminal", "lab.run.traces", "lab.command", "path.explain"):  # fmt: skip
        import_module(f"ipvssim.{module}")


def run(kills: int, seed: int, only: str = "", *, told: bool = True) -> list[str]:
    """A campaign; what was wrong."""
    warm()
    wrong = []
    cases = [case for case in [*CASES, served.SERVE] if re.search(only, case.name)]
    whole = sum(case.share for case in cases)
    for case in cases:
        count = max(round(kills * case.share / whole), 1)
        with tempfile.TemporaryDirectory() as folder:
            campaign = (served.Campaign if case is served.SERVE else Campaign)(case, World(Path(folder)))
            began = time.perf_counter()
            for number in range(count):
                try:
                    campaign.kill(random.Random(f"{seed} {case.name} {number}"))
                except AssertionError as broken:
                    wrong.append(f"seed {seed}, number {number}: {broken}")
                    print(wrong[-1], file=sys.stderr, flush=True)
        if told:
            shown = ", ".join(f"{count} {what}" for what, count in sorted(campaign.found.items()))
            print(f"| {case.name} | {count} | {shown} | {time.perf_counter() - began:.0f} s |", flush=True)
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 where a law is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="PATTERN", help="of a command's name")
    chosen = parser.parse_args(arguments)
    wrong = run(chosen.kills, chosen.seed, chosen.only)
    print(f"{len(wrong)} of {chosen.kills} kills broke a law (seed {chosen.seed})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
