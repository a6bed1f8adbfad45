"""Options of ours that may stand anywhere in a command line of ipvsadm's: ``--json``, ``--atomic``, ``--trash``, and what
connections to list. ipvsadm has none of these names, so they are taken out before its grammar reads the rest."""

from __future__ import annotations

from ipvsnl._value import Value, value
from ipvsnl.text.popt import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvsnl.procfs import Filter

_FLAGS = {"--json": "json", "--atomic": "atomic", "--trash": "trash"}
_WITH_TRASH = frozenset(("numeric", "service-address"))
"""The options of ipvsadm's that ``-L --trash`` takes."""
_FILTERS = {"--service": "service", "--server": "server", "--state": "state"}


@value
class Extras(Value):
    """What our own options ask for."""

    json: bool = False
    atomic: bool = False
    trash: bool = False
    service: str | None = None
    server: str | None = None
    state: str | None = None

    def chosen(self, command: str, options: frozenset[str]) -> Filter | None:
        """Which connections are asked for, None for all; UsageError where one of ours does not go with the command."""
        if self.atomic and command != "restore":
            raise UsageError("--atomic goes with -R")
        if self.json and command != "list":
            raise UsageError("--json goes with -L, and stands after the words plan, apply")
        if self.trash and (command != "list" or options - _WITH_TRASH):
            raise UsageError("--trash goes with -L, and beside it only a service, -n and --json")
        if not (self.service or self.server or self.state):
            return None
        if "connection" not in options:
            raise UsageError("--service, --server and --state choose connections: they go with -L -c")
        from ipvsnl.procfs import Filter

        protocol, slash, where = (self.service or "").rpartition("/")
        return Filter(
            protocol.upper() if slash else None, *_endpoint("--service", where),
            *_endpoint("--server", self.server or ""), self.state,
        )  # fmt: skip


def take(argv: Sequence[str]) -> tuple[list[str], Extras]:
    """The words without ours, and ours; ValueError for one without its value."""
    rest: list[str] = []
    found: dict[str, object] = {}
    words = iter(argv)
    for word in words:
        name, equals, text = word.partition("=")
        if name in _FLAGS and not equals:
            found[_FLAGS[name]] = True
        elif name in _FILTERS:
            got = text if equals else next(words, None)
            if got is None:
                raise ValueError(f"{name}: missing argument")
            found[_FILTERS[name]] = got
        else:
            rest.append(word)
    return rest, Extras(**found)  # type: ignore[arg-type]


def _endpoint(option: str, text: str) -> tuple[str | None, int | None]:
    """Address and port of ``ADDRESS``, ``ADDRESS:PORT``, ``[V6]:PORT``; None for what is not given."""
    from ipvsnl.text.values import service_address

    if not text:
        return None, None
    try:
        return service_address(text, "tcp")
    except ValueError:
        raise UsageError(f"{option}: {text!r} is no address[:port]") from None
