"""Every wait has an end, taken once; every answer has a bound; and only the kernel is believed."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ipvsnl.backends import contract
from ipvsnl.backends.choice import chosen
from ipvsnl.client import IPVS
from ipvsnl.consts import NLM_F_DUMP_INTR
from ipvsnl.errors import DecodeError, LinkError
from ipvsnl.link.kernel import KernelLink
from ipvsnl.link.unix import UnixLink
from ipvsnl.model import Service
from ipvsnl.wire.exchange import DUMP_TRIES, Exchange, Reading, acknowledge
from tests.fuzz.material import REPLIES
from tests.ipvsnl.awkward import HEADER, Scripted, done, error, message
from tests.ipvsnl.link.test_bulk_talk import REQUESTS, with_sequence
from tests.ipvsnl.twins import BACKENDS, native

TIMEOUT = 0.3
GENERIC = 16
LIMIT = 2.0
"""Seconds in which everything here is over, on a machine that is busy."""
SERVER = min((reply for reply in REPLIES if reply[16:17] == b"\x05" and reply[6] & 2), key=len)
FAMILY = next(reply for reply in REPLIES if HEADER.unpack_from(reply)[1] == 16 and reply[16] == 1)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, and the kernel's."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, kernels:
        yield ours, kernels


@contextmanager
def flood(kernels: socket.socket, datagram: bytes, *, every: float = 0.0) -> Iterator[None]:
    """Datagrams without an end, meanwhile."""
    over = threading.Event()

    def send() -> None:
        kernels.settimeout(0.05)
        while not over.is_set():
            try:
                kernels.send(datagram)
            except TimeoutError:
                continue
            except OSError:
                return
            time.sleep(every)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def in_time() -> Iterator[None]:
    """What takes longer than LIMIT fails, though it may end."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < LIMIT


def converse(ours: socket.socket, requests: bytes = REQUESTS) -> Any:
    return native.converse(ours.fileno(), requests, 1, 9, 9, TIMEOUT)[2]


def dump(ours: socket.socket) -> Any:
    return native.dump(ours.fileno(), b"request", "dest", 5, TIMEOUT)


def silent(call: Callable[[], object]) -> None:
    """It gives up, and says that there was no answer."""
    with in_time(), pytest.raises(LinkError) as lost:
        trouble = call()
        if isinstance(trouble, BaseException):
            raise trouble
    assert lost.value.errno == errno.ETIMEDOUT


def test_signals_do_not_prolong_a_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    """A timer that interrupts a wait again and again does not begin it anew."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, TIMEOUT / 3, TIMEOUT / 3)
        silent(lambda: converse(pair[0]))
        silent(lambda: dump(pair[0]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("every", [0.0, TIMEOUT / 10])
def test_foreign_answers_do_not_prolong_a_wait(pair: tuple[socket.socket, socket.socket], every: float) -> None:
    """What answers someone else is no progress, however much of it comes."""
    with flood(pair[1], error(77), every=every):
        silent(lambda: converse(pair[0]))
        silent(lambda: dump(pair[0]))


def test_the_end_of_a_connection_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    """A peer that has gone ends a wait at once, with ECONNRESET."""
    pair[1].shutdown(socket.SHUT_WR)
    with in_time(), pytest.raises(LinkError, match="has gone") as lost:
        dump(pair[0])
    assert lost.value.errno == errno.ECONNRESET
    assert getattr(converse(pair[0]), "errno", 0) == errno.ECONNRESET


def test_a_peer_that_does_not_read(pair: tuple[socket.socket, socket.socket]) -> None:
    """A send waits for room no longer than for an answer."""
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            pair[0].send(bytes(4096))
    pair[0].setblocking(True)
    silent(lambda: converse(pair[0]))
    silent(lambda: dump(pair[0]))


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A Unix socket on which nobody takes connections."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen(0)
        yield str(tmp_path / "socket"), listening


def test_a_full_backlog(listener: tuple[str, socket.socket]) -> None:
    """A connection that is not taken is given up."""
    first = UnixLink(listener[0], TIMEOUT)
    silent(lambda: UnixLink(listener[0], TIMEOUT))
    first.close()


def test_a_served_kernel_that_does_not_read(listener: tuple[str, socket.socket]) -> None:
    """A send to it is given up."""
    link = UnixLink(listener[0], TIMEOUT)

    def fill() -> None:
        while True:
            link.send(bytes(link.max_send))

    silent(fill)
    link.close()


@pytest.mark.parametrize("told", [b"nonsense", b"[" * 30_000, b"[1]", b"\xff"], ids=["none", "deep", "list", "bytes"])
def test_an_answer_beside_netlink_that_is_no_json(listener: tuple[str, socket.socket], told: bytes) -> None:
    """Whatever the server says for an answer, it is an error of the link with the server's name."""
    link = UnixLink(listener[0], TIMEOUT)
    server, _ = listener[1].accept()
    server.send(bytes(HEADER.size) + told)
    with pytest.raises(LinkError, match=f"{listener[0]}: an answer is no JSON"):
        list(link.ask(proc="ip_vs"))
    server.close()
    link.close()


