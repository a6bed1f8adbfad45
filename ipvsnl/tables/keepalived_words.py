"""keepalived's configuration language: comments, quotes, definitions, conditions, includes and blocks become statements.

It knows no keyword but ``include``. What it does is learnt from the manual page keepalived.conf(5) and by running
keepalived 2.2.7.
"""

from __future__ import annotations

import re

from ipvsnl.tables.table import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Place = tuple[str, int]
    """A file (empty: the one that is read) and a line."""
    Opener = Callable[[str, str], Iterable[tuple[str, str, str]]]
    """Takes what is included and the folder of who includes it; gives name, folder and text of each file."""

OPEN, CLOSE = "\0{", "\0}"
"""Braces that are not quoted, as words."""
DEPTH = 32
"""How deep includes, and definitions within definitions, may go."""
_DEFINITION = re.compile(r"\$([A-Za-z_]\w*)=(.*)\Z", re.DOTALL)
_USE = re.compile(r"\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)(?=\s|\Z)")
_CONDITION = re.compile(r"@(\^?)(\S*)\s*")
_INCLUDE = re.compile(r"include[rmwba]?\s+(.*)\Z")
_MARKS = re.compile(r"[#!\"'\\]")


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
    """Reads one configuration. ``identity`` is what ``@`` lines are compared with; ``left_out`` are those that differ."""

    def __init__(self, opener: Opener | None, identity: str) -> None:
        self.left_out: list[Place] = []
        self._opener = opener
        self._identity = identity
        self._definitions: dict[str, str] = {}
        self._open: tuple[str, list[str]] | None = None
        self._top: list[Statement] = []
        self._blocks: list[Statement] = []
        self._budget = 0

    def read(self, text: str, folder: str) -> list[Statement]:
        """The statements outside of all blocks; TableError names the place of a fault."""
        self._budget = 1_000_000 + 20 * len(text)
        self._text(text, "", folder, 0)
        if self._blocks:
            raise wrong(self._blocks[-1].place, "this block is not closed")
        return self._top

    def _text(self, text: str, file: str, folder: str, depth: int) -> None:
        for number, raw in enumerate(text.split("\n"), start=1):
            place = (file, number)
            line = uncommented(raw).strip()
            if self._open is not None:
                self._continue(line)
                continue
            if not line:
                continue
            include = _INCLUDE.match(line)
            if include is None:
                self._line(line, place, 0)
                continue
            if self._opener is None:
                raise wrong(place, "it includes files, and where they are is not known here")
            if depth == DEPTH:
                raise wrong(place, "files include each other without end")
            for name, inner, more in self._opener(" ".join(_words(include[1])), folder):
                self._spend(len(more), place)
                self._text(more, name, inner, depth + 1)

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
            raise wrong(place, f"{line.partition('(')[0]}: lines that are repeated are not understood here")
        expanded = _USE.sub(self._value, line) if "$" in line else line
        if expanded == line:
            self._take(_words(line), place)
            return
        self._spend(len(expanded), place)
        for one in expanded.split("\n"):
            part = uncommented(one).strip()
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

    def _value(self, use: re.Match[str]) -> str:
        name = use[1] or use[2]
        return self._definitions.get(name, use[0])

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
    """A line without its comment: what stands after ``#`` or ``!`` that is not quoted."""
    if "#" not in line and "!" not in line:
        return line
    quote, skip = "", -1
    for mark in _MARKS.finditer(line):
        sign, where = mark[0], mark.start()
        if where == skip:
            continue
        if sign == "\\":
            skip = where + 1 if quote else -1
        elif sign in "\"'":
            quote = "" if quote == sign else quote or sign
        elif not quote:
            return line[:where]
    return line


def _words(line: str) -> list[str]:
    """The words of a line; quotes keep blanks and braces in them, ``${NAME}`` is a part of its word."""
    words: list[str] = []
    word: list[str] = []
    quote, begun, characters = "", False, iter(line)

    def end() -> None:
        nonlocal begun
        if word or begun:
            words.append("".join(word))
        word.clear()
        begun = False

    for sign in characters:
        if quote:
            if sign == quote:
                quote = ""
            else:
                word.append(next(characters, "") if sign == "\\" else sign)
        elif sign in "\"'":
            quote, begun = sign, True
        elif sign.isspace():
            end()
        elif sign == "{" and word and word[-1] == "$":
            word.append(sign)
            for inner in characters:
                word.append(inner)
                if inner == "}":
                    break
        elif sign in "{}":
            end()
            words.append(OPEN if sign == "{" else CLOSE)
        else:
            word.append(sign)
    end()
    return words
