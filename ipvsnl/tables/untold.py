"""What a format can not tell of a rule, in words: for the formats that a table is written in."""

from __future__ import annotations

from ipvsnl.model import Destination, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SERVICE, _SERVER = Service("tcp", "0.0.0.0"), Destination("0.0.0.0")


def name_of(service: Service, server: Destination | None = None) -> str:
    """A rule as messages name it."""
    return str(service) if server is None else f"{service} {server}"


def fields_of(rule: Service | Destination, names: Iterable[str]) -> str:
    """``upper_threshold 5, lower_threshold 3``: of these fields those that are not what a rule has by default."""
    usual = _SERVICE if isinstance(rule, Service) else _SERVER
    return ", ".join(
        f"{name} {getattr(rule, name)}"
        for name in rule.__fields__
        if name in names and getattr(rule, name) != getattr(usual, name)
    )


def note_fields(rule: Service | Destination, names: Iterable[str], named: str, untold: list[str]) -> None:
    """Add the line that names them, where there are any."""
    fields = fields_of(rule, names)
    if fields:
        untold.append(f"{named}: not told: {fields}")
