"""``IPVSNL_DEBUG=1``: every netlink message, both ways, is a line that a person can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipvsnl
from ipvsnl.errors import IPVSError
from ipvsnl.wire.shown import lines

WEB = ipvsnl.Service("tcp", "192.0.2.1", 80, scheduler="rr")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """What is written while the variable is set."""
    monkeypatch.setenv("IPVSNL_DEBUG", "1")
    return capsys


def test_each_message_is_a_line_both_ways(shown: pytest.CaptureFixture[str]) -> None:
    """Requests with their attributes by name, replies, acknowledgements and refusals."""
    with ipvsnl.open("sim::memory:") as ipvs:
        ipvs.add_service(WEB)
        with pytest.raises(IPVSError):
            ipvs.add_service(WEB)
        ipvs.add_server(WEB, ipvsnl.Destination("2001:db8::7", 80, "tunnel"))
        assert len(ipvs.servers(WEB)) == 1
    said = shown.readouterr().err.splitlines()
    assert said[:4] == [
        "ipvsnl: > seq 1 nlctrl GETFAMILY request ack name='IPVS'",
        said[1],
        "ipvsnl: < seq 1 ACK",
        "ipvsnl: > seq 2 IPVS NEW_SERVICE request ack service(af=2 protocol=6 addr=192.0.2.1 port=80 sched_name='rr' "
        "flags=0x0/0xffffffff timeout=0 netmask=4294967295)",
    ]
    assert said[1].startswith("ipvsnl: < seq 1 nlctrl NEWFAMILY name='IPVS' id=")
    assert said[4:7] == [
        "ipvsnl: < seq 2 ACK",
        said[3].replace("seq 2", "seq 3"),
        "ipvsnl: < seq 3 REFUSED EEXIST (17)",
    ]
    assert "dest(addr=2001:db8::7 port=80 fwd_method=2 weight=1" in said[7]
    assert said[9].startswith("ipvsnl: > seq 5 IPVS GET_DEST request dump service(")
    assert "ipvsnl: < seq 5 IPVS NEW_DEST multi dest(addr=2001:db8::7" in said[10] and "stats64(conns=0" in said[10]
    assert said[11] == "ipvsnl: < seq 5 DONE"


def test_bulk_loads_are_shown_too(shown: pytest.CaptureFixture[str]) -> None:
    """Many requests of one datagram are a line each."""
    with ipvsnl.open("sim::memory:") as ipvs:
        ipvs.load("-A -f 1\n-A -f 2\n-A -f 3\n")
    said = shown.readouterr().err
    assert [f"fwmark={mark}" in said for mark in (1, 2, 3)] == [True] * 3


def test_nothing_is_shown_without_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty value and 0 are as good as none."""
    for value in ("", "0"):
        monkeypatch.setenv("IPVSNL_DEBUG", value)
        with ipvsnl.open("sim::memory:") as ipvs:
            ipvs.services()
    assert capsys.readouterr().err == ""


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_there_is_a_line(data: bytes) -> None:
    """Bytes that are no message are shown as digits; nothing is raised."""
    assert all(isinstance(line, str) for line in lines(data))
    assert bool(list(lines(data))) == bool(data)
