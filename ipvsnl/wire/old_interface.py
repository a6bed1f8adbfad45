"""Netlink's requests carried out by the old interface (:mod:`ipvsnl.sockopt`), and what it says as netlink's replies.

So nothing above a link knows by which of the two a kernel is spoken to. What the old interface has no room for is refused
(:mod:`ipvsnl.wire.old_requests`). A dump that would lack what the old interface does not show fails.
"""

from __future__ import annotations

import errno as _errno
from struct import Struct

from ipvsnl import sockopt
from ipvsnl.consts import (
    CTRL_ATTR_FAMILY_ID,
    CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY,
    CTRL_CMD_NEWFAMILY,
    GENL_HEADER,
    GENL_ID_CTRL,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_HEADER,
    NLMSGERR_ATTR_MSG,
)
from ipvsnl.errors import LinkError
from ipvsnl.family import CONFIG, NAME, VERSION, Command
from ipvsnl.sockopt import Get, ServiceEntry, ServiceUser, Set
from ipvsnl.wire import old_replies as replies
from ipvsnl.wire import old_requests as requests
from ipvsnl.wire.old_requests import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    from ipvsnl.backends.contract import Backend
    from ipvsnl.wire.old_requests import Key

    class Options(Protocol):
        """The old interface of a kernel, real (:class:`ipvsnl.link.sockopt.KernelOptions`) or simulated."""

        def set(self, optname: int, value: bytes) -> int:
            """``setsockopt``: 0, or the errno."""

        def get(self, optname: int, value: bytes, room: int) -> tuple[int, bytes]:
            """``getsockopt``: 0 or the errno, and the buffer as it is afterwards."""


FAMILY_ID = 0x20
"""The number that the family has here: the kernel is not asked for it."""
_TRIES = 5
"""How often a table is read that seems to hold what is not shown: others may be changing it."""
_SPARE = 16
"""Entries that there is room for besides those that were counted."""
_DEST_OPTIONS = {Command.NEW_DEST: Set.ADDDEST, Command.SET_DEST: Set.EDITDEST, Command.DEL_DEST: Set.DELDEST}
_FLAGS_OF_SERVICE, _FLAGS_OF_DEST = 5, 2
"""Which field of an entry is never 0 where there is one: flags (the kernel always sets one)."""
_MESSAGE, _GENERIC = Struct("=IHHII"), Struct("=BBH")
_ERROR, _ATTRIBUTE, _U16, _U32 = Struct("=i"), Struct("=HH"), Struct("=H"), Struct("=I")


