"""Saved text: what C writes of records is what Python writes of values."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipvsnl import wire
from ipvsnl.backends import native
from ipvsnl.cli.compat import OURS, STRICT
from ipvsnl.cli.save import saved
from ipvsnl.model import Destination, Service
from ipvsnl.snapshot import Snapshot

from .strategies import DESTINATIONS, SERVICES

NUMERIC = frozenset(("numeric",))
Table = list[tuple[Service, list[Destination]]]
# Differences of these do not fit an int: ipvsadm's comparison goes in a circle.
FAR_APART = st.sampled_from(["10.0.0.1", "90.0.0.1", "138.0.0.1", "200.0.0.1", "250.0.0.1", "::1", "9000::1", "c000::"])
PLAIN_SERVERS = st.builds(
    Destination,
    FAR_APART,
    st.integers(0, 3),
    st.sampled_from(["masq", "tunnel", "route", "local"]),
    st.integers(-2, 3),
    st.integers(0, 1) | st.just(2**32 - 1),
    st.integers(0, 1),
)
PLAIN_SERVICES = st.builds(
    Service, st.sampled_from(["tcp", "udp", "sctp"]), FAR_APART, st.integers(0, 3), scheduler=st.just("rr"),
    persistence=st.sampled_from([None, 0, 360]), one_packet=st.booleans(),
) | st.builds(
    Service, fwmark=st.sampled_from([1, 2**31 - 1, 2**31, 2**32 - 1]), family=st.sampled_from([2, 10]),
    netmask=st.none(), persistence=st.just(9),
)  # fmt: skip
TABLES = st.lists(
    st.tuples(PLAIN_SERVICES | SERVICES, st.lists(PLAIN_SERVERS | DESTINATIONS, max_size=9)), max_size=9
)  # fmt: skip


def snapshot(table: Table) -> Snapshot:
    """The table as if it had been read."""
    services = b"".join([wire.service_record(service) for service, _ in table])
    servers = b"".join([wire.destination_record(server) for _, servers in table for server in servers])
    return Snapshot(services, servers, array("I", [len(servers) for _, servers in table]))


@pytest.mark.parametrize("compat", [OURS, STRICT], ids=["ours", "strict"])
@given(table=TABLES)
@example(table=[(Service("tcp", "10.0.0.1", 80, persistence=5, netmask="255.255.0.0"), [])])
@example(table=[(Service("tcp", "::1", 80, persistence=5, netmask=64), [])])
def test_the_text_is_pythons(compat: object, table: Table) -> None:
    """Whatever the table: order, spelling, and the services that are left to Python, in their places."""
    read = snapshot(table)
    assert "".join(saved(read, NUMERIC, compat)) == "".join(saved(list(read), NUMERIC, compat))  # type: ignore[arg-type]


def test_ordinary_services_are_written_in_c() -> None:
    """Else the two would be compared with themselves: of this table Python is asked for the one with flags alone."""
    table: Table = [
        (Service("tcp", "10.0.0.1", 80, scheduler="wlc", persistence=9), [Destination("10.0.0.2", 80, "tunnel")]),
        (Service("udp", "::1", 53, one_packet=True), [Destination("::2", 53, "masq", 7, 100, 50)]),
        (Service(fwmark=7), []),
        (Service("tcp", "10.0.0.3", 80, scheduler="sh", flags=16), []),
    ]
    columns = snapshot(table).columns()
    assert list(native.save(columns.services.data, columns.servers.data, columns.counts, True)) == [
        b"-A -t 10.0.0.1:80 -s wlc -p 9\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type ipip\n",
        3,
        b"-A -u [::1]:53 -s wlc -o\n-a -u [::1]:53 -r [::2]:53 -m -w 7 -x 100 -y 50\n-A -f 7 -s wlc\n",
    ]


def test_a_service_with_more_servers_than_a_piece_of_text_holds() -> None:
    """The text of one service may be of any length."""
    servers = [Destination(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 80, "masq") for n in range(20_000)]
    read = snapshot([(Service("tcp", "192.0.2.1", 80), servers)])
    assert "".join(saved(read, NUMERIC, OURS)) == "".join(saved(list(read), NUMERIC, OURS))


def test_one_entry_is_the_same_as_among_all() -> None:
    """Snapshot.entry makes what the sequence has there."""
    table: Table = [(Service("tcp", f"10.0.0.{n}", 80), [Destination(f"10.1.0.{n}", 80)] * n) for n in range(5)]
    read = snapshot(table)
    assert [read.entry(index) for index in range(5)] == list(read)
