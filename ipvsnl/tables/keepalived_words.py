"""keepalived's configuration language: comments, quotes, definitions, conditions, includes and blocks become statements.

It knows no keyword but ``include``. What it does is learnt from the manual page keepalived.conf(5) and by running
keepalived 2.2.7: a double quote begins a word and the next one ends it, whatever stands before them; a backslash or a
single quote protects nothing (those are of scripts, which are cut later, and are no table).
"""

from __future__ import annotations

import re

from ipvsnl.tables.keepalived_repeats import repeated
from ipvsnl.tables.table import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Place = tuple[str, int]
    """A file (empty: the one that is read) and a line."""
    Opener = Callable[[str, str], Iterable[tuple[str, str, str]]]
    """Takes what is included and the folder of who includes it; gives name, folder and text of each file."""

OPEN, CLOSE = "\0{", "\0}"
"""Braces that are not quoted, as words."""
DEPTH = 32
"""How deep includes, and definitions within definitions, may go."""
_DEFINITION = re.compile(r"\$([A-Za-z_]\w*)=(.*)\Z", re.DOTALL)
_USE = re.compile(r"\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)(?=\s|\Z)|\$\{(_RANDOM)\s[^{}]*\}")
_CONDITION = re.compile(r"@(\^?)(\S*)\s*")
_INCLUDE = re.compile(r"include[rmwba]?\s+(.*)\Z")
_WILD = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_WORD = re.compile(r'"([^"]*)(?:"|\Z)|([{}])|((?:\$\{[^{}]*\}|[^\s"{}])+)')
_QUOTED = re.compile(r'("[^"]*(?:"|\Z))|[#!]')


class Statement:
    """The words of a line, where it stands, and the statements of its block (None: it has none)."""

    __slots__ = ("block", "place", "words")

    def __init__(self, words: list[str], place: Place) -> None:
        self.words = words
        self.place = place
        self.block: list[Statement] | None = None


def wrong(place: Place, reason: str) -> TableError:
    """The error that names a place."""
    file, line = place
    if file:
        return TableError(f"{file}:{line}: {reason}")
    return TableError(f"line {line}: {reason}", (line,))


def at(place: Place) -> str:
    """A place in words."""
    return f"{place[0]}:{place[1]}" if place[0] else f"line {place[1]}"


