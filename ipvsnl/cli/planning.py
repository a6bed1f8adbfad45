"""``plan FILE`` and ``apply FILE``."""

from __future__ import annotations

import signal
import time

from ipvsnl._held import Terminated, held
from ipvsnl.cli.ending import CHANGES, FAILED, INTERRUPTED, NOTHING_TO_DO, TERMINATED
from ipvsnl.refusals import KernelError
from ipvsnl.tables.failures import ApplyError
from ipvsnl.tables.wanted import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace as Arguments
    from collections.abc import Sequence
    from typing import Any, TextIO

    from ipvsnl.cli.streams import ClientFactory
    from ipvsnl.tables.journal import Unfinished
    from ipvsnl.tables.plan import Operation, Plan
    from ipvsnl.tables.table import Table

_SIGNS = {"add": ("+", "32"), "edit": ("~", "33"), "drain": ("~", "33"), "delete": ("-", "31"), "set": ("~", "33")}


def plan(arguments: Arguments, client: ClientFactory, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """Show what is to be done. Status 0: nothing, 2: something, 1: an error."""
    read = _read(arguments, stdin, stderr)
    if read is None:
        return FAILED
    with client() as ipvs:
        found = ipvs.plan(read[0], **_wishes(arguments))
    if arguments.json:
        from ipvsnl.tables import json_out

        stdout.write(json_out.document(plan=json_out.plan(found)))
    else:
        show(found, stdout)
        stdout.write(summary(found) + "\n")
    return CHANGES if found else NOTHING_TO_DO


def apply(arguments: Arguments, client: ClientFactory, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """Carry it out. Status 0: the table is as wanted, 1: it is not, and standard error says why and what it is now."""
    read = _read(arguments, stdin, stderr)
    if read is None:
        return FAILED
    with held(terminating=True) as signals:
        done = _converge(arguments, client, read, stderr)
    if not isinstance(done, list):
        return done
    if not arguments.quiet:
        for one in done:
            show(one, stdout)
        stdout.write("; ".join(summary(one, done=True) for one in done) + "\n" if done else "nothing to do\n")
    if signals.came is not None:
        stderr.write("interrupted when all of it was done: the table is as wanted\n")
        return INTERRUPTED if signals.came == signal.SIGINT else TERMINATED
    return 0


def _wishes(arguments: Arguments) -> dict[str, Any]:
    """What ``plan`` and ``apply`` are asked for, as arguments of :meth:`ipvsnl.client.IPVS.plan`."""
    return {name: getattr(arguments, name) for name in ("prune", "drain", "keep_weights", "only")}


def _converge(
    arguments: Arguments, client: ClientFactory, read: tuple[Table, str], stderr: TextIO
) -> list[Plan] | int:  # fmt: skip
    """The plans that were carried out, or the exit status of what ended it and was told."""
    from ipvsnl.tables.apply import converge
    from ipvsnl.tables.journal import Journal

    table, text = read
    with client() as ipvs:
        interrupted = Journal(ipvs.place).left_behind()
        if interrupted is not None:
            stderr.write(what_was_under_way(interrupted, text, ipvs.place) + "\n")
        try:
            return converge(
                ipvs, table, **_wishes(arguments), text=text, watch=lambda words: print(words, file=stderr, flush=True),
            )  # fmt: skip
        except ApplyError as failed:
            return tell(failed, table.source, stderr)
        except (KeyboardInterrupt, Terminated) as ended:
            stderr.write("interrupted: what is written is written, and nothing was half-way\n")
            return _ended(ended)


def _read(arguments: Arguments, stdin: TextIO, stderr: TextIO) -> tuple[Table, str] | None:
    try:
        found = read_file(arguments.file, stdin, arguments.hz)
    except OSError as wrong:
        stderr.write(f"{arguments.file}: {wrong.strerror or wrong}\n")
        return None
    tell_notes(found[0], stderr)
    return found


def tell_notes(table: Table, stderr: TextIO) -> None:
    """What people should know of how a table was read."""
    stderr.writelines(f"{table.source}: {note}\n" for note in table.notes)


def what_was_under_way(entry: Unfinished, text: str, place: str) -> str:
    """What an apply that was killed left behind in the journal, and what is done about it."""
    from ipvsnl.tables.journal import boot, digest
    from ipvsnl.tables.plan import Plan

    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.started))
    source = entry.source or "a plan"
    what = f"an apply of {source} (process {entry.process}, {len(entry.operations)} operations) began at {began}"
    if entry.boot != boot() and place.startswith("kernel"):
        return f"{what}, and the machine has been restarted since: its table is gone"
    if entry.digest == digest(Plan(), text):
        return f"{what} and did not end: completing it"
    return f"{what} and did not end: this one begins with what that one left"


