"""Changes to a director in words, as a person writes them: what is otherwise when a packet comes."""

from __future__ import annotations

from _socket import ntohs
from collections.abc import Callable, Iterator, Sequence
from errno import ENOENT
from os import strerror
from typing import TYPE_CHECKING, Any, NamedTuple

from ipvssim.clock import SECOND
from ipvssim.netlink.commands import Commands
from ipvssim.path.witness import Witnessed
from ipvssim.schedulers import find
from ipvssim.schedulers._base import address_text, label

if TYPE_CHECKING:
    from ipvssim.path.director import Director
    from ipvssim.path.result import Result
    from ipvssim.state.services import RealServer, VirtualService

_FIELDS = ("weight", "upper", "lower")
_LARGEST = 0x7FFFFFFF
_LONGEST_WAIT = 1e9
_EXAMPLES = "weight=1, 'server 10.9.8.7:80 weight=1', 'sysctl conn_reuse_mode=0', scheduler=wlc, mark=7 or wait=12"


class Question(NamedTuple):
    """A packet (as :meth:`ipvssim.path.director.Director.receive` takes it), the device by which it comes in, its mark."""

    data: Any
    on: str
    mark: int = 0


class Change(NamedTuple):
    """One thing that is otherwise: in words, and what makes it so on a director that is about to be asked. ValueError where
    it can't be made so."""

    words: str
    make: Callable[[Director, Question], Question]


def read(text: str) -> Change:
    """One change from its words:

    ``weight=1``, ``upper=0``, ``lower=0`` (of all servers of the packet's service), ``server 10.9.8.7:80 weight=1 upper=0``,
    ``scheduler=wlc``, ``sysctl NAME=VALUE``, ``mark=7``, ``wait=12`` (seconds pass before the packet comes).

    ValueError names the word that is wrong.
    """
    words = text.split()
    if not words:
        raise ValueError(f"{text!r}: no change; one is as {_EXAMPLES}")
    if words[0] == "server":
        return _server_change(text, words)
    if words[0] == "sysctl" and len(words) == 2:
        name, value = _pair(text, words[1])
        return Change(" ".join(words), _Sysctl(text, name, value))
    if len(words) == 1:
        name, value = _pair(text, words[0])
        if name in _FIELDS:
            return Change(words[0], _Servers(text, None, {name: _number(text, value, _LARGEST)}))
        if name == "scheduler":
            return Change(words[0], _NewScheduler(text, value))
        if name == "mark":
            return Change(words[0], _NewMark(_number(text, value, 0xFFFFFFFF)))
        if name == "wait":
            return Change(words[0], _Wait(_seconds(text, value)))
    wrong = words[1] if words[0] == "sysctl" and len(words) > 2 else words[0]
    raise ValueError(f"{text!r}: {wrong!r} is no change; one is as {_EXAMPLES}")


def ask(director: Director, question: Question, changes: Sequence[Change] = ()) -> Result:
    """What becomes of a packet once these changes are made, on a copy of the director. ValueError where one can't be."""
    from copy import deepcopy

    director.connection_table.gather()
    twin = deepcopy(director)
    twin.explaining = True
    for change in changes:
        question = change.make(twin, question)
    return twin.receive(question.data, question.on, question.mark)


def met(result: Result) -> VirtualService | None:
    """The service of a packet, or of the connection that it belongs to."""
    if result.service is not None:
        return result.service
    if result.server is not None:
        return result.server.service
    return result.before.service if isinstance(result, Witnessed) and result.before is not None else None


def _service(director: Director, question: Question) -> VirtualService | None:
    """The director's own service that a packet would meet."""
    of = met(ask(director, question))
    return None if of is None else director.table.find(of.family, of.fwmark, of.protocol, of.address, of.port)