class Reader:
    """Reads one configuration. ``identity`` is what ``@`` lines are compared with; ``left_out`` are those that differ.

    ``missing`` are the files that are included and are not there, which keepalived passes over, too.
    """

    def __init__(self, opener: Opener | None, identity: str) -> None:
        self.left_out: list[Place] = []
        self.missing: list[tuple[Place, str]] = []
        self._opener = opener
        self._identity = identity
        self._definitions = {"_INSTANCE": identity, "_HASH": "#", "_BANG": "!"}
        self._open: tuple[str, list[str]] | None = None
        self._top: list[Statement] = []
        self._blocks: list[Statement] = []
        self._budget = 0

    def read(self, text: str, folder: str) -> list[Statement]:
        """The statements outside of all blocks; TableError names the place of a fault."""
        self._budget = 10_000_000 + 20 * len(text)
        self._text(text, "", folder, 0)
        if self._blocks:
            raise wrong(self._blocks[-1].place, "this block is not closed")
        return self._top

    def _text(self, text: str, file: str, folder: str, depth: int) -> None:
        for number, raw in enumerate(text.split("\n"), start=1):
            place = (file, number)
            self._definitions["_PWD"] = folder
            line = uncommented(raw).strip()
            if self._open is not None:
                self._continue(line)
                continue
            if not line:
                continue
            include = _INCLUDE.match(line)
            if include is None:
                self._line(line, place, 0)
            else:
                self._include(include[1], place, folder, depth)

    def _include(self, pattern: str, place: Place, folder: str, depth: int) -> None:
        """Read the files of a pattern: all that follows the keyword; quotes and definitions mean nothing in it."""
        if self._opener is None:
            raise wrong(place, "it includes files, and where they are is not known here")
        if depth == DEPTH:
            raise wrong(place, "files include each other without end")
        if pattern.count("{") > DEPTH:
            raise wrong(place, "too many braces in the name of a file")
        for one in _alternatives(pattern):
            found = False
            self._spend(len(one) + 1000, place)
            for name, inner, more in self._opener(one, folder):
                found = True
                self._spend(len(more), place)
                self._text(more, name, inner, depth + 1)
            if not found and not _WILD.search(one):
                self.missing.append((place, one))

    def _continue(self, line: str) -> None:
        """One more line of a definition of several; the first one without a backslash is the last."""
        assert self._open is not None
        name, lines = self._open
        lines.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            self._definitions[name] = "\n".join(lines)
            self._open = None

    def _spend(self, characters: int, place: Place) -> None:
        self._budget -= characters + 1
        if self._budget < 0:
            raise wrong(place, "definitions and includes make this too long")

    def _line(self, line: str, place: Place, depth: int) -> None:
        self._spend(len(line), place)
        if depth > DEPTH:
            raise wrong(place, "definitions use each other without end")
        if line[0] == "@":
            condition = _CONDITION.match(line)
            assert condition is not None
            if (condition[2] == self._identity) is bool(condition[1]):
                self.left_out.append(place)
                return
            line = line[condition.end() :]
            if not line:
                return
        defined = _DEFINITION.match(line)
        if defined is not None:
            self._define(defined[1], defined[2].strip())
            return
        if line[0] == "~":
            self._repeat(line, place, depth)
            return
        expanded = self._expanded(line, place)
        if expanded == line:
            self._take(_words(line), place)
            return
        self._spend(len(expanded), place)
        for one in expanded.split("\n"):
            part = one.strip()
            if self._open is not None:
                self._continue(part)
            elif part:
                self._line(part, place, depth + 1)

    def _define(self, name: str, value: str) -> None:
        if value.endswith("\\"):
            first = value[:-1].strip()
            self._open = (name, [first] if first else [])
        else:
            self._definitions[name] = value

    def _repeat(self, line: str, place: Place, depth: int) -> None:
        """Read the rest of a ``~`` line once for each value of its variables, which keep the last ones."""
        try:
            names, values, rest = repeated(line, lambda text: self._expanded(text, place))
        except ValueError as fault:
            raise wrong(place, str(fault)) from None
        for value in values:
            self._definitions.update(zip(names, value, strict=True))
            self._spend(len(rest) + 100, place)  # so that a flood of nothing ends, too
            if rest:
                self._line(rest, place, depth + 1)

    def _expanded(self, text: str, place: Place) -> str:
        """A text with the values of the definitions in it; what is not defined stays."""

        def value(use: re.Match[str]) -> str:
            name = use[1] or use[2] or use[3]
            if name == "_RANDOM":
                raise wrong(place, f"{use[0]} is another number whenever keepalived reads it: write one")
            return self._definitions.get(name, use[0])

        return _USE.sub(value, text) if "$" in text else text

    def _take(self, words: list[str], place: Place) -> None:
        """The words of a line, with braces among them."""
        gathered: list[str] = []
        for word in words:
            if word not in (OPEN, CLOSE):
                gathered.append(word)
                continue
            block = self._blocks[-1].block if self._blocks else self._top
            assert block is not None
            if gathered:
                block.append(Statement(gathered, place))
                gathered = []
            if word == CLOSE:
                if not self._blocks:
                    raise wrong(place, "a closing brace without its opening one")
                self._blocks.pop()
            elif not block or block[-1].block is not None:
                raise wrong(place, "an opening brace after no keyword")
            else:
                block[-1].block = []
                self._blocks.append(block[-1])
        if gathered:
            into = self._blocks[-1].block if self._blocks else self._top
            assert into is not None
            into.append(Statement(gathered, place))


def uncommented(line: str) -> str:
    """A line without its comment: what stands after ``#`` or ``!`` that is not between double quotes."""
    if "#" not in line and "!" not in line:
        return line
    for mark in _QUOTED.finditer(line):
        if mark[1] is None:
            return line[: mark.start()]
    return line


def _words(line: str) -> list[str]:
    """The words of a line; double quotes keep blanks and braces in a word, ``${NAME}`` is a part of its word."""
    return [
        (OPEN if brace == "{" else CLOSE) if brace else bare or quoted for quoted, brace, bare in _WORD.findall(line)
    ]


def _alternatives(pattern: str) -> Iterator[str]:
    """The patterns of ``a{b,c}d``, the inner braces first, as glob(3) has them with GLOB_BRACE."""
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    for one in found[1].split(","):
        yield from _alternatives(pattern[: found.start()] + one + pattern[found.end() :])
