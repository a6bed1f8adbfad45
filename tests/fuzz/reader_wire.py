"""Readers of netlink, for fuzzers: replies by both backends, requests by the simulated kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ipvsnl.backends import ctypes_
from ipvsnl.backends.choice import chosen
from ipvsnl.errors import DecodeError, LinkError
from ipvsnl.family import REPLY_GROUPS
from ipvsnl.wire.exchange import Exchange
from ipvsnl.wire.exchange import Reading as Dump
from ipvssim.kernel import Kernel
from ipvssim.netlink.socket import FAMILY_ID
from ipvssim.state.saving import dumped, restored
from tests.fuzz.law import Reader
from tests.fuzz.material import REPLIES, REQUESTS, outcome, reading

if TYPE_CHECKING:
    from ipvsnl.backends.contract import Backend

# --- netlink ---


_BOTH: list[Backend] = [ctypes_, chosen()]


def _replies(data: bytes) -> None:
    """A datagram read by both backends: message by message, as the answers to requests, and as part of a dump."""
    found = [(reading(one, data), _exchanged(one, data), _dumps(one, data)) for one in _BOTH]
    assert found[0] == found[1], found


def _exchanged(backend: Backend, data: bytes) -> list[object]:
    exchange = Exchange(backend, 1, 9)
    fed = outcome(exchange.feed, data)
    refused = [(one.sequence, one.errno, one.extack) for one in exchange.refusals]
    records = [outcome(lambda group=group: list(exchange.replies(group.name))) for group in REPLY_GROUPS.values()]
    return [fed, exchange.finished, refused, records]


def _dumps(backend: Backend, data: bytes) -> list[object]:
    found: list[object] = []
    for group in ("service", "dest"):  # what is read in bulk
        dump = Dump(backend, group, 7)
        try:
            found.append(dump.feed(data))
        except LinkError as wrong:
            found.append(str(wrong))
        except DecodeError as wrong:
            found.append((str(wrong), wrong.offset))
        found += [dump.records, dump.finished, dump.errno, dump.changed]
    return found


def _short(datagrams: Iterable[bytes]) -> Iterator[bytes]:
    seen: set[tuple[int, bytes]] = set()
    for one in datagrams:
        if len(one) < 600 and (shape := (len(one) // 16, one[4:6] + one[16:17])) not in seen:
            seen.add(shape)
            yield one


def _requests(data: bytes) -> None:
    """A datagram to the simulated kernel; whatever it is, there are answers, and a table that can be saved."""
    kernel = Kernel()
    kernel.load("-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m")
    socket = kernel.socket()
    try:
        socket.send(data)
    except OSError:
        return
    for _ in range(1000):
        try:
            socket.recv(65536)
        except BlockingIOError:
            break
        except OSError:
            continue
    restored(dumped(kernel.namespace), Kernel)


def _asked() -> Iterator[bytes]:
    for one in _short(REQUESTS):
        yield one.replace(b"\xff\xff", FAMILY_ID.to_bytes(2, sys.byteorder), 1) if one[4:6] == b"\xff\xff" else one


READERS = [
    Reader("replies", _replies, (), lambda: _short(REPLIES)),
    Reader("requests", _requests, (), _asked),
]
