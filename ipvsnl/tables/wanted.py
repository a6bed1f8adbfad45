"""The wanted table of a text or a file, whatever it is: rule lines, a listing, ``/proc/net/ip_vs``, JSON, keepalived.conf.

Which one it is shows its first line that says something (:func:`kind_of`). A listing and the kernel's file do not tell all
of a table; what they leave open is noted (:attr:`~ipvsnl.tables.table.Table.notes`), and a plan leaves it as it is.
"""

from __future__ import annotations

import re
from os.path import dirname

from ipvsnl.tables.table import Table, TableError, of_rules
from ipvsnl.text.hints import printable
from ipvsnl.text.rules import RuleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from ipvsnl.model import Timeouts

STDIN = "-"
RULES, JSON, LISTING, PROC, KEEPALIVED = "rules", "json", "listing", "proc", "keepalived"
_KEEPALIVED = re.compile(
    r"!|\$[A-Za-z_]\w*\s*=|[@~]\S|(global_defs|virtual_server(_group)?|vrrp_\w+|static_\w+|include\w?|bfd_instance|SSL|track_\w+|net_namespace\w*"
    r"|instance|checkers|real_server)\b|[A-Za-z_]\w*[^{]*\{\s*$"
)


def kind_of(text: str) -> str:
    """What a text is; rules where nothing else fits."""
    from ipvsnl.text import listed
    from ipvsnl.text.pasted import echoes, pasted

    for raw in text.split("\n"):
        line = pasted(raw)
        if line[:1] == "{":
            return JSON
        if line.startswith(("-A", "-a")):
            return RULES
        if not line or line[0] == "#" or echoes(line):
            continue
        if line.startswith(("-> ", "IPVS connection")) or listed.begins(line):
            from ipvsnl.tables.proc_in import is_proc

            return PROC if is_proc(text) else LISTING
        return KEEPALIVED if _KEEPALIVED.match(line) else RULES
    return RULES


def read_table(text: str, source: str = "", *, folder: str | None = None, hz: int | None = None) -> Table:
    """The table of a text: rule lines (``-A`` and ``-a``, in any order, one ``--set``), a pasted listing (``ipvsadm -L``,
    any columns), ``/proc/net/ip_vs``, a JSON document of ours, or a ``keepalived.conf``.

    ``source`` is what messages call the text; ``folder`` is where a ``keepalived.conf`` finds what it includes (None: it may
    include nothing). ``hz`` are the ticks a second of the kernel that wrote ``/proc/net/ip_vs``, where they are known: it
    counts persistence in them. :class:`~ipvsnl.tables.table.TableError` where it contradicts itself,
    :class:`~ipvsnl.text.rules.RuleError` for a line that is none of its format's.
    """
    kind = kind_of(text)
    if kind == JSON:
        from ipvsnl.tables import json_in

        return json_in.read(text, source)
    if kind == LISTING:
        from ipvsnl.tables import listing_in

        return listing_in.read(text, source)
    if kind == PROC:
        from ipvsnl.tables import proc_in

        return proc_in.read(text, source, hz)
    if kind == KEEPALIVED:
        from ipvsnl.tables import keepalived_in

        return keepalived_in.read(text, source, folder)
    from ipvsnl.text.grammar import Reading
    from ipvsnl.text.pasted import echoes, pasted

    reading, lines = Reading(), text.split("\n")
    for index, line in enumerate(lines):  # what was pasted around them: the command, with the shell's prompt
        if line[:1] != "-" and (not pasted(line) or echoes(line)):
            lines[index] = ""
    timeouts = _timeouts(lines)
    table = of_rules(reading.numbered(lines), source)
    table.timeouts = timeouts
    table.notes += reading.notes
    return table


def _timeouts(lines: list[str]) -> Timeouts | None:
    """What a line ``--set TCP TCPFIN UDP`` wants, as ``convert`` writes it. The line is made empty, for it is no rule."""
    from ipvsnl.text.grammar import parse
    from ipvsnl.text.popt import UsageError

    found: Timeouts | None = None
    for number, line in enumerate(lines, start=1):
        if not line.lstrip().startswith("--set"):
            continue
        try:
            request = parse(line.split(), "ipvsadm", nested=True)
        except UsageError as fault:
            raise RuleError(number, line.strip(), str(fault)) from None
        if found is not None:
            raise TableError(f"line {number}: timeouts are set twice", (number,))
        found, lines[number - 1] = request.timeouts, ""
    return found


def read_file(name: str, stdin: TextIO, hz: int | None = None) -> tuple[Table, str]:
    """The table of a file (``-``: standard input), and its text; OSError, and errors that begin with the file's name.

    ``hz`` as of :func:`read_table`; a file under ``/proc`` is this kernel's, whose ticks are known.
    """
    if name == STDIN:
        name, text, folder = "<stdin>", stdin.read(), "."
    else:
        with open(name, encoding="utf-8", errors="surrogateescape", newline="\n") as file:  # noqa: PTH123
            text = file.read()
        folder = dirname(name) or "."  # noqa: PTH120 (pathlib would cost 8 ms)
        if hz is None and name.startswith("/proc/"):
            from ipvsnl.tables.proc_in import own_ticks

            hz = own_ticks()
    try:
        return read_table(text, name, folder=folder, hz=hz), text
    except RuleError as wrong:
        line = f"{name}:{wrong.number}: {printable(wrong.line)}"
        raise TableError(f"{line}: {wrong.reason}", (wrong.number,)) from None
    except TableError as wrong:
        raise TableError(f"{name}: {wrong}", wrong.numbers) from None
