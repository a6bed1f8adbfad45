"""What the hot modules say to mypyc, which compiles them where a wheel is built for that. Python runs the same files."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from mypy_extensions import mypyc_attr as mypyc_attr

    C = TypeVar("C")
else:

    def mypyc_attr(**said: object) -> Callable[[type[C]], type[C]]:
        """A class decorator that only the compiler reads. ``allow_interpreted_subclasses``: classes of users, which are not
        compiled, may inherit from this one. ``serializable``: an instance may be made without its ``__init__``."""
        del said
        return lambda cls: cls
