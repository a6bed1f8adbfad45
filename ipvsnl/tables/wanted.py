"""The wanted table of a text or a file: ipvsadm's rule lines, or JSON, told apart by the first character."""

from __future__ import annotations

from ipvsnl.tables.table import Table, TableError, of_rules
from ipvsnl.text.hints import printable
from ipvsnl.text.rules import RuleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

STDIN = "-"


def read_table(text: str, source: str = "") -> Table:
    """The table of rule lines (``-A`` and ``-a``, in any order), or of a JSON document.

    ``source`` is what messages call the text. :class:`~ipvsnl.tables.table.TableError` where it contradicts itself,
    :class:`~ipvsnl.text.rules.RuleError` for a line that is no rule.
    """
    if text.lstrip()[:1] == "{":
        from ipvsnl.tables.json_in import read

        return read(text, source)
    from ipvsnl.text.grammar import read_numbered

    return of_rules(read_numbered(text.split("\n")), source)


def read_file(name: str, stdin: TextIO) -> tuple[Table, str]:
    """The table of a file (``-``: standard input), and its text; OSError, and errors that begin with the file's name."""
    if name == STDIN:
        name, text = "<stdin>", stdin.read()
    else:
        with open(name, encoding="utf-8", errors="surrogateescape", newline="\n") as file:  # noqa: PTH123
            text = file.read()
    try:
        return read_table(text, name), text
    except RuleError as wrong:
        line = f"{name}:{wrong.number}: {printable(wrong.line)}"
        raise TableError(f"{line}: {wrong.reason}", (wrong.number,)) from None
    except TableError as wrong:
        raise TableError(f"{name}: {wrong}", wrong.numbers) from None
