"""Many runs: every combination of a scenario's ranges, variants and seeds, on whatever executor there is.

A run depends on nothing but its :class:`Point`, so any worker anywhere may do it, and do it again: a worker that dies costs
the runs that it was at, which are handed out anew.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from threading import Thread
from typing import Any, Protocol, TypeVar

from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.scenario.definition import Scenario, build
from ipvssim.lab.scenario.reader import ScenarioError

TRIES = 3
"""How often a run is handed out before its worker's death counts as its own fault."""
DASK = "dask://"
START = "fork" if sys.platform == "linux" else "spawn"
"""How a worker begins: quickly where that is safe. macOS's own libraries do not survive a fork, and Windows has none."""
_Result = TypeVar("_Result")


class Job(Protocol):
    """What is handed out."""

    @property
    def key(self) -> str:
        """What tells it from others."""


_Job = TypeVar("_Job", bound=Job)


@dataclass(frozen=True, slots=True)
class Point:
    """One run: a scenario with values put in, a variant, a seed."""

    raw: Mapping[str, Any] = field(repr=False)
    setting: Mapping[str, Any]
    variant: str
    seed: int

    @property
    def key(self) -> str:
        """What tells it from the other runs of its sweep."""
        return json.dumps([self.setting, self.variant, self.seed], sort_keys=True)


def points(scenario: Scenario, *, swept: bool = True) -> list[Point]:
    """The runs of a scenario; without ``swept`` those of its variants and seeds alone."""
    ranges = dict(scenario.sweep) if swept else {}
    found = []
    for values in product(*ranges.values()):
        setting = dict(zip(ranges, values, strict=True))
        chosen = scenario.changed(setting) if setting else scenario
        found += [
            Point(chosen.raw, setting, variant, seed)
            for variant in chosen.variants
            for seed in range(1, chosen.seeds + 1)
        ]  # fmt: skip
    return found


def outcome(point: Point) -> Outcome:
    """Do one run."""
    from ipvssim.lab.run.engine import simulate

    with WORKER.working():
        return simulate(build(point.raw), point.variant, point.seed, WORKER.check)


def row(point: Point) -> dict[str, Any]:
    """Do one run for a sweep: its place in it, counts and figures; ``complete`` where it came to its end."""
    found = outcome(point)
    figures = {name: value for name, value in found.figures.items() if value == value}
    return {
        **point.setting, "variant": point.variant, "seed": point.seed, "complete": found.complete, **found.counts, **figures,
    }  # fmt: skip


class _Worker:
    """What an interruption does in a worker process: it breaks off the run that is under way, once, and no other is begun. A
    worker that waits for one says nothing."""

    def __init__(self) -> None:
        self._at_work = self._stopped = False

    def begin(self) -> None:
        """In a new process, in which interruptions are still held back."""
        Thread(target=_end_with_parent, daemon=True).start()  # held back there for good: they are the main thread's
        signal.signal(signal.SIGINT, self._interrupted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def _interrupted(self, *_: object) -> None:
        first, self._stopped = not self._stopped, True
        if self._at_work and first:
            raise KeyboardInterrupt

    def check(self, *_: object) -> None:
        """Asked now and then: an interruption may have come to nothing, where a callback of C's was under way."""
        if self._stopped:
            raise KeyboardInterrupt

    @contextmanager
    def working(self) -> Iterator[None]:
        """While a run is under way."""
        self._at_work = True
        try:
            self.check()
            yield
        finally:
            self._at_work = False


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever: each holds the other end of the pipe that runs come by."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


WORKER = _Worker()
"""What this process is, where it is a worker."""


@contextmanager
def _held_back() -> Iterator[None]:
    """An interruption waits until an executor has begun its processes, and these until they know what to do with theirs. (A
    mask is not enough for this process: the system gives the signal to another thread then, and Python to this one.)"""
    came: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    except ValueError:  # in another thread than the main one, to which alone interruptions come
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


# --- executors ---


Made = tuple[Executor, Callable[[], object]]
"""An executor, and how to let go of it."""


class Pool:
    """An executor that is replaced where it breaks. ``make`` makes one; what is not ``owned`` stays the caller's."""

    def __init__(self, make: Callable[[], Made], *, owned: bool = True) -> None:
        self._make = make
        self._owned = owned
        self.executor, self._shut = make()

    def renew(self) -> None:
        """Take a new executor in the place of a broken one."""
        if not self._owned:
            raise ScenarioError("the executor broke, and only its owner can make another")
        self._shut()
        self.executor, self._shut = self._make()

    def close(self) -> None:
        """Let go of it, unless it is the caller's own."""
        if self._owned:
            self._shut()


def pool(executor: Executor | str | None = None, jobs: int = 0) -> Pool:
    """All cores of this machine (or ``jobs`` processes), ``dask://ADDRESS``, or an executor of the caller's own."""
    if isinstance(executor, str) and executor.startswith(DASK):
        return Pool(lambda: _dask(executor.removeprefix(DASK)))
    if isinstance(executor, str) and executor not in ("", "processes"):
        raise ScenarioError(f"{executor!r} is no executor: processes, or dask://ADDRESS")
    if executor is None or isinstance(executor, str):
        return Pool(lambda: _processes(jobs or os.cpu_count() or 1))
    return Pool(lambda: (executor, _nothing), owned=False)


def _nothing() -> None:
    pass


def _processes(jobs: int) -> Made:
    made = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context(START), initializer=WORKER.begin)

    def shut() -> None:
        """Wait for the pool's thread, unless an error is on its way: then runs may be under way, which nobody waits for
        (those that are interrupted break off). A thread that ends while the interpreter does makes CPython 3.11 write a
        traceback on standard error."""
        interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
        if interrupted:
            _interrupt_workers()
        made.shutdown(wait=interrupted or sys.exc_info()[0] is None, cancel_futures=True)

    return made, shut


