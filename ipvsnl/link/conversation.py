"""One client's conversation with a kernel: requests out, every answer in.

Over a socket the backend in C sends and receives; over every other link Python does, with the same outcome.

No wait is without an end. A call gives up when there is no progress for ``timeout`` seconds: progress is a record or an
answer of ours, and neither a signal nor what is not ours counts. A request has one answer at most, and a dump has at most
:data:`~ipvsnl.backends.contract.MOST_RECORDS` bytes, so there is an end to progress, too.
"""

from __future__ import annotations

import errno as _errno
import os
import time

from ipvsnl.backends.choice import chosen
from ipvsnl.errors import LinkError
from ipvsnl.family import DEST, NAME, SERVICE, SERVICE_ADDRESS_KEY, SERVICE_MARK, SERVICE_MARK_KEY, Command
from ipvsnl.link.turns import Turns
from ipvsnl.refusals import KernelError
from ipvsnl.wire.exchange import DUMP, DUMP_TRIES, Exchange, Reading, Sequence, acknowledge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ipvsnl.backends.contract import Backend, Outcome
    from ipvsnl.link.contract import Link

DEBUG = "IPVSNL_DEBUG"
"""The environment variable that asks for every message to be shown (any value but empty and 0)."""
_DRAIN = 0.05
"""Seconds to wait for what an overrun queue still holds, or what is left of a dump that was given up."""
_LONGEST_DRAIN = 5.0
"""Seconds that draining takes at most."""
_PRESENT = next(field.offset for field in SERVICE.fields if field.name == "present")


def _traced(link: Link) -> Link:
    from ipvsnl.link.traced import TracedLink

    return TracedLink(link)


