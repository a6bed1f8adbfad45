"""The campaign: fresh random traces, recorded on a real kernel, replayed on the simulator, compared step by step.

    python -m tests.kernel.compare --seeds N [--release NAME] [--first SEED] [--minutes M] [--kinds KIND ...]
                                   [--keep DIR] [--recordings DIR] [--shrink]

Writes a table under build/, or with --page (`make fidelity`) the page of docs that shows this kernel's release. Exit status:
0 no difference, 1 differences (the traces are kept), 2 nothing could be compared, 69 and 70 as those of the laboratory.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from ipvsnl.lab_kernel import MissingError
from ipvsnl.lab_kernel.command import EXIT_MISSING
from tests.kernel.fidelity import Campaign, Row, page
from tests.kernel.forms import PLAIN, others, python
from tests.kernel.generate import KINDS, generate
from tests.kernel.judges import Judge, in_turn, judge, record
from tests.kernel.traces.lapses import LONG
from tests.kernel.traces.releases import TWOS
from tests.places import ROOT

TURN = "turn"
"""Instead of a release: one that changes from day to day. Where it can't be had that is said, and is no failure."""
BUILD = ROOT / "build"
ROUND = 2  # seeds of each kind that are recorded together
BOOTS, JOBS = 2, (4, 1)
"""Kernels at a time, and traces at a time in each: of user-mode-linux, and where QEMU emulates them. There waiting takes no
time, and a trace with nothing beside it has timers that are never late."""


def replayable() -> bool:
    probe = "import importlib.util as u, sys; sys.exit(not (u.find_spec('ipvssim') and u.find_spec('ipvssim.doors.replay')))"
    return subprocess.run([python(), "-c", probe], cwd=ROOT).returncode == 0


def differing(trace: Path, kernel: str) -> tuple[int, str]:
    """How many steps of a recorded trace differ (-1: it can't be replayed), and what the comparison said."""
    done = PLAIN.replay("--kernel", kernel, "--check", str(trace))
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        return -1, done.stderr.strip() or f"exit status {done.returncode}"
    return len({json.loads(line)["step"] for line in done.stdout.splitlines()}), done.stdout


def check(campaign: Campaign, traces: Sequence[Path], keep: Path) -> None:
    """Compares recorded traces and counts; differing ones are kept, with what was said about them."""
    there = [trace for trace in traces if recorded(trace)]
    names = [str(trace) for trace in there]
    equal = not campaign.comparable or not PLAIN.replay("--kernel", campaign.judge.kernel, "--check", *names).returncode
    found = {trace: (0, "") if equal else differing(trace, campaign.judge.kernel) for trace in there}
    steady = again([trace for trace, (count, _) in found.items() if count > 0], campaign.judge)
    if campaign.comparable:
        otherwise(campaign, [trace for trace in there if not found[trace][0]], keep)
    for trace in traces:
        row = campaign.rows.setdefault(trace.stem.rpartition("-")[0], Row())
        if trace not in found:
            row.unrecorded += 1
            continue
        row.traces += 1
        row.steps += len(trace.with_suffix(".kernel").read_text().splitlines()) - 1  # the first line is no step
        count, words = found[trace]
        if count > 0 and not steady[trace]:
            row.unsteady += 1
            print(
                f"{trace.stem}: {count} differing steps at first, none when the kernel was asked again:\n{words}",
                flush=True,
            )
            store(trace, keep, words)
            continue
        row.differing += max(count, 0)
        row.unreplayed += count < 0
        if count:
            campaign.different.append(store(trace, keep, words))
            print(f"{trace.stem}: {f'{count} differing steps' if count > 0 else words.splitlines()[-1]}", flush=True)


def otherwise(campaign: Campaign, traces: Sequence[Path], keep: Path) -> None:
    """Traces in which the simulator differs in none of its steps: the other forms of it must not differ either."""
    for form in campaign.forms if traces else ():
        for name, words in form.differing(traces, campaign.judge.kernel).items():
            (trace,) = (trace for trace in traces if trace.stem == name)
            campaign.rows.setdefault(name.rpartition("-")[0], Row()).differing += len(words.splitlines())
            campaign.different.append(store(trace, keep, words))
            print(f"{name}: {form.name}, {len(words.splitlines())} differences", flush=True)


