"""The netlink socket around the family: queue limits, dumps across receives, privileges, the controller."""

from __future__ import annotations

import errno

import pytest

from ipvssim.netlink.dumps import reply_cost, truesize
from ipvssim.netlink.socket import BUFFER, FAMILY_ID, NetlinkSocket
from ipvssim.state.namespace import Namespace
from tests.ipvssim.requests import (
    ACK,
    DUMP,
    REQUEST,
    ask,
    attribute,
    connected,
    drain,
    mark_key,
    message,
    messages,
    new_service,
    outcome,
    refusal,
)


def filled(count: int, **options: object) -> NetlinkSocket:
    socket = connected(**options)
    for mark in range(1, count + 1):
        socket.send(new_service(mark_key(mark), flags=REQUEST))
    return socket


@pytest.mark.parametrize(("length", "cost"), [(36, 896), (344, 1280), (300, 896), (744, 2304)])
def test_what_a_datagram_costs_since_6_3(length: int, cost: int) -> None:
    """Buffers of up to 640 bytes are of that size, as SO_MEMINFO tells on 6.12.113."""
    assert truesize(length, small_head=640) == cost


@pytest.mark.parametrize(("length", "cost"), [(36, 768), (508, 1280), (4132, 8448), (3776, 4352), (32448, 33024)])
def test_what_a_datagram_costs(length: int, cost: int) -> None:
    """256 bytes and the power of two that holds the length, rounded up to 64, and 320 more."""
    assert truesize(length) == cost


def test_a_small_reply_gives_back_what_it_does_not_use() -> None:
    """netlink_trim: half-empty pages are cut, fuller ones are not."""
    assert [reply_cost(length) for length in (36, 360, 388)] == [768, 1280, 1280]  # as SO_MEMINFO tells on 6.1.176
    assert reply_cost(36, small_head=640) == 896  # on 6.12.113
    assert reply_cost(1700) == 4352


def test_the_queue_overruns_at_the_kernels_count() -> None:
    """277 acknowledgements fit; of 400 the rest is lost though executed, and the first receive says so once."""
    socket = connected(sndbuf=1 << 20)
    socket.send(b"".join(new_service(mark_key(mark), sequence=mark) for mark in range(1, 401)))
    replies, errors = drain(socket)
    assert errors == ["ENOBUFS"]
    assert len(replies) == 277 == BUFFER // 768
    assert len(socket.namespace.table.by_mark) == 400
    assert outcome(socket, message(16)) == "OK"


def test_fewer_acknowledgements_fit_since_6_3() -> None:
    """237 instead of 277, as counted on user-mode-linux 6.12.113, whose small buffers have 640 bytes."""
    socket = NetlinkSocket(Namespace(release="6.3", small_head=640), sndbuf=1 << 20)
    socket.send(b"".join(new_service(mark_key(mark), sequence=mark) for mark in range(1, 401)))
    replies, errors = drain(socket)
    assert (len(replies), errors) == (237, ["ENOBUFS"])


def test_the_first_reply_always_fits() -> None:
    """However small the receive buffer is, an empty queue takes one datagram."""
    socket = connected(rcvbuf=1)
    assert [refusal(one) for one in ask(socket, new_service(mark_key(1)) + new_service(mark_key(2)))] == ["OK"]


def test_send_limits() -> None:
    """Nothing is ENODATA; more than the send buffer less 32 is EMSGSIZE, with nothing executed."""
    socket = connected()
    with pytest.raises(OSError, match="No data") as nothing:
        socket.send(b"")
    assert nothing.value.errno == errno.ENODATA
    one = new_service(mark_key(1))
    with pytest.raises(OSError, match="Message too long"):
        socket.send(one + bytes(BUFFER - 31 - len(one)))
    assert not socket.namespace.table.by_mark
    socket.send(one + bytes(BUFFER - 32 - len(one)))
    assert socket.namespace.table.by_mark


