"""Modules that are imported when something of them is first asked for; and imports that cost less.

For what most command lines never need, under names that are used in many places: ``wire`` and the values that it makes take
longer to import than the rest of the client (``python -X importtime``). A type checker is shown the real module.
"""

from __future__ import annotations

import gc

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


class Kept:
    """A context: what is imported in it is needed to the end, so nobody looks for garbage there, neither now nor later. (To
    look takes a tenth of the time of the imports themselves.)"""

    def __enter__(self) -> None:
        self._looks = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.freeze()
        if self._looks:
            gc.enable()
