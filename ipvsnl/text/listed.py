"""Listings as people paste them (``ipvsadm -L``, of any release and with any columns), read back as values.

A listing tells less than the table has: each format has its columns (:data:`_FORMATS`), and names may be cut. What it
does not tell is in :attr:`Listed.unsaid`; what can't be known for sure is refused, with the line and with what helps.
"""

from __future__ import annotations

import re
from _socket import inet_ntop, inet_pton

from ipvsnl.consts import AF_INET, AF_INET6, GENERIC_SCHEDULER_FLAGS, SCHEDULER_FLAGS
from ipvsnl.errors import EncodeError
from ipvsnl.model import Destination, Service
from ipvsnl.text import values
from ipvsnl.text.listing import CHECKSUMS
from ipvsnl.text.pasted import echoes, pasted
from ipvsnl.text.rules import RuleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Row = tuple[int, Service, Destination | None]
    """A line's number, its service, and the real server where it is one's."""

CUT = 28
"""Characters of ``host:port`` that ipvsadm shows of an IPv4 address; with the protocol 33."""
SERVICE_FIELDS = frozenset(("scheduler", "flags", "one_packet", "persistence", "netmask", "persistence_engine"))
TUNNEL = frozenset(("tunnel_type", "tunnel_port", "tunnel_flags"))
THRESHOLDS = frozenset(("upper_threshold", "lower_threshold"))
_METHODS = {"Masq": "masq", "Local": "local", "Tunnel": "tunnel", "Route": "route", "Bypass": "bypass"}
_NUMERIC = "numbers instead of names (ipvsadm -Ln) tell"
_SERVICE = re.compile(r"(TCP|UDP|SCTP|FWM|\d{1,5})\s+\S")
_COUNTER = re.compile(r"\d+[KMGT]?\Z")


class Listed:
    """What a listing says: its rows, and which fields of services and of servers it says nothing about."""

    def __init__(self, rows: list[Row], services: frozenset[str], servers: frozenset[str]) -> None:
        self.rows = rows
        self.unsaid = (services, servers)


class _Format:
    """A format: what its service lines lack, what its server lines lack, how many columns these have, and who reads them."""

    def __init__(
        self, services: frozenset[str], servers: frozenset[str], columns: int,
        read: Callable[[list[str]], dict[str, str | int]],
    ) -> None:  # fmt: skip
        self.services, self.servers, self.columns, self.read = services, servers, columns, read


def _usual(words: list[str]) -> dict[str, str | int]:
    return {"forwarding": _METHODS[words[0]], "weight": _number(words[1])}


def _tunnels(words: list[str]) -> dict[str, str | int]:
    fields: dict[str, str | int] = {"forwarding": _METHODS[words[0]], "weight": _number(words[2])}
    kind, *rest = words[1].split(":")
    if kind in ("gue", "gre"):
        checksum = CHECKSUMS.index(rest[-1])
        fields |= {"tunnel_type": kind, "tunnel_flags": checksum}
        if kind == "gue":
            fields["tunnel_port"] = _number(rest[0])
    elif kind not in ("ipip", "n/a"):
        raise ValueError(words[1])
    return fields


def _limits(words: list[str]) -> dict[str, str | int]:
    return {"upper_threshold": _number(words[0]), "lower_threshold": _number(words[1])}


def _counted(words: list[str]) -> dict[str, str | int]:
    if not all(map(_COUNTER.match, words)):
        raise ValueError(words)
    return {}


_METHOD = frozenset(("forwarding", *TUNNEL))
_FORMATS = {
    "usual": _Format(frozenset(), TUNNEL | THRESHOLDS, 4, _usual),
    "tun-info": _Format(frozenset(), THRESHOLDS, 5, _tunnels),
    "thresholds": _Format(frozenset(), _METHOD | {"weight"}, 4, _limits),
    "persistent-conn": _Format(frozenset(), _METHOD | THRESHOLDS, 4, lambda words: {"weight": _number(words[0])}),
    "counters": _Format(SERVICE_FIELDS, _METHOD | THRESHOLDS | {"weight"}, 5, _counted),
}
_TITLES = {
    "TunnelInfo": "tun-info", "Uthreshold": "thresholds", "PersistConn": "persistent-conn", "Conns": "counters",
    "CPS": "counters", "Forward": "usual",
}  # fmt: skip


def begins(line: str) -> bool:
    """Whether a line is one of a listing, its titles included."""
    line = line.strip()
    return line.startswith(("IP Virtual Server version", "Prot LocalAddress", "-> ")) or bool(_SERVICE.match(line))


def read(text: str) -> Listed:
    """The rows of a listing; RuleError names the line that is none, or that can't be relied on."""
    return _Reader().read(text)