class Translator:
    """Answers datagrams of requests by the old interface of one network namespace.

    ``count`` says how many services there are, shown or not.
    """

    def __init__(self, backend: Backend, options: Options, count: Callable[[], int]) -> None:
        self._backend = backend
        self._options = options
        self._count = count
        self._commands: dict[int, Callable[[int, bytes], None]] = {
            Command.NEW_SERVICE: self._new_service, Command.SET_SERVICE: self._set_service,
            Command.DEL_SERVICE: self._del_service, Command.ZERO: self._zero,
            Command.NEW_DEST: self._set_dest, Command.SET_DEST: self._set_dest, Command.DEL_DEST: self._set_dest,
            Command.NEW_DAEMON: self._set_daemon, Command.DEL_DAEMON: self._set_daemon,
            Command.SET_CONFIG: self._set_config, Command.FLUSH: self._flush,
        }  # fmt: skip

    def answers(self, datagram: bytes) -> Iterator[bytes]:
        """Carry the requests of a datagram out, in order, and give the answers to each, a datagram each.

        LinkError where a dump would lack what the old interface does not show; DecodeError for what are no requests.
        """
        for kind, flags, sequence, _, start, end in self._backend.split(datagram):
            message, head = datagram[start:end], datagram[start - NLMSG_HEADER : start]
            try:
                if kind == GENL_ID_CTRL:
                    yield _family(message, sequence)
                elif flags & NLM_F_DUMP == NLM_F_DUMP:
                    yield from self._dumped(sequence, message)
                    continue
                else:
                    yield from self._executed(sequence, message)
            except RefusedError as refused:
                yield _answer(head, sequence, refused.errno, refused.words)
                continue
            if flags & NLM_F_ACK:
                yield _answer(head, sequence, 0, "")

    # --- requests ---

    def _executed(self, sequence: int, message: bytes) -> Iterator[bytes]:
        command = message[0]
        if command == Command.GET_SERVICE:
            entry = self._entry(self._key(message))
            yield self._reply(Command.NEW_SERVICE, sequence, 0, service=replies.service_record(entry))
        elif command == Command.GET_CONFIG:
            record = replies.config_record(self._get(Get.TIMEOUT, bytes(sockopt.TIMEOUT.size)))
            yield self._reply(Command.SET_CONFIG, sequence, 0, config=record)
        elif command == Command.GET_INFO:
            yield _info(sequence, *sockopt.INFO.unpack(self._get(Get.INFO, bytes(sockopt.INFO.size)))[:2])
        elif command in self._commands:
            self._commands[command](command, message)
        else:
            raise RefusedError(_errno.EOPNOTSUPP)

    def _new_service(self, _: int, message: bytes) -> None:
        values = self._service(message)
        key = requests.service_key(values)
        self._set(Set.ADD, requests.packed_service(requests.service_user(key, values, lambda: 0)))

    def _set_service(self, _: int, message: bytes) -> None:
        values, key = self._service(message), self._key(message)
        user = requests.service_user(key, values, lambda: self._entry(key)[_FLAGS_OF_SERVICE])
        self._set(Set.EDIT, requests.packed_service(user))

    def _del_service(self, _: int, message: bytes) -> None:
        self._set(Set.DEL, requests.packed_service(ServiceUser(*self._key(message))))

    def _zero(self, _: int, message: bytes) -> None:
        every = len(message) == GENL_HEADER
        key = (0, bytes(4), 0, 0) if every else requests.zeroed(self._key(message))
        self._set(Set.ZERO, requests.packed_service(ServiceUser(*key)))

    def _set_dest(self, command: int, message: bytes) -> None:
        user = requests.dest_user(requests.dest_values(self._backend.decode("dest", message, 0, len(message))))
        self._set(_DEST_OPTIONS[command], requests.packed_dest(self._key(message), user))

    def _set_daemon(self, command: int, message: bytes) -> None:
        option = Set.STARTDAEMON if command == Command.NEW_DAEMON else Set.STOPDAEMON
        record = self._backend.decode("daemon", message, 0, len(message))
        try:
            self._set(option, sockopt.DAEMON.pack(*requests.daemon_user(requests.daemon_values(record))))
        except RefusedError as refused:
            if refused.errno != _errno.EINTR:  # of one that is stopped before it has run: it is stopped all the same
                raise

    def _set_config(self, _: int, message: bytes) -> None:
        record = self._backend.decode("config", message, 0, len(message))
        wanted = Struct(CONFIG.record_format).unpack(record)[1:]  # an absent one is 0, which keeps it
        self._set(Set.TIMEOUT, sockopt.TIMEOUT.pack(*wanted))

    def _flush(self, _command: int, _message: bytes) -> None:
        self._set(Set.FLUSH, b"")

    # --- dumps ---

    def _dumped(self, sequence: int, message: bytes) -> Iterator[bytes]:
        """All entries in one datagram, then DONE."""
        command = message[0]
        if command == Command.GET_SERVICE:
            kind, group = Command.NEW_SERVICE, "service"
            records = [replies.service_record(entry) for entry in self._services()]
        elif command == Command.GET_DEST:
            kind, group = Command.NEW_DEST, "dest"
            records = [replies.dest_record(entry) for entry in self._dests(message)]
        elif command == Command.GET_DAEMON:
            kind, group = Command.NEW_DAEMON, "daemon"
            records = replies.daemon_records(self._get(Get.DAEMON, bytes(2 * sockopt.DAEMON.size)))
        else:
            raise RefusedError(_errno.EOPNOTSUPP)
        if records:
            yield b"".join([self._reply(kind, sequence, NLM_F_MULTI, **{group: record}) for record in records])
        yield _MESSAGE.pack(NLMSG_HEADER + 4, NLMSG_DONE, NLM_F_MULTI, sequence, 0) + _ERROR.pack(0)

    def _services(self) -> list[tuple[Any, ...]]:
        for _ in range(_TRIES):
            _, _, count = sockopt.INFO.unpack(self._get(Get.INFO, bytes(sockopt.INFO.size)))
            found = self._entries(
                Get.SERVICES, sockopt.GET_SERVICES, (), sockopt.SERVICE_ENTRY, count, _FLAGS_OF_SERVICE
            )
            hidden = self._count() - len(found)
            if hidden <= 0:
                return found
        raise _hidden(f"{hidden} IPv6 services, which the kernel's old interface (getsockopt) does not show")

    def _dests(self, message: bytes) -> list[tuple[Any, ...]]:
        """Those of a service; of an unknown one there are none, and netlink does not say so either."""
        for _ in range(_TRIES):
            try:
                key = self._key(message)
                count = ServiceEntry(*self._entry(key)[: len(ServiceEntry._fields)]).num_dests
                found = self._entries(Get.DESTS, sockopt.GET_DESTS, key, sockopt.DEST_ENTRY, count, _FLAGS_OF_DEST)
            except RefusedError as refused:
                if refused.errno == _errno.ESRCH:
                    return []
                raise
            if len(found) >= count:
                return found
        raise _hidden(
            f"a service with {count - len(found)} IPv6 servers, which the kernel's old interface does not show"
        )

    def _entries(
        self, option: int, head: Struct, asked: tuple[Any, ...], entry: Struct, count: int, flags: int
    ) -> list[tuple[Any, ...]]:
        """As many entries as there are: more room is offered than they need, and what stays empty is none."""
        while True:
            count += _SPARE
            answer = self._get(option, head.pack(*asked, count) + bytes(count * entry.size))
            found = [one for one in entry.iter_unpack(answer[head.size :]) if one[flags]]
            if len(found) < count:
                return found

    # --- inside ---

    def _service(self, message: bytes) -> dict[str, Any]:
        return requests.service_values(self._backend.decode("service", message, 0, len(message)))

    def _key(self, message: bytes) -> Key:
        """The key of the service that a request is about, which is there already."""
        return requests.service_key(self._service(message), lambda mark: int(self._entry((0, bytes(4), 0, mark))[0]))

    def _entry(self, key: Key) -> tuple[Any, ...]:
        """A live service."""
        asked = sockopt.SERVICE.pack(*ServiceUser(*key)).ljust(sockopt.SERVICE_ENTRY.size, b"\0")
        return sockopt.SERVICE_ENTRY.unpack(self._get(Get.SERVICE, asked))

    def _set(self, option: int, value: bytes) -> None:
        error = self._options.set(option, value)
        if error:
            raise RefusedError(error)

    def _get(self, option: int, value: bytes) -> bytes:
        error, answer = self._options.get(option, value, len(value))
        if error:
            raise RefusedError(error)
        return answer

    def _reply(self, command: int, sequence: int, flags: int, **record: bytes) -> bytes:
        return self._backend.encode(FAMILY_ID, command, flags, sequence, **record)


