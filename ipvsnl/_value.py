"""Frozen, slotted values without the import cost of :mod:`dataclasses` (14 ms at start-up, against 0.2 ms).

Values check their fields when they are made; what the kernel answered is made by a :func:`maker`, and not checked.
"""

from __future__ import annotations

from _operator import index  # "operator" costs half a millisecond at every start

from ipvsnl.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, TypeVar, dataclass_transform

    _T = TypeVar("_T")
else:

    def dataclass_transform(**_: object) -> Callable[[_T], _T]:
        """What type checkers read; nothing at run time."""
        return lambda function: function


class Value:
    """Base of the values: compared, hashed and shown by their fields, changed by making another."""

    __slots__ = ()
    __fields__: tuple[str, ...] = ()

    def astuple(self) -> tuple[Any, ...]:
        """The fields' values, in order."""
        return tuple([getattr(self, name) for name in self.__fields__])

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; TypeError names a field that does not exist."""
        return type(self)(**({name: getattr(self, name) for name in self.__fields__} | changes))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.astuple() == other.astuple()

    def __hash__(self) -> int:
        return hash(self.astuple())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__fields__)
        return f"{type(self).__name__}({shown})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: use .replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.astuple()


def whole(field: str, given: object, least: int, most: int) -> int:
    """The number that ``given`` is (an int, or one of NumPy's, say); EncodeError where it is none, or out of range."""
    try:
        number = index(given)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise EncodeError(f"{field}: {given!r} is not a whole number from {least} to {most}")
    return number


def named(field: str, given: object, words: dict[str, int], most: int) -> str | int:
    """A word that has a number, or a number that has none (6 becomes ``"tcp"``); EncodeError for anything else."""
    if isinstance(given, str):
        if given in words:
            return given
    else:
        try:
            number = index(given)  # type: ignore[arg-type]
        except TypeError:
            number = -1
        if 0 <= number <= most:
            return next((word for word, its in words.items() if its == number), number)
    raise EncodeError(f"{field}: {given!r} is not one of {', '.join(words)}, or a number from 0 to {most}")


def name_of(field: str, given: object, limit: int) -> str:
    """A name of at most ``limit`` bytes without control characters; EncodeError where it is none."""
    if type(given) is str and len(given) <= limit and given.isascii() and given.isprintable():
        return given
    if not isinstance(given, str):
        raise EncodeError(f"{field}: {given!r} is not text")
    if len(given.encode(errors="replace")) > limit:
        raise EncodeError(f"{field}: {given!r} is longer than {limit} bytes")
    if given and not given.isprintable():
        raise EncodeError(f"{field}: {given!r} holds a character that cannot be printed")
    return given


def needs(kind: type, given: object) -> None:
    """EncodeError where a value is of another kind: None, say, or the status of a service in place of the service."""
    if not isinstance(given, kind):
        raise EncodeError(f"this takes a {kind.__name__}, not {given!r:.200}")


def filled(cls: type[_T], *values: object) -> _T:
    """A value of all its fields, not checked and with nothing compiled: for the one that is made at every start."""
    made = object.__new__(cls)
    for name, given in zip(cls.__fields__, values, strict=True):  # type: ignore[attr-defined]
        object.__setattr__(made, name, given)
    return made


def maker(cls: type[_T]) -> Callable[..., _T]:
    """A function that makes a value of all its fields, in order and already derived: three times as fast as the class.

    A plain twin of the class (same slots, assignable) is filled by ordinary stores, then becomes one of the class.
    """
    fields = cls.__fields__  # type: ignore[attr-defined]
    plain = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    twin = type(f"_{cls.__name__}", cls.__bases__, {"__slots__": fields, **plain})
    parts = ", ".join(fields)
    lines = [f"def make({parts}):", "    made = _new(_twin)"]
    lines += [f"    made.{name} = {name}" for name in fields]
    lines += ["    made.__class__ = _cls", "    return made"]
    scope: dict[str, Any] = {"_new": object.__new__, "_twin": twin, "_cls": cls}
    exec("\n".join(lines), scope)  # noqa: S102 (the source is our own annotations, as below)
    made: Callable[..., _T] = scope["make"]
    return made


@dataclass_transform(frozen_default=True)
def value(cls: type[_T]) -> type[_T]:
    """Class decorator: the annotated names become slots, set once by a generated ``__init__``.

    A ``_ranges`` gives whole-number fields their least and greatest value; where the default is None, None is allowed, too.
    EncodeError names a field that is outside. A ``_derive(self, assign)`` may check the other fields, and compute some:
    ``assign(self, name, value)`` is the one way to set them.
    """
    fields = tuple(cls.__annotations__)
    body = dict(vars(cls))
    defaults = {name: body.pop(name) for name in fields if name in body}
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    body["__slots__"] = body["__fields__"] = fields
    made: Any = type(cls.__name__, cls.__bases__, body)
    made.__init__ = _Initializer(cls.__qualname__, made, defaults, body)
    return made  # type: ignore[no-any-return]


class _Initializer:
    """The ``__init__`` of a value's class until it is first asked for: compiling one costs a tenth of a millisecond or two.

    A command makes values of two or three of the classes that it imports. Asked for, it writes itself and takes its place.
    """

    __slots__ = ("_body", "_defaults", "_made", "_qualname")

    def __init__(self, qualname: str, made: Any, defaults: dict[str, Any], body: dict[str, Any]) -> None:
        self._qualname, self._made, self._defaults, self._body = qualname, made, defaults, body

    def __get__(self, instance: object, owner: type) -> Any:
        made = self._made
        if vars(made)["__init__"] is self:
            made.__init__ = self._written()
        return vars(made)["__init__"].__get__(instance, owner)

    def _written(self) -> Any:
        made, defaults, fields = self._made, self._defaults, self._made.__fields__
        ranges: dict[str, tuple[int, int]] = self._body.get("_ranges", {})
        parameters = ", ".join(f"{name}=_default_{name}" if name in defaults else name for name in fields)
        lines = [f"def __init__(self, {parameters}):"]
        for name, (least, most) in ranges.items():
            optional = f"{name} is not None and " if defaults.get(name, 0) is None else ""
            lines.append(f"    if {optional}not (type({name}) is int and {least} <= {name} <= {most}):")
            lines.append(f"        {name} = _whole('{made.__name__}.{name}', {name}, {least}, {most})")
        lines += [f"    _set_{name}(self, {name})" for name in fields]
        if "_derive" in self._body:
            lines.append("    self._derive(_assign)")
        scope: dict[str, Any] = {f"_set_{name}": vars(made)[name].__set__ for name in fields}
        scope |= {f"_default_{name}": default for name, default in defaults.items()}
        scope |= {"_assign": object.__setattr__, "_whole": whole}
        exec("\n".join(lines), scope)  # noqa: S102 (the source is our own annotations, as in dataclasses)
        written = scope["__init__"]
        written.__qualname__ = f"{self._qualname}.__init__"
        return written