def again(traces: Sequence[Path], asked: Judge) -> dict[Path, int]:
    """How many steps of each differ when the kernel is asked once more, one trace after the other, with nothing beside it.
    It may be kept waiting, and its memory's state is its own, so an answer that does not come twice says nothing of the
    simulator. -1: it can't be said."""
    with tempfile.TemporaryDirectory() as place:
        copies = {trace: Path(place) / trace.name for trace in traces}
        for trace, copy in copies.items():
            copy.write_bytes(trace.read_bytes())
        record(asked, list(copies.values()), 1, 1)
        return {trace: differing(copy, asked.kernel)[0] if recorded(copy) else -1 for trace, copy in copies.items()}


def store(trace: Path, keep: Path, words: str) -> Path:
    keep.mkdir(parents=True, exist_ok=True)
    for path in (trace, trace.with_suffix(".kernel")):
        (keep / path.name).write_bytes(path.read_bytes())
    (keep / trace.name).with_suffix(".difference").write_text(words)
    return keep / trace.name


def shrink(trace: Path, asked: Judge, boots: int, jobs: int, rounds: int = 12) -> Path:
    """A shorter trace that differs too: pieces of several sizes are left out, all variants are recorded at once."""
    header, *steps = trace.read_text().splitlines()
    small = trace.with_name(trace.stem + "-short.trace")
    for _ in range(rounds):
        sizes = sorted({max(len(steps) // part, 1) for part in (2, 3, 5, 10)} | ({1} if len(steps) <= 60 else set()))
        variants = [steps[:at] + steps[at + size :] for size in sizes for at in range(0, len(steps), size)]
        with tempfile.TemporaryDirectory() as place:
            paths = [Path(place) / f"variant-{number}.trace" for number in range(len(variants))]
            for path, variant in zip(paths, variants, strict=True):
                path.write_text("\n".join([header, *variant]) + "\n")
            record(asked, paths, boots, jobs)
            found = [
                (len(variant), path)
                for path, variant in zip(paths, variants, strict=True)
                if recorded(path) and differing(path, asked.kernel)[0]
            ]
            if not found:
                break
            best = min(found)[1]
            steps = best.read_text().splitlines()[1:]
            small.write_bytes(best.read_bytes())
            small.with_suffix(".kernel").write_bytes(best.with_suffix(".kernel").read_bytes())
        print(f"{trace.stem}: {len(steps)} steps", flush=True)
    return small if small.exists() else trace


def campaign_of(chosen: argparse.Namespace) -> Campaign:
    """Rounds of generating, recording and checking, until the seeds or the minutes are used up. The table is written after
    each, so that an end from outside leaves what was found until then."""
    first = secrets.randbelow(10**9) if chosen.first is None else chosen.first
    command = f"python -m tests.kernel.compare --seeds {chosen.seeds} --first {first}"
    command += f" --release {chosen.release}" if chosen.release else ""
    command += f" --kinds {' '.join(chosen.kinds)}" if chosen.kinds else ""
    asked = judge(chosen.release)
    campaign = Campaign(asked, first, command, replayable(), others())
    print(f"kernel {asked.image.release}, first seed {first}; again: {command}", flush=True)
    kinds = chosen.kinds or [kind for kind in KINDS if asked.emulated or kind not in LONG]
    kinds = [kind for kind in kinds if kind != "twos" or asked.has(TWOS)]
    end = time.monotonic() + chosen.minutes * 60 if chosen.minutes else None
    for start in range(first, first + chosen.seeds, ROUND):
        began = time.monotonic()
        seeds = range(start, min(start + ROUND, first + chosen.seeds))
        with recordings(chosen.recordings) as place:
            traces = generated(kinds, seeds, place)
            record(asked, [one for one in traces if not recorded(one)], *at_a_time(chosen, asked))
            check(campaign, traces, chosen.keep)
        report(campaign, chosen).write_text(campaign.table())
        total = campaign.total
        print(f"{total.traces} traces, {total.steps} steps, {total.differing} differing", flush=True)
        if end and time.monotonic() + (time.monotonic() - began) > end:
            break
    return campaign


@contextmanager
def recordings(kept: Path | None) -> Iterator[Path]:
    """Where traces and recordings lie: in a directory where they stay, and are used again, or in a passing one."""
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def generated(kinds: Sequence[str], seeds: Iterable[int], place: Path) -> list[Path]:
    """Traces of all kinds with these seeds, written there."""
    traces = []
    for seed in seeds:
        for kind in kinds:
            traces.append(place / f"{kind}-{seed}.trace")
            traces[-1].write_text(generate(kind, seed))
    return traces


def recorded(trace: Path) -> bool:
    """Whether a kernel's answers lie beside it."""
    return trace.with_suffix(".kernel").exists()


def report(campaign: Campaign, chosen: argparse.Namespace) -> Path:
    """The file of the table, in a directory that exists."""
    found: Path = page(campaign.judge) if chosen.page else chosen.report or BUILD / "fidelity.md"
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def at_a_time(chosen: argparse.Namespace, asked: Judge) -> tuple[int, int]:
    """How many kernels, and how many traces in each."""
    return chosen.boots or BOOTS, chosen.jobs or JOBS[asked.emulated]


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.kernel.compare", description="Random traces: a real kernel against the simulator."
    )
    parser.add_argument(
        "--release", metavar="NAME", help="another kernel, as for lab-kernel, or turn (the installed one)"
    )
    parser.add_argument("--seeds", type=int, default=2, help="traces of each kind (2)")
    parser.add_argument("--first", type=int, help="the first seed (a random one, printed)")
    parser.add_argument("--minutes", type=float, help="begin no round that would end later")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), metavar="KIND", help="only these kinds")
    parser.add_argument(
        "--keep", type=Path, default=BUILD / "differing", help="where differing traces go (build/differing/)"
    )
    parser.add_argument(
        "--recordings",
        type=Path,
        metavar="DIR",
        help="where traces and recordings stay; those there are not made again",
    )
    parser.add_argument("--shrink", action="store_true", help="make the first differing trace of each kind short")
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--report", type=Path, metavar="FILE", help="the table (build/fidelity.md)")
    table.add_argument("--page", action="store_true", help="write the page of docs that shows this kernel's release")
    parser.add_argument("--boots", type=int, help="kernels at a time (2)")
    parser.add_argument("--jobs", type=int, help="traces at a time in each kernel (4; 1 where QEMU emulates it)")
    return parser.parse_args(arguments)


