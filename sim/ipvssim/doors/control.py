"""The second kind of datagram that a served kernel takes: what a netlink socket has besides its bytes.

It is a netlink message of type 15 (:data:`ipvsnl.consts.NLMSG_CONTROL`: netlink keeps the types below 16 for itself, and
Linux passes over such a message), with a JSON object behind the header. The object has one of these fields:

=============  =========================================================  ==========================================
field          what it asks for                                           the answer's fields
=============  =========================================================  ==========================================
``offers``     that datagrams of dumps fit so many bytes: what the       none, unless it is refused
               reader offers to each receive
``options``    options of the socket: ``cap_ack``, ``ext_ack``,           ``port``
               ``no_enobufs``, ``rcvbuf``, and its ``port``
``proc``       the lines of ``/proc/net/NAME``                            ``lines``; more datagrams while ``more``
``log``        the lines of the kernel's log up to a level,       ``log``, and from then on datagrams of their
               whoever causes them                                        own, each with a ``line``
``receive``    that a packet (hexadecimal digits) comes in, by the        ``verdict``, ``reason``, ``opened``, ``out``
               device ``on``, with the firewall mark ``mark``             (pairs of a device and hexadecimal digits)
=============  =========================================================  ==========================================

An answer is such a message, too, with the sequence number of what it answers. Where something cannot be, the answer has
``error``, an errno, and ``words`` that say why.
"""

from __future__ import annotations

import errno
import json
from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

from ipvsnl import _json
from ipvsnl.consts import NLMSG_CONTROL, NLMSG_HEADER
from ipvssim.kernel import Kernel
from ipvssim.netlink.dumps import SMALLEST_DUMP
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.state.debug_log import Line

_MESSAGE = Struct("=IHHII")
_PIECE = 1 << 16
"""Characters of lines that one datagram holds, and the line that goes beyond them."""
_SWITCHES = ("cap_ack", "ext_ack", "no_enobufs")
_LARGEST = 1 << 31
_MOST_DETAILED = 12
MOST_LINES = 10000
"""Lines that wait for a client that does not read; the newest are lost then."""

Waiting = deque[bytes]


class _WrongError(Exception):
    """What is asked for cannot be: an errno, and why."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(number, words)
        self.number, self.words = number, words


def is_control(data: bytes) -> bool:
    """Whether a datagram is of the second kind."""
    return len(data) >= NLMSG_HEADER and bool(_MESSAGE.unpack_from(data)[1] == NLMSG_CONTROL)


class Watchers:
    """Who wants the lines of a kernel's log, and up to which level."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._levels: dict[int, tuple[int, Waiting]] = {}
        log = kernel.namespace.log
        self._own = (log.level, log.told) if log is not None else (-1, None)
        """What the kernel itself was told to write, and to whom."""

    def watch(self, level: int, waiting: Waiting) -> None:
        """From now on lines of this level are among ``waiting``."""
        self._levels[id(waiting)] = level, waiting
        self._kernel.namespace.keep_log(0).told = self._tell
        self._level()

    def forget(self, waiting: Waiting) -> None:
        """A client is gone."""
        if self._levels.pop(id(waiting), None) is not None:
            self._level()

    def _level(self) -> None:
        self._kernel.debug_level = max(self._own[0], 0, *(level for level, _ in self._levels.values()))

    def _tell(self, line: Line) -> None:
        level, told = self._own
        if told is not None and line.level <= level:
            told(line)
        for level, waiting in self._levels.values():
            if line.level <= level and len(waiting) < MOST_LINES:
                waiting.append(_message(0, {"line": str(line)}))


