"""The backend without a compiler: pure ctypes. Same bytes, records and errors as the C.

It is twenty to sixty times slower; it serves where no wheel fits and nothing can be built, and as the C's second opinion.
"""

from __future__ import annotations

from ipvsnl.backends._ctypes_messages import decode as decode
from ipvsnl.backends._ctypes_messages import decode_done as decode_done
from ipvsnl.backends._ctypes_messages import decode_error as decode_error
from ipvsnl.backends._ctypes_messages import decode_family_id as decode_family_id
from ipvsnl.backends._ctypes_messages import encode as encode
from ipvsnl.backends._ctypes_messages import encode_getfamily as encode_getfamily
from ipvsnl.backends._ctypes_messages import split as split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ipvsnl.backends._ctypes_bulk import stamp as stamp
    from ipvsnl.backends._ctypes_bulk import take_records as take_records
    from ipvsnl.backends.contract import Outcome

name = "ctypes"
rules: Callable[..., None] | None = None
deletions: Callable[..., None] | None = None
"""Rule text is read as values here (:mod:`ipvsnl.bulk.plain`)."""
converse: Callable[[int, Any, int, int, int, float], Outcome] | None = None
dump: Callable[[int, bytes, str, int, float], tuple[Any, int, bool]] | None = None
dump_servers: Callable[[int, int, Any, int, Any, float], tuple[Any, int, bool]] | None = None
"""Sockets are Python's here."""
printed: Callable[[int, Any, Any, Any, int], Iterator[bytes | int]] | None = None
"""And so is text."""


def __getattr__(wanted: str) -> Any:
    """The functions for bulk are loaded when the first of them is asked for."""
    if wanted not in ("stamp", "take_records"):
        raise AttributeError(wanted)
    import ipvsnl.backends._ctypes_bulk as bulk

    return getattr(bulk, wanted)
