"""The client for asyncio: what the blocking client's tests say holds for it, and what only coroutines do."""

from __future__ import annotations

import asyncio
import errno
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipvsnl import aio
from ipvsnl.client import IPVS
from ipvsnl.errors import LinkError
from ipvsnl.link.kernel import KernelLink
from ipvsnl.link.simulated import SimulatedLink
from ipvsnl.model import Destination, Service
from ipvsnl.refusals import KernelError
from ipvssim import Kernel
from ipvssim.doors.server import Server
from ipvssim.net.networks import default_network
from tests.conftest import BUFFER, ON_THE_KERNEL, enter_fresh_namespace
from tests.ipvsnl import test_client

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
LACKS = {"apply", "batch", "connections", "load", "loading", "place", "plain", "plan", "reload", "totals", "trash"}
"""What the blocking client has and this one has not."""


class Blocking:
    """The coroutines of a client as methods that wait, for the tests of the blocking one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ipvs: aio.IPVS) -> None:
        self.loop, self.ipvs = loop, ipvs

    def __getattr__(self, name: str) -> Callable[..., object]:
        method: Callable[..., Awaitable[object]] = getattr(self.ipvs, name)
        return lambda *given, **named: self.loop.run_until_complete(method(*given, **named))


@pytest.fixture
def connect() -> Iterator[Callable[[], Any]]:
    """Opens clients, all of them on one fresh table."""
    loop = asyncio.new_event_loop()
    opened: list[aio.IPVS] = []
    kernel = None if ON_THE_KERNEL else Kernel(network=default_network())
    if ON_THE_KERNEL:
        enter_fresh_namespace()

    def client() -> Blocking:
        link = KernelLink() if kernel is None else SimulatedLink(kernel.socket(sndbuf=BUFFER))
        opened.append(loop.run_until_complete(aio.IPVS.over(link)))
        return Blocking(loop, opened[-1])

    yield client
    for ipvs in opened:
        ipvs.close()
    loop.close()


@pytest.fixture
def ipvs(connect: Callable[[], Any]) -> Any:
    """A client on a fresh table."""
    return connect()


def _is_shared(test: Callable[..., object]) -> bool:
    """Whether a test of the blocking client uses nothing but a client on a fresh table, and what both clients have."""
    source, parameters = inspect.getsource(test), set(inspect.signature(test).parameters)
    return parameters <= {"ipvs", "service", "destination"} and not any(
        f".{name}(" in source for name in (*LACKS, "_conversation", "open_ipvs")
    )


SHARED = {
    f"{name}_as_coroutines": test
    for name, test in vars(test_client).items()
    if name.startswith("test_") and "ipvs" in inspect.signature(test).parameters and _is_shared(test)
}
globals().update(SHARED)


def test_the_two_clients_have_the_same_methods() -> None:
    """What one can do and the other cannot is written down; arguments are the same; many tests hold for both."""
    names = [{name for name in dir(kind) if not name.startswith("_")} for kind in (IPVS, aio.IPVS)]
    assert names[0] - names[1] == LACKS and names[1] - names[0] == {"over"}
    for name in names[0] & names[1] - {"interface"}:
        parameters = [list(inspect.signature(getattr(kind, name)).parameters) for kind in (IPVS, aio.IPVS)]
        assert parameters[0] == parameters[1], name
    assert len(SHARED) >= 8


@pytest.fixture
def served(tmp_path: Path) -> str:
    """A target: a simulated kernel that is served by another thread."""
    server = Server(Kernel(), tmp_path / "socket", now=time.monotonic)
    threading.Thread(target=server.serve, daemon=True).start()
    return f"unix:{tmp_path / 'socket'}"


@pytest.mark.parametrize("kind", ["memory", "file", "unix"])
def test_targets(kind: str, served: str, tmp_path: Path) -> None:
    """Every simulated target opens, refuses as the kernel does, and is closed by async with."""
    target = {"memory": "sim::memory:", "file": f"sim:{tmp_path / 'table'}", "unix": served}[kind]

    async def controller() -> None:
        async with await aio.open(target) as ipvs:
            await ipvs.add_service(WEB)
            await ipvs.add_server(WEB, Destination("10.0.0.1", 80, "masq"))
            with pytest.raises(KernelError) as refused:
                await ipvs.add_service(WEB, tag="again")
            assert (refused.value.errno, refused.value.tag) == (errno.EEXIST, "again")
            assert [entry.service for entry in await ipvs.snapshot()] == [WEB]
        with pytest.raises(LinkError, match="closed"):
            await ipvs.services()

    asyncio.run(controller())


def test_many_tasks_and_many_tables(served: str) -> None:
    """Tasks that share a client take turns; clients of several tables go on beside each other."""

    async def controller() -> None:
        others = [await aio.open("sim::memory:") for _ in range(5)]
        async with await aio.open(served) as ipvs:
            await asyncio.gather(*[ipvs.add_service(Service(fwmark=mark)) for mark in range(1, 51)])
            await asyncio.gather(*[other.add_service(WEB) for other in others])
            counts = await asyncio.gather(*[ipvs.services() for _ in range(20)])
            assert [len(found) for found in counts] == [50] * 20
        assert [len(await other.services()) for other in others] == [1] * 5

    asyncio.run(controller())


def test_a_cancelled_call(served: str) -> None:
    """At whatever moment a call is cancelled, the next ones get their own answers."""

    async def controller() -> None:
        async with await aio.open(served) as ipvs:
            await asyncio.gather(*[ipvs.add_service(Service(fwmark=mark)) for mark in range(1, 401)])
            for turns in range(60):
                calls = [asyncio.ensure_future(ipvs.services()), asyncio.ensure_future(ipvs.info())]
                for _ in range(turns // 2):
                    await asyncio.sleep(0)
                calls[turns % 2].cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                assert len(await ipvs.services()) == 400

    asyncio.run(controller())


def test_a_silent_kernel_does_not_hold_the_loop(tmp_path: Path) -> None:
    """A call that is not answered ends by its timeout, and other tasks go on meanwhile."""
    server = Server(Kernel(), tmp_path / "socket", now=time.monotonic)
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def controller() -> None:
        other = asyncio.ensure_future(ticking())
        with pytest.raises(LinkError) as lost:
            await aio.open(f"unix:{tmp_path / 'socket'}", timeout=0.3)
        assert lost.value.errno == errno.ETIMEDOUT
        other.cancel()

    begun = time.monotonic()
    asyncio.run(controller())
    assert ticks > 3 and time.monotonic() - begun < 3  # thirty on a machine that does nothing else
    server.close()
