"""The conversation in C: a kernel at the other end of a socket pair that answers as a test wants; and dumps over it."""

from __future__ import annotations

import errno
import signal
import socket
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvsnl.backends import ctypes_
from ipvsnl.consts import NLMSG_OVERRUN
from ipvsnl.errors import DecodeError, EncodeError, LinkError
from ipvsnl.family import DEST, SERVICE
from ipvsnl.wire.snapshot import Records
from tests.fuzz.material import REPLIES, outcome
from tests.ipvsnl.awkward import HEADER, done, error, message
from tests.ipvsnl.twins import native

REQUESTS = b"".join(message(28, 1 if n < 9 else 5, n, b"\x01\x01\x00\x00", 0) for n in range(1, 10))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, and the kernel's."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, kernels:
        yield ours, kernels


def converse(ours: socket.socket, timeout: float = 2.0, requests: bytes = REQUESTS) -> Any:
    return native.converse(ours.fileno(), requests, 1, 9, 9, timeout)


def later(call: Callable[[], object], seconds: float = 0.1) -> None:
    threading.Timer(seconds, call).start()


def test_refusals_and_foreign_answers(pair: tuple[socket.socket, socket.socket]) -> None:
    """Refusals come out in order with the kernel's words; other sequence numbers, and replies, are passed over."""
    ours, kernels = pair
    words = b"\x0d\x00\x01\x00no such\x00\x00\x00\x00\x00"
    echo = HEADER.pack(20, 28, 5, 5, 0)
    long = message(2, 0x300, 5, (-22).to_bytes(4, "little", signed=True) + echo + words)
    for datagram in (error(77, 1), error(2, errno.EEXIST), message(28, 0, 3, b"\x01\x01\x00\x00"), long, error(9)):
        kernels.send(datagram)
    assert converse(ours) == ([(2, errno.EEXIST, None), (5, errno.EINVAL, "no such")], True, None)
    assert kernels.recv(4096) == REQUESTS


def test_a_late_answer_is_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    """An acknowledgement that is not there at once is no lost one."""
    ours, kernels = pair
    later(lambda: kernels.send(error(9)))
    assert converse(ours) == ([], True, None)


def test_a_silent_kernel_is_a_link_error(pair: tuple[socket.socket, socket.socket]) -> None:
    """No wait is without a limit; what was refused before is known."""
    ours, kernels = pair
    kernels.send(error(4, errno.ESRCH))
    refusals, sent, trouble = converse(ours, 0.05)
    assert (refusals, sent) == ([(4, errno.ESRCH, None)], True)
    assert isinstance(trouble, LinkError) and trouble.errno == errno.ETIMEDOUT


class StoppedError(Exception):
    """Raised by a signal's handler."""


@pytest.mark.parametrize("raises", [False, True])
def test_a_signal_in_the_middle(pair: tuple[socket.socket, socket.socket], raises: bool) -> None:
    """A handler runs at once, and what it raises comes out when every answer is taken in; nothing is sent twice."""
    assert native.converse, "or it is skipped, before a thread waits for what nobody sends"
    ours, kernels = pair
    kernels.settimeout(30)
    called: list[int] = []

    def handler(number: int, _: object) -> None:
        called.append(number)
        if raises:
            raise StoppedError

    def interrupt() -> None:
        """The signal comes when the requests are out, however busy the machine is; the last answer after it."""
        kernels.recv(4096, socket.MSG_PEEK)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        time.sleep(0.2)
        kernels.send(error(9))

    before = signal.signal(signal.SIGALRM, handler)
    other = threading.Thread(target=interrupt)
    try:
        kernels.send(error(3, errno.EEXIST))
        other.start()
        refusals, sent, trouble = converse(ours)
    finally:
        other.join()
        signal.signal(signal.SIGALRM, before)
    assert (refusals, sent, called) == ([(3, errno.EEXIST, None)], True, [signal.SIGALRM])
    assert isinstance(trouble, StoppedError) if raises else trouble is None
    kernels.setblocking(False)
    assert kernels.recv(4096) == REQUESTS
    with pytest.raises(BlockingIOError):
        kernels.recv(4096)


def test_what_cannot_be_sent_was_not_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    """EMSGSIZE: nothing was executed, and it says so."""
    ours, _ = pair
    refusals, sent, trouble = converse(ours, requests=REQUESTS + bytes(1 << 24))
    assert (refusals, sent) == ([], False)
    assert isinstance(trouble, LinkError) and trouble.errno in (errno.EMSGSIZE, errno.ENOBUFS)
    ours.close()
    assert native.converse(9999, REQUESTS, 1, 9, 9, 1.0)[2].errno == errno.EBADF


@pytest.mark.parametrize(
    ("datagram", "kind", "words"),
    [
        (error(2, 1)[:-4], DecodeError, "leaves the datagram"),
        (message(2, 0, 2, b"\x01\x00"), DecodeError, "error number or the echoed header"),
        (message(NLMSG_OVERRUN, 0, 2, b""), LinkError, "overran"),
        (bytes(3000), LinkError, "cut"),
    ],
)
def test_a_broken_answer_is_not_believed(
    pair: tuple[socket.socket, socket.socket], datagram: bytes, kind: type[Exception], words: str
) -> None:
    """Malformed, overrun or too long: an error that says which, never a success."""
    ours, kernels = pair
    kernels.send(datagram)
    refusals, sent, trouble = converse(ours)
    assert (refusals, sent) == ([], True) and isinstance(trouble, kind)
    with pytest.raises(kind, match=words):
        raise trouble


