"""Tests of a controller with the fixtures that ipvsnl brings: `ipvs` and `kernel`, a fresh kernel for each test."""

import pytest
from scapy.layers.inet import IP, TCP

from ipvsnl import Destination, Service

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")
RULES = """
-A -t 192.0.2.1:80 -s rr
-a -t 192.0.2.1:80 -r 10.0.0.10:80 -m
-a -t 192.0.2.1:80 -r 10.0.0.11:80 -m
"""


def drain(ipvs, service, address):
    """The program under test: no new connections for one server."""
    ipvs.edit_server(service, Destination(address, 80), weight=0)


def syn(port, client="198.51.100.7"):
    """The first packet of a connection."""
    return IP(src=client, dst="192.0.2.1") / TCP(sport=port, dport=80)


def test_draining_an_unknown_server_is_an_error(ipvs):
    """Refused by the kernel, whose error the caller gets."""
    ipvs.add_service(WEB)
    with pytest.raises(OSError, match="No such destination"):
        drain(ipvs, WEB, "10.0.0.99")


@pytest.mark.ipvs(rules=RULES)
def test_a_drained_server_gets_no_new_connection(kernel, ipvs):
    """All of ten new ones go to the other."""
    drain(ipvs, WEB, "10.0.0.10")
    assert {kernel.receive(syn(port)).explain()["server"] for port in range(1024, 1034)} == {"10.0.0.11:80"}


@pytest.mark.ipvs(rules=RULES)
def test_a_drained_server_keeps_its_connections(kernel, ipvs):
    """A connection that was there goes on to the same server."""
    first = kernel.receive(syn(1024)).explain()["server"]
    drain(ipvs, WEB, first.partition(":")[0])
    assert kernel.receive(syn(1024)).explain()["server"] == first


@pytest.mark.ipvs(rules=RULES, sysctl={"expire_nodest_conn": 1})
def test_time_passes_at_once(kernel):
    """A connection that never opened is forgotten after a minute, which costs no time here."""
    kernel.receive(syn(1024))
    kernel.advance(61)
    assert kernel.connections() == []
