"""The client for asyncio: the verbs of :mod:`ipvsnl.client` as coroutines, over the same links, with no thread.

    async with await ipvsnl.aio.open("kernel", netns="blue") as ipvs:
        await ipvs.add_service(web)

Nothing here blocks but the sends, in which the kernel carries the requests out. Calls of several tasks wait for each other.
A call that is cancelled leaves the client usable: answers that come late are passed over by their numbers. What the kernel
was sent before is carried out all the same.
"""

from __future__ import annotations

import asyncio
import errno as _errno

from ipvsnl.backends.choice import chosen
from ipvsnl.errors import LinkError
from ipvsnl.family import DEST, SERVICE, Command
from ipvsnl.link.conversation import family_of, family_request, key_of
from ipvsnl.link.opening import open_link
from ipvsnl.link.turns import Turns
from ipvsnl.refusals import KernelError
from ipvsnl.wire import steps
from ipvsnl.wire.exchange import DUMP, DUMP_TRIES, Exchange, Reading, Sequence
from ipvsnl.wire.steps import Ask, Dump
from ipvsnl.wire.verbs import NOTHING, Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType
    from typing import Any, Self

    from ipvsnl.link.contract import Link, Log
    from ipvsnl.model import Daemon, Destination, DestinationStatus, Info, Service, ServiceStatus, Timeouts
    from ipvsnl.wire.snapshot import Snapshot
    from ipvsnl.wire.steps import Result, Steps
    from ipvsnl.wire.verbs import Records, Subject

    Awaited = Awaitable[None]

_PAUSE = 0.01
"""Seconds between two looks at a link that has no descriptor to wait for, or no room to send."""


