"""One client's conversation with a kernel: requests out, every answer in.

Over a socket the backend in C sends and receives; over every other link Python does, with the same outcome.
"""

from __future__ import annotations

import errno as _errno
import time

from ipvsnl.backends.choice import chosen
from ipvsnl.errors import LinkError
from ipvsnl.family import DEST, NAME, SERVICE, SERVICE_ADDRESS_KEY, SERVICE_MARK, SERVICE_MARK_KEY, Command
from ipvsnl.refusals import KernelError
from ipvsnl.wire.exchange import DUMP, Exchange, Sequence, acknowledge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ipvsnl.backends.contract import Outcome
    from ipvsnl.link.contract import Link

_DRAIN = 0.05
"""Seconds to wait for what an overrun queue still holds; it is there at once."""
_PRESENT = next(field.offset for field in SERVICE.fields if field.name == "present")


class Conversation:
    """What client, batches and loads share: the link, the backend, the family's number, the sequence numbers.

    ``timeout`` is how many seconds an answer may take. Requests of one conversation have numbers of their own, so that late
    answers to one that was given up are told apart.
    """

    __slots__ = ("backend", "family", "link", "sequence", "timeout")

    def __init__(self, link: Link, timeout: float) -> None:
        """Find the family at the other end; LinkError with the reason where there is none."""
        self.link: Link = link
        self.timeout = timeout
        self.backend = chosen()
        self.sequence = Sequence()
        self.family = self._find_family()

    # --- single requests ---

    def ask(self, command: int, flags: int, *, timeout: float | None = None, **records: bytes | None) -> Exchange:
        """One request to its final answer; what was refused stands in the exchange."""
        sequence = self.sequence.next()
        return self._converse(self.backend.encode(self.family, command, flags, sequence, **records), sequence, timeout)

    def _converse(self, request: bytes, sequence: int, timeout: float | None = None) -> Exchange:
        exchange = Exchange(self.backend, sequence, sequence)
        self.link.send(request)
        await_answers(self.link, exchange, self.timeout if timeout is None else timeout)
        return exchange

    def _find_family(self) -> int:
        sequence = self.sequence.next()
        request = bytearray(self.backend.encode_getfamily(sequence, NAME))
        acknowledge(request, 0)
        exchange = self._converse(bytes(request), sequence)
        for refusal in exchange.refusals:
            if refusal.errno == _errno.ENOENT:
                raise LinkError(
                    _errno.ENOPROTOOPT,
                    "this kernel has no IPVS: the ip_vs module is not there or could not be loaded (modprobe ip_vs)",
                )
            raise LinkError(refusal.errno, "the kernel did not name the IPVS family")
        return exchange.family_id()

    # --- many requests in one send ---

    def transfer(self, requests: memoryview, first: int, closing: int, most: int) -> Outcome:
        """Send requests ``first`` to ``closing`` and take in every answer; ``most`` refusals at the most.

        The refusals, whether the requests were sent, and what went wrong, if anything: a LinkError, a DecodeError, or what a
        signal's handler raised, to be raised again by the caller when what is known has been taken note of.
        """
        descriptor = getattr(self.link, "descriptor", None)
        if descriptor is not None and self.backend.converse is not None:
            return self.backend.converse(descriptor, requests, first, closing, most, self.timeout)
        exchange = Exchange(self.backend, first, closing)
        sent = False
        trouble: BaseException | None = None
        try:
            self.link.send(bytes(requests))
            sent = True
            await_answers(self.link, exchange, self.timeout)
        except LinkError as lost:
            trouble = lost
            if lost.errno == _errno.ENOBUFS:
                _drain(self.link, exchange)
        except BaseException as signal:
            trouble = signal
        return [(one.sequence, one.errno, one.extack) for one in exchange.refusals], sent, trouble

    # --- dumps ---

    def dump(self, command: int, group: str, key: bytes | None = None) -> Any:
        """The records of a dump, one after the other in one buffer; KernelError where the kernel refuses it."""
        sequence = self.sequence.next()
        request = self.backend.encode(self.family, command, DUMP, sequence, key)
        descriptor = getattr(self.link, "descriptor", None)
        if descriptor is not None and self.backend.dump is not None:
            records, errno = self.backend.dump(descriptor, request, group, sequence, self.timeout)
        else:
            self.link.send(request)
            records, errno = self._received(group, sequence)
        if errno:
            raise KernelError(errno, command)
        return records

    def dump_servers(self, services: Any) -> tuple[Any, memoryview]:
        """The records of the servers of every service (their records), one after the other; and how many each has."""
        size = SERVICE.record_size
        counts = memoryview(bytearray(4 * (len(services) // size))).cast("I")
        descriptor = getattr(self.link, "descriptor", None)
        if descriptor is not None and self.backend.dump_servers is not None:
            first = self.sequence.next()
            records, after = self.backend.dump_servers(descriptor, self.family, services, first, counts, self.timeout)
            self.sequence.skip_to(after)
            return records, counts
        parts = []
        for index in range(len(counts)):
            records = self.dump(Command.GET_DEST, "dest", _key(bytes(services[index * size : (index + 1) * size])))
            parts.append(records)
            counts[index] = len(records) // DEST.record_size
        return b"".join(parts), counts

    def _received(self, group: str, sequence: int) -> tuple[bytes, int]:
        parts: list[bytes] = []
        deadline = time.monotonic() + self.timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _silence(self.timeout)
            records, finished, errno = self.backend.take_records(group, self.link.receive(left), sequence)
            parts.append(records)
            if finished:
                return b"".join(parts), errno
            if records:
                deadline = time.monotonic() + self.timeout


def await_answers(link: Link, exchange: Exchange, timeout: float) -> None:
    """Receive until the exchange is finished; LinkError when none of its answers came for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not exchange.finished:
        left = deadline - time.monotonic()
        if left <= 0:
            raise _silence(timeout)
        if exchange.feed(link.receive(left)):
            deadline = time.monotonic() + timeout


def _silence(timeout: float) -> LinkError:
    return LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")


def _drain(link: Link, exchange: Exchange) -> None:
    """Take in what was queued before replies were lost."""
    deadline = time.monotonic() + _DRAIN
    while (left := deadline - time.monotonic()) > 0:
        try:
            exchange.feed(link.receive(left))
        except LinkError:
            return


def _key(record: bytes) -> bytes:
    """The key of a service that was read."""
    from sys import byteorder

    present = int.from_bytes(record[_PRESENT : _PRESENT + 4], byteorder)
    key = (SERVICE_MARK_KEY if present & SERVICE_MARK else SERVICE_ADDRESS_KEY).to_bytes(4, byteorder)
    return record[:_PRESENT] + key + record[_PRESENT + 4 :]