def not_compared(release: str) -> int:
    """Say which kernel was not compared; no failure."""
    print(f"NOT compared: {release}, whose turn it is today: it can't be had here")
    return 0


def main(arguments: Sequence[str]) -> int:
    chosen = options(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that its kernels end with it
    turn = chosen.release == TURN
    if turn:
        chosen.release = in_turn(date.today().toordinal())
    try:
        campaign = campaign_of(chosen)
    except (MissingError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return not_compared(chosen.release) if turn else EXIT_MISSING
    except SystemExit as ended:
        return not_compared(chosen.release) if turn and ended.code == EXIT_MISSING else int(ended.code or 0)
    print(campaign.table())
    for trace in campaign.different:  # once more at the end, which is what a long log is looked at first
        print(f"{trace}:\n{textwrap.shorten(trace.with_suffix('.difference').read_text(), 2000)}")
    print(f"first seed {campaign.first}; again: {campaign.command}")
    if chosen.shrink:
        firsts = {path.stem.rpartition("-")[0]: path for path in reversed(campaign.different)}
        for path in firsts.values():
            short = shrink(path, campaign.judge, *at_a_time(chosen, campaign.judge))
            steps = [json.loads(line) for line in short.read_text().splitlines()[1:]]
            print(f"{short}: {len(steps)} steps")
    if campaign.different or campaign.total.unrecorded:
        return 1
    return 0 if campaign.comparable else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
