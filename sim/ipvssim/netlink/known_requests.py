"""Reading well-formed requests fast: a request that was read exactly once teaches a :class:`KnownRequest`, others match it.

The requests of one client differ in values, hardly ever in their attribute headers. A shape is one :class:`struct.Struct`
over a whole request; a request whose headers equal the shape's is valid by construction, and its values need no parse.
Shapes are learnt only from requests without duplicates, stray bytes, unknown attributes or unusual lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from struct import Struct
from typing import Any

from ipvsnl.consts import NLA_HEADER, NLA_TYPE_MASK
from ipvsnl.family import Attribute, Kind, Table

_LETTERS = {Kind.U8: "B", Kind.U16: "H", Kind.BE16: "H", Kind.U32: "I", Kind.S32: "i"}
ABSENT: dict[str, Any] = {
    "protocol": 0, "addr": bytes(16), "port": 0, "fwmark": None, "pe_name": b"",
    "addr_family": 0, "tun_type": 0, "tun_port": 0, "tun_flags": 0,
}  # fmt: skip
"""What stands for an optional attribute that is absent."""
_CONSTANTS = tuple(ABSENT.values())
_CONSTANT_INDEX = {name: index for index, name in enumerate(ABSENT)}


class KnownRequest:
    """The layout of one request's attributes, and what to do with the values."""

    __slots__ = ("_heads", "_pick", "_strings", "_struct", "_wanted", "run")

    def __init__(self, run: Callable[..., int], layout: Struct, heads: dict[int, int], values: list[int],
                 strings: list[int]) -> None:  # fmt: skip
        self.run = run
        self._struct = layout
        self._heads = itemgetter(*heads)
        self._wanted = tuple(heads.values())
        self._pick = itemgetter(*values)
        self._strings = strings

    def read(self, data: bytes, at: int) -> tuple[Any, ...] | None:
        """The values of the attributes that begin at ``at``, or None where they are of another shape."""
        fields = self._struct.unpack_from(data, at)
        if self._heads(fields) != self._wanted:
            return None
        for index in self._strings:
            if fields[index][-1]:  # not terminated: the exact way knows whether that may be
                return None
        picked: tuple[Any, ...] = self._pick(fields + _CONSTANTS)
        return picked


class _Builder:
    def __init__(self) -> None:
        self.letters = ["="]
        self.count = 0
        self.heads: dict[int, int] = {}
        self.values: dict[str, int] = {}
        self.strings: list[int] = []

    def head(self, header: int) -> None:
        self.letters.append("I")
        self.heads[self.count] = header
        self.count += 1

    def value(self, prefix: str, one: Attribute, length: int) -> bool:
        """Add an attribute's payload of ``length`` bytes; False where its length is unusual."""
        name = prefix + one.name
        if one.kind == Kind.STRING:
            if not 0 < length <= one.size + 1:
                return False
            self.strings.append(self.count)
            letters = f"{length}s"
        elif one.kind == Kind.FLAGS:
            letters = "II"
            self.values[f"{name}_mask"] = self.count + 1
        elif one.kind == Kind.BYTES:
            letters = f"{one.size}s"
        else:
            letters = _LETTERS.get(one.kind, "")
        if not letters or (one.kind != Kind.STRING and length != one.size):
            return False
        self.letters.append(f"{letters}{-length % 4}x")
        self.values[name] = self.count
        self.count += 2 if one.kind == Kind.FLAGS else 1
        return True


def learn(
    data: bytes, start: int, end: int, groups: Iterable[tuple[str, int, Table]], arguments: Iterable[str],
    run: Callable[..., int],
) -> KnownRequest | None:  # fmt: skip
    """The shape of the valid request whose attributes are ``data[start:end]``, or None where it is too unusual.

    ``groups`` are the nested attributes that the command reads, as (prefix, number, table); ``arguments`` are the names,
    with their prefixes, in the order in which ``run`` takes their values.
    """
    builder = _Builder()
    left = {number: (prefix, table) for prefix, number, table in groups}
    at = start
    while at < end:
        header, number, _, stop = _header(data, at)
        if number not in left or stop > end:
            return None
        builder.head(header)
        if not _learn_group(builder, data, at + NLA_HEADER, stop, *left.pop(number)):
            return None
        at = stop
    if left:
        return None
    values = []
    for name in arguments:
        if name in builder.values:
            values.append(builder.values[name])
        elif name[2:] in _CONSTANT_INDEX:
            values.append(builder.count + _CONSTANT_INDEX[name[2:]])
        else:
            return None
    return KnownRequest(run, Struct("".join(builder.letters)), builder.heads, values, builder.strings)


def _learn_group(builder: _Builder, data: bytes, at: int, end: int, prefix: str, table: Table) -> bool:
    seen = set()
    while at < end:
        header, number, length, stop = _header(data, at)
        one = table.by_number.get(number)
        if one is None or number in seen or stop > end:
            return False
        seen.add(number)
        builder.head(header)
        if not builder.value(prefix, one, length - NLA_HEADER):
            return False
        at = stop
    return True


_HEADER = Struct("=HH")
_HEADER_WORD = Struct("=I")


def _header(data: bytes, at: int) -> tuple[int, int, int, int]:
    """The header as one word, the attribute's number, its length and where it ends, with its padding."""
    if len(data) - at < NLA_HEADER:
        return 0, -1, 0, at
    length, number = _HEADER.unpack_from(data, at)
    return _HEADER_WORD.unpack_from(data, at)[0], number & NLA_TYPE_MASK, length, at + (length + 3 & ~3)
