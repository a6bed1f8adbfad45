"""Packets for neighbours that do not answer."""

from __future__ import annotations

from ipvssim import Kernel
from ipvssim.clock import JIFFY, SECOND, Clock
from ipvssim.net.networks import trace_network
from ipvssim.path.result import Result
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


def test_senders_are_told_from_where_the_way_to_them_begins() -> None:
    """A packet that is routed to its server still has the virtual address as its destination, but also its way, which is
    no longer the host itself (icmp_send, net/ipv4/icmp.c, Linux 6.1): the error comes from the director's own address. One
    about a translated packet is translated back, and comes from the virtual address. Recorded, too: given_up."""
    for way, source in (("-g", "198.51.100.1"), ("-m", "203.0.113.1")):
        kernel, sent = Kernel(RULES.replace("-g", way), network=trace_network()), list[Result]()
        kernel.director.unprompted = sent.append
        client, virtual = p.address("192.0.2.5"), p.address("203.0.113.1")
        assert not kernel.receive(p.ip4(client, virtual, p.TCP, p.tcp(client, virtual, (5000, 80), p.SYN))).out
        kernel.advance(QUESTIONS)
        (((device, error),),) = [result.out for result in sent]
        assert (device, error[12:16], error[20:22]) == ("client", p.address(source), bytes((3, 1)))


def test_questions_are_asked_at_jiffies_of_the_wheel() -> None:
    """Each of the three has its own timer, and is as late as that: 1.04 seconds are from one to the next where HZ is 100."""
    clock, told = Clock(uptime=0), list[bytes]()
    waiting = Unresolved(clock)
    waiting.tell = told.append
    waiting.wait("server", b"a", b"1")
    clock.advance(312 * JIFFY - 1)
    assert told == []
    clock.advance(1)
    assert told == [b"1"]