def test_a_datagram_that_was_cut(listener: tuple[str, socket.socket]) -> None:
    """A reply that is longer than the buffer is an error, not half a reply."""
    link = UnixLink(listener[0], TIMEOUT)
    server, _ = listener[1].accept()
    with server, pytest.raises(LinkError, match="was cut"):
        server.send(bytes(65536))
        link.receive(TIMEOUT)
    link.close()


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_an_endless_dump(pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """A dump has a bound in bytes, over a socket and on other links."""
    monkeypatch.setattr(contract, "MOST_RECORDS", 1 << 22)
    reply = with_sequence(SERVER, 5) * 100
    with flood(pair[1], reply[:30000]), pytest.raises((LinkError, DecodeError)) as wrong:
        native.dump(pair[0].fileno(), b"request", "dest", 5, LIMIT)
    with flood(pair[1], with_sequence(SERVER, 5) * 50), pytest.raises(LinkError) as wrong:
        native.dump(pair[0].fileno(), b"request", "dest", 5, LIMIT)
    assert wrong.value.errno == errno.EOVERFLOW
    reading = Reading(chosen(), "dest", 5)
    with pytest.raises(LinkError, match="and no end"):
        while True:
            reading.feed(with_sequence(SERVER, 5) * 50)


def test_endless_answers(pair: tuple[socket.socket, socket.socket]) -> None:
    """A request has one answer at most: more of them are the sender's fault, and do not prolong a wait."""
    with in_time(), flood(pair[1], error(3)):
        trouble = converse(pair[0])
    assert isinstance(trouble, DecodeError) and "more than one answer" in str(trouble)
    exchange = Exchange(chosen(), 1, 9)
    with pytest.raises(DecodeError, match="more than one answer"):
        for _ in range(10):
            exchange.feed(error(3))
    exchange = Exchange(chosen(), 3, 3)
    with pytest.raises(DecodeError, match="more than 64 replies"):
        for _ in range(65):
            exchange.feed(message(28, 0, 3, b"\x01\x01\0\0"))


def test_numbers_that_begin_anew(pair: tuple[socket.socket, socket.socket]) -> None:
    """The bound is the number of requests also where their numbers go over 2^32."""
    last = 0xFFFFFFFF
    for sequence in (last, 1):
        pair[1].send(error(sequence, errno.EEXIST))
    refusals, sent, trouble = native.converse(pair[0].fileno(), b"x", last, 1, 9, TIMEOUT)
    assert ([one[0] for one in refusals], sent, trouble) == ([last, 1], True, None)
    exchange = Exchange(chosen(), last, 1)
    assert exchange.feed(error(last)) and exchange.feed(error(1)) and exchange.finished


# --- what is believed ------------------------------------------------------------------------------------------------


def scripted(*answers: bytes) -> tuple[IPVS, Scripted]:
    """A client whose kernel gives these answers after it has named the family."""
    link = Scripted([with_sequence(FAMILY, 1) + error(1), *answers])
    return IPVS(link, timeout=TIMEOUT), link


@pytest.mark.parametrize(
    "call", [lambda ipvs: ipvs.info(), lambda ipvs: ipvs.timeouts(), lambda ipvs: ipvs.service(Service(fwmark=1))]
)
def test_an_acknowledgement_without_its_reply(call: Callable[[IPVS], object]) -> None:
    """A request that was acknowledged and not replied to is a DecodeError."""
    with pytest.raises(DecodeError, match="no reply"):
        call(scripted(error(2))[0])


@BACKENDS
def test_a_reply_to_something_else(backend: Any) -> None:
    """A reply that names another command is not read as what was asked for."""
    for group in ("service", "daemon"):
        with pytest.raises(DecodeError, match="another command"):
            backend.take_records(group, with_sequence(SERVER, 5), 5)
    with pytest.raises(DecodeError, match="another command"):
        scripted(with_sequence(SERVER, 2) + error(2))[0].info()


@BACKENDS
def test_the_mark_of_a_change(backend: Any) -> None:
    """NLM_F_DUMP_INTR on any message of the dump, and on no other's, says that it must be read again."""
    marked = message(3, 2 | NLM_F_DUMP_INTR, 5, bytes(4))
    assert backend.take_records("dest", marked, 5)[1:] == (True, 0, True)
    assert backend.take_records("dest", marked + done(6), 6)[1:] == (True, 0, False)
    length, kind, flags, sequence, port = HEADER.unpack_from(with_sequence(SERVER, 5))
    reply = HEADER.pack(length, kind, flags | NLM_F_DUMP_INTR, sequence, port) + SERVER[16:]
    assert backend.take_records("dest", reply, 5)[3]


def test_a_dump_that_changed_is_read_again() -> None:
    """A dump that the kernel marks is asked for anew, so many times; then it is an error, never half a table."""
    marked = [message(3, 2 | NLM_F_DUMP_INTR, number, bytes(4)) for number in range(2, 2 + DUMP_TRIES)]
    ipvs, link = scripted(*marked[:-1], done(1 + DUMP_TRIES))
    assert ipvs.services() == [] and len(link.sent) == 1 + DUMP_TRIES
    ipvs, link = scripted(*marked)
    with pytest.raises(LinkError) as changed:
        ipvs.services()
    assert changed.value.errno == errno.EAGAIN and len(link.sent) == 1 + DUMP_TRIES


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="there is no netlink here")
def test_only_the_kernel_is_believed() -> None:
    """A datagram that another process sends to a netlink socket is passed over, by Python and by C."""
    link = KernelLink()
    assert link.descriptor is not None
    with socket.socket(fileno=os.dup(link.descriptor)) as copy:
        ours = copy.getsockname()
    request = bytearray(chosen().encode_getfamily(9, "nlctrl"))
    acknowledge(request, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC) as forger:
        try:
            forger.sendto(error(9, errno.EPERM), ours)
        except PermissionError:
            pytest.skip("this user may not send to another's netlink socket")
        silent(lambda: link.receive(TIMEOUT))
        forger.connect(ours)
        with flood(forger, error(9, errno.EPERM)):
            silent(lambda: link.receive(TIMEOUT))
            silent(lambda: link.receive(0.0))
        silent(lambda: link.receive(TIMEOUT))  # and what is left of it
        forger.sendto(error(9, errno.EPERM), ours)
        assert native.converse(link.descriptor, request, 9, 9, 9, TIMEOUT) == ([], True, None)
    link.close()
