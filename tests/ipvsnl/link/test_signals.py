"""Handlers that raise in the middle of a load: their own exception comes out, and nothing else breaks."""

from __future__ import annotations

import gc
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from ipvsnl.client import IPVS
from tests.ipvsnl.peers import forked_kernel

ROUNDS = 50
SERVERS = [b"-a -t 10.0.0.1:80 -r 10.1.%d.%d:80 -m\n" % (n // 250, n % 250 + 1) for n in range(500)]
TEXT = b"-A -t 10.0.0.1:80 -s rr\n" + b"".join(SERVERS)


class StoppedError(Exception):
    """Raised by the handler."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM raises StoppedError."""

    def handler(_number: int, _frame: object) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGALRM, handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def shortest(call: Callable[[], object]) -> float:
    """Seconds that a call takes when little else is done: the alarms are to come into it, and not after it."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def interrupted(ipvs: IPVS, text: bytes, after: float) -> bool:
    """Load, with an alarm so many seconds after; whether the handler's exception came out."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, after)
            ipvs.load(text)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except StoppedError:
        return True
    return False


@pytest.mark.usefixtures("alarm")
def test_a_handler_that_raises_in_a_load() -> None:
    """At whatever moment a signal's handler raises in a load, it is what comes out, and the client and process go on."""
    chance, stopped = random.Random(1), 0
    with forked_kernel() as link, IPVS(link) as ipvs:
        ipvs.load(TEXT)
        whole = shortest(lambda: ipvs.reload(TEXT))
        for _ in range(ROUNDS):
            ipvs.flush()
            stopped += interrupted(ipvs, TEXT, chance.random() * whole / 2 + 1e-5)
            gc.collect()
            assert len(ipvs.snapshot()) <= 1
    assert stopped > ROUNDS // 4


@pytest.mark.usefixtures("alarm")
def test_a_handler_that_raises_in_a_dump() -> None:
    """A dump that a handler ends leaves the client usable: what is left of it is passed over."""
    chance, stopped = random.Random(2), 0
    with forked_kernel() as link, IPVS(link) as ipvs:
        ipvs.load(TEXT)
        servers = len(ipvs.snapshot()[0].destinations)
        whole = shortest(lambda: ipvs.snapshot())
        for _ in range(ROUNDS):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.random() * whole + 1e-5)
                    ipvs.snapshot()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except StoppedError:
                stopped += 1
            gc.collect()
            assert len(ipvs.snapshot()[0].destinations) == servers == len(SERVERS)
    assert stopped > ROUNDS // 4
