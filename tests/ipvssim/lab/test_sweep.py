"""Sweeps: every combination once, on any executor, resumable; who kills a worker loses that worker's runs and no others."""

from __future__ import annotations

import csv
import json
import os
import signal
from concurrent import futures
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ipvssim.lab import ScenarioError, build, compare, sweep
from ipvssim.lab.run.store import write
from ipvssim.lab.run.sweeps import Point, carry_out, points, pool

CLIENTS = [{"kind": "uniform", "count": 9}, {"kind": "zipf", "count": 9, "exponent": 1}]
SWEPT: dict[str, Any] = {
    "table": {"servers": 3},
    "traffic": {"arrivals": {"kind": "poisson", "rate": 20}, "seconds": 3},
    "compare": ["rr", "sh"],
    "seeds": 2,
    "sweep": {"table.servers": [2, 4], "traffic.clients": CLIENTS},
}
RUNS = 2 * 2 * 2 * 2


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_combination_once(tmp_path: Path) -> None:
    """A sweep has a row for each combination of ranges, variants and seeds; processes and threads yield the same rows."""
    scenario = build(SWEPT)
    assert len({point.key for point in points(scenario)}) == len(points(scenario)) == RUNS
    told: list[tuple[float, int]] = []
    found = sweep(scenario, tmp_path / "one.csv", jobs=2, told=lambda done, every: told.append((done, every)))
    assert len(found) == RUNS
    assert told[0] == (0, RUNS)
    assert told[-1] == (RUNS, RUNS)
    with ThreadPoolExecutor(2) as threads:
        sweep(scenario, tmp_path / "two.csv", executor=threads)
        assert threads.submit(int).result() == 0  # it is still its owner's
    assert rows(tmp_path / "one.csv") == rows(tmp_path / "two.csv")
    assert {row["table.servers"] for row in rows(tmp_path / "one.csv")} == {"2", "4"}
    assert all(float(row["peak"]) >= 1 for row in rows(tmp_path / "one.csv"))


def test_a_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Runs that the journal has are not done again, a torn last line is; a journal of another scenario is refused."""
    out = tmp_path / "out.csv"
    sweep(build(SWEPT), out, jobs=1)
    whole = out.read_text()
    journal = tmp_path / "out.csv.journal"
    kept = journal.read_text().splitlines()[:6]
    journal.write_text("\n".join(kept) + '\n{"key": "torn')
    told: list[tuple[float, int]] = []
    sweep(build(SWEPT), out, jobs=1, told=lambda done, every: told.append((done, every)))
    assert told[0] == (5, RUNS)
    assert out.read_text() == whole
    with pytest.raises(ScenarioError, match="another scenario"):
        sweep(build({**SWEPT, "seeds": 3}), out)


def killing(point: Point) -> int:
    """Dies at its first visit of seed 3, and with it whoever is in the same pool."""
    mark = Path(point.raw["mark"])
    if point.seed == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return point.seed


def always_killing(point: Point) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return point.seed


def test_a_killed_worker_costs_its_runs_only(tmp_path: Path) -> None:
    """A worker process that is killed is replaced and its runs are done again; a run that always kills is named."""
    todo = [Point({"mark": str(tmp_path / "mark")}, {}, "rr", seed) for seed in range(8)]
    workers = pool(jobs=2)
    assert sorted(found for _, found in carry_out(todo, killing, workers)) == list(range(8))
    assert (tmp_path / "mark").exists()
    with pytest.raises(ScenarioError, match="killed its worker"):
        list(carry_out(todo[:1], always_killing, workers))
    workers.close()


def test_an_interrupted_comparison_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyboardInterrupt in the middle: what is finished is kept, what has begun is waited for, the rest is dropped."""
    real = futures.wait
    calls: list[int] = []

    def wait(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr("ipvssim.lab.run.sweeps.wait", wait)
    kept: list[Any] = []
    with ThreadPoolExecutor(1) as one, pytest.raises(KeyboardInterrupt):
        compare(build({**SWEPT, "seeds": 6}), executor=one, kept=kept)
    assert 2 <= len(kept) < 12
    assert all(run.complete for run in kept)


def test_rows_as_parquet(tmp_path: Path) -> None:
    """The same rows as Parquet, with types."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow: pip install 'ipvsnl[sweep]'")
    write([{"a": 1, "b": "x"}, {"a": 2, "c": 0.5}], tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": 0.5},
    ]  # fmt: skip


def test_executors_are_named() -> None:
    """What is no executor is refused; a broken one of the caller's own can't be replaced."""
    with pytest.raises(ScenarioError, match="is no executor"):
        pool("elsewhere")
    own: Executor = ThreadPoolExecutor(1)
    with own, pytest.raises(ScenarioError, match="only its owner"):
        pool(own).renew()


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_of_two_loses_one(tmp_path: Path) -> None:
    """On two Dask workers, one of them killed in the middle, a sweep's results are complete and those of one machine."""
    distributed = pytest.importorskip("distributed", reason="needs distributed: pip install 'ipvsnl[sweep]'")
    scenario = build(
        {**SWEPT, "traffic": {**SWEPT["traffic"], "seconds": 20}, "sweep": {"table.servers": [2, 4]}, "seeds": 6}
    )
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        killed: list[float] = []

        def told(done: float, every: int) -> None:
            if done >= every / 3 and not killed:
                killed.append(done)
                os.kill(victim, signal.SIGKILL)

        address = cluster.scheduler_address.removeprefix("tcp://")
        found = sweep(scenario, tmp_path / "dask.csv", executor=f"dask://{address}", told=told)
    assert killed
    assert len(found) == 24
    alone = sweep(scenario, tmp_path / "alone.csv", jobs=2)
    assert json.dumps(found, sort_keys=True) == json.dumps(alone, sort_keys=True)