class IPVS(Verbs["Awaited"]):
    """One kernel's IPVS table, real or simulated; made by :func:`open`, or by ``await IPVS.over(link)``.

    The methods are those of :class:`ipvsnl.client.IPVS`, with the same arguments, results and errors; each is awaited.
    """

    def __init__(self, link: Link, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._backend = chosen()
        self._sequence = Sequence()
        self._turns = Turns()
        self._lock = asyncio.Lock()
        self._family = 0

    @classmethod
    async def over(cls, link: Link, *, timeout: float = 5.0) -> Self:
        """Take a link over and find the family there; LinkError with the reason where there is none."""
        ipvs = cls(link, timeout)
        try:
            sequence = ipvs._sequence.next()
            exchange = Exchange(ipvs._backend, sequence, sequence)
            await ipvs._exchange(family_request(ipvs._backend, sequence), exchange, timeout)
            ipvs._family = family_of(exchange)
        except BaseException:
            link.close()
            raise
        return ipvs

    # --- services and servers: the other verbs are those of Verbs ---

    async def edit_service(self, service: Service, *, tag: object = None, **changes: Any) -> None:
        """See :meth:`ipvsnl.client.IPVS.edit_service`."""
        await super().edit_service(
            (await self.service(service)).service.replace(**changes) if changes else service, tag=tag
        )

    async def edit_server(
        self, service: Service, destination: Destination, *, tag: object = None, **changes: Any
    ) -> None:
        """See :meth:`ipvsnl.client.IPVS.edit_server`."""
        if changes:
            destination = (await self.server(service, destination)).destination.replace(**changes)
        await super().edit_server(service, destination, tag=tag)

    async def service(self, service: Service) -> ServiceStatus:
        """See :meth:`ipvsnl.client.IPVS.service`."""
        return await self._carried(steps.service(service))

    async def services(self) -> list[ServiceStatus]:
        """See :meth:`ipvsnl.client.IPVS.services`."""
        return await self._carried(steps.services())

    async def server(self, service: Service, destination: Destination) -> DestinationStatus:
        """See :meth:`ipvsnl.client.IPVS.server`."""
        return await self._carried(steps.server(service, destination))

    async def servers(self, service: Service) -> list[DestinationStatus]:
        """See :meth:`ipvsnl.client.IPVS.servers`."""
        return await self._carried(steps.servers(service))

    async def snapshot(self) -> Snapshot:
        """See :meth:`ipvsnl.client.IPVS.snapshot`."""
        from ipvsnl.wire.snapshot import Snapshot

        size = SERVICE.record_size
        services = await self._answer(Dump(Command.GET_SERVICE, "service"))
        found = [
            await self._answer(Dump(Command.GET_DEST, "dest", key_of(services[at : at + size])))
            for at in range(0, len(services), size)
        ]
        counts = memoryview(bytearray(4 * len(found))).cast("I")
        for index, records in enumerate(found):
            counts[index] = len(records) // DEST.record_size
        return Snapshot(services, b"".join(found), counts)

    # --- timeouts, info, daemons ---

    async def timeouts(self) -> Timeouts:
        """See :meth:`ipvsnl.client.IPVS.timeouts`."""
        return await self._carried(steps.timeouts())

    async def set_timeouts(self, timeouts: Timeouts) -> None:
        """See :meth:`ipvsnl.client.IPVS.set_timeouts`."""
        await self._carried(steps.set_timeouts(timeouts))

    async def info(self) -> Info:
        """See :meth:`ipvsnl.client.IPVS.info`."""
        return await self._carried(steps.info())

    async def daemons(self) -> list[Daemon]:
        """See :meth:`ipvsnl.client.IPVS.daemons`."""
        return await self._carried(steps.daemons())

    async def start_daemon(self, daemon: Daemon) -> None:
        """See :meth:`ipvsnl.client.IPVS.start_daemon`."""
        await self._carried(steps.start_daemon(daemon))

    async def stop_daemon(self, role: str | int) -> None:
        """See :meth:`ipvsnl.client.IPVS.stop_daemon`."""
        await self._carried(steps.stop_daemon(role, self._timeout))

    # --- the conversation ---

    @property
    def interface(self) -> str:
        """See :attr:`ipvsnl.client.IPVS.interface`."""
        return str(getattr(self._link, "interface", "netlink"))

    def close(self) -> None:
        """Let go of the link; every later call is a LinkError (EBADF), and so is one that still waits."""
        if self._turns.ours:
            self._turns.end()
            self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _change(
        self, command: int, subject: Subject = NOTHING, records: Records = NOTHING, *, tag: object = None
    ) -> None:
        try:
            await self._answer(Ask(command, subject, service=records[0], dest=records[1]))
        except KernelError as refusal:
            refusal.tag = tag
            raise

    async def _carried(self, steps: Steps[Result]) -> Result:
        """Carry out what a call does, and await each answer."""
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._answer(step)
                except BaseException as wrong:
                    step = steps.throw(wrong)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _answer(self, step: Ask | Dump) -> Any:
        async with self._lock:
            if isinstance(step, Dump):
                return await self._dump(step)
            sequence = self._sequence.next()
            request = self._backend.encode(self._family, step.command, step.flags, sequence, **step.said)
            exchange = Exchange(self._backend, sequence, sequence)
            await self._exchange(request, exchange, self._timeout if step.timeout is None else step.timeout)
            return step.accepted(exchange, simulated=getattr(self._link, "simulated", False))

    async def _dump(self, step: Dump) -> bytes:
        """See ``Conversation._whole``: read anew where it changed, or where the rest of a cancelled one is in the way."""
        for _ in range(DUMP_TRIES):
            sequence = self._sequence.next()
            request = self._backend.encode(self._family, step.command, DUMP, sequence, step.key)
            reading = Reading(self._backend, step.group, sequence)
            await self._exchange(request, reading, self._timeout)
            if reading.errno == _errno.EBUSY:
                await self._drain()
            elif not reading.changed:
                break
        else:
            if not reading.errno:
                raise LinkError(_errno.EAGAIN, f"the table changed each of the {DUMP_TRIES} times that it was read")
        if reading.errno:
            raise KernelError(reading.errno, step.command)
        return reading.records

    async def _exchange(self, request: bytes, exchange: Exchange | Reading, timeout: float) -> None:
        """Send, and take answers in until it is finished; LinkError without progress for ``timeout`` seconds."""
        now = asyncio.get_running_loop().time
        deadline = now() + timeout
        await self._send(request, deadline)
        while not exchange.finished:
            datagram = await self._received(deadline - now(), timeout)
            if exchange.feed(datagram):
                deadline = now() + timeout

    async def _send(self, request: bytes, deadline: float) -> None:
        while True:
            self._turns.check()
            try:
                self._link.send(request)
                return
            except LinkError as full:
                if full.errno != _errno.ETIMEDOUT or asyncio.get_running_loop().time() >= deadline:
                    raise
            await asyncio.sleep(_PAUSE)

    async def _received(self, left: float, timeout: float) -> bytes:
        """The next datagram, in ``left`` seconds; other tasks have their turn before each."""
        await asyncio.sleep(0)
        end = asyncio.get_running_loop().time() + left
        while left > 0:
            self._turns.check()
            try:
                return self._link.receive(0.0)
            except LinkError as nothing:
                if nothing.errno != _errno.ETIMEDOUT:
                    raise
            descriptor = getattr(self._link, "waitable", None)
            if descriptor is None:
                break  # nothing is on its way in a simulated kernel
            await _readable(descriptor, left)
            left = end - asyncio.get_running_loop().time()
        raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")

    async def _drain(self) -> None:
        """Pass over what is left of a dump that was given up."""
        end = asyncio.get_running_loop().time() + self._timeout
        while asyncio.get_running_loop().time() < end:
            try:
                await self._received(5 * _PAUSE, self._timeout)
            except LinkError:
                return


async def _readable(descriptor: int, seconds: float) -> None:
    """Until there is something to receive, or so many seconds have passed."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        async with asyncio.timeout(seconds):
            await ready.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)


async def open(
    target: str = "kernel", *, netns: str | None = None, timeout: float = 5.0, log: Log | None = None
) -> IPVS:  # fmt: skip
    """The IPVS that ``target`` names, as in :func:`ipvsnl.client.open`; LinkError says why where it cannot be reached."""
    end = asyncio.get_running_loop().time() + timeout
    while True:
        try:
            return await IPVS.over(open_link(target, netns, 0.0, log), timeout=timeout)
        except LinkError as full:  # of a served one that has no room for a connection yet
            if full.errno != _errno.ETIMEDOUT or asyncio.get_running_loop().time() >= end:
                raise
        await asyncio.sleep(_PAUSE)
