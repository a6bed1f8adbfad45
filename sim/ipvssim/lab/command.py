"""``ipvssim lab``: run and compare, sweep, list the gallery, write traces for real kernels."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ipvssim.doors import kernel_options
from ipvssim.lab.scenario.reader import ScenarioError

if TYPE_CHECKING:
    from ipvssim.lab.run.outcome import Outcome
    from ipvssim.lab.scenario.definition import Scenario

INTERRUPTED = 130
WRONG = 2
"""The exit status of a command line or a scenario that means nothing."""
_MOST_JOBS, _MOST_SEEDS = 1024, 1_000_000
_EPILOG = """SCENARIO is a TOML file, or the name of one of the gallery's scenarios (ipvssim lab gallery).
docs/use/scheduler-laboratory.md describes scenarios and figures."""


class _Parser(argparse.ArgumentParser):
    """What is wrong is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"{self.prog}: {_one_line(message)} ({self.prog} --help tells more)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where something can't be done, 2 for a scenario or an option that is wrong (a line says
    why), 130 where it was interrupted."""
    with _leaving():
        chosen = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.command
    try:
        return command(chosen)
    except ScenarioError as wrong:
        place = f"{chosen.scenario}: " if not str(wrong).startswith((f"{chosen.scenario}:", "--")) else ""
        return _fail(f"{place}{wrong}", WRONG)
    except OSError as wrong:
        return _fail(f"{wrong.filename}: {wrong.strerror}" if wrong.filename and wrong.strerror else str(wrong), 1)
    except MemoryError:
        return _fail("there is not memory enough for it", 1)
    except _MissingError as missing:
        return _fail(f"the laboratory needs {missing}: pip install 'ipvsnl[lab]'", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


class _MissingError(Exception):
    """A package that is not installed, by its name."""


def _fail(words: str, status: int) -> int:
    print(f"ipvssim lab: {_one_line(words)}", file=sys.stderr)
    return status


def _one_line(words: str) -> str:
    return " ".join(words.split())


@contextmanager
def _leaving() -> Iterator[None]:
    """While modules are imported an interruption ends the process at once: half-imported packages say anything else then."""

    def leave(*_: object) -> NoReturn:
        os.write(2, b"ipvssim lab: interrupted\n")
        os._exit(INTERRUPTED)

    try:
        before = signal.signal(signal.SIGINT, leave) if _is_ours() else None
    except ValueError:  # not in the main thread, to which alone interruptions come
        before = None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _is_ours() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _import(*rooms: str) -> list[Any]:
    """Modules of the laboratory that need numpy or another package of the extra."""
    with _leaving():
        try:
            import_module("numpy")  # the first that is missed, so it is the one that is named
            return [import_module(f"ipvssim.lab.{room}") for room in rooms]
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith(("ipvssim", "ipvsnl")):
                raise
            package, _, _ = (missing.name or "").partition(".")  # a module of it may be the one that is named
            raise _MissingError(package) from None


def _count(most: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to {most:,}")
        return int(text)

    return count


def parser() -> argparse.ArgumentParser:
    """What reads the arguments."""
    parser = _Parser(prog="ipvssim lab", description="What schedulers do with traffic.", epilog=_EPILOG)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="compare schedulers under a scenario", epilog=_EPILOG)
    run.add_argument("--out", metavar="DIR", type=Path, help="write a report there: HTML, PNG and SVG")
    run.add_argument(
        "--formats", default="html,png,svg", metavar="LIST", help="what the report is of (html,png,svg,pdf)"
    )
    run.add_argument("--kernels", metavar="LIST", help="compare on these kernels: 5.15,6.12, or what uname -r says")
    run.set_defaults(command=_run, kernels=None)
    sweep = commands.add_parser("sweep", help="run a scenario over its ranges", epilog=_EPILOG)
    sweep.add_argument("--out", metavar="FILE", type=Path, required=True, help="results: FILE.csv or FILE.parquet")
    sweep.set_defaults(command=_sweep)
    trace = commands.add_parser("trace", help="write a scenario's packets as traces", epilog=_EPILOG)
    trace.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the traces go")
    trace.set_defaults(command=_trace)
    seeds, jobs = _count(_MOST_SEEDS), _count(_MOST_JOBS)
    for one in (run, sweep, trace):
        one.add_argument("scenario", metavar="SCENARIO")
        one.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="traffic.arrivals.rate=100")
        one.add_argument("--small", action="store_true", help="at the size at which it is put to a real kernel")
        one.add_argument("--seeds", type=seeds, metavar="N", help="as many seeds, whatever the scenario says")
    for one in (run, sweep):
        one.add_argument("--jobs", type=jobs, default=0, metavar="N", help="processes (default: all cores; 1: none)")
        one.add_argument("--executor", metavar="WHERE", help="processes, or dask://ADDRESS of a scheduler")
        one.add_argument("--quiet", action="store_true", help="no progress")
    gallery = commands.add_parser("gallery", help="list the scenarios that come with the package")
    gallery.set_defaults(command=_gallery, scenario="gallery")
    return parser


def _scenario(chosen: argparse.Namespace) -> Scenario:
    with _leaving():
        from ipvssim.lab.scenario.definition import load
    scenario = load(chosen.scenario)
    if chosen.small:
        scenario = scenario.small
    changes: dict[str, Any] = {}
    for text in chosen.set:
        path, found, value = text.partition("=")
        if not found:
            raise ScenarioError(f"--set {text}: PATH=VALUE is wanted")
        changes[path] = _value(value)
    if getattr(chosen, "kernels", None) is not None:
        changes["kernels"] = [one.strip() for one in chosen.kernels.split(",") if one.strip()]
    if chosen.seeds is not None:
        changes["seeds"] = chosen.seeds
    return scenario.changed(changes) if changes else scenario


def _value(text: str) -> Any:
    """A value as TOML has it; what is none is a text."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _run(chosen: argparse.Namespace) -> int:
    scenario = _scenario(chosen)
    formats = [one.strip() for one in chosen.formats.split(",")]
    api, terminal, figures = _import("api", "show.terminal", "show.figures")
    from rich.console import Console

    if chosen.out is not None:
        with _leaving():
            api.check_report(scenario, chosen.out, formats)
    shown, said = Console(), Console(stderr=True, quiet=chosen.quiet)
    for kernel in scenario.kernels:
        kernel_options.release(kernel)  # says what had to be guessed
    outcomes: list[Outcome] = []
    status = 0
    try:
        with terminal.progress(said, scenario.title or scenario.name) as told:
            api.compare(scenario, executor=chosen.executor, jobs=chosen.jobs, told=told, kept=outcomes)
    except KeyboardInterrupt:
        status = _fail("interrupted", INTERRUPTED)
        outcomes = [one for one in outcomes if one.complete or one.counts["opened"] > len(one.servers)]
    if not outcomes:
        return status or 1
    terminal.show(shown, scenario, figures.summaries(outcomes))
    if chosen.out is not None:
        for path in api.report(scenario, outcomes, chosen.out, formats):
            shown.print(str(path), highlight=False, soft_wrap=True, markup=False)
    return status


def _sweep(chosen: argparse.Namespace) -> int:
    scenario = _scenario(chosen)
    api, terminal, store = _import("api", "show.terminal", "run.store")
    from rich.console import Console

    store.check(chosen.out)
    with terminal.progress(Console(stderr=True, quiet=chosen.quiet), scenario.title or scenario.name) as told:
        rows = api.sweep(scenario, chosen.out, executor=chosen.executor, jobs=chosen.jobs, told=told)
    print(f"{len(rows)} runs in {chosen.out}")
    return 0


def _trace(chosen: argparse.Namespace) -> int:
    scenario = _scenario(chosen)
    (traces,) = _import("run.traces")
    for path in traces.write(scenario, chosen.out):
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
