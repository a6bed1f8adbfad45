"""``convert FILE``: what is read of a file, whatever it is, in another format. No kernel is asked."""

from __future__ import annotations

from ipvsnl.cli.ending import FAILED, INCOMPLETE
from ipvsnl.cli.planning import tell_notes
from ipvsnl.tables.plan import rule_text
from ipvsnl.tables.wanted import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace as Arguments
    from collections.abc import Iterator
    from typing import TextIO

    from ipvsnl.tables.table import Table


def convert(arguments: Arguments, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """Write it; the exit status. Notes go to standard error, and what the format can not tell."""
    try:
        table, _ = read_file(arguments.file, stdin, arguments.hz)
    except OSError as wrong:
        stderr.write(f"{arguments.file}: {wrong.strerror or wrong}\n")
        return FAILED
    tell_notes(table, stderr)
    if arguments.to == "json":
        stdout.writelines(_document(table))
        return 0
    untold: list[str] = []
    stdout.writelines(f"{line}\n" for line in _lines(table, arguments.to, untold, arguments.hz))
    stdout.flush()  # what is not in it is told after it
    stderr.writelines(f"{arguments.to}: {line}\n" for line in untold)
    return INCOMPLETE if untold else 0


def _document(table: Table) -> Iterator[str]:
    from ipvsnl.tables import json_out

    parts = {} if table.timeouts is None else {"timeouts": json_out.timeouts(table.timeouts)}
    services = (json_out.wanted(one, table.servers[key].values()) for key, one in table.services.items())
    return json_out.stream("services", services, **parts)


def _lines(table: Table, to: str, untold: list[str], hz: int | None) -> Iterator[str]:
    """The lines of a format; ``untold`` is complete when they are all there."""
    if to == "rules":
        return rules(table)
    if to == "keepalived":
        from ipvsnl.tables import keepalived_out

        return keepalived_out.write(table, untold)
    if table.timeouts is not None:
        untold.append("not told: timeouts")
    if to == "proc":
        from ipvsnl.tables import proc_out

        return proc_out.write(table, untold, hz)
    from ipvsnl.tables import listing_out

    return listing_out.write(table, untold)


def rules(table: Table) -> Iterator[str]:
    """The lines that make a table, in its order."""
    if table.timeouts is not None:
        yield "--set " + " ".join(str(seconds or 0) for seconds in table.timeouts.astuple())
    for key, service in table.services.items():
        yield rule_text("A", service)
        for server in table.servers[key].values():
            yield rule_text("a", service, server)
