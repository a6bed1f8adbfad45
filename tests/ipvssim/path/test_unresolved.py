"""Packets for neighbours that do not answer."""

from __future__ import annotations

from ipvssim import Kernel
from ipvssim.clock import SECOND, Clock
from ipvssim.net.networks import trace_network
from ipvssim.path.unresolved import MOST, PATIENCE, QUESTIONS, Unresolved
from tests.kernel.traces import packets as p

RULES = "-A -t 203.0.113.1:80 -s rr\n-a -t 203.0.113.1:80 -r 10.0.0.200:80 -g\n"


def test_they_are_told_of_in_order_once_the_neighbour_is_given_up() -> None:
    """Three seconds after the first packet, not before, each is told of; the next packet begins anew."""
    clock, told = Clock(), list[bytes]()
    waiting = Unresolved(clock)
    waiting.tell = told.append
    waiting.wait("server", b"a", b"1")
    clock.advance(2 * SECOND)
    waiting.wait("server", b"a", b"2")
    waiting.wait("server", b"b", b"3")
    clock.advance(QUESTIONS * PATIENCE - 2 * SECOND - 20000)
    assert told == []
    clock.advance(40000)
    assert told == [b"1", b"2"]
    waiting.wait("server", b"a", b"4")
    clock.advance(2 * SECOND)
    assert told == [b"1", b"2", b"3"]
    clock.advance(2 * SECOND)
    assert told == [b"1", b"2", b"3", b"4"]


def test_only_so_many_wait() -> None:
    """The first of too many are forgotten: memory stays bounded whatever is sent."""
    clock, told = Clock(), list[bytes]()
    waiting = Unresolved(clock)
    waiting.tell = told.append
    for number in range(MOST + 5):
        waiting.wait("server", b"a", b"%d" % number)
    clock.advance(QUESTIONS * PATIENCE)
    assert told == [b"%d" % number for number in range(5, MOST + 5)]


def test_a_neighbour_that_is_made_known_is_found() -> None:
    """A way that was looked up before does not hide it."""
    kernel = Kernel(RULES, network=trace_network())
    client, virtual = p.address("192.0.2.5"), p.address("203.0.113.1")
    syn = p.ip4(client, virtual, p.TCP, p.tcp(client, virtual, (5000, 80), p.SYN))
    assert not kernel.director.receive(syn).out
    kernel.network.add_neighbour("server", "10.0.0.200", "02:00:0a:00:00:c8")
    assert kernel.network.path(p.address("10.0.0.200")).resolves
    assert kernel.director.receive(syn).out
