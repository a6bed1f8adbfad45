"""``~SEQ`` and ``~LST`` lines of a ``keepalived.conf``: the rest of such a line is read once for each value.

Recorded of keepalived 2.2.7 (``tests/data/keepalived/sequences.conf``, ``lists.conf``): the variable keeps its last value,
numbers may be octal or hexadecimal, and the rest may begin with another ``~`` or with a condition.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Values = Iterable[tuple[str, ...]]

_REPEAT = re.compile(r"~(SEQx?|LST)\s*\(([^)]*)\)\s*")
_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_NUMBER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]{1,16}|\d{1,19})\Z", re.ASCII)
_LIST = re.compile(r"\{[^{}]*\}|[^,{}]+|(?<=,)(?=,)|(?<=,)\Z")


def repeated(line: str, expand: Callable[[str], str]) -> tuple[tuple[str, ...], Values, str]:
    """Of a line that begins with ``~``: the variables, their values in order, and the rest that is read with each.

    ``expand`` replaces the definitions within the parentheses. ValueError says what is wrong with them.
    """
    found = _REPEAT.match(line)
    if found is None:
        raise ValueError(f"{line.partition('(')[0].strip()!r} is neither ~SEQ(...) nor ~SEQx(...) nor ~LST(...)")
    kind, inside = found[1], expand(found[2])
    names, values = _list(inside) if kind == "LST" else _sequence(inside, hexadecimal=kind == "SEQx")
    for name in names:
        if not _NAME.match(name):
            raise ValueError(f"~{kind}: {name!r} is no name of a variable")
    return names, values, line[found.end() :]


def _sequence(inside: str, *, hexadecimal: bool) -> tuple[tuple[str, ...], Values]:
    """``name, end``, ``name, start, end`` or ``name, start, step, end``."""
    name, *words = [word.strip() for word in inside.split(",")]
    if not 1 <= len(words) <= 3:
        raise ValueError("~SEQ takes a variable, and an end, a start and an end, or a start, a step and an end")
    numbers = [_number(word) for word in words]
    end = numbers[-1]
    start = numbers[0] if len(numbers) > 1 else 1 if end > 0 else -1
    step = numbers[1] if len(numbers) == 3 else 1 if end >= start else -1
    if step == 0 or (end - start) * step < 0 or (hexadecimal and min(start, end) < 0):
        raise ValueError(f"~SEQ: there are no numbers from {start} to {end} in steps of {step}")
    return (name,), _counted(start, step, end, hexadecimal=hexadecimal)


def _counted(start: int, step: int, end: int, *, hexadecimal: bool) -> Iterator[tuple[str]]:
    for number in range(start, end + (1 if step > 0 else -1), step):
        yield (f"{number:x}" if hexadecimal else str(number),)


def _number(text: str) -> int:
    """A number as C's strtol reads it: hexadecimal after 0x, octal after 0."""
    found = _NUMBER.match(text)
    try:
        if found is None:
            raise ValueError
        digits = found[2].lower()
        number = int(digits, 16 if digits.startswith("0x") else 8 if digits[0] == "0" else 10)
    except ValueError:
        raise ValueError(f"~SEQ: {text!r} is not a number") from None
    return -number if found[1] == "-" else number


def _list(inside: str) -> tuple[tuple[str, ...], Values]:
    """``name, value, ...`` or ``{name, name}, {value, value}, ...``."""
    first, *rest = [word.strip() for word in _LIST.findall(inside.strip()) if word.strip() or word == ""] or [""]
    names = _several(first)
    values = [_several(word) for word in rest]
    if not values or any(len(one) > len(names) for one in values):
        raise ValueError(f"~LST takes values, up to {len(names)} at a time, for {first}")
    return names, [one + ("",) * (len(names) - len(one)) for one in values]


def _several(word: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in word[1:-1].split(",")) if word[:1] == "{" else (word,)
