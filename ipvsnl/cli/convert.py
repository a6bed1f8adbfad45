"""``convert FILE``: what is read of a file, whatever it is, as rules or as JSON. No kernel is asked."""

from __future__ import annotations

from ipvsnl.cli.ending import FAILED
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
    """Write it; the exit status. Notes go to standard error."""
    try:
        table, _ = read_file(arguments.file, stdin, arguments.hz)
    except OSError as wrong:
        stderr.write(f"{arguments.file}: {wrong.strerror or wrong}\n")
        return FAILED
    tell_notes(table, stderr)
    if arguments.to == "rules":
        stdout.writelines(f"{line}\n" for line in rules(table))
        return 0
    from ipvsnl.tables import json_out

    parts = {} if table.timeouts is None else {"timeouts": json_out.timeouts(table.timeouts)}
    services = (json_out.wanted(one, table.servers[key].values()) for key, one in table.services.items())
    stdout.writelines(json_out.stream("services", services, **parts))
    return 0


def rules(table: Table) -> Iterator[str]:
    """The lines that make a table, in its order."""
    if table.timeouts is not None:
        yield "--set " + " ".join(str(seconds or 0) for seconds in table.timeouts.astuple())
    for key, service in table.services.items():
        yield rule_text("A", service)
        for server in table.servers[key].values():
            yield rule_text("a", service, server)
