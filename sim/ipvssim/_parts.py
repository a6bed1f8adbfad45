"""What a simulated kernel is made of: parts that are copied with the whole, whether they are compiled or not."""

from __future__ import annotations

from types import BuiltinMethodType
from typing import Any

from ipvssim._compiling import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True, serializable=True)
class Part:
    """Anything that has a state in a simulated kernel. ``copy.deepcopy`` of one copies whatever it refers to.

    A part may hold a method of another part, to call it. Python's own copy takes the method of a compiled object for a
    function, and the copied kernel would call the first one; here it becomes the copied part's method.
    """

    __slots__ = ()

    def __copy__(self) -> Any:
        """A copy that refers to the same things."""
        kind = type(self)
        twin = kind.__new__(kind)
        for name, value in _held(self).items():
            setattr(twin, name, value)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copy of its own; ``memo`` has what was copied already, by ``id``."""
        kind = type(self)
        twin = memo[id(self)] = kind.__new__(kind)
        for name, value in _held(self).items():
            setattr(twin, name, _copied(value, memo))
        return twin


def _held(part: Part) -> dict[str, Any]:
    """All attributes of an instance: in slots, in a compiled class's fields, and in a dictionary; a class that is not
    compiled may inherit from one that is, and have several of these."""
    held: dict[str, Any] = {}
    for kind in type(part).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (*((slots,) if isinstance(slots, str) else slots), *vars(kind).get("__mypyc_attrs__", ())):
            try:
                held[name] = object.__getattribute__(part, name)
            except AttributeError:
                continue  # it was never given a value
    own = held.pop("__dict__", None) or getattr(part, "__dict__", {})
    held.pop("__weakref__", None)
    return held | own


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    from copy import deepcopy

    known = memo.get(id(value))
    if known is not None:
        return known
    if type(value) is list:
        items: list[Any] = []
        memo[id(value)] = items
        items.extend([_copied(one, memo) for one in value])
        return items
    if type(value) is dict:
        table: dict[Any, Any] = {}
        memo[id(value)] = table
        for key, one in value.items():
            table[deepcopy(key, memo)] = _copied(one, memo)
        return table
    if isinstance(value, BuiltinMethodType) and isinstance(value.__self__, Part):
        return getattr(deepcopy(value.__self__, memo), value.__name__)
    return deepcopy(value, memo)
