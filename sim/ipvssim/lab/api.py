"""The laboratory from Python: compare, sweep, report. The command does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from ipvsnl import _files as files
from ipvssim.lab.run import parts
from ipvssim.lab.run.outcome import Outcome, Told
from ipvssim.lab.run.store import Journal, check, check_folder, write
from ipvssim.lab.run.sweeps import carry_out, outcome, points, pool, row
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.scenario.reader import ScenarioError, shown


def compare(
    scenario: Scenario, *, executor: Executor | str | None = None, jobs: int = 0, told: Told | None = None,
    kept: list[Outcome] | None = None,
) -> list[Outcome]:  # fmt: skip
    """Every variant with every seed. With one job they run in this process; one that is the only one is spread over
    ``jobs`` processes where it can be (:mod:`ipvssim.lab.run.parts`), for the same figures. A KeyboardInterrupt goes on to
    the caller; what was finished by then, whole or in part, is in ``kept``."""
    todo = points(scenario, swept=False)
    found = kept if kept is not None else []
    if executor is None and (jobs == 1 or len(todo) == 1):
        for number, point in enumerate(todo):
            progress = _progress(told, number, len(todo))
            found.append(parts.simulate(scenario, point.variant, point.seed, progress, jobs=jobs))
            if not found[-1].complete:
                raise KeyboardInterrupt
        return found
    order = {point.key: number for number, point in enumerate(todo)}
    come: dict[int, Outcome] = {}
    workers = pool(executor, jobs)
    try:
        for point, one in carry_out(todo, outcome, workers):
            come[order[point.key]] = one
            if told is not None:
                told(len(come), len(todo))
    finally:
        workers.close()
        found += [come[number] for number in sorted(come)]
    return found


def _progress(told: Told | None, number: int, total: int) -> Callable[[int, int], object] | None:
    if told is None:
        return None
    return lambda done, packets: told(number + done / max(packets, 1), total)


def sweep(
    scenario: Scenario,
    out: str | Path,
    *,
    executor: Executor | str | None = None,
    jobs: int = 0,
    told: Told | None = None,
) -> list[dict[str, Any]]:
    """Every combination of the scenario's ranges, variants and seeds, to a CSV or Parquet file.

    Runs that the file's journal has already are not done again. However it ends, what was finished is in the
    file; where nothing was, none is made.
    """
    path = Path(out)
    check(path)
    journal = Journal(path, scenario.raw)
    every = points(scenario)
    todo = [point for point in every if point.key not in journal.rows]
    if told is not None:
        told(len(every) - len(todo), len(every))
    workers = pool(executor, jobs)
    try:
        for point, found in carry_out(todo, row, workers):
            if found["complete"]:
                journal.add(point.key, found)
            if told is not None:
                told(len(journal.rows), len(every))
    finally:
        workers.close()
        rows = [journal.rows[point.key] for point in every if point.key in journal.rows]
        if rows:
            write(rows, path)
    return rows


FORMATS = ("html", "png", "svg", "pdf")


def report(
    scenario: Scenario, outcomes: Sequence[Outcome], folder: str | Path, formats: Sequence[str] = ("html", "png", "svg")
) -> list[Path]:
    """Reports in a folder, named after the scenario: HTML, and pictures for papers. Each file is written whole."""
    from ipvssim.lab.show.figures import summaries
    from ipvssim.lab.show.html import page

    place = Path(folder)
    check_report(scenario, place, formats)
    found = summaries(outcomes)
    written = []
    if "html" in formats:
        written.append(place / f"{scenario.name}.html")
        files.replace(written[-1], page(scenario, found).encode("utf-8"))
    pictures = [one for one in formats if one != "html"]
    if pictures:
        from ipvssim.lab.show.pictures import draw

        written += draw(scenario, found, place, pictures)
    return written


def check_report(scenario: Scenario, folder: Path, formats: Sequence[str]) -> None:
    """Say before the runs what would keep :func:`report` from writing: ScenarioError for formats, OSError for files."""
    for one in formats:
        if one not in FORMATS:
            raise ScenarioError(f"--formats: {shown(one)} is none of {', '.join(FORMATS)}")
    names = [f"{scenario.name}{suffix}.{kind}" for kind in formats for suffix in ("", "-clients")]
    check_folder(folder, [folder / name for name in names])
    if set(formats) - {"html"}:
        from ipvssim.lab.show.pictures import maker

        maker()