class _Reader:
    """Reads one listing."""

    def __init__(self) -> None:
        self._format = ""
        self._service: Service | None = None

    def read(self, text: str) -> Listed:
        rows = []
        for number, raw in enumerate(text.split("\n"), start=1):
            line = pasted(raw)
            if not line or self._is_title(line) or echoes(line) or line.startswith("#"):
                continue
            try:
                rows.append((number, *self._row(line.split())))
            except _Doubt as doubt:
                raise RuleError(number, line, str(doubt)) from None
            except (ValueError, KeyError, IndexError, OSError, EncodeError) as wrong:
                why = f": {wrong}" if isinstance(wrong, EncodeError) else ""
                raise RuleError(number, line, f"no line of a listing{why}") from None
        found = _FORMATS[self._format or "usual"]
        return Listed(rows, found.services, found.servers)

    def _is_title(self, line: str) -> bool:
        if line.startswith("IPVS connection entries"):
            raise RuleError(1, line, "these are connections, not the table: ipvsadm -Ln shows that")
        if not line.startswith(("IP Virtual Server version", "Prot LocalAddress", "-> RemoteAddress:Port")):
            return False
        words = line.split()
        self._format = next((name for word, name in _TITLES.items() if word in words), self._format)
        return True

    def _row(self, words: list[str]) -> tuple[Service, Destination | None]:
        if words[0] == "->":
            if self._service is None:
                raise _Doubt("a real server before any service")
            return self._service, self._server(words[1], words[2:], self._service)
        self._service = self._read_service(words)
        return self._service, None

    # --- services ---

    def _read_service(self, words: list[str]) -> Service:
        kind, where, *rest = words
        key: dict[str, str | int]
        if kind == "FWM":
            mark = int(where)
            key = {"fwmark": mark + 2**32 if -(2**31) <= mark < 0 else mark}
            if rest[:1] == ["IPv6"]:
                key["family"] = AF_INET6
                del rest[0]
        else:
            protocol: str | int = _number(kind) if kind.isdecimal() else _protocol(kind)
            address, port = _endpoint(where, str(protocol))
            key = {"protocol": protocol, "address": address, "port": port}
        if self._counts(rest):
            return Service(**key)  # type: ignore[arg-type]
        scheduler, *attributes = rest
        return Service(**key, scheduler=scheduler, **_attributes(scheduler, attributes))  # type: ignore[arg-type]

    def _counts(self, rest: list[str]) -> bool:
        """Whether a service has counters in place of a scheduler."""
        if not self._format and len(rest) == 5 and all(map(_COUNTER.match, rest)):
            self._format = "counters"
        if self._format == "counters":
            if len(rest) != 5:
                raise ValueError(rest)
            _counted(rest)
        return self._format == "counters"

    # --- servers ---

    def _server(self, where: str, columns: list[str], service: Service) -> Destination:
        if not self._format:
            self._format = self._guessed(columns)
        form = _FORMATS[self._format]
        _check_method(columns[0], form)
        if len(columns) != form.columns:
            raise ValueError(columns)
        for column in columns[-2:]:
            if not _COUNTER.match(column):
                raise ValueError(column)
        address, port = _endpoint(where, "" if service.fwmark else str(service.protocol))
        return Destination(address, port, **form.read(columns))  # type: ignore[arg-type]

    def _guessed(self, columns: list[str]) -> str:
        if columns[0] in _METHODS:
            return "tun-info" if len(columns) == 5 else "usual"
        _check_method(columns[0], _FORMATS["usual"])
        if len(columns) == 5:
            return "counters"
        raise _Doubt("without the title lines it is not known what these columns are: paste them, too")


def _check_method(word: str, form: _Format) -> None:
    """Refuse a method that is a word and none of Linux's (those of other IPVS, as FullNat)."""
    if form.read in (_usual, _tunnels) and word.isalpha() and word not in _METHODS:
        raise _Doubt(f"{word!r} is no forwarding method of Linux's: {', '.join(_METHODS)}")


class _Doubt(Exception):  # noqa: N818 (on its way to a RuleError)
    """Why a line can't be relied on, and what helps."""


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise ValueError(text)
    return int(text)


def _protocol(word: str) -> str:
    if word not in ("TCP", "UDP", "SCTP"):
        raise ValueError(word)
    return word.lower()


def _endpoint(text: str, protocol: str) -> tuple[str, int]:
    """Address and port, looked up where they are names; cut ones are refused."""
    host, colon, port = text.rpartition(":")
    if host[:1] == "[" and host[-1:] == "]":
        try:
            return inet_ntop(AF_INET6, inet_pton(AF_INET6, host[1:-1])), _port(port, protocol)
        except OSError:
            raise _Doubt(f"what address a name has is not known of IPv6: {_NUMERIC}") from None
    try:
        inet_pton(AF_INET, host)
    except (OSError, ValueError):
        pass
    else:
        return host, _port(port, protocol)
    if len(text) >= CUT:
        raise _Doubt(
            f"the name may be cut, as listings cut them at {CUT} characters (33 with the protocol): {_NUMERIC}"
        )
    if not colon or not host or host.replace(".", "").isdecimal():
        raise ValueError(text)
    try:
        return values.host_address(host), _port(port, protocol)
    except ValueError:
        raise _Doubt(f"no host of this name is known here: {_NUMERIC}") from None


def _port(text: str, protocol: str) -> int:
    try:
        return values.port_number(text, protocol)
    except ValueError:
        raise _Doubt(f"no port of this name is known here: {_NUMERIC}") from None


def _attributes(scheduler: str, words: list[str]) -> dict[str, str | int | bool]:
    """The words after a scheduler."""
    found: dict[str, str | int | bool] = {}
    names = iter(words)
    for word in names:
        if word[0] == "(" and word[-1] == ")":
            found["flags"] = _flags(scheduler, word[1:-1])
        elif word == "persistent":
            found["persistence"] = _number(_next(names))
        elif word == "mask":
            mask = _next(names)
            found["netmask"] = _number(mask) if mask.isdecimal() else mask
        elif word == "pe":
            found["persistence_engine"] = _next(names)
        elif word == "ops":
            found["one_packet"] = True
        else:
            raise ValueError(word)
    return found


def _next(words: Iterator[str]) -> str:
    word = next(words, None)
    if word is None:
        raise ValueError(words)
    return word


def _flags(scheduler: str, text: str) -> int:
    if not text:  # ipvsadm has no name for the third flag of a hashing scheduler
        return GENERIC_SCHEDULER_FLAGS["flag-3"] if scheduler in SCHEDULER_FLAGS else 0
    return values.scheduler_flags(text, scheduler)
