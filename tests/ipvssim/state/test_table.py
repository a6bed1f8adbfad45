"""The table: order, lookups, the trash and its timer."""

from __future__ import annotations

from ipvssim.clock import SECOND, Clock
from ipvssim.schedulers import find
from ipvssim.schedulers._hashing import fold
from ipvssim.state.service_table import ServiceTable
from ipvssim.state.services import RealServer, VirtualService

VIP = bytes([203, 0, 113, 1])


def table_with(*ports: int) -> tuple[Clock, ServiceTable, list[VirtualService]]:
    clock = Clock()
    table = ServiceTable(clock)
    services = [VirtualService(2, None, 6, VIP, port) for port in ports]
    for one in services:
        table.add_service(one, find("rr"))
    return clock, table, services


def add(table: ServiceTable, service: VirtualService, last: int, port: int = 80) -> RealServer:
    server = table.add_server(service, 2, bytes([10, 0, 0, last]), port)
    table.server_added(server)
    return server


def test_services_come_in_bucket_order_and_newest_first() -> None:
    """Ports 80 and 80 + 256 + 1 share a bucket: the later one is listed first."""
    _, table, services = table_with(80, 80 ^ 0x101)
    assert list(table.services()) == services[::-1]
    _, table, services = table_with(81, 80)
    buckets = [6 ^ 1 ^ port for port in (81, 80)]  # VIP's last octet is 1
    assert list(table.services()) == [
        one for _, one in sorted(zip(buckets, services, strict=True), key=lambda two: two[0])
    ]


def test_fold_is_the_kernels() -> None:
    """IPv4 as a number in host order, IPv6 its four words exclusive-ored."""
    assert fold(VIP) == 0xCB007101
    assert fold(bytes.fromhex("00000001000000020000000400000008")) == 15


def test_servers_are_listed_newest_first_and_an_edit_moves_none() -> None:
    """The list is the reverse of the order of adding."""
    _, table, (one,) = table_with(80)
    servers = [add(table, one, last) for last in (1, 2, 3)]
    assert list(one.servers()) == servers[::-1]
    assert [server.order for server in one.servers()] == sorted(server.order for server in servers)


def test_counts_that_the_packet_path_asks_first() -> None:
    """Services by family, of port 0 (marks are too) and of FTP's port."""
    _, table, services = table_with(80, 21, 0)
    mark = VirtualService(10, 7, 6, bytes(16), 0)
    table.add_service(mark, None)
    assert (table.service_count(2), table.service_count(10)) == (3, 1)
    assert (table.ftp_services, table.port_zero_services) == (1, 2)
    assert table.find(10, 7, 0, b"", 0) is mark and table.find(2, None, 6, VIP, 80) is services[0]
    table.flush()
    assert (table.service_count(2), table.service_count(10), table.ftp_services, table.port_zero_services) == (
        0,
        0,
        0,
        0,
    )
    assert table.ever_used and not list(table.services())


def test_an_idle_destination_is_freed_three_minutes_after_it_was_deleted() -> None:
    """The first minute's tick stamps it, the tick 120 s later frees it."""
    clock, table, (one,) = table_with(80)
    server = add(table, one, 1)
    table.delete_server(server)
    clock.advance(179 * SECOND)
    assert list(table.trash) == [server]
    clock.advance(1 * SECOND)
    assert not list(table.trash)


def test_one_that_joins_later_waits_for_the_next_tick() -> None:
    """Deleted 30 s later, it is stamped at the same tick, and freed with the first one."""
    clock, table, (one,) = table_with(80)
    first, second = add(table, one, 1), add(table, one, 2)
    table.delete_server(first)
    clock.advance(90 * SECOND)
    table.delete_server(second)
    clock.advance(90 * SECOND)
    assert list(table.trash) == [second]
    clock.advance(59 * SECOND)
    assert list(table.trash) == [second]
    clock.advance(1 * SECOND)
    assert not list(table.trash)


def test_connections_keep_a_deleted_destination() -> None:
    """It is stamped only when nothing refers to it any more."""
    clock, table, (one,) = table_with(80)
    server = add(table, one, 1)
    server.conns = 1
    table.delete_server(server)
    clock.advance(1000 * SECOND)
    assert list(table.trash) == [server]
    server.conns = 0
    clock.advance(181 * SECOND)
    assert not list(table.trash)


def test_revival_goes_by_value() -> None:
    """Same family, address, port and virtual service by its key; another port or service gets a fresh one."""
    _, table, (one, other) = table_with(80, 81)
    server = add(table, one, 1)
    table.delete_server(server)
    assert table.in_trash(one, 2, server.address, 80) and not table.in_trash(other, 2, server.address, 80)
    assert add(table, other, 1) is not server
    assert add(table, one, 1, port=81) is not server
    table.delete_service(one)
    again = VirtualService(2, None, 6, VIP, 80)
    table.add_service(again, find("rr"))
    assert add(table, again, 1) is server and server.service is again
    assert server not in list(table.trash)


def test_another_scheduler_starts_afresh_and_the_same_one_stays() -> None:
    """An edit that keeps the name keeps the scheduler's state."""
    _, table, (one,) = table_with(80)
    first = one.scheduler
    table.edit_service(one, find("rr"))
    assert one.scheduler is first
    table.edit_service(one, find("wlc"))
    assert one.scheduler is not first and one.scheduler_name == "wlc"
    table.edit_service(one, None)
    assert one.scheduler is None and one.scheduler_name == "none"