def test_a_dump_goes_on_with_each_receive() -> None:
    """The first datagram is small on a fresh socket, later ones as large as the receives; DONE comes alone."""
    socket = filled(60)
    replies = ask(socket, message(4, b"", REQUEST | DUMP))
    assert [len(one) // 292 for one in replies[:-1]] == [12, 48]
    assert len(replies[-1]) == 20 and len(messages(replies)) == 60
    again = ask(socket, message(4, b"", REQUEST | DUMP))
    assert len(again) == 2


def test_a_receive_that_is_too_short_cuts() -> None:
    """A datagram is cut at the size of the receive, and the rest is lost."""
    socket = filled(3)
    socket.send(message(4, b"", REQUEST | DUMP))
    assert len(socket.recv(100)) == 100
    assert len(socket.recv(100)) == 20


def test_a_second_dump_has_to_wait() -> None:
    """While a dump is under way another is EBUSY, and other requests work."""
    socket = filled(60)
    socket.send(message(4, b"", REQUEST | DUMP, sequence=1) + message(4, b"", REQUEST | DUMP, sequence=2))
    socket.send(message(17, flags=REQUEST | ACK, sequence=3))
    replies, _ = drain(socket)
    assert [refusal(one) for one in replies if one[4] == 2] == ["EBUSY", "OK"]
    assert outcome(socket, message(16)) == "OK"


def test_a_dump_counts_what_it_sent_and_nothing_else() -> None:
    """Entries deleted at the front while a dump runs make it pass over as many that it never showed."""
    socket = filled(60)
    socket.send(message(4, b"", REQUEST | DUMP))
    first = socket.recv(65536)
    assert len(messages([first])) == 12
    with_flush = ask(socket, message(17, flags=REQUEST))
    # the second datagram was made by the first receive, before the flush
    assert len(messages(with_flush)) == 48


def test_a_dump_asked_for_with_a_full_queue_fails_and_comes_all_the_same() -> None:
    """ENOBUFS is the answer, but the dump has been started: its messages follow once there is room."""
    socket = filled(3, rcvbuf=768 * 2)
    socket.send(new_service(mark_key(1), sequence=5) + new_service(mark_key(2), sequence=6))
    socket.send(message(4, b"", REQUEST | DUMP, sequence=7))
    replies, errors = drain(socket)
    assert errors == ["ENOBUFS"]
    assert len(messages([one for one in replies if one[4] != 2])) == 3


@pytest.mark.parametrize("privilege", ["none", "userns_root"])
def test_every_command_needs_the_capability(privilege: str) -> None:
    """Without CAP_NET_ADMIN in the initial user namespace every command is EPERM; only the controller answers."""
    socket = NetlinkSocket(Namespace(), privilege=privilege)
    for command in (*range(1, 14), 15, 16, 17):
        flags = REQUEST | DUMP if command in (8, 11) else REQUEST
        (reply,) = ask(socket, message(command, b"", flags))
        assert refusal(reply) == "EPERM"
    name = attribute(2, b"IPVS\0")
    assert len(ask(socket, message(3, name, REQUEST, kind=16))) == 1


def test_the_controller_lists_the_families() -> None:
    """GETFAMILY as a dump has the controller itself and IPVS; by number and by name it finds the same."""
    socket = connected()
    listed = messages(ask(socket, message(3, b"", REQUEST | DUMP, kind=16)))
    assert len(listed) == 2
    by_name = ask(socket, message(3, attribute(2, b"IPVS\0"), REQUEST, kind=16))
    by_number = ask(socket, message(3, attribute(1, FAMILY_ID.to_bytes(2, "little")), REQUEST, kind=16))
    assert by_name == by_number and by_name[0][20:] == listed[1][20:]
    assert outcome(socket, message(3, attribute(2, b"nope\0"), REQUEST, kind=16)) == "ENOENT"
    assert outcome(socket, message(3, b"", REQUEST, kind=16)) == "EINVAL"


def test_a_dump_of_daemons_remembers_which_it_sent() -> None:
    """A master started while the dump runs is still shown, and the backup not once more (seen on Linux 6.1.176)."""

    def start(role: int) -> bytes:
        daemon = attribute(1, role.to_bytes(4, "little")) + attribute(2, b"lo\0") + attribute(3, bytes(4))
        return message(9, attribute(3, daemon), REQUEST)

    socket = connected()
    socket.send(start(2))
    socket.send(message(11, b"", REQUEST | DUMP) + start(1))
    roles = [one[28] for one in messages(drain(socket)[0])]
    assert roles == [2, 1]


POLICY = {"flags": REQUEST | DUMP, "kind": 16}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (attribute(2, b"IPVS\0") + b"ab", "EINVAL"),
        (attribute(2, b"IPVS\0") + attribute(99, b"ab"), "EINVAL"),
        (attribute(1, bytes(4)), "EINVAL"),
        (attribute(2, b"nope\0"), "ENOENT"),
        (attribute(2, b"IPVS\0") + attribute(10, (99).to_bytes(4, "little")), "ENOENT"),
        (b"", "EINVAL"),
    ],
)
def test_the_policy_dump_is_strict(body: bytes, expected: str) -> None:
    """GETPOLICY refuses what the older commands pass over."""
    assert outcome(connected(), message(10, body, **POLICY)) == expected


def test_policies_of_one_operation_and_of_the_controller() -> None:
    """One operation brings its own line and the policy that it uses; the controller has two policies of its own."""
    one = attribute(2, b"IPVS\0") + attribute(10, (5).to_bytes(4, "little"))
    assert len(messages(ask(connected(), message(10, one, **POLICY)))) == 1 + 6
    assert len(messages(ask(connected(), message(10, attribute(2, b"nlctrl\0"), **POLICY)))) == 2 + 2 + 3
