"""``ipvssim lab``: run and compare, sweep, list the gallery, write traces for real kernels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipvssim.lab.run.outcome import Outcome
    from ipvssim.lab.scenario.definition import Scenario

INTERRUPTED = 130
_EPILOG = """SCENARIO is a TOML file, or the name of one of the gallery's scenarios (ipvssim lab gallery).
docs/use/scheduler-laboratory.md describes scenarios and figures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where something can't be done (with the reason), 130 where it was interrupted."""
    chosen = parser().parse_args(arguments)
    try:
        import numpy as _  # noqa: F401
    except ImportError:
        print("ipvssim lab: the laboratory needs numpy: pip install 'ipvsnl[lab]'", file=sys.stderr)
        return 1
    from ipvssim.lab.scenario.reader import ScenarioError

    command: Callable[[argparse.Namespace], int] = chosen.command
    try:
        return command(chosen)
    except (ScenarioError, OSError) as wrong:
        print(f"ipvssim lab: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ipvssim lab: interrupted", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = argparse.ArgumentParser(prog="ipvssim lab", description="What schedulers do with traffic.", epilog=_EPILOG)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="compare schedulers under a scenario", epilog=_EPILOG)
    run.add_argument("--out", metavar="DIR", type=Path, help="write a report there: HTML, PNG and SVG")
    run.add_argument(
        "--formats", default="html,png,svg", metavar="LIST", help="what the report is of (html,png,svg,pdf)"
    )
    run.set_defaults(command=_run)
    sweep = commands.add_parser("sweep", help="run a scenario over its ranges", epilog=_EPILOG)
    sweep.add_argument("--out", metavar="FILE", type=Path, required=True, help="results: FILE.csv or FILE.parquet")
    sweep.set_defaults(command=_sweep)
    trace = commands.add_parser("trace", help="write a scenario's packets as traces", epilog=_EPILOG)
    trace.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the traces go")
    trace.set_defaults(command=_trace)
    for one in (run, sweep, trace):
        one.add_argument("scenario", metavar="SCENARIO")
        one.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="traffic.arrivals.rate=100")
        one.add_argument("--small", action="store_true", help="at the size at which it is put to a real kernel")
        one.add_argument("--seeds", type=int, metavar="N", help="as many seeds, whatever the scenario says")
    for one in (run, sweep):
        one.add_argument("--jobs", type=int, default=0, metavar="N", help="processes (default: all cores; 1: none)")
        one.add_argument("--executor", metavar="WHERE", help="processes, or dask://ADDRESS of a scheduler")
        one.add_argument("--quiet", action="store_true", help="no progress")
    gallery = commands.add_parser("gallery", help="list the scenarios that come with the package")
    gallery.set_defaults(command=_gallery)
    return parser


def _scenario(chosen: argparse.Namespace) -> Scenario:
    from ipvssim.lab.scenario.definition import load
    from ipvssim.lab.scenario.reader import ScenarioError

    scenario = load(chosen.scenario)
    if chosen.small:
        scenario = scenario.small
    changes: dict[str, Any] = {}
    for text in chosen.set:
        path, found, value = text.partition("=")
        if not found:
            raise ScenarioError(f"--set {text}: PATH=VALUE is wanted")
        changes[path] = _value(value)
    if chosen.seeds is not None:
        changes["seeds"] = chosen.seeds
    return scenario.changed(changes) if changes else scenario


def _value(text: str) -> Any:
    """A value as TOML has it; what is none is a text."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _run(chosen: argparse.Namespace) -> int:
    from rich.console import Console

    from ipvssim.lab import api
    from ipvssim.lab.show import terminal
    from ipvssim.lab.show.figures import summaries

    scenario = _scenario(chosen)
    shown, said = Console(), Console(stderr=True, quiet=chosen.quiet)
    outcomes: list[Outcome] = []
    status = 0
    try:
        with terminal.progress(said, scenario.title or scenario.name) as told:
            api.compare(scenario, executor=chosen.executor, jobs=chosen.jobs, told=told, kept=outcomes)
    except KeyboardInterrupt:
        status = INTERRUPTED
    if not outcomes:
        return status or 1
    found = summaries(outcomes)
    terminal.show(shown, scenario, found)
    if chosen.out is not None:
        for path in api.report(scenario, outcomes, chosen.out, chosen.formats.split(",")):
            shown.print(str(path), highlight=False, soft_wrap=True)
    return status


def _sweep(chosen: argparse.Namespace) -> int:
    from rich.console import Console

    from ipvssim.lab import api
    from ipvssim.lab.show import terminal

    scenario = _scenario(chosen)
    with terminal.progress(Console(stderr=True, quiet=chosen.quiet), scenario.title or scenario.name) as told:
        rows = api.sweep(scenario, chosen.out, executor=chosen.executor, jobs=chosen.jobs, told=told)
    print(f"{len(rows)} runs in {chosen.out}")
    return 0


def _trace(chosen: argparse.Namespace) -> int:
    from ipvssim.lab.run.traces import write

    for path in write(_scenario(chosen), chosen.out):
        print(path)
    return 0


def _gallery(_: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from ipvssim.lab.scenario.definition import gallery, load

    table = Table("scenario", "question", box=None)
    for name in gallery():
        table.add_row(name, load(name).question)
    Console().print(table)
    return 0
