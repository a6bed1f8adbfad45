"""Firewall marks for a capture's packets."""

from __future__ import annotations

import pytest

from ipvssim.doors.captures.marks import mark_of, read
from tests.ipvssim import worlds as w


@pytest.mark.parametrize(
    ("rule", "packet", "holds"),
    [
        ("-> 7", w.tcp(), True),
        ("tcp->7", w.tcp(), True),
        ("udp -> 7", w.tcp(), False),
        ("icmp -> 7", w.icmp(8, 0, 0, b""), True),
        ("dst 203.0.113.0/24 -> 0x7", w.tcp(), True),
        ("dst 203.0.113.1 -> 7", w.tcp(), True),
        ("src 203.0.113.1 -> 7", w.tcp(), False),
        ("src 2001:db8::/32 -> 7", w.tcp(), False),
        ("src 2001:db8::/32 -> 7", w.tcp(source=w.CLIENT6, target=w.VIRTUAL6), True),
        ("tcp dport 80,443 -> 7", w.tcp(to=443), True),
        ("tcp dport 8000-8080 -> 7", w.tcp(to=8080), True),
        ("tcp dport 8000:8080 -> 7", w.tcp(to=8081), False),
        ("sport 1024 dport 80 -> 7", w.udp(), True),
        ("dport 80 -> 7", w.icmp(8, 0, 0, b""), False),
    ],
)
def test_a_rule_holds_for_what_it_says(rule: str, packet: bytes, holds: bool) -> None:
    """Every word of a rule must hold."""
    assert mark_of([read(rule)], packet) == (7 if holds else 0)


def test_the_first_rule_that_holds_gives_the_mark() -> None:
    """Later rules are for the rest; where none holds, and where nothing can be read, there is no mark."""
    rules = [read("dport 80 -> 1"), read("tcp -> 2")]
    assert [mark_of(rules, data) for data in (w.tcp(), w.tcp(to=81), w.udp(to=81), b"E")] == [1, 2, 0, 0]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "it ends in '-> MARK'"),
        ("tcp dport 80", "it ends in '-> MARK'"),
        ("tcp -> x", "'x' is no number from 0 to 4294967295"),
        ("tcp -> 0", "0 is no mark"),
        ("tcp udp -> 1", "'udp' is none of"),
        ("dport -> 1", "nothing follows 'dport'"),
        ("dport 65536 -> 1", "'65536' is no number from 0 to 65535"),
        ("dport 80,x -> 1", "'x' is no number"),
        ("dst nowhere -> 1", "'nowhere' is no address or network"),
    ],
)
def test_the_word_that_is_wrong_is_named(rule: str, words: str) -> None:
    """An error names the rule and the word."""
    with pytest.raises(ValueError, match="mark") as wrong:
        read(rule)
    assert words in str(wrong.value)
