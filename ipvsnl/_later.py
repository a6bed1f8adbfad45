"""Modules that are imported when something of them is first asked for.

For what most command lines never need, under names that are used in many places: ``wire`` and the values that it makes take
longer to import than the rest of the client (``python -X importtime``). A type checker is shown the real module.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Later:
    """Stands for the module ``name``; what has been asked for once is found here at once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, wanted: str) -> Any:
        found = getattr(__import__(self._name, fromlist=(wanted,)), wanted)
        setattr(self, wanted, found)
        return found
