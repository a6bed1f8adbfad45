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
``receive``    that a packet (hexadecimal digits) comes in, by the        ``verdict``, ``reason``, ``opened``, ``out``
               device ``on``, with the firewall mark ``mark``             (pairs of a device and hexadecimal digits)
=============  =========================================================  ==========================================

An answer is such a message, too, with the sequence number of what it answers. Where something cannot be, the answer has
``error``, an errno, and ``words`` that say why.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

from ipvsnl.consts import NLMSG_CONTROL, NLMSG_HEADER
from ipvssim.kernel import Kernel
from ipvssim.netlink.dumps import SMALLEST_DUMP
from ipvssim.netlink.socket import NetlinkSocket

_MESSAGE = Struct("=IHHII")
_PIECE = 1 << 16
"""Characters of lines that one datagram holds, and the line that goes beyond them."""
_SWITCHES = ("cap_ack", "ext_ack", "no_enobufs")
_LARGEST = 1 << 31


class _WrongError(Exception):
    """What is asked for cannot be: an errno, and why."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(number, words)
        self.number, self.words = number, words


def is_control(data: bytes) -> bool:
    """Whether a datagram is of the second kind."""
    return len(data) >= NLMSG_HEADER and bool(_MESSAGE.unpack_from(data)[1] == NLMSG_CONTROL)


class Control:
    """What one connection asks for besides netlink. ``is_free`` says whether a port is nobody's."""

    def __init__(
        self, kernel: Kernel, endpoint: NetlinkSocket, is_free: Callable[[int], bool], *, privileged: bool
    ) -> None:
        self._kernel, self._endpoint, self._is_free, self._privileged = kernel, endpoint, is_free, privileged
        self.offered = SMALLEST_DUMP
        """Bytes that its peer offers to each receive: so much fits every reader who has not told."""
        self._verbs: dict[str, Callable[[dict[str, Any]], Iterator[dict[str, Any]]]] = {
            "offers": self._offers, "options": self._options, "proc": self._proc, "receive": self._receive,
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

    def _receive(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not self._privileged:
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
        found = json.loads(text)
    except (ValueError, RecursionError) as wrong:
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


__all__ = ["Control", "is_control"]
