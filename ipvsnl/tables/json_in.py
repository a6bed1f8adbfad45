"""The table as JSON, both ways; docs/use/json.md is its description.

One document: ``{"ipvsnl": 1, ...}`` with the parts that were asked for. What :func:`read` reads is what the listings write:
statistics and connection counts in it are passed over, a field that is not known is refused, and so is a document that
says of itself that it does not know everything.
"""

from __future__ import annotations

from ipvsnl import _json
from ipvsnl.address import family_of, pack
from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    FORWARDING,
    GENERIC_SCHEDULER_FLAGS,
    PROTOCOLS,
    SCHEDULER_FLAGS,
    TUNNEL_F_CSUM,
    TUNNEL_F_REMCSUM,
    TUNNEL_TYPES,
)
from ipvsnl.errors import EncodeError
from ipvsnl.model import Destination, Service, Timeouts
from ipvsnl.tables.table import Table, TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    Object = dict[str, Any]

VERSION = 1
FAMILIES = {"ipv4": AF_INET, "ipv6": AF_INET6}
TUNNEL_FLAGS = {"csum": TUNNEL_F_CSUM, "remcsum": TUNNEL_F_REMCSUM}
_U32, _U16 = 2**32 - 1, 2**16 - 1
_KEY_FIELDS = ("protocol", "address", "port", "fwmark", "family")
_SERVICE_FIELDS = frozenset((
    *_KEY_FIELDS, "scheduler", "flags", "one_packet", "persistence", "netmask", "persistence_engine", "servers",
    "statistics",
))  # fmt: skip
_SERVER_FIELDS = frozenset((
    "address", "port", "forwarding", "weight", "upper_threshold", "lower_threshold", "tunnel", "connections", "statistics",
))  # fmt: skip
_PARTS = frozenset(("ipvsnl", "kernel", "services", "timeouts", "unknown"))