def test_more_refusals_than_requests_are_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    """A kernel that answers twice does not write past the end."""
    ours, kernels = pair
    for _ in range(10):
        kernels.send(error(2, errno.EEXIST))
    refusals, _, trouble = converse(ours)
    assert len(refusals) == 9 and isinstance(trouble, DecodeError)


# --- dumps -----------------------------------------------------------------------------------------------------------

DUMPS = [reply for reply in REPLIES if reply[16:17] in (b"\x01", b"\x05") and reply[6] & 2]
MANY = [reply for reply in DUMPS if len(reply) > 1000] or DUMPS


def with_sequence(datagram: bytes, sequence: int) -> bytes:
    parts, here = [], 0
    while here < len(datagram):
        length, kind, flags, _, port = HEADER.unpack_from(datagram, here)
        end = here + (length + 3 & ~3)
        parts.append(HEADER.pack(length, kind, flags, sequence, port) + datagram[here + 16 : end])
        here = end
    return b"".join(parts)


@pytest.mark.parametrize("group", ["service", "dest"])
def test_the_backends_read_the_same_records(group: str) -> None:
    """Every recorded reply: the same records or the same fault."""
    for reply in REPLIES:
        for sequence in (HEADER.unpack_from(reply)[3], 1):
            found = outcome(native.take_records, group, reply, sequence)
            assert found == outcome(ctypes_.take_records, group, reply, sequence)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_dumps(data: st.DataObject) -> None:
    """A dump with bytes changed or cut: the same records or the same fault from both, and no plan is believed too long."""
    reply = bytearray(with_sequence(data.draw(st.sampled_from(DUMPS)) * 2, 7))
    for _ in range(data.draw(st.integers(0, 3))):
        reply[data.draw(st.integers(0, len(reply) - 1))] = data.draw(st.sampled_from([0, 1, 4, 8, 12, 16, 255]))
    damaged = bytes(reply[: data.draw(st.integers(0, len(reply)))]) if data.draw(st.booleans()) else bytes(reply)
    group = data.draw(st.sampled_from(["service", "dest"]))
    found = outcome(native.take_records, group, damaged, 7)
    assert found == outcome(ctypes_.take_records, group, damaged, 7)


def test_a_dump_over_a_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    """Datagram after datagram, more than the first records hold, foreign ones between; then its errno."""
    ours, kernels = pair
    replies = [with_sequence(reply, 5) for reply in MANY if reply[16:17] == b"\x05"]
    wanted = b"".join(ctypes_.take_records("dest", reply, 5)[0] for reply in replies * 9)

    def kernel() -> None:
        assert kernels.recv(100) == b"request"
        for reply in replies * 9:
            kernels.send(done(4))
            kernels.send(reply)
            time.sleep(0.001)
        kernels.send(done(5))

    thread = threading.Thread(target=kernel)
    thread.start()
    records, code, changed = native.dump(ours.fileno(), b"request", "dest", 5, 2.0)
    thread.join()
    assert (bytes(records), code, changed) == (wanted, 0, False) and len(wanted) > 65536
    kernels.send(error(6, errno.EPERM))
    assert native.dump(ours.fileno(), b"request", "dest", 6, 2.0)[1] == errno.EPERM
    with pytest.raises(LinkError, match="did not answer"):
        native.dump(ours.fileno(), b"request", "dest", 7, 0.02)


def test_records_are_columns() -> None:
    """A field of every record, without a copy; names as in the family; with NumPy a structured array."""
    reply = max((one for one in DUMPS if one[16:17] == b"\x05"), key=len)
    data, _, _, _ = native.take_records("dest", reply, HEADER.unpack_from(reply)[3])
    records = Records(DEST, data)
    assert len(records) == len(data) // DEST.record_size and list(records["addr_family"]) == [2] * len(records)
    assert records.bytes_of("addr")[0][:4] == data[201:205]
    with pytest.raises(KeyError):
        records["addr"]
    numpy = pytest.importorskip("numpy")
    table = records.array()
    assert table["weight"].tolist() == list(records["weight"]) and table["weight"].dtype == numpy.int32
    assert numpy.shares_memory(table["weight"], numpy.frombuffer(records.data, "u1"))
    assert Records(SERVICE, b"").array().shape == (0,)


# --- columns to requests ---------------------------------------------------------------------------------------------

stamps = st.lists(
    st.tuples(
        st.binary(max_size=60), st.integers(0, 8), st.sampled_from([1, 2, 4, 16, 3]), st.integers(0, 40), st.booleans()
    ),
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(stamps, st.integers(0, 5), st.integers(0, 9), st.integers(0, 400), st.sampled_from([1, 2**32 - 2]))
def test_stamps_are_the_same(columns: list[Any], first: int, rows: int, room: int, sequence: int) -> None:
    """The requests of columns, or the fault, from both backends."""
    found = []
    for backend in (native, ctypes_):
        out = bytearray(room)
        try:
            backend.stamp(bytes(range(40)), sequence, columns, first, rows, out, 0)
            found.append((bytes(out), ""))
        except EncodeError as wrong:
            found.append((b"", str(wrong)))
    assert found[0] == found[1]


def test_many_rows_are_stamped_across_blocks() -> None:
    """More rows than a block has: each request has its own items and number."""
    out = bytearray(20 * 300)
    ports = array("H", range(300))
    native.stamp(bytes(20), 1, [(ports, 2, 2, 16, True)], 0, 300, out, 0)
    rows = [out[n * 20 : n * 20 + 20] for n in range(300)]
    assert [(int.from_bytes(row[8:12], "little"), int.from_bytes(row[16:18], "big")) for row in rows] == [
        (n + 1, n) for n in range(300)
    ]
