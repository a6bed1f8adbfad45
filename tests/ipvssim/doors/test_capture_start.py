"""``ipvssim pcap --start-state``: what a director knew before its capture began."""

from __future__ import annotations

import pytest

from ipvssim.doors.captures.start import load
from ipvssim.kernel import Kernel
from tests.ipvssim import worlds as w

RULES = """
-A -t 203.0.113.1:80 -s lc
-a -t 203.0.113.1:80 -r 10.0.0.10:8080 -m
-a -t 203.0.113.1:80 -r 10.0.0.11:8080 -m
-A -u [2001:db8:80::1]:53 -s rr -p 60
-a -u [2001:db8:80::1]:53 -r [fd00:10::a]:53 -g
"""
LISTING = """IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:59  ESTABLISHED 192.0.2.1:1024     203.0.113.1:80     10.0.0.10:8080
TCP 01:30  TIME_WAIT   192.0.2.2:1024     203.0.113.1:80     10.0.0.11:8080
UDP 04:00  UDP         [2001:db8:c::1]:7 [2001:db8:80::1]:53 [fd00:10::a]:53
UDP 00:50  ASSURED     [2001:db8:c::1]:0 [2001:db8:80::1]:53 [fd00:10::a]:53
"""


def test_a_listing_comes_back_as_it_was() -> None:
    """Connections, templates and their times are those of the listing, and servers count them as a kernel would."""
    kernel = Kernel(RULES)
    assert load(kernel.director, LISTING) == 4
    told = kernel.ipvsadm("-Lnc").stdout.splitlines()
    assert sorted(map(str.split, told)) == sorted(map(str.split, LISTING.splitlines()))
    counts = [line.split()[-2:] for line in kernel.ipvsadm("-Ln").stdout.splitlines() if "->" in line][1:]
    assert sorted(counts) == [["0", "1"], ["0", "1"], ["1", "0"]]


def test_a_connection_goes_on_and_the_next_pick_knows_it() -> None:
    """Its segments find it, and least-connection sends a new client to the server that has none active."""
    kernel = Kernel(RULES)
    load(kernel.director, LISTING)
    assert kernel.receive(w.tcp(w.ACK)).reason == "known connection"
    result = kernel.receive(w.tcp(w.SYN, 9))
    assert result.server is not None and result.server.endpoint == "10.0.0.11:8080"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("TCP 01:00 ESTABLISHED 192.0.2.1:1 203.0.113.1:80 10.0.0.99:80", "no such server in the rules"),
        ("TCP 01:00 ESTABLISHED 192.0.2.1:65536 203.0.113.1:80 10.0.0.1:80", "'65536' is no number from 0 to 65535"),
        ("TCP 01:00 ESTABLISHED 192.0.2.1:\u0661 203.0.113.1:80 10.0.0.1:80", "is no number from 0 to 65535"),
        ("TCP 01:00 ESTABLISHED 192.0.2.1:-1 203.0.113.1:80 10.0.0.1:80", "'-1' is no number from 0 to 65535"),
        ("TCP -1:00 ESTABLISHED 192.0.2.1:1 203.0.113.1:80 10.0.0.1:80", "no "),
        ("TCP 01:60 ESTABLISHED 192.0.2.1:1 203.0.113.1:80 10.0.0.1:80", "no "),
        ("TCP 9999999999:00 ESTABLISHED 192.0.2.1:1 203.0.113.1:80 10.0.0.1:80", "no "),
        ("TCP 01:00 DANCING 192.0.2.1:1 203.0.113.1:80 10.0.0.10:8080", "line 2"),
        ("TCP 01:00", "line 2"),
        ("nonsense", "line 2"),
    ],
)
def test_a_line_that_is_no_connection_is_named(line: str, words: str) -> None:
    """By its number and its text."""
    with pytest.raises(ValueError, match="line 2") as wrong:
        load(Kernel(RULES).director, f"IPVS connection entries\n{line}\n")
    assert words in str(wrong.value) and line in str(wrong.value)
