"""Loads from columns and from values, on the simulated kernel and (by ``make kernel-test``) on the real one."""

from __future__ import annotations

import errno
from array import array
from typing import Any

import pytest

from ipvsnl.client import IPVS
from ipvsnl.errors import EncodeError
from ipvsnl.model import Destination, Service
from ipvsnl.wire.columns import Columns
from tests.ipvsnl.bulk.test_bulk import FARM, WEB, refused


def test_columns_load_row_by_row(ipvs: IPVS) -> None:
    """Buffers, arrays and lists are columns; a refusal's tag is its row."""
    ipvs.add_service(WEB)
    count = 700
    addresses = b"".join(bytes((10, 3, n >> 8, n & 255)) for n in range(count))
    like = Destination("0.0.0.0", 8080, "masq", lower_threshold=0)
    weights = array("i", range(count))
    report = ipvs.load(Columns("add-server", WEB, like, server_address=addresses, weight=weights))
    assert report.changes == count
    servers = {status.destination.address: status.destination for status in ipvs.servers(WEB)}
    assert servers["10.3.2.5"] == Destination("10.3.2.5", 8080, "masq", weight=517)
    some = Columns("add-server", WEB, like, server_address=["10.4.0.1", "10.3.0.7", "10.4.0.2"], server_port=[8080] * 3)
    assert refused(lambda: ipvs.load(some)) == [(1, errno.EEXIST)]
    ipvs.load(
        [Columns("delete-server", WEB, like, server_address=addresses), Columns("delete-service", WEB, port=[80])]
    )
    assert ipvs.services() == []


def test_columns_of_services_of_both_families(ipvs: IPVS) -> None:
    """Every key may be a column: addresses of 4 and 16 bytes, ports, marks."""
    six = Service("udp", "::1", 53, scheduler="rr")
    ipvs.load(
        [
            Columns("add-service", WEB, port=list(range(1000, 1300))),
            Columns("add-service", six, address=["2001:db8::1", "2001:db8::2"], port=array("H", [53, 54])),
            Columns("add-service", Service(fwmark=1, scheduler="rr"), fwmark=array("I", range(1, 40))),
        ]
    )
    found = [status.service for status in ipvs.services()]
    assert len(found) == 300 + 2 + 39 and Service("udp", "2001:db8::2", 54, scheduler="rr") in found


@pytest.mark.parametrize(
    ("operation", "server", "columns", "words"),
    [
        ("add", None, {"port": [1]}, "unknown operation"),
        ("add-server", None, {"port": [1]}, "real server"),
        ("add-service", None, {"prot": [1]}, "unknown column"),
        ("add-service", None, {}, "no column"),
        ("add-service", None, {"port": [1], "persistence": [1, 2]}, "different lengths"),
        ("add-service", None, {"port": array("I", [1])}, "items of 4 bytes, not 2"),
        ("add-service", None, {"port": [65536]}, "port"),
        ("add-service", None, {"address": b"12345"}, "no addresses of 4"),
        ("add-service", None, {"fwmark": [1]}, "no such field"),
        ("delete-server", Destination("10.0.0.1", 80), {"weight": [1]}, "no such field"),
    ],
)
def test_columns_that_make_no_sense(
    ipvs: IPVS, operation: str, server: Destination | None, columns: dict[str, Any], words: str
) -> None:
    """A caller's mistake is found before anything is sent."""
    with pytest.raises(EncodeError, match=words):
        ipvs.load(Columns(operation, WEB, server, **columns))
    assert ipvs.services() == []


def test_values_load(ipvs: IPVS) -> None:
    """Services, services with their servers, and a snapshot: which then has its servers in the same order."""
    servers = [Destination(f"10.0.0.{n}", 80, "masq", n) for n in range(1, 9)]
    ipvs.load([(WEB, servers), WEB.replace(port=81), (FARM.replace(port=82), iter(servers * 1))])
    before = ipvs.snapshot()
    assert [one.destination for one in ipvs.servers(WEB)] == servers[::-1]
    ipvs.flush()
    ipvs.load(before)
    assert ipvs.snapshot() == before
    assert refused(lambda: ipvs.load([WEB]))[0][1] == errno.EEXIST