# --- words ---


def show(of: Plan, stdout: TextIO) -> None:
    """The operations, one a line, after a sign: + comes, ~ changes, - goes, = stays unwanted, # is left out."""
    coloured = _coloured(stdout)
    for one in of.operations:
        sign, colour = _SIGNS[one.kind.partition("-")[0]]
        line = f"{sign} {one}{_details(one)}"
        stdout.write(f"\x1b[{colour}m{line}\x1b[0m\n" if coloured else f"{line}\n")
    for one in of.stays:
        line = f"= {one.rule()}"
        stdout.write(f"\x1b[2m{line}\x1b[0m\n" if coloured else f"{line}\n")
    for one in of.left_out:
        line = f"# {one}{_details(one)}"
        stdout.write(f"\x1b[2m{line}\x1b[0m\n" if coloured else f"{line}\n")


def _coloured(stdout: TextIO) -> bool:
    from os import environ

    return stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _details(of: Operation) -> str:
    changes = of.changes()
    if of.kind.startswith("delete"):
        return f"    # with {len(of.servers)} servers" if of.servers else ""
    if not changes:
        return ""
    return "    # " + ", ".join(f"{name} {_shown(old)} -> {_shown(new)}" for name, (old, new) in changes.items())


def _shown(of: object) -> str:
    return "none" if of is None or of == "" else str(of)


_VERBS = (
    ("to add", "added", ("add",)), ("to change", "changed", ("edit", "drain", "set")), ("to delete", "deleted", ("delete",)),
)  # fmt: skip
"""Of the last line: what is to be done, what was done, and by which operations."""


def summary(of: Plan, *, done: bool = False) -> str:
    """One line: how much of what."""
    parts = []
    for to_do, was_done, verbs in _VERBS:
        found = [one for one in of.operations if one.kind.partition("-")[0] in verbs]
        if found:
            parts.append(f"{_counted(found)} {was_done if done else to_do}")
    text = ", ".join(parts) or "nothing to do"
    if of.left_out:
        text += f"; left out by --only: {_counted(of.left_out)}"
    return f"{text}; not wanted, but kept without --prune: {_counted(of.stays)}" if of.stays else text


def _counted(operations: Sequence[Operation]) -> str:
    """``1 service and 3 servers``."""
    kinds = [one.kind.partition("-")[2] for one in operations]
    found = [(kinds.count(kind), kind) for kind in ("service", "server", "timeouts") if kind in kinds]
    return " and ".join("timeouts" if kind == "timeouts" else f"{n} {kind}{'s' if n != 1 else ''}" for n, kind in found)


def tell(failed: ApplyError, source: str, stderr: TextIO) -> int:
    """What was refused, by line and rule, why, and what the table is now; the exit status."""
    reason, operation = failed.reason, failed.operation
    if operation is not None:
        where = f"{source}:{operation.line}: " if operation.line else f"{source}: " if source else ""
        words = reason.message if isinstance(reason, KernelError) else str(reason)
        more = f" (and so were {failed.alike - 1} more, for the same cause)" if failed.alike > 1 else ""
        stderr.write(f"{where}{operation}: {words}{more}\n")
        if isinstance(reason, KernelError) and reason.cause:
            stderr.write(f"likely cause: {f'{reason.field}: ' if reason.field else ''}{reason.cause}\n")
    elif isinstance(reason, (KeyboardInterrupt, Terminated)):
        stderr.write("interrupted\n")
    else:
        stderr.write(f"{reason}\n")
    if failed.rolled_back:
        stderr.write("rolled back: nothing is changed\n")
    for one in failed.left:
        stderr.write(f"not rolled back: {one}\n")
    return _ended(reason)


def _ended(reason: BaseException) -> int:
    """The exit status that a signal gives."""
    if isinstance(reason, KeyboardInterrupt):
        return INTERRUPTED
    return TERMINATED if isinstance(reason, Terminated) else FAILED
