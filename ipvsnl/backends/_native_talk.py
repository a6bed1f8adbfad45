"""Conversations over the C core: requests out over a socket, their answers in; dumps to records.

Loaded when it is first needed. A signal's handler may raise at any moment in here. So a buffer that C borrows is given back
by ``with``, and no exception is kept by the frame that its traceback holds: see ``_native_bulk``.
"""

from __future__ import annotations

from errno import ECONNRESET, EMSGSIZE, ENOBUFS, EOVERFLOW, ETIMEDOUT
from os import strerror

from ipvsnl._native._core import ffi, lib
from ipvsnl.backends import contract
from ipvsnl.backends.contract import Fault
from ipvsnl.errors import DecodeError, LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ipvsnl.backends.contract import Outcome

_WORDS: dict[int, str] = {
    code: getattr(Fault, word.removeprefix("IPVSNL_")) for code, word in ffi.typeof("enum ipvsnl_code").elements.items()
}
_GROUPS = {"service": lib.IPVSNL_GROUP_SERVICE, "dest": lib.IPVSNL_GROUP_DEST, "daemon": lib.IPVSNL_GROUP_DAEMON}
_ANSWERS = 64 * lib.IPVSNL_ANSWER_SLOT
_DUMPS = 4 * lib.IPVSNL_DUMP_SLOT
"""Bytes received by one system call at most."""
_FIRST_RECORDS = 1 << 22
"""Bytes of records before more room is needed; memory that is never touched costs nothing."""
_LONGEST_WAIT = (1 << 31) - 1
"""Milliseconds that C can wait: some 25 days."""
_untouched = ffi.new_allocator(should_clear_after_alloc=False)
_free: list[Any] = []


def _milliseconds(timeout: float) -> int:
    return int(min(timeout * 1000, _LONGEST_WAIT))


def _trouble(fault: Any, timeout: float) -> LinkError | DecodeError:
    """A fault of a conversation as an exception."""
    if fault.code == lib.IPVSNL_SILENT:
        return LinkError(ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
    if fault.code == lib.IPVSNL_LOST:
        return LinkError(fault.offset, Fault.LOST)
    if fault.code == lib.IPVSNL_SYSTEM:
        words = {EMSGSIZE: "a reply was longer than the buffer and was cut", ECONNRESET: "the other end has gone"}
        return LinkError(fault.offset, f"the conversation failed: {words.get(fault.offset) or strerror(fault.offset)}")
    return DecodeError(_WORDS[fault.code], fault.offset)


def converse(socket: int, requests: Any, first: int, closing: int, most: int, timeout: float) -> Outcome:
    """Send requests and take their answers in; see :class:`ipvsnl.backends.contract.Backend`."""
    try:
        space = _free.pop()
    except IndexError:
        space = (
            ffi.new("struct ipvsnl_fault *"),
            _untouched("struct ipvsnl_refusal[]", 1024),
            _untouched("char[]", _ANSWERS),
        )
    fault, refusals, buffer = space
    if most > len(refusals):
        refusals = _untouched("struct ipvsnl_refusal[]", most)
    answers = ffi.new("struct ipvsnl_answers *")
    answers.first, answers.closing = first, closing
    limits = refusals, most, buffer, _ANSWERS, _milliseconds(timeout), fault
    trouble: BaseException | None = None
    try:
        with ffi.from_buffer(requests) as source:
            trouble = _carried_on(socket, source, answers, limits)
        if trouble is None and fault.code:
            trouble = _trouble(fault, timeout)
        elif trouble is None and answers.lost:
            trouble = LinkError(ENOBUFS, Fault.LOST)
        found = []
        for index in range(answers.refused):
            one = refusals[index]
            found.append((one.sequence, one.error, ffi.string(one.words).decode(errors="replace") or None))
        _free.append((fault, refusals, buffer))
        return found, bool(answers.sent), trouble
    finally:
        del trouble  # its traceback may hold this frame: no circle


def _carried_on(socket: int, source: Any, answers: Any, limits: tuple[Any, ...]) -> BaseException | None:
    """Have C converse until it is over, whatever signals come; what the last handler raised.

    What was sent is accounted for: its answers are waited for before an exception comes out, until the one deadline.
    """
    fault = limits[-1]
    raised: BaseException | None = None
    try:
        while True:
            try:
                fault.code = 0
                lib.ipvsnl_converse(socket, source, len(source), answers, *limits)
            except BaseException as signal:
                raised = signal
            if answers.finished or fault.code not in (0, lib.IPVSNL_INTERRUPTED):
                return raised
            if raised is not None and not answers.sent:
                return raised
    finally:
        del raised


def dump(socket: int, request: bytes, group: str, sequence: int, timeout: float) -> tuple[Any, int, bool]:
    """The records of a dump, its errno, whether it must be read again; see :class:`ipvsnl.backends.contract.Backend`."""
    fault = ffi.new("struct ipvsnl_fault *")
    talk = ffi.new("struct ipvsnl_talk *")
    talk.dump.sequence = sequence
    number, limits = _GROUPS[group], (_DUMPS, _milliseconds(timeout), fault)

    def step(records: Any, size: int, buffer: Any) -> int:
        return int(lib.ipvsnl_dump(socket, request, len(request), number, talk, records, size, buffer, *limits))

    return _collect(step, talk, fault, timeout), talk.dump.error, bool(talk.dump.changed)


def dump_servers(
    socket: int, family_id: int, services: Any, sequence: int, counts: memoryview, timeout: float
) -> tuple[Any, int, bool]:
    """The records of the servers of all ``services``, the next sequence number, and as :func:`dump`; see ``Backend``."""
    fault = ffi.new("struct ipvsnl_fault *")
    talk = ffi.new("struct ipvsnl_talk *")
    talk.dump.sequence = sequence
    limits = _DUMPS, _milliseconds(timeout), fault
    with (
        ffi.from_buffer(services) as source,
        ffi.from_buffer("uint32_t[]", counts, require_writable=True) as target,
    ):

        def step(records: Any, size: int, buffer: Any) -> int:
            places = talk, records, size, target, len(counts), buffer
            return int(lib.ipvsnl_dump_servers(socket, family_id, source, len(source), *places, *limits))

        records = _collect(step, talk, fault, timeout)
    return records, talk.dump.sequence, bool(talk.dump.changed)


def _collect(step: Any, talk: Any, fault: Any, timeout: float) -> Any:
    """Have a dump carried on until it is over, with more room for its records whenever they are full."""
    size = _FIRST_RECORDS
    records = _untouched("char[]", size)
    buffer = _untouched("char[]", _DUMPS)
    while (full := step(records, size, buffer)) != 0:
        if full > 0:
            if size >= contract.MOST_RECORDS:
                raise LinkError(EOVERFLOW, contract.TOO_MANY)
            larger = min(4 * size, max(contract.MOST_RECORDS, size))
            more = _untouched("char[]", larger)
            ffi.memmove(more, records, talk.used)
            records, size = more, larger
        elif fault.code != lib.IPVSNL_INTERRUPTED:
            raise _trouble(fault, timeout)
    return memoryview(ffi.buffer(records, talk.used))
