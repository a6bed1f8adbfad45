"""The conversation without a socket."""

from __future__ import annotations

import errno

import pytest

from ipvsnl.backends.choice import chosen
from ipvsnl.errors import DecodeError, LinkError
from ipvsnl.link.conversation import await_answers
from ipvsnl.wire.exchange import Exchange, Sequence
from tests.ipvsnl.awkward import Scripted, done, error, message


def test_only_the_closing_answer_ends_an_exchange() -> None:
    """A refusal in the middle of a batch is kept, and the batch goes on to its last message."""
    exchange = Exchange(chosen(), 5, 8)
    exchange.feed(error(6, errno.EEXIST))
    assert not exchange.finished
    exchange.feed(error(7, errno.ESRCH) + error(8))
    assert exchange.finished
    assert [(refusal.sequence, refusal.errno) for refusal in exchange.refusals] == [
        (6, errno.EEXIST),
        (7, errno.ESRCH),
    ]


def test_foreign_sequence_numbers_are_not_ours() -> None:
    """Late answers of an exchange that was given up change nothing."""
    exchange = Exchange(chosen(), 5, 5)
    assert not exchange.feed(error(4, errno.EPERM) + done(6) + message(28, 2, 7, bytes(8)))
    assert not exchange.finished and not exchange.refusals and not list(exchange.replies("service"))


def test_an_exchange_may_cross_the_end_of_the_sequence_numbers() -> None:
    """Numbers that start again at 1 still belong to the batch."""
    exchange = Exchange(chosen(), 0xFFFFFFFE, 2)
    exchange.feed(error(0xFFFFFFFF, errno.EEXIST))
    exchange.feed(error(3, errno.EPERM))
    exchange.feed(error(1, errno.ESRCH) + error(2))
    assert exchange.finished and [refusal.sequence for refusal in exchange.refusals] == [0xFFFFFFFF, 1]


def test_sequence_numbers_never_are_zero() -> None:
    """0 is the number of the kernel's own messages."""
    sequence = Sequence()
    assert [sequence.next(), sequence.next()] == [1, 2]
    sequence._last = 0xFFFFFFFE
    assert [sequence.next(), sequence.next()] == [0xFFFFFFFF, 1]


def test_a_dump_ends_with_done() -> None:
    """DONE, alone in its datagram or not, ends a dump; an error in DONE is a refusal."""
    exchange = Exchange(chosen(), 5, 5)
    exchange.feed(message(28, 2, 5, bytes(4)))
    assert not exchange.finished
    exchange.feed(done(5))
    assert exchange.finished and not exchange.refusals


def test_bytes_that_are_no_netlink_are_the_senders_error() -> None:
    """A cut datagram and an overrun mark are DecodeErrors."""
    for bytes_ in (error(5)[:30], message(4, 0, 5, b"")):
        with pytest.raises(DecodeError):
            Exchange(chosen(), 5, 5).feed(bytes_)


def test_every_wait_has_a_limit() -> None:
    """A kernel that says nothing, or only talks to others, is a LinkError with ETIMEDOUT."""
    for answers in ([], [error(77)] * 50):
        with pytest.raises(LinkError) as lost:
            await_answers(Scripted(answers), Exchange(chosen(), 5, 5), 0.05)
        assert lost.value.errno == errno.ETIMEDOUT