class Conversation:
    """What client, batches and loads share: the link, the backend, the family's number, the sequence numbers, the turns.

    ``timeout`` is how many seconds may pass without progress. Requests of one conversation have numbers of their own, so
    that late answers to one that was given up are told apart. Every way to the link takes a turn (:class:`Turns`): a client
    that is closed, in use, or another process's raises LinkError, and nothing is sent.
    """

    __slots__ = ("backend", "family", "link", "sequence", "timeout", "turns")

    def __init__(self, link: Link, timeout: float, *, shared: bool = False) -> None:
        """Find the family at the other end; LinkError with the reason where there is none."""
        if not timeout >= 0:
            raise ValueError(f"timeout={timeout}: seconds, and not less than 0")
        self.link: Link = link if os.environ.get(DEBUG, "0") in ("", "0") else _traced(link)
        self.timeout = timeout
        self.backend = chosen()
        self.sequence = Sequence()
        self.turns = Turns(shared)
        self.family = self._find_family()

    @property
    def simulated(self) -> bool:
        """Whether no Linux is at the other end."""
        return bool(getattr(self.link, "simulated", False))

    # --- single requests ---

    def ask(self, command: int, flags: int, *, timeout: float | None = None, **records: bytes | None) -> Exchange:
        """One request to its final answer; what was refused stands in the exchange."""
        with self.turns.next():
            sequence = self.sequence.next()
            request = self.backend.encode(self.family, command, flags, sequence, **records)
            return self._converse(request, sequence, timeout)

    def _converse(self, request: bytes, sequence: int, timeout: float | None = None) -> Exchange:
        exchange = Exchange(self.backend, sequence, sequence)
        self.link.send(request)
        await_answers(self.link, exchange, self.timeout if timeout is None else timeout)
        return exchange

    def _find_family(self) -> int:
        sequence = self.sequence.next()
        return family_of(self._converse(family_request(self.backend, sequence), sequence))

    # --- many requests in one send ---

    def transfer(self, requests: memoryview, first: int, closing: int, most: int) -> Outcome:
        """Send many requests in one send, and take in the answer to each.

        ``first`` and ``closing`` are the sequence numbers of the first request and of the last; ``most`` is how many
        refusals there may be. Three things come back: the refusals, whether the requests were sent, and what went wrong
        (None: nothing). That is a LinkError, a DecodeError, or what a signal's handler raised. It is returned, and not
        raised, so that the caller can note the refusals first; then the caller raises it.
        """
        with self.turns.next():
            descriptor = getattr(self.link, "descriptor", None)
            if descriptor is not None and self.backend.converse is not None:
                return self.backend.converse(descriptor, requests, first, closing, most, self.timeout)
            exchange = Exchange(self.backend, first, closing)
            if not getattr(self.link, "at_once", False):
                return self._transfer(bytes(requests), exchange)
            from ipvsnl._held import held

            outcome: Outcome = [], False, None
            try:
                with held():  # a signal comes before or behind, so it is known what was done
                    outcome = self._transfer(bytes(requests), exchange)
            except BaseException as signal:
                outcome = outcome[0], outcome[1], outcome[2] or signal
            return outcome

    def _transfer(self, requests: bytes, exchange: Exchange) -> Outcome:
        sent = False
        trouble: BaseException | None = None
        try:
            try:
                self.link.send(requests)
                sent = True
                await_answers(self.link, exchange, self.timeout)
            except LinkError as lost:
                trouble = lost
                if lost.errno == _errno.ENOBUFS:
                    drain(self.link, exchange.feed)
            except BaseException as signal:
                trouble = signal
            return [(one.sequence, one.errno, one.extack) for one in exchange.refusals], sent, trouble
        finally:
            del trouble  # its traceback holds this frame: no circle

    # --- dumps ---

    def dump(self, command: int, group: str, key: bytes | None = None) -> Any:
        """The records of a dump, one after the other in one buffer; KernelError where the kernel refuses it."""

        def once() -> tuple[Any, int, bool]:
            sequence = self.sequence.next()
            request = self.backend.encode(self.family, command, DUMP, sequence, key)
            descriptor = getattr(self.link, "descriptor", None)
            if descriptor is not None and self.backend.dump is not None:
                return self.backend.dump(descriptor, request, group, sequence, self.timeout)
            reading = Reading(self.backend, group, sequence)
            self.link.send(request)
            await_answers(self.link, reading, self.timeout)
            return reading.records, reading.errno, reading.changed

        with self.turns.next():
            records, errno = self._whole(once)
        if errno:
            raise KernelError(errno, command)
        return records

    def dump_servers(self, services: Any) -> tuple[Any, memoryview]:
        """The real servers of many services: their records, one after the other in one buffer, and how many each has.

        ``services`` are the services' records, as :meth:`dump` gives them. The counts (u32) are in the services' order.
        KernelError where the kernel refuses a dump, LinkError where it does not answer.
        """
        size = SERVICE.record_size
        counts = memoryview(bytearray(4 * (len(services) // size))).cast("I")
        descriptor = getattr(self.link, "descriptor", None)
        if descriptor is not None and self.backend.dump_servers is not None:
            dump_servers = self.backend.dump_servers

            def once() -> tuple[Any, int, bool]:
                first = self.sequence.next()
                try:
                    records, after, changed = dump_servers(
                        descriptor, self.family, services, first, counts, self.timeout
                    )
                except LinkError as wrong:
                    self.sequence.skip_to((first + len(counts)) % 0xFFFFFFFF + 1)
                    if wrong.errno != _errno.EBUSY:
                        raise
                    return b"", _errno.EBUSY, False
                self.sequence.skip_to(after)
                return records, 0, changed

            with self.turns.next():
                records, errno = self._whole(once)
            if errno:
                raise KernelError(errno, Command.GET_DEST)
            return records, counts
        parts = []
        for index in range(len(counts)):
            records = self.dump(Command.GET_DEST, "dest", key_of(bytes(services[index * size : (index + 1) * size])))
            parts.append(records)
            counts[index] = len(records) // DEST.record_size
        return b"".join(parts), counts

    def _whole(self, once: Callable[[], tuple[Any, int, bool]]) -> tuple[Any, int]:
        """A dump that nothing changed meanwhile: its records and errno.

        It is read anew where the kernel says that it changed. EBUSY means that the rest of an earlier dump, one that was
        given up, is still to be read (``__netlink_dump_start`` in net/netlink/af_netlink.c, Linux 6.1).
        """
        for _ in range(DUMP_TRIES):
            records, errno, changed = once()
            if errno == _errno.EBUSY:
                drain(self.link, lambda _: None)
            elif not changed:
                return records, errno
        if changed:
            raise LinkError(_errno.EAGAIN, f"the table changed each of the {DUMP_TRIES} times that it was read")
        return records, errno

    # --- the link's other ends ---

    def widen(self) -> int | None:
        """Have the link's queues widened: how many refusals of one send they hold; None where the link has no such."""
        with self.turns.next():
            widen = getattr(self.link, "widen", None)
            return None if widen is None else int(widen())

    def proc(self, name: str) -> Iterable[str]:
        """The lines of ``/proc/net/NAME`` of the kernel at the other end."""
        self.turns.check()
        return self.link.proc(name)

    def close(self) -> None:
        """Let go of the link; LinkError in the middle of another thread's call. In another process nothing happens."""
        if self.turns.ours:
            with self.turns.next():
                self.turns.end()
                self.link.close()


def family_request(backend: Backend, sequence: int) -> bytes:
    """The question for the family's number."""
    request = bytearray(backend.encode_getfamily(sequence, NAME))
    acknowledge(request, 0)
    return bytes(request)


def family_of(exchange: Exchange) -> int:
    """The answer to it; LinkError with the reason where there is none."""
    for refusal in exchange.refusals:
        if refusal.errno == _errno.ENOENT:
            raise LinkError(
                _errno.ENOPROTOOPT,
                "this kernel has no IPVS: the ip_vs module is not there or could not be loaded (modprobe ip_vs)",
            )
        raise LinkError(refusal.errno, "the kernel did not name the IPVS family")
    return exchange.family_id()


def await_answers(link: Link, exchange: Exchange | Reading, timeout: float) -> None:
    """Receive until it is finished; LinkError when there was no progress for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not exchange.finished:
        left = deadline - time.monotonic()
        if left <= 0:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
        if exchange.feed(link.receive(left)):
            deadline = time.monotonic() + timeout


def drain(link: Link, take: Callable[[bytes], object]) -> None:
    """Take in what was queued before replies were lost, or what is left of a dump: until there is no more at once."""
    end = time.monotonic() + _LONGEST_DRAIN
    while time.monotonic() < end:
        try:
            take(link.receive(_DRAIN))
        except LinkError:
            return


def key_of(record: bytes) -> bytes:
    """The key of a service that was read."""
    from sys import byteorder

    present = int.from_bytes(record[_PRESENT : _PRESENT + 4], byteorder)
    key = (SERVICE_MARK_KEY if present & SERVICE_MARK else SERVICE_ADDRESS_KEY).to_bytes(4, byteorder)
    return record[:_PRESENT] + key + record[_PRESENT + 4 :]
