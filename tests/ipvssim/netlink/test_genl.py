"""The netlink family beyond the recorded exchanges: fast and exact reading, the trash, ZERO, limits."""

from __future__ import annotations

import struct
from random import Random

import pytest

from ipvssim.clock import SECOND
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.state.namespace import Namespace
from tests.ipvssim.requests import (
    ACK,
    DUMP,
    REQUEST,
    VIP,
    ask,
    attribute,
    connected,
    dest,
    dest_key,
    drain,
    mark_key,
    message,
    messages,
    new_dest,
    new_service,
    outcome,
    service,
    service_key,
)

KEY = service_key()
A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def dump_dests(socket: NetlinkSocket, key: bytes = KEY) -> list[bytes]:
    return messages(ask(socket, message(8, attribute(1, key), REQUEST | DUMP)))


def test_a_known_shape_is_read_as_the_exact_way_reads_it() -> None:
    """Two namespaces, one of which never learns a shape, answer random spoilt requests alike and end up alike."""
    random = Random(7)
    fast, exact = connected(ext_ack=True), connected(ext_ack=True)
    exact._family._learn = lambda *_: None  # type: ignore[method-assign]
    requests = [
        message(1, service(service_key(80), b"wlc")),
        message(5, attribute(1, KEY) + dest(A)),
        message(6, attribute(1, KEY) + dest(A, weight=7)),
        message(7, attribute(1, KEY) + attribute(2, dest_key(A))),
        message(2, service(KEY, b"rr\0")),
        message(3, attribute(1, KEY)),
        message(16, attribute(1, KEY)),
    ]
    for _ in range(6000):
        data = bytearray(random.choice(requests))
        for _ in range(random.choice([0, 0, 0, 1, 2])):
            data[random.randrange(20, len(data))] = random.choice([0, 1, 2, 4, 10, 255, random.randrange(256)])
        assert ask(fast, bytes(data)) == ask(exact, bytes(data)), data.hex()
    dump = message(4, b"", REQUEST | DUMP)
    assert ask(fast, dump) == ask(exact, dump)


def test_every_truncation_is_answered_without_a_fault() -> None:
    """A datagram cut at any byte is refused or passed over; nothing is raised."""
    whole = message(5, attribute(1, KEY) + dest(A))
    for end in range(1, len(whole)):
        socket = connected()
        cut = bytearray(whole[:end])
        ask(socket, bytes(cut))
        if end >= 16:
            struct.pack_into("=I", cut, 0, end)
            ask(socket, bytes(cut))


def test_marks_are_dumped_in_hash_order() -> None:
    """Bit b of the hash key decides whether mark 2^b comes before mark 256."""
    for key in (0x00, 0x50, 0xF0):
        socket = NetlinkSocket(Namespace(hash_key=key))
        for mark in (256, 1, 2, 4, 8, 16, 32, 64, 128):
            assert outcome(socket, new_service(mark_key(mark))) == "OK"
        found = messages(ask(socket, message(4, b"", REQUEST | DUMP)))
        order = [struct.unpack_from("=I", one, 36)[0] for one in found]
        for bit in range(8):
            assert (order.index(1 << bit) < order.index(256)) == bool(key >> bit & 1)


def test_a_deleted_destination_is_revived_and_goes_to_the_head() -> None:
    """Deleting and adding again skips the address check, puts it first and keeps its statistics."""
    socket = connected()
    network = socket.namespace.network
    ask(socket, new_service(KEY))
    ask(socket, new_dest(KEY, A))
    ask(socket, new_dest(KEY, B))
    server = socket.namespace.table.by_address[6, VIP, 80].destinations[A, 80]
    server.counters.inpkts = 5
    socket.namespace.clock.advance(2 * SECOND)
    ask(socket, message(7, attribute(1, KEY) + attribute(2, dest_key(A))))
    network.add_device("d9", "dummy", "10.0.0.9/28")  # makes 10.0.0.15 a broadcast address
    assert outcome(socket, new_dest(KEY, bytes([10, 0, 0, 15]))) == "EINVAL"
    assert outcome(socket, new_dest(KEY, A)) == "OK"
    first, second = dump_dests(socket)
    assert first[28:32] == A and second[28:32] == B
    assert server.service is not None and server.counters.shown()[1] == 5


def test_statistics_are_zeroed_when_the_service_was_made_anew() -> None:
    """A destination revived for another service object of the same key starts from zero."""
    socket = connected()
    ask(socket, new_service(KEY))
    ask(socket, new_dest(KEY, A))
    table = socket.namespace.table
    table.by_address[6, VIP, 80].destinations[A, 80].counters.conns = 3
    socket.namespace.clock.advance(2 * SECOND)
    ask(socket, message(3, attribute(1, KEY)))
    ask(socket, new_service(KEY))
    ask(socket, new_dest(KEY, A))
    revived = table.by_address[6, VIP, 80].destinations[A, 80]
    assert revived.conns == 0 and revived.counters.shown()[0] == 0 and revived.counters.conns == 3


