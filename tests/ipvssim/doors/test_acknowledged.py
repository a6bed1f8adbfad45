"""What a server acknowledged, and could not write into its table any more."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipvsnl.client import open as open_ipvs
from ipvsnl.errors import LinkError
from ipvsnl.model import Destination, Service
from ipvssim.doors.acknowledged import Acknowledged, place
from ipvssim.doors.table_file import TableFile
from tests.ipvssim.requests import mark_key, new_service

WEB = Service("tcp", "192.0.2.1", 80, scheduler="rr")


def killed(tmp_path: Path, table: Path) -> None:
    """A server that acknowledges a service and a server of it, and is gone."""
    path = tmp_path / "s"
    path.unlink(missing_ok=True)  # a killed server's
    command = [sys.executable, "-m", "ipvssim", "serve", str(path), "--table", str(table)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen(command, env=environment)
    try:
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        ipvs = open_ipvs(f"unix:{path}")
        web = WEB.replace(port=80 + len(ipvs.services()))
        ipvs.add_service(web)
        ipvs.add_server(web, Destination("10.0.0.1", 80, "masq"))
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    ipvs.close()


def ports(table: Path) -> list[int]:
    """Of the services of a table, as every command sees them."""
    with open_ipvs(f"sim:{table}") as ipvs:
        return sorted(one.service.port for one in ipvs.services())


def log_of(table: Path, *marks: int) -> Path:
    """A record of services with these marks, one second after another, for a table that is no file yet."""
    log = Acknowledged(table, b"")
    for mark in marks:
        log.add(mark * 1_000_000, new_service(mark_key(mark)))
    log.close()
    return place(table)


def marks(table: Path) -> list[int]:
    """Of a table's services."""
    return sorted(mark for _, mark in TableFile(table).load().table.by_mark)


def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    """SIGKILL, twice: readers see what the servers acknowledged, the next server goes on, and the next writer keeps it."""
    table = tmp_path / "table"
    killed(tmp_path, table)
    assert ports(table) == [80] and place(table).exists()
    killed(tmp_path, table)
    assert ports(table) == [80, 81]
    with open_ipvs(f"sim:{table}") as ipvs:
        ipvs.delete_service(WEB)
    assert ports(table) == [81] and not place(table).exists()
    assert not list(tmp_path.glob(".table*"))


def test_a_server_that_ends_leaves_the_table_alone(tmp_path: Path) -> None:
    """When the table is written, no record stays beside it."""
    table = TableFile(tmp_path / "table")
    table.lock()
    kernel = table.load()
    table.keep(kernel.namespace)
    kernel.socket().send(request := new_service(mark_key(7)))
    table.acknowledge(kernel.clock.now, request)
    table.save(kernel.namespace)
    table.unlock()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["table"]
    assert marks(table.path) == [7]


def test_a_cut_record_was_not_acknowledged(tmp_path: Path) -> None:
    """Killed while it wrote: what came before counts. It holds at every byte of the last record."""
    table = tmp_path / "table"
    log = log_of(table, 1)
    whole = len(log.read_bytes())
    text = log_of(table, 1, 2).read_bytes()
    for end in range(whole, len(text)):
        log.write_bytes(text[:end])
        assert marks(table) == [1], end
    log.write_bytes(text)
    assert marks(table) == [1, 2]


def test_what_is_damaged_is_named_and_left(tmp_path: Path) -> None:
    """A record that does not fit its checksum, and a file that is none at all, are refused, and nothing is written."""
    table = tmp_path / "table"
    log = log_of(table, 1, 2)
    for text in (log.read_bytes().replace(b"rr\0", b"xx\0", 1), b"hello\n"):
        log.write_bytes(text)
        with pytest.raises(LinkError, match=r"table\.served: .*left as it is") as wrong:
            TableFile(table).load()
        assert wrong.value.errno == errno.EBADMSG
        assert log.read_bytes() == text


def test_a_record_of_an_older_table_is_over(tmp_path: Path) -> None:
    """Killed between the table's writing and the record's removal: the table has it all, and it is not done twice."""
    table = tmp_path / "table"
    text = log_of(table, 1).read_bytes()
    file = TableFile(table)
    file.save(file.load().namespace)
    place(table).write_bytes(text)
    kernel = TableFile(table).load()
    assert marks(table) == [1]
    assert kernel.clock.now < 1_000_000 + 5_000_000


def test_requests_come_at_their_moments(tmp_path: Path) -> None:
    """The clock is where it was when the last of them came."""
    table = tmp_path / "table"
    log_of(table, 1, 5)
    assert TableFile(table).load().clock.now >= 5_000_000


def test_a_full_disk_ends_the_connection_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a record is taken back, so that those before and after it are whole."""
    table, real = tmp_path / "table", os.write
    log = Acknowledged(table, b"")

    def full(handle: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data[:20])

    log.add(0, new_service(mark_key(1)))
    monkeypatch.setattr("os.write", full)
    with pytest.raises(OSError, match="No space"):
        log.add(0, new_service(mark_key(2)))
    monkeypatch.undo()
    log.add(0, new_service(mark_key(3)))
    log.close()
    assert marks(table) == [1, 3]
