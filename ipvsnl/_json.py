"""JSON from outside, so that whatever is wrong with it is a ValueError with the same words under every Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def loads(text: str | bytes, made: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """What a text says; ``made`` makes the objects of their fields, in their order. ValueError where it is no JSON.

    json's own RecursionError is no ValueError, and what it says is CPython's matter: "maximum recursion depth exceeded" up
    to 3.13, "Stack overflow (used 8160 kB)" in 3.14.
    """
    try:
        return json.loads(text, object_pairs_hook=made)
    except RecursionError:
        raise ValueError("its arrays and objects are too deep, one in the other") from None