def listed(lines: Iterable[str]) -> int:
    """How many services the lines of ``/proc/net/ip_vs`` list, of both address families."""
    return sum(not line.startswith((" ", "IP Virtual Server", "Prot")) for line in lines)


def _hidden(what: str) -> LinkError:
    return LinkError(_errno.EOPNOTSUPP, f"this network namespace has {what}: read it by netlink, as root of the host")


def _message(kind: int, sequence: int, command: int, version: int, body: bytes) -> bytes:
    size = NLMSG_HEADER + GENL_HEADER + len(body)
    return _MESSAGE.pack(size, kind, 0, sequence, 0) + _GENERIC.pack(command, version, 0) + body


def _attribute(number: int, payload: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(size, number) + payload + bytes(-size % 4)


def _family(message: bytes, sequence: int) -> bytes:
    """The controller's answer: there is one family."""
    if message[:1] != bytes((CTRL_CMD_GETFAMILY,)):
        raise RefusedError(_errno.EOPNOTSUPP)
    body = _attribute(CTRL_ATTR_FAMILY_NAME, NAME.encode() + b"\0")
    body += _attribute(CTRL_ATTR_FAMILY_ID, _U16.pack(FAMILY_ID))
    return _message(GENL_ID_CTRL, sequence, CTRL_CMD_NEWFAMILY, 2, body)


def _info(sequence: int, version: int, rows: int) -> bytes:
    body = _attribute(1, _U32.pack(version)) + _attribute(2, _U32.pack(rows))
    return _message(FAMILY_ID, sequence, Command.SET_INFO, VERSION, body)


def _answer(head: bytes, sequence: int, errno: int, words: str) -> bytes:
    """An acknowledgement, or a refusal, of the request with that header."""
    told = _attribute(NLMSGERR_ATTR_MSG, words.encode() + b"\0") if words else b""
    flags = NLM_F_CAPPED | (NLM_F_ACK_TLVS if told else 0)
    body = _ERROR.pack(-errno) + head + told
    return _MESSAGE.pack(NLMSG_HEADER + len(body), NLMSG_ERROR, flags, sequence, 0) + body