@pytest.mark.parametrize(("release", "expected"), [("6.1.176", "OK"), ("6.1.192", "EINVAL")])
def test_upper_thresholds_beyond_int_max(release: str, expected: str) -> None:
    """The older release takes any upper threshold, the newer refuses it after the threshold order was checked."""
    socket = NetlinkSocket(Namespace(release=release))
    ask(socket, new_service(KEY))
    assert outcome(socket, message(5, attribute(1, KEY) + dest(A, upper=0x80000000))) == expected
    assert outcome(socket, message(5, attribute(1, KEY) + dest(B, upper=1, lower=0x80000000))) == "ERANGE"


def test_overload_follows_threshold_edits_as_the_release_does() -> None:
    """6.1.176 only ever clears the mark at an edit; 6.1.192 sets it when the connections reach the new limit."""
    for release, lowered in (("6.1.176", False), ("6.1.192", True)):
        socket = NetlinkSocket(Namespace(release=release))
        ask(socket, new_service(KEY))
        ask(socket, new_dest(KEY, A))
        server = socket.namespace.table.by_address[6, VIP, 80].destinations[A, 80]
        server.conns = server.active = 5
        ask(socket, message(6, attribute(1, KEY) + dest(A, upper=3)))
        assert server.overloaded is lowered
        server.overloaded = True
        ask(socket, message(6, attribute(1, KEY) + dest(A, upper=8)))
        assert server.overloaded is False  # 6.1.192: 5 is below 8 - 8/4
        ask(socket, message(6, attribute(1, KEY) + dest(A)))
        assert server.overloaded is False


def test_zero_lets_what_came_since_the_tick_reappear() -> None:
    """ZERO takes the last tick's values as zero point, for destinations, services and, without a service, the total."""
    socket = connected()
    ask(socket, new_service(KEY))
    ask(socket, new_dest(KEY, A))
    table, clock = socket.namespace.table, socket.namespace.clock
    one = table.by_address[6, VIP, 80]
    server = one.destinations[A, 80]
    table.total.conns = one.counters.conns = server.counters.conns = 5
    assert outcome(socket, message(16, attribute(1, KEY))) == "OK"
    clock.advance(2 * SECOND)
    assert server.counters.shown()[0] == 5
    assert outcome(socket, message(16, attribute(1, KEY))) == "OK"
    assert (server.counters.shown()[0], one.counters.shown()[0], table.total.shown()[0]) == (0, 0, 5)
    assert outcome(socket, message(16)) == "OK"
    assert table.total.shown()[0] == 0


def test_a_refused_edit_leaves_the_service_as_it_was() -> None:
    """mh takes no more than 4093 destinations: SET_SERVICE is EINVAL, and the old scheduler goes on."""
    socket = connected()
    ask(socket, new_service(KEY))
    for index in range(4094):
        socket.send(new_dest(KEY, bytes([10, 1, index >> 8, index & 255]), flags=REQUEST))
    before = ask(socket, message(4, attribute(1, KEY)))
    assert outcome(socket, message(2, service(KEY, b"mh", flags=1, timeout=9))) == "EINVAL"
    assert ask(socket, message(4, attribute(1, KEY))) == before


def test_unpadded_replies_have_the_lengths_of_ordinary_machines() -> None:
    """Without padding a service by address is 320 bytes, by mark 292, a destination 356; with it 360, 336, 400."""
    for padding, lengths in ((False, [320, 292, 356]), (True, [360, 336, 400])):
        socket = NetlinkSocket(Namespace(padding=padding))
        ask(socket, new_service(KEY))
        ask(socket, new_service(mark_key(9)))
        ask(socket, new_dest(KEY, A))
        services = messages(ask(socket, message(4, b"", REQUEST | DUMP)))
        assert [len(one) for one in services + dump_dests(socket)] == lengths


def test_flush_leaves_daemons_and_timeouts() -> None:
    """FLUSH empties the table and nothing else."""
    socket = connected()
    ask(socket, message(12, attribute(4, struct.pack("=I", 7))))
    daemon = attribute(1, struct.pack("=I", 2)) + attribute(2, b"eth0\0") + attribute(3, bytes(4))
    assert outcome(socket, message(9, attribute(3, daemon))) == "OK"
    ask(socket, new_service(KEY))
    assert outcome(socket, message(17, flags=REQUEST | ACK)) == "OK"
    assert socket.namespace.timeouts.tcp == 7 and socket.namespace.daemons
    assert drain(socket) == ([], [])
