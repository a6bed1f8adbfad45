"""The campaign: fresh random traces, recorded on a real kernel, replayed on the simulator, compared step by step.

    python -m tests.kernel.compare --seeds N [--first SEED] [--minutes M] [--kinds KIND ...] [--keep DIR] [--shrink]

Writes a table under build/, or with --page (`make fidelity`) the page of docs that shows this kernel's release. Exit status:
0 no difference, 1 differences (the traces are kept), 2 nothing could be compared, 69 and 70 as those of the laboratory.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ipvsnl.lab_kernel import MissingError, kernel_release
from ipvsnl.lab_kernel.command import EXIT_BOOT, EXIT_MISSING
from ipvsnl.lab_kernel.machine import one_processor
from tests.kernel.fidelity import Campaign, Row, behaviour, page
from tests.kernel.generate import KINDS, generate
from tests.places import ROOT

BUILD = ROOT / "build"
ROUND = 2  # seeds of each kind that are recorded together
LIMIT = 1200  # seconds that one boot may take


def python() -> str:
    inside = ROOT / ".venv" / "bin" / "python"
    return str(inside) if inside.exists() else sys.executable


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python(), "-m", "ipvssim.doors.replay", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def replayable() -> bool:
    probe = "import importlib.util as u, sys; sys.exit(not (u.find_spec('ipvssim') and u.find_spec('ipvssim.doors.replay')))"
    return subprocess.run([python(), "-c", probe], cwd=ROOT).returncode == 0


def record(traces: Sequence[Path], boots: int, jobs: int) -> None:
    """Records traces beside themselves, in several kernels at once, showing progress."""
    runs = []
    for number, (modules, some) in enumerate(shared_out(traces, boots)):
        command = [
            sys.executable,
            "-m",
            "ipvsnl.lab_kernel",
            "--as-root",
            "--timeout",
            str(LIMIT),
            *(f"--module={name}" for name in modules),
            "--",
            sys.executable,
            "-m",
            "tests.kernel.recorder",
            "--jobs",
            str(jobs),
            *map(str, some),
        ]
        with one_processor(number):
            runs.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
    try:
        while any(run.poll() is None for run in runs):
            time.sleep(0.5)
            show(f"recording: {sum(path.with_suffix('.kernel').exists() for path in traces)} of {len(traces)} traces")
    finally:
        for run in runs:
            run.terminate()
            run.wait()
    show("")
    for run in runs:
        if run.returncode in (EXIT_MISSING, EXIT_BOOT):
            raise SystemExit(run.returncode)


def shared_out(traces: Sequence[Path], boots: int) -> list[tuple[tuple[str, ...], list[Path]]]:
    """The traces of each boot. A module is there for every namespace of its kernel, so those that want one are apart."""
    groups: dict[tuple[str, ...], list[Path]] = {}
    for trace in traces:
        with trace.open() as file:
            groups.setdefault(tuple(json.loads(file.readline()).get("modules", ())), []).append(trace)
    return [(modules, some[at::boots]) for modules, some in groups.items() for at in range(min(boots, len(some)))]


def show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def differing(trace: Path, release: str) -> tuple[int, str]:
    """How many steps of a recorded trace differ (-1: it can't be replayed), and what the comparison said."""
    done = replay("--kernel", behaviour(release), "--check", str(trace))
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        return -1, done.stderr.strip() or f"exit status {done.returncode}"
    return len({json.loads(line)["step"] for line in done.stdout.splitlines()}), done.stdout


def check(campaign: Campaign, traces: Sequence[Path], keep: Path) -> None:
    """Compares recorded traces and counts; differing ones are kept, with what was said about them."""
    recorded = [trace for trace in traces if trace.with_suffix(".kernel").exists()]
    names = [str(trace) for trace in recorded]
    equal = not campaign.comparable or not replay("--kernel", behaviour(campaign.release), "--check", *names).returncode
    for trace in traces:
        row = campaign.rows.setdefault(trace.stem.rpartition("-")[0], Row())
        if trace not in recorded:
            row.unrecorded += 1
            continue
        row.traces += 1
        row.steps += len(trace.with_suffix(".kernel").read_text().splitlines()) - 1  # the first line is no step
        count, words = (0, "") if equal else differing(trace, campaign.release)
        if count > 0 and not again(trace, campaign.release):
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


def again(trace: Path, release: str) -> int:
    """How many steps differ when the kernel is asked once more, with nothing beside it. Its timers may be an eighth late
    and its memory's state is its own, so an answer that does not come twice says nothing of the simulator."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / trace.name
        copy.write_bytes(trace.read_bytes())
        record([copy], 1, 1)
        return differing(copy, release)[0] if copy.with_suffix(".kernel").exists() else -1


def store(trace: Path, keep: Path, words: str) -> Path:
    keep.mkdir(parents=True, exist_ok=True)
    for path in (trace, trace.with_suffix(".kernel")):
        (keep / path.name).write_bytes(path.read_bytes())
    (keep / trace.name).with_suffix(".difference").write_text(words)
    return keep / trace.name


def shrink(trace: Path, release: str, boots: int, jobs: int, rounds: int = 12) -> Path:
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
            record(paths, boots, jobs)
            found = [
                (len(variant), path)
                for path, variant in zip(paths, variants, strict=True)
                if path.with_suffix(".kernel").exists() and differing(path, release)[0]
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
    """Rounds of generating, recording and checking, until the seeds or the minutes are used up."""
    first = secrets.randbelow(10**9) if chosen.first is None else chosen.first
    command = f"python -m tests.kernel.compare --seeds {chosen.seeds} --first {first}"
    command += f" --kinds {' '.join(chosen.kinds)}" if chosen.kinds else ""
    campaign = Campaign(kernel_release(), first, command, replayable())
    print(f"kernel {campaign.release}, first seed {first}; again: {command}", flush=True)
    end = time.monotonic() + chosen.minutes * 60 if chosen.minutes else None
    for start in range(first, first + chosen.seeds, ROUND):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            traces = []
            for seed in range(start, min(start + ROUND, first + chosen.seeds)):
                for kind in chosen.kinds or KINDS:
                    traces.append(Path(place) / f"{kind}-{seed}.trace")
                    traces[-1].write_text(generate(kind, seed))
            record(traces, chosen.boots, chosen.jobs)
            check(campaign, traces, chosen.keep)
        total = campaign.total
        print(f"{total.traces} traces, {total.steps} steps, {total.differing} differing", flush=True)
        if end and time.monotonic() + (time.monotonic() - began) > end:
            break
    return campaign


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.kernel.compare", description="Random traces: a real kernel against the simulator."
    )
    parser.add_argument("--seeds", type=int, default=2, help="traces of each kind (2)")
    parser.add_argument("--first", type=int, help="the first seed (a random one, printed)")
    parser.add_argument("--minutes", type=float, help="begin no round that would end later")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), metavar="KIND", help="only these kinds")
    parser.add_argument(
        "--keep", type=Path, default=BUILD / "differing", help="where differing traces go (build/differing/)"
    )
    parser.add_argument("--shrink", action="store_true", help="make the first differing trace of each kind short")
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--report", type=Path, metavar="FILE", help="the table (build/fidelity.md)")
    table.add_argument("--page", action="store_true", help="write the page of docs that shows this kernel's release")
    parser.add_argument("--boots", type=int, default=2, help="kernels at a time (2)")
    parser.add_argument("--jobs", type=int, default=4, help="traces at a time in each kernel (4)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    chosen = options(arguments)
    try:
        campaign = campaign_of(chosen)
    except MissingError as error:
        print(f"compare: {error}", file=sys.stderr)
        return EXIT_MISSING
    report = page(campaign.release) if chosen.page else chosen.report or BUILD / "fidelity.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(campaign.table())
    print(campaign.table())
    if chosen.shrink:
        firsts = {path.stem.rpartition("-")[0]: path for path in reversed(campaign.different)}
        for path in firsts.values():
            short = shrink(path, campaign.release, chosen.boots, chosen.jobs)
            steps = [json.loads(line) for line in short.read_text().splitlines()[1:]]
            print(f"{short}: {len(steps)} steps")
    if campaign.different or campaign.total.unrecorded:
        return 1
    return 0 if campaign.comparable else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
