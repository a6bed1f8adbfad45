"""Tables as text, saved and listed: what C writes of records is what Python writes of values."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import cycle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipvsnl.backends.contract import Print
from ipvsnl.family import SERVICE
from ipvsnl.model import Destination, Service
from ipvsnl.text.compat import OURS, STRICT
from ipvsnl.text.listing import FORMATS, Listing
from ipvsnl.text.saving import saved
from ipvsnl.wire import records
from ipvsnl.wire.snapshot import Snapshot
from tests.ipvsnl.strategies import DESTINATIONS, SERVICES
from tests.ipvsnl.twins import native

NUMERIC = frozenset(("numeric",))
Table = list[tuple[Service, list[Destination]]]
# Differences of these do not fit an int: ipvsadm's comparison goes in a circle.
WEB = Destination("10.0.0.2", 80, "masq")
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


COUNTERS = st.lists(
    st.integers(0, 2**64 - 1)
    | st.sampled_from([10**power + more for power in range(20) for more in (-1, 0)])
    | st.sampled_from([2**32 - 1, 2**32, 0]),
    min_size=1,
    max_size=20,
)
PRESENT = next(field.offset for field in SERVICE.fields if field.name == "present")
CONNECTIONS = PRESENT + 4 + 4 * 4  # of a real server: behind the method, weight and thresholds


def snapshot(table: Table, counters: Sequence[int] = (0,)) -> Snapshot:
    """The table as if it had been read, the counters one after the other: wide ones of every other entry."""
    some = cycle(counters)

    def counted(records: list[bytes], *, connections: bool) -> Iterator[bytes]:
        for index, record in enumerate(records):
            read = bytearray(record)
            read[:160] = b"".join([next(some).to_bytes(8, "little") for _ in range(20)])
            if index % 2:
                read[PRESENT + 1] |= 1 << 12 - 8
            if connections:
                read[CONNECTIONS : CONNECTIONS + 12] = b"".join(
                    [(next(some) & 2**32 - 1).to_bytes(4, "little") for _ in range(3)]
                )
            yield bytes(read)

    services = counted([records.service_record(service) for service, _ in table], connections=False)
    servers = counted(
        [records.destination_record(server) for _, servers in table for server in servers], connections=True
    )
    return Snapshot(
        b"".join(services), b"".join(servers), memoryview(array("I", [len(servers) for _, servers in table]))
    )


@pytest.mark.parametrize("compat", [OURS, STRICT], ids=["ours", "strict"])
@given(table=TABLES)
@example(table=[(Service("tcp", "10.0.0.1", 80, persistence=5, netmask="255.255.0.0"), [])])
@example(table=[(Service("tcp", "::1", 80, persistence=5, netmask=64), [])])
def test_the_text_is_pythons(compat: object, table: Table) -> None:
    """Whatever the table: order, spelling, and the services that are left to Python, in their places."""
    read = snapshot(table)
    assert "".join(saved(read, NUMERIC, compat)) == "".join(saved(list(read), NUMERIC, compat))  # type: ignore[arg-type]


@pytest.mark.parametrize("compat", [OURS, STRICT], ids=["ours", "strict"])
@pytest.mark.parametrize("layout", ["", *FORMATS])
@given(table=TABLES, counters=COUNTERS, more=st.sets(st.sampled_from(["exact", "nosort"])))
@example(table=[(Service("tcp", "10.0.0.1", 80, persistence=5, netmask="255.255.0.0"), [])], counters=[0], more=set())
def test_listings_are_pythons(compat: object, layout: str, table: Table, counters: list[int], more: set[str]) -> None:
    """In every format, whatever the numbers."""
    read = snapshot(table, counters)
    listing = Listing(NUMERIC | {layout} | more, compat)  # type: ignore[arg-type]
    assert "".join(listing.table(read)) == "".join(listing.table(list(read)))


def test_the_connections_of_a_real_server_are_where_the_test_puts_them() -> None:
    """Else the listings would be compared with none."""
    ((_, (status,)),) = [(entry.service, entry.destinations) for entry in snapshot([(Service(fwmark=1), [WEB])], [7])]
    assert (status.active, status.inactive, status.persistent, status.statistics.conns) == (7, 7, 7, 7)


def test_ordinary_services_are_written_in_c() -> None:
    """Else the two would be compared with themselves: of this table Python is asked for the one with flags alone."""
    table: Table = [
        (Service("tcp", "10.0.0.1", 80, scheduler="wlc", persistence=9), [Destination("10.0.0.2", 80, "tunnel")]),
        (Service("udp", "::1", 53, one_packet=True), [Destination("::2", 53, "masq", 7, 100, 50)]),
        (Service(fwmark=7), []),
        (Service("tcp", "10.0.0.3", 80, scheduler="sh", flags=16), []),
    ]
    columns = snapshot(table).columns()
    records = columns.services.data, columns.servers.data, columns.counts
    assert list(native.printed(Print.SAVED, *records, Print.WITH_THRESHOLDS)) == [
        b"-A -t 10.0.0.1:80 -s wlc -p 9\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type ipip\n",
        3,
        b"-A -u [::1]:53 -s wlc -o\n-a -u [::1]:53 -r [::2]:53 -m -w 7 -x 100 -y 50\n-A -f 7 -s wlc\n",
    ]
    for kind in (Print.USUAL, Print.STATS, Print.RATE, Print.THRESHOLDS, Print.PERSISTENT):
        pieces = list(native.printed(kind, *records, 0))
        assert [piece if isinstance(piece, int) else -piece.count(b"\n") for piece in pieces] == [-2, 3, -3]


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