def _interrupt_workers() -> None:
    """Tell this process's workers, whoever was interrupted: a terminal interrupts all of them, `kill` one."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGINT)


def _dask(address: str) -> Made:
    try:
        from distributed import Client
    except ImportError:
        raise ScenarioError("dask:// needs the package distributed: pip install 'ipvsnl[sweep]'") from None
    try:
        client = Client(address if "://" in address else f"tcp://{address}", set_as_default=False)
    except OSError as wrong:
        raise ScenarioError(f"dask://{address}: {wrong}") from wrong
    return client.get_executor(pure=False), client.close


def carry_out(
    todo: Sequence[_Job], work: Callable[[_Job], _Result], workers: Pool
) -> Iterator[tuple[_Job, _Result]]:  # fmt: skip
    """Hand runs out, or parts of one, and give back what comes as it comes. A KeyboardInterrupt cancels what has not begun,
    waits for what has (which breaks off by itself and says so), and goes on to the caller after that."""
    tries: dict[str, int] = {}
    interrupted = False
    running = _submitted(todo, work, workers)
    while running:
        try:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                point = running.pop(future)
                try:
                    found = future.result()
                except (BrokenExecutor, CancelledError):
                    if interrupted:
                        continue
                    lost = [point, *running.values()]
                    running = _again(lost, work, workers, tries)
                    break
                except Exception as died:
                    if type(died).__name__ != "KilledWorker":
                        raise
                    _count(point, tries)
                    running |= _submitted([point], work, workers)
                else:
                    yield point, found
        except KeyboardInterrupt:
            interrupted = True
            _interrupt_workers()
            running = {future: point for future, point in running.items() if not future.cancel()}
    if interrupted:
        raise KeyboardInterrupt


def _again(
    lost: list[_Job], work: Callable[[_Job], _Result], workers: Pool, tries: dict[str, int]
) -> dict[Future[_Result], _Job]:
    workers.renew()
    for point in lost[:1]:
        _count(point, tries)
    return _submitted(lost, work, workers)


def _submitted(todo: Sequence[_Job], work: Callable[[_Job], _Result], workers: Pool) -> dict[Future[_Result], _Job]:
    with _held_back():
        return {workers.executor.submit(work, point): point for point in todo}


def _count(point: Job, tries: dict[str, int]) -> None:
    tries[point.key] = tries.get(point.key, 0) + 1
    if tries[point.key] >= TRIES:
        raise ScenarioError(f"the run {point.key} killed its worker {TRIES} times")
