"""A long run of mutated inputs over every reader, without instrumentation: thousands of inputs a second.

    python -m tests.fuzz.campaign --inputs 10000000 --seed 1 [--least 20000] [--found FOLDER] [READER ...]

The readers take turns of half a second, so quick ones get many inputs and slow ones few; at the end, a reader that had
fewer than ``--least`` goes on. An input that is refused at another place of the code than all before is interesting: it is
kept in FOLDER (for ``python -m tests.fuzz.corpus add reader-NAME FOLDER/reader-NAME``), and mutated from then on. An input
that breaks the law is kept in FOLDER/fault-NAME, and its traceback shown: once for each place. Status 1 if there was one.
SIGTERM and Ctrl-C end it early, with the report of what was done.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from time import process_time
from types import FrameType
from typing import NoReturn

from tests.fuzz import corpus
from tests.fuzz.law import SECONDS, Reader, law, quiet
from tests.fuzz.mutation import mutations
from tests.fuzz.readers import READERS

TURN = 0.5
"""Seconds of processor time that a reader has at a time."""
LARGEST = 4000
"""Bytes of an input; what is longer is cut."""
MOST = 100
"""Inputs that are kept as interesting, for each reader."""
Place = tuple[tuple[str, int], ...]
"""The functions and lines on the way to where an exception was raised."""


class Hang(BaseException):
    """An input takes much longer than the law allows."""


def _hanging(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Hang


def _place(fault: BaseException | None) -> Place:
    trace = fault.__traceback__ if fault is not None else None
    return tuple((frame.f_code.co_name, line) for frame, line in traceback.walk_tb(trace))


class Share:
    """One reader's part of the campaign."""

    def __init__(self, reader: Reader, seed: int, folder: Path) -> None:
        self.reader = reader
        self.folder = folder
        self.inputs = 0
        self.kept = 0
        self.faults: set[Place] = set()
        self._refused: set[Place] = set()
        names = f"reader-{reader.name}/"
        self._seeds = [*reader.seeds(), *(data for name, data in corpus.inputs().items() if name.startswith(names))]
        self._mutated = mutations(self._seeds, sys.maxsize, seed)

    def begin(self) -> None:
        """Read the seeds, so that what they are refused for is known."""
        for data in self._seeds:
            signal.setitimer(signal.ITIMER_VIRTUAL, 4 * SECONDS)
            self._try(data)

    def turn(self, most: int) -> None:
        """Inputs for half a second, and no more than so many."""
        until = process_time() + TURN
        signal.setitimer(signal.ITIMER_VIRTUAL, TURN + 4 * SECONDS)
        for data in islice(self._mutated, most):
            if self._try(data := data[:LARGEST]) and self.kept < MOST:
                self.kept += 1
                self._seeds.append(data)
                self._write(f"reader-{self.reader.name}", data)
            self.inputs += 1
            if process_time() > until:
                break

    def _try(self, data: bytes) -> bool:
        """Read one input; whether it is refused at a new place."""
        try:
            refused = law(self.reader, data)
        except (Exception, Hang) as fault:
            self._fault(data, fault)
            return False
        place = _place(refused)
        new = place not in self._refused
        self._refused.add(place)
        return new

    def _fault(self, data: bytes, fault: BaseException) -> None:
        place = _place(fault)
        if place not in self.faults:
            self.faults.add(place)
            kept = self._write(f"fault-{self.reader.name}", data)
            print(f"{kept}:\n{''.join(traceback.format_exception(fault))}", file=sys.stderr, flush=True)

    def _write(self, kind: str, data: bytes) -> Path:
        path = self.folder / kind / hashlib.sha1(data).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def run(readers: Iterable[Reader], inputs: int, least: int, seed: int, folder: Path) -> list[Share]:
    """So many inputs in all, and at least so many for each reader; fewer, if it is interrupted."""
    shares = [Share(reader, seed, folder) for reader in readers]
    before = signal.signal(signal.SIGVTALRM, _hanging)
    try:
        for share in shares:
            share.begin()
        while (missing := inputs - sum(share.inputs for share in shares)) > 0:
            for share in shares:
                share.turn(max(missing, 1))
        for share in shares:
            while share.inputs < least:
                share.turn(least - share.inputs)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return shares


def report(shares: Iterable[Share]) -> str:
    """One line a reader."""
    return "".join(
        f"{share.reader.name:12}{share.inputs:12,} inputs {share.kept:5} kept {len(share.faults):3} faults\n"
        for share in shares
    )


def main(arguments: Sequence[str]) -> int:
    """Run the program; the exit status."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.campaign", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--least", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=Path("build/fuzz"))
    parser.add_argument("readers", nargs="*", metavar="READER", help="all of them, if none is named")
    chosen = parser.parse_args(arguments)
    quiet()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    readers = [reader for reader in READERS if reader.name in chosen.readers or not chosen.readers]
    shares = run(readers, chosen.inputs, chosen.least, chosen.seed, chosen.found)
    print(report(shares), end="")
    return 1 if any(share.faults for share in shares) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
