"""Kernels before 3.18: their replies do not tell a server's address family, and the service's holds."""

from __future__ import annotations

import asyncio
import io
from struct import pack_into, unpack_from

import pytest

import ipvsnl
from ipvsnl import aio
from ipvsnl.cli.dispatch import run
from ipvsnl.consts import GENL_HEADER, NLA_TYPE_MASK, NLMSG_HEADER, NLMSG_MIN_TYPE
from ipvsnl.link.simulated import SimulatedLink
from ipvssim import Kernel

DEST, ADDR_FAMILY = 2, 11
RULES = """\
-A -t 192.0.2.1:80 -s wrr
-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 1
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 2
-A -t [2001:db8::1]:80 -s rr
-a -t [2001:db8::1]:80 -r [fd00::1]:80 -i -w 1 --tun-type ipip
-A -f 7 -s rr
-a -f 7 -r 10.0.0.3:0 -g -w 1
-A -f 7 -6 -s rr
-a -f 7 -6 -r [fd00::2]:0 -g -w 1
"""


def without_families(datagram: bytes) -> bytes:
    """The replies of a datagram, as a kernel that knows no family of a server writes them."""
    out, at = b"", 0
    while at < len(datagram):
        length, kind = unpack_from("=IH", datagram, at)
        message = bytearray(datagram[at : at + length])
        if kind >= NLMSG_MIN_TYPE:
            head = NLMSG_HEADER + GENL_HEADER
            message = message[:head] + _attributes(bytes(message[head:]), top=True)
            pack_into("=I", message, 0, len(message))
        out += bytes(message) + bytes(-len(message) % 4)
        at += length + 3 & ~3
    return out


def _attributes(data: bytes, *, top: bool) -> bytes:
    out, at = b"", 0
    while at < len(data):
        length, number = unpack_from("=HH", data, at)
        one = bytearray(data[at : at + length])
        if top and number & NLA_TYPE_MASK == DEST:
            one = one[:4] + _attributes(bytes(one[4:]), top=False)
            pack_into("=H", one, 0, len(one))
        if top or number & NLA_TYPE_MASK != ADDR_FAMILY:
            out += bytes(one) + bytes(-len(one) % 4)
        at += length + 3 & ~3
    return out


class OldLink(SimulatedLink):
    """A simulated kernel as one before 3.18 answers."""

    def receive(self, timeout: float) -> bytes:
        return without_families(super().receive(timeout))


@pytest.fixture
def old() -> ipvsnl.IPVS:
    kernel = Kernel()
    kernel.connect().load(RULES)
    return ipvsnl.IPVS(OldLink(kernel.socket()))


def test_the_services_family_holds(old: ipvsnl.IPVS) -> None:
    """Servers have the address that they were added with, in a snapshot and asked for one by one; a plan finds no change."""
    wanted = ipvsnl.read_table(RULES)
    assert not old.plan(wanted, prune=True)
    for entry in old.snapshot():
        servers = wanted.servers[entry.service.key]
        assert {one.destination.key for one in entry.destinations} == set(servers)
        assert {one.destination.key for one in old.servers(entry.service)} == set(servers)


@pytest.mark.parametrize("words", [["-Sn"], ["-Ln"], ["-Ln", "--stats"], ["-Ln", "--thresholds"]])
def test_what_is_shown_and_saved_is_the_same(old: ipvsnl.IPVS, words: list[str]) -> None:
    """Every way of writing a table, in C and in Python, has the addresses of a newer kernel."""
    new = Kernel()
    new.connect().load(RULES)

    def shown(client: ipvsnl.IPVS) -> str:
        out = io.StringIO()
        run(words, client_factory=lambda: client, stdin=io.StringIO(), stdout=out, stderr=out, prog="ipvsnl")
        return out.getvalue()

    assert shown(old) == shown(new.connect())
    columns = ipvsnl.IPVS(OldLink(new.socket())).snapshot().columns()
    assert set(columns.servers["addr_family"]) == {2, 10}


def test_coroutines_read_them_too() -> None:
    """The same replies through the other client."""
    kernel = Kernel()
    kernel.connect().load(RULES)

    async def look() -> set[str]:
        async with await aio.IPVS.over(OldLink(kernel.socket())) as client:
            return {one.destination.address for entry in await client.snapshot() for one in entry.destinations}

    assert asyncio.run(look()) == {"10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2"}