def _server_change(text: str, words: list[str]) -> Change:
    if len(words) < 3:
        raise ValueError(f"{text!r}: it is 'server ADDRESS:PORT weight=N'")
    fields = {}
    for word in words[2:]:
        name, value = _pair(text, word)
        if name not in _FIELDS:
            raise ValueError(f"{text!r}: {name!r} is none of {', '.join(_FIELDS)}")
        fields[name] = _number(text, value, _LARGEST)
    return Change(" ".join(words), _Servers(text, words[1], fields))


def _pair(text: str, word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name or not value:
        raise ValueError(f"{text!r}: {word!r} is no NAME=VALUE; a change is as {_EXAMPLES}")
    return name, value


def _number(text: str, word: str, most: int) -> int:
    if not (word.isascii() and word.isdigit()) or int(word) > most:
        raise ValueError(f"{text!r}: {word!r} is no number from 0 to {most}")
    return int(word)


def _seconds(text: str, word: str) -> int:
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise ValueError(f"{text!r}: {word!r} is no number of seconds")
    return round(seconds * SECOND)


class _Servers:
    """Servers with other weights or thresholds: one by its name, or all of the packet's service."""

    def __init__(self, text: str, name: str | None, fields: dict[str, int]) -> None:
        self.text, self.name, self.fields = text, name, fields

    def __call__(self, director: Director, question: Question) -> Question:
        commands = Commands(director.namespace)
        for service, server in list(self._meant(director, question)):
            values = {"weight": server.weight, "upper": server.upper, "lower": server.lower} | self.fields
            error = commands.set_dest(
                service.family, service.protocol, service.address, ntohs(service.port), service.fwmark or None,
                server.address, ntohs(server.port), server.forwarding, values["weight"], values["upper"],
                values["lower"], server.family, server.tunnel_type, ntohs(server.tunnel_port), server.tunnel_flags,
            )  # fmt: skip
            if error:
                raise ValueError(f"{self.text!r}: the kernel refuses that for {label(server)}: {strerror(error)}")
        return question

    def _meant(self, director: Director, question: Question) -> Iterator[tuple[VirtualService, RealServer]]:
        if self.name is None:
            service = _service(director, question)
            if service is None:
                raise ValueError(f"{self.text!r}: the packet meets no service; name a server: 'server A:P {self.text}'")
            found = [(service, server) for server in service.servers()]
        else:
            found = [
                (one, server) for one in director.table.services() for server in one.servers()
                if self.name in (label(server), address_text(server.address))
            ]  # fmt: skip
        if not found:
            raise ValueError(f"{self.text!r}: there is no server {self.name or ''}".rstrip())
        yield from found


class _Sysctl:
    """A tunable with another value."""

    def __init__(self, text: str, name: str, value: str) -> None:
        self.text, self.name, self.value = text, name, value

    def __call__(self, director: Director, question: Question) -> Question:
        name = self.name if "." in self.name else f"net.ipv4.vs.{self.name}"
        try:
            director.namespace.write_sysctl(name, self.value)
        except OSError as wrong:
            said = f"no tunable {self.name!r}" if wrong.errno == ENOENT else f"{self.value!r}: {wrong.strerror}"
            raise ValueError(f"{self.text!r}: {said}") from wrong
        return question


class _NewScheduler:
    """The packet's service with another scheduler."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        if find(name) is None:
            raise ValueError(f"{text!r}: no scheduler {name!r}")

    def __call__(self, director: Director, question: Question) -> Question:
        service = _service(director, question)
        if service is None:
            raise ValueError(f"{self.text!r}: the packet meets no service")
        director.table.edit_service(service, find(self.name))
        return question


class _NewMark:
    """The packet with another firewall mark."""

    def __init__(self, mark: int) -> None:
        self.mark = mark

    def __call__(self, director: Director, question: Question) -> Question:
        del director
        return question._replace(mark=self.mark)


class _Wait:
    """Time passes before the packet comes."""

    def __init__(self, microseconds: int) -> None:
        self.microseconds = microseconds

    def __call__(self, director: Director, question: Question) -> Question:
        director.clock.advance(self.microseconds)
        return question