class Control:
    """What one connection asks for besides netlink. ``is_free`` says whether a port is nobody's; ``watchers`` None: the peer
    has no privilege."""

    def __init__(
        self, kernel: Kernel, endpoint: NetlinkSocket, is_free: Callable[[int], bool], watchers: Watchers | None
    ) -> None:
        self._kernel, self._endpoint, self._is_free, self._watchers = kernel, endpoint, is_free, watchers
        self.waiting: Waiting = deque()
        """What the peer has not taken yet."""
        self.offered = SMALLEST_DUMP
        """Bytes that its peer offers to each receive: so much fits every reader who has not told."""
        self._verbs: dict[str, Callable[[dict[str, Any]], Iterator[dict[str, Any]]]] = {
            "offers": self._offers, "options": self._options, "proc": self._proc, "log": self._log,
            "receive": self._receive,
        }  # fmt: skip

    def answers(self, data: bytes) -> Iterator[bytes]:
        """Do what a datagram asks for, and answer."""
        sequence = _MESSAGE.unpack_from(data)[3]
        try:
            asked = _object(data[NLMSG_HEADER:])
            verb = next((self._verbs[name] for name in asked if name in self._verbs), None)
            if verb is None:
                raise _WrongError(errno.EOPNOTSUPP, f"one of {', '.join(self._verbs)}")
            for answer in verb(asked):
                yield _message(sequence, answer)
        except _WrongError as wrong:
            yield _message(sequence, {"error": wrong.number, "words": wrong.words})

    def _offers(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.offered = _number(asked, "offers", 1, _LARGEST)
        yield from ()

    def _options(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        options, endpoint = asked["options"], self._endpoint
        if not isinstance(options, dict) or not options.keys() <= {*_SWITCHES, "rcvbuf", "port"}:
            raise _WrongError(errno.ENOPROTOOPT, f"options are {', '.join(_SWITCHES)}, rcvbuf and port")
        port = _number(options, "port", 1, 0xFFFFFFFF) if "port" in options else endpoint.port
        if port != endpoint.port and not self._is_free(port):
            raise _WrongError(errno.EADDRINUSE, f"port {port} is another connection's")
        if "rcvbuf" in options:
            endpoint.rcvbuf = _number(options, "rcvbuf", 1, _LARGEST)
        endpoint.port = port
        for name in _SWITCHES:
            setattr(endpoint, name, bool(options.get(name, getattr(endpoint, name))))
        yield {"port": endpoint.port}

    def _proc(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        lines: list[str] = []
        size = 0
        try:
            for line in self._kernel.proc(str(asked["proc"])):
                lines.append(line)
                size += len(line)
                if size > _PIECE:
                    yield {"lines": lines, "more": True}
                    lines, size = [], 0
        except FileNotFoundError:
            raise _WrongError(errno.ENOENT, f"no /proc/net/{asked['proc']}") from None
        yield {"lines": lines}

    def _log(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._watchers is None:
            raise _WrongError(errno.EPERM, "the log is for root and for the server's own user")
        level = _number(asked, "log", 0, _MOST_DETAILED)
        yield {"log": level}
        self._watchers.watch(level, self.waiting)

    def close(self) -> None:
        """The peer is gone."""
        if self._watchers is not None:
            self._watchers.forget(self.waiting)

    def _receive(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._watchers is None:
            raise _WrongError(errno.EPERM, "packets are taken from root and from the server's own user")
        try:
            packet = bytes.fromhex(asked["receive"])
            result = self._kernel.receive(packet, asked.get("on"), asked.get("mark", 0))
        except KeyError:
            raise _WrongError(errno.ENODEV, f"no device {asked.get('on')!r}") from None
        except (TypeError, ValueError) as wrong:
            raise _WrongError(errno.EINVAL, str(wrong)) from None
        out = [[device, data.hex()] for device, data in result.out]
        yield {"verdict": result.verdict.value, "reason": result.reason, "opened": result.opened, "out": out}


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = _json.loads(text)
    except ValueError as wrong:
        raise _WrongError(errno.EBADMSG, f"no JSON: {wrong}") from None
    if not isinstance(found, dict):
        raise _WrongError(errno.EBADMSG, "no JSON object")
    return found


def _number(of: dict[str, Any], name: str, least: int, most: int) -> int:
    value = of[name]
    if type(value) is not int or not least <= value <= most:
        raise _WrongError(errno.EINVAL, f"{name} is a number from {least} to {most}")
    return value


def _message(sequence: int, answer: dict[str, Any]) -> bytes:
    text = json.dumps(answer, separators=(",", ":")).encode()
    return _MESSAGE.pack(NLMSG_HEADER + len(text), NLMSG_CONTROL, 0, sequence, 0) + text


__all__ = ["Control", "Watchers", "is_control"]