class Place:
    """A value in a document, and the way to it for messages: ``services[3].servers[0].weight``."""

    def __init__(self, value: Any, path: str = "") -> None:
        self.value = value
        self.path = path

    def wrong(self, words: str) -> TableError:
        """The error that names the place."""
        return TableError(f"{self.path or 'the document'}: {words}")

    def fields(self, known: Collection[str]) -> Object:
        """An object whose fields are all known."""
        if not isinstance(self.value, dict):
            raise self.wrong("not an object")
        for name in self.value:
            if name not in known:
                raise self.wrong(f"unknown field {name!r}")
        return self.value

    def at(self, name: str) -> Place:
        """A field of an object."""
        return Place(self.value.get(name), f"{self.path}.{name}".lstrip("."))

    def items(self) -> list[Place]:
        """The elements of an array; none where there is no such field."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.wrong("not an array")
        return [Place(one, f"{self.path}[{index}]") for index, one in enumerate(self.value)]

    def number(self, low: int, high: int, default: int | None = None) -> int:
        """A whole number within limits."""
        if self.value is None and default is not None:
            return default
        if type(self.value) is not int or not low <= self.value <= high:
            raise self.wrong(f"not a number from {low} to {high}: {self.value!r}")
        return self.value

    def word(self, words: Collection[str], default: str | None = None, most: int = 0) -> str | int:
        """One of some words; with ``most`` also a number up to that."""
        value = default if self.value is None and default is not None else self.value
        if isinstance(value, str) and value in words:
            return value
        if most and type(value) is int and 0 <= value <= most:
            return value
        raise self.wrong(f"not one of {', '.join(words)}{' or a number' if most else ''}: {value!r}")

    def text(self, default: str = "") -> str:
        """Text."""
        if self.value is None:
            return default
        if not isinstance(self.value, str):
            raise self.wrong(f"not text: {self.value!r}")
        return self.value

    def truth(self) -> bool:
        """True or false; absent is false."""
        if self.value is not None and not isinstance(self.value, bool):
            raise self.wrong(f"neither true nor false: {self.value!r}")
        return bool(self.value)

    def address(self) -> str:
        """An IP address."""
        text = self.text()
        try:
            pack(text)
        except EncodeError as wrong:
            raise self.wrong(str(wrong)) from None
        return text

    def flags(self, names: dict[str, int]) -> int:
        """An array of names, and numbers for the bits that have none."""
        bits = 0
        for one in self.items():
            word = one.word(names, None, _U32)
            bits |= names[word] if isinstance(word, str) else word
        return bits


# --- reading ---


def read(text: str, source: str = "") -> Table:
    """The wanted table of a document; TableError names the place that is wrong."""
    document = Place(_loaded(text))
    if not isinstance(document.value, dict) or document.value.get("ipvsnl") != VERSION:
        raise document.wrong(f'not one of ours: "ipvsnl": {VERSION} is missing')
    document.fields(_PARTS)
    if document.value.get("unknown"):
        raise document.wrong("it says that it does not know everything, so it is no table to aim at")
    if "services" not in document.value and "timeouts" not in document.value:
        raise document.wrong("it has neither services nor timeouts")
    table = Table(source)
    seen: dict[object, str] = {}
    for place in document.at("services").items():
        service = _service(place)
        _once(seen, service.key, place)
        table.add_service(service)
        for at in place.at("servers").items():
            server = _server(at, service)
            _once(seen, (service.key, server.key), at)
            table.add_server(service, server)
    if document.value.get("timeouts") is not None:
        table.timeouts = _timeouts(document.at("timeouts"))
    return table


def _loaded(text: str) -> Any:
    """What the text says; TableError where it is no JSON, or says a thing twice."""
    twice: list[tuple[Object, str]] = []

    def made(pairs: list[tuple[str, Any]]) -> Object:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice.append((found, next(name for name in names if names.count(name) > 1)))
        return found

    try:
        whole = _json.loads(text, made)
    except ValueError as wrong:
        raise TableError(f"no JSON: {wrong}") from None
    for one, name in twice[:1]:
        raise Place(None, _way(whole, one)).wrong(f"the field {name!r} stands there twice")
    return whole


def _way(whole: Any, wanted: Any) -> str:
    """The way to a part of a document (empty: it is the whole, or was overwritten by a double)."""
    left = [Place(whole)]
    while left:
        place = left.pop()
        if place.value is wanted:
            return place.path
        if isinstance(place.value, dict):
            left += [place.at(name) for name in place.value]
        elif isinstance(place.value, list):
            left += place.items()
    return ""


def _once(seen: dict[object, str], key: object, place: Place) -> None:
    if key in seen:
        raise place.wrong(f"the same as {seen[key]}")
    seen[key] = place.path


def _service(place: Place) -> Service:
    fields = place.fields(_SERVICE_FIELDS)
    scheduler = place.at("scheduler").text("wlc")
    names = {**GENERIC_SCHEDULER_FLAGS, **SCHEDULER_FLAGS.get(scheduler, {})}
    persistence = place.at("persistence").number(0, _U32, -1)
    common: Object = {
        "scheduler": scheduler,
        "flags": place.at("flags").flags(names),
        "one_packet": place.at("one_packet").truth(),
        "persistence": None if persistence < 0 else persistence,
        "persistence_engine": place.at("persistence_engine").text(),
    }
    if "fwmark" in fields:
        for name in ("protocol", "address", "port"):
            if name in fields:
                raise place.at(name).wrong("a firewall mark has none")
        family = FAMILIES[str(place.at("family").word(FAMILIES, "ipv4"))]
        mark = place.at("fwmark").number(1, _U32)
        return Service(fwmark=mark, family=family, netmask=_netmask(place.at("netmask"), family), **common)
    address = place.at("address").address()
    family = family_of(address)
    if "family" in fields and FAMILIES[str(place.at("family").word(FAMILIES))] != family:
        raise place.at("family").wrong("not the address's")
    protocol = place.at("protocol").word(PROTOCOLS, None, 255)
    port = place.at("port").number(0, _U16)
    return Service(protocol, address, port, netmask=_netmask(place.at("netmask"), family), **common)


def _netmask(place: Place, family: int) -> str | int | None:
    if place.value is None:
        return None
    if family == AF_INET6:
        return place.number(1, 128)
    mask = place.address()
    if ":" in mask:
        raise place.wrong("not the netmask of an IPv4 service")
    return mask


def _server(place: Place, service: Service) -> Destination:
    place.fields(_SERVER_FIELDS)
    forwarding = place.at("forwarding").word(FORWARDING, "route", 7)
    kind: str | int = "ipip"
    port = flags = 0
    tunnel = place.at("tunnel")
    if tunnel.value is not None:
        if forwarding != "tunnel":
            raise tunnel.wrong("the forwarding method is no tunnel")
        tunnel.fields(("type", "port", "flags"))
        kind = tunnel.at("type").word(TUNNEL_TYPES, "ipip", 255)
        port = tunnel.at("port").number(0, _U16, 0)
        flags = tunnel.at("flags").flags(TUNNEL_FLAGS)
    return Destination(
        place.at("address").address(), place.at("port").number(0, _U16, service.port), forwarding,
        place.at("weight").number(0, 2**31 - 1, 1), place.at("upper_threshold").number(0, _U32, 0),
        place.at("lower_threshold").number(0, _U32, 0), kind, port, flags,
    )  # fmt: skip


def _timeouts(place: Place) -> Timeouts:
    place.fields(("tcp", "tcp_fin", "udp"))
    read: Callable[[str], int] = lambda name: place.at(name).number(0, 2**31 - 1, 0)  # noqa: E731
    return Timeouts(read("tcp"), read("tcp_fin"), read("udp"))
