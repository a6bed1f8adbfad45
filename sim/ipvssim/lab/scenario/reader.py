"""Reading TOML tables strictly: what is asked for has its type and its range, and what nobody asked for is an error that
names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

NUMBER = (int, float)
LONGEST = 1e9
"""Seconds (30 years): nothing takes longer, and no rate is greater."""
_SHOWN = 60


class ScenarioError(ValueError):
    """A scenario that can't be run; the message names the place in it."""


def shown(value: object) -> str:
    """A value in a message: as Python writes it, and no more than a line of it."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = "a number without end"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


class Reader:
    """One table of a scenario. ``place`` is what messages call it."""

    def __init__(self, table: object, place: str) -> None:
        if not isinstance(table, Mapping):
            raise ScenarioError(f"{place or 'the scenario'}: a table is wanted, not {shown(table)}")
        self._table = dict(table)
        self.place = place

    def name(self, key: str) -> str:
        """What messages call one of its keys."""
        return f"{self.place}.{key}" if self.place else key

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """The value of ``key``, which has to be of that type; ``default`` where it is absent."""
        if key not in self._table:
            return default
        found = self._table.pop(key)
        if not isinstance(found, kind) or (isinstance(found, bool) and bool not in _kinds(kind)):
            raise ScenarioError(f"{self.name(key)}: {shown(found)} is not {_words(kind)}")
        self._check_text(key, found)
        return found

    def _check_text(self, key: str, found: object) -> None:
        if isinstance(found, str) and not found.isascii():
            try:
                found.encode()
            except UnicodeEncodeError:  # bytes of a command line that are no UTF-8
                raise ScenarioError(f"{self.name(key)}: {shown(found)} is no text in UTF-8") from None

    def need(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """As :meth:`take`, of what must be there."""
        if key not in self._table:
            raise ScenarioError(f"{self.name(key)} is missing")
        return self.take(key, kind)

    def whole_number(self, key: str, default: int | None, least: int, most: int) -> int:
        """A whole number from ``least`` to ``most``; it must be there unless there is a default."""
        found: int = self.need(key, int) if default is None else self.take(key, int, default)
        if not least <= found <= most:
            raise ScenarioError(f"{self.name(key)}: {shown(found)} is not from {least:,} to {most:,}")
        return found

    def number(self, key: str, default: float | None = None) -> float:
        """A number that is not negative (seconds, say); it must be there unless there is a default."""
        found = self.need(key, NUMBER) if default is None else self.take(key, NUMBER, default)
        if not 0 <= found <= LONGEST:  # nan is not
            raise ScenarioError(f"{self.name(key)}: {shown(found)} is not from 0 to {LONGEST:,.0f}")
        return float(found)

    def positive(self, key: str) -> float:
        """A number above 0, which must be there."""
        found = self.need(key, NUMBER)
        if not 0 < found <= LONGEST:
            raise ScenarioError(f"{self.name(key)}: {shown(found)} is not above 0 and at most {LONGEST:,.0f}")
        return float(found)

    def listed(self, key: str, kind: type, default: list[Any] | None = None) -> list[Any] | None:
        """A list of values of one type."""
        found: list[Any] | None = self.take(key, list, default)
        for number, one in enumerate(found or ()):
            if not isinstance(one, kind) or (isinstance(one, bool) and kind is not bool):
                raise ScenarioError(f"{self.name(key)}[{number}]: {shown(one)} is not {_words(kind)}")
            self._check_text(key, one)
        return found

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of several words."""
        found = str(self.need(key, str) if default is None else self.take(key, str, default))
        if found not in choices:
            raise ScenarioError(f"{self.name(key)}: {shown(found)} is none of {', '.join(choices)}")
        return found

    def tables(self, key: str) -> list[Reader]:
        """The tables of an array of tables; a single one counts as an array of one."""
        found = self._table.pop(key, [])
        several = found if isinstance(found, list) else [found]
        return [
            Reader(one, self.name(key) if len(several) == 1 else f"{self.name(key)}[{number}]")
            for number, one in enumerate(several)
        ]

    def has(self, key: str) -> bool:
        """Whether it has that key."""
        return key in self._table

    @contextmanager
    def whole(self) -> Iterator[Reader]:
        """Read inside: what is left at the end is unknown."""
        yield self
        for key in self._table:
            raise ScenarioError(f"{self.name(key)}: unknown")


def _kinds(kind: type | tuple[type, ...]) -> tuple[type, ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def _words(kind: type | tuple[type, ...]) -> str:
    names = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a table",
        bool: "true or false",
    }
    return " or ".join(names[one] for one in _kinds(kind))


def changed(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested tables with values put in by dotted path: ``{"traffic.arrivals.rate": 10}``; numbers index arrays."""
    copy = _copied(raw)
    for path, value in changes.items():
        at: Any = copy
        *way, last = path.split(".")
        try:
            for word in way:
                at = at[int(word)] if isinstance(at, list) else at.setdefault(word, {})
            at[int(last) if isinstance(at, list) else last] = _copied(value)
        except (ValueError, IndexError, AttributeError, TypeError):
            raise ScenarioError(f"{path}: there is no such place in the scenario") from None
    return dict(copy)


def paths(nested: object, root: str = "") -> dict[str, Any]:
    """Nested tables as dotted paths to what is no table: ``{"traffic": {"seconds": 5}}`` as ``{"traffic.seconds": 5}``."""
    if not isinstance(nested, Mapping):
        raise ScenarioError(f"small: a table is wanted, not {shown(nested)}")
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= paths(value, f"{root}{key}.") if isinstance(value, Mapping) else {root + key: value}
    return found


def check_name(name: str) -> str:
    """A scenario's name, which reports are named after: the plain name of a file, in whatever folder they go to."""
    plain = name.isprintable() and not set(name) & set("/\\") and not name.startswith(".")
    if not name.strip() or not plain or len(name.encode("utf-8", "replace")) > 200:
        raise ScenarioError(
            f"name: {shown(name)} is no plain file name (no / or \\, not beginning with a dot, 200 bytes or fewer)"
        )
    return name


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value
