"""Sends and their answers: in C over a socket, in Python over every other link, with the same outcome."""

from __future__ import annotations

import errno as _errno
import time

from ipvsnl.errors import KernelError, LinkError
from ipvsnl.exchange import DUMP, Exchange
from ipvsnl.family import DEST, SERVICE, Command
from ipvsnl.link import await_answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ipvsnl.backends import Backend, Outcome
    from ipvsnl.exchange import Sequence
    from ipvsnl.link import Link

_DRAIN = 0.05
"""Seconds to wait for what an overrun queue still holds; it is there at once."""
_KEY_BITS = {True: 1 << 1 | 1 << 5, False: 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4}
_MARK_BIT = 1 << 5
_PRESENT = next(field.offset for field in SERVICE.fields if field.name == "present")


def transfer(
    link: Link, backend: Backend, requests: memoryview, first: int, closing: int, most: int, timeout: float
) -> Outcome:
    """Send requests ``first`` to ``closing`` and take in every answer.

    The refusals, whether the requests were sent, and what went wrong, if anything: a LinkError, a DecodeError, or what a
    signal's handler raised, to be raised again by the caller when what is known has been taken note of.
    """
    descriptor = getattr(link, "descriptor", None)
    if descriptor is not None and backend.converse is not None:
        return backend.converse(descriptor, requests, first, closing, most, timeout)
    exchange = Exchange(backend, first, closing)
    sent = False
    trouble: BaseException | None = None
    try:
        link.send(bytes(requests))
        sent = True
        await_answers(link, exchange, timeout)
    except LinkError as lost:
        trouble = lost
        if lost.errno == _errno.ENOBUFS:
            _drain(link, exchange)
    except BaseException as signal:
        trouble = signal
    return [(one.sequence, one.errno, one.extack) for one in exchange.refusals], sent, trouble


def _drain(link: Link, exchange: Exchange) -> None:
    """Take in what was queued before replies were lost."""
    deadline = time.monotonic() + _DRAIN
    while (left := deadline - time.monotonic()) > 0:
        try:
            exchange.feed(link.receive(left))
        except LinkError:
            return


# --- dumps -----------------------------------------------------------------------------------------------------------


def read_dump(
    link: Link, backend: Backend, family_id: int, sequence: int, command: int, group: str, key: bytes | None,
    timeout: float,
) -> Any:  # fmt: skip
    """The records of a dump, one after the other in one buffer; KernelError where the kernel refuses it."""
    request = backend.encode(family_id, command, DUMP, sequence, key)
    descriptor = getattr(link, "descriptor", None)
    if descriptor is not None and backend.dump is not None:
        records, errno = backend.dump(descriptor, request, group, sequence, timeout)
    else:
        link.send(request)
        records, errno = _received(link, backend, group, sequence, timeout)
    if errno:
        raise KernelError(errno, command)
    return records


def _received(link: Link, backend: Backend, group: str, sequence: int, timeout: float) -> tuple[bytes, int]:
    parts: list[bytes] = []
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
        records, finished, errno = backend.take_records(group, link.receive(left), sequence)
        parts.append(records)
        if finished:
            return b"".join(parts), errno
        if records:
            deadline = time.monotonic() + timeout


def read_servers(
    link: Link, backend: Backend, family_id: int, sequence: Sequence, services: Any, timeout: float
) -> tuple[Any, memoryview]:
    """The records of the servers of every service (their records), one after the other; and how many each has."""
    size = SERVICE.record_size
    counts = memoryview(bytearray(4 * (len(services) // size))).cast("I")
    descriptor = getattr(link, "descriptor", None)
    if descriptor is not None and backend.dump_servers is not None:
        first = sequence.next()
        records, after = backend.dump_servers(descriptor, family_id, services, first, counts, timeout)
        sequence.skip_to(after)
        return records, counts
    parts = []
    for index in range(len(counts)):
        records = read_dump(
            link, backend, family_id, sequence.next(), Command.GET_DEST, "dest",
            _key(bytes(services[index * size : (index + 1) * size])), timeout,
        )  # fmt: skip
        parts.append(records)
        counts[index] = len(records) // DEST.record_size
    return b"".join(parts), counts


def _key(record: bytes) -> bytes:
    """The key of a service that was read."""
    from sys import byteorder

    present = int.from_bytes(record[_PRESENT : _PRESENT + 4], byteorder)
    key = _KEY_BITS[bool(present & _MARK_BIT)].to_bytes(4, byteorder)
    return record[:_PRESENT] + key + record[_PRESENT + 4 :]
