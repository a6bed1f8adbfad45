"""The table in a file between commands: what it keeps, how it is replaced, what it refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from ipvsnl.errors import LinkError
from ipvssim.clock import SECOND
from ipvssim.doors.table_file import TableFile, default_path, opened
from ipvssim.kernel import Kernel
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.state.namespace import Namespace
from ipvssim.state.procfs import lines
from ipvssim.state.saving import MAGIC, StateError, dumped, restored
from tests.ipvssim.requests import (
    DUMP,
    REQUEST,
    ask,
    attribute,
    dest,
    drain,
    mark_key,
    message,
    new_dest,
    new_service,
    service,
    service_key,
)

KEY, KEY6 = service_key(), service_key(443, bytes.fromhex("20010db8" + "00" * 12))


def rich(hash_key: int = 0x30) -> Namespace:
    """A namespace with something of everything."""
    namespace = Namespace(hash_key=hash_key)
    socket = NetlinkSocket(namespace, sndbuf=1 << 24)
    for mark in range(1, 40):
        ask(socket, new_service(mark_key(mark), b"wlc"))
    ask(socket, new_service(mark_key(5, 10), b"none", flags=REQUEST))
    ask(socket, message(1, service(KEY, b"mh", flags=0x19, timeout=300) + b""))
    ask(socket, message(1, service(KEY6, b"sh", netmask=64)))
    for index in range(20):
        ask(socket, new_dest(KEY, bytes([10, 0, 0, index + 1]), port=index))
    ask(socket, message(5, attribute(1, KEY) + dest(bytes([10, 9, 9, 9]), weight=0, method=2, upper=9, lower=3)))
    ask(socket, new_dest(KEY6, bytes.fromhex("fd00" + "00" * 13 + "07")))
    ask(socket, message(12, attribute(6, (77).to_bytes(4, "little"))))
    daemon = (
        attribute(1, (1).to_bytes(4, "little")) + attribute(2, b"eth0\0") + attribute(3, (300).to_bytes(4, "little"))
    )
    ask(socket, message(9, attribute(3, daemon)))
    namespace.sysctls.write("net.ipv4.vs.sync_threshold", "7 70")
    one = next(iter(namespace.table.by_address.values()))
    server = next(one.servers())
    for counters in (one.counters, server.counters, namespace.table.total):
        counters.conns, counters.inbytes = 12, 1 << 40
    namespace.clock.advance(4 * SECOND)
    one.counters.zero()
    return namespace


def observed(namespace: Namespace) -> list[object]:
    """Everything that can be asked of a namespace."""
    socket = NetlinkSocket(namespace)
    found: list[object] = [list(lines(namespace, name)) for name in ("ip_vs", "ip_vs_stats", "ip_vs_stats_percpu")]
    for command, flags in ((4, REQUEST | DUMP), (11, REQUEST | DUMP), (13, REQUEST), (15, REQUEST)):
        found.append(ask(socket, message(command, b"", flags)))
    for key in (KEY, KEY6):
        found.append(ask(socket, message(8, attribute(1, key), REQUEST | DUMP)))
    return [*found, namespace.sysctls.read("net.ipv4.vs.sync_threshold"), namespace.hash_key]


def test_everything_that_can_be_asked_comes_back() -> None:
    """Services, destinations in order, statistics, timeouts, daemons, tunables, hash key; saved again, the same text."""
    before = rich()
    text = dumped(before)
    after = restored(text, Kernel).namespace
    assert observed(after) == observed(before)
    assert dumped(after) == text
    assert text.decode("ascii").count("\n") > len(before.table.by_mark)


def test_statistics_go_on_where_they_stood() -> None:
    """The tick after loading moves the rates from where they were."""
    before = rich()
    after = restored(dumped(before), Kernel).namespace
    for namespace in (before, after):
        namespace.clock.advance(2 * SECOND)
    assert observed(after) == observed(before)


@pytest.mark.parametrize("name", ["", "text", "version", "checksum", "cut", "garbled", "null", "scheduler", "address"])
def test_damaged_and_foreign_texts_are_refused(name: str) -> None:
    """Anything but a whole, unchanged text of this version is a StateError."""
    whole = dumped(rich())
    head, _, body = whole.partition(b"\n")

    def signed(changed: bytes) -> bytes:
        return MAGIC + b"1 sha256:" + hashlib.sha256(changed).hexdigest().encode() + b"\n" + changed

    texts = {
        "": b"",
        "text": b"-A -t 10.0.0.1:80 -s rr\n",
        "version": whole.replace(b"table 1", b"table 2", 1),
        "checksum": head[:-1] + b"x\n" + body,
        "cut": whole[:-9],
        "garbled": whole.replace(b"wlc", b"rr ", 1),
        "null": signed(b"null"),
        "scheduler": signed(body.replace(b'"wlc"', b"7", 1)),
        "address": signed(body.replace(b'"10.0.0.1"', b'"10.0.0"', 1)),
    }
    with pytest.raises(StateError):
        restored(texts[name], Kernel)


def test_changes_last_and_questions_write_nothing(tmp_path: Path) -> None:
    """A changing command replaces the file, a reading one leaves it untouched and takes no lock."""
    path = tmp_path / "deep" / "table"
    with opened(str(path)) as endpoint:
        endpoint.send(new_service(KEY))
    first = path.stat()
    with FileLock(f"{path}.lock"), opened(str(path)) as endpoint:
        endpoint.send(message(4, b"", REQUEST | DUMP))
        assert len(drain(endpoint)[0]) == 2  # type: ignore[arg-type]
        assert "TCP  CB007101:0050 rr  \n" in endpoint.proc("ip_vs")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert sorted(one.name for one in path.parent.iterdir()) in (["table"], ["table", "table.lock"])


def test_a_file_of_the_callers_own_permissions_keeps_them(tmp_path: Path) -> None:
    """Replacing it changes neither mode nor what a symbolic link points to."""
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    with opened(str(link)) as endpoint:
        endpoint.send(new_service(KEY))
    real.chmod(0o640)
    with opened(str(link)) as endpoint:
        endpoint.send(message(17))
    assert link.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640
    assert not restored(real.read_bytes(), Kernel).table.by_address


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    """LinkError names the file, and not a byte of it changes."""
    path = tmp_path / "table"
    path.write_bytes(b"precious\n")
    with pytest.raises(LinkError, match=r"table: not a table of the simulator; it is left as it is"), opened(str(path)):
        pass
    assert path.read_bytes() == b"precious\n"
    with pytest.raises(LinkError, match="directory"), opened(str(tmp_path)):
        pass


def test_an_exception_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """What a command did before it failed is not written, and the lock is free again."""
    path = tmp_path / "table"
    with pytest.raises(ZeroDivisionError), opened(str(path)) as endpoint:
        endpoint.send(new_service(KEY))
        raise ZeroDivisionError
    assert not path.exists()
    with opened(str(path)) as endpoint:
        endpoint.send(new_service(KEY))
    assert path.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new text takes the name only when it is on the disk whole; nothing else stays behind."""
    path = tmp_path / "table"
    with opened(str(path)) as endpoint:
        endpoint.send(new_service(KEY))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ipvssim.doors.table_file.os.fsync", full)
    with pytest.raises(LinkError, match=f"{path}: No space left on device$"), opened(str(path)) as endpoint:
        endpoint.send(message(17))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_commands_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Eight processes that each add a service and a destination leave all sixteen."""
    path = tmp_path / "table"
    script = (
        "import sys; from ipvssim.doors.table_file import opened; from tests.ipvssim.requests import *\n"
        "key = mark_key(int(sys.argv[2]))\n"
        "with opened(sys.argv[1]) as end:\n"
        "    end.send(message(4, b'', REQUEST | DUMP)); drain(end)\n"
        "    end.send(new_service(key)); end.send(new_dest(key, bytes([10, 0, 0, 9])))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(path), str(mark)], env=environment) for mark in range(1, 9)
    ]
    assert [one.wait() for one in running] == [0] * 8
    table = TableFile(path).load().table
    assert sorted(mark for _, mark in table.by_mark) == list(range(1, 9))
    assert all(len(one.destinations) == 1 for one in table.by_mark.values())


def test_a_lock_that_is_never_freed_is_reported(tmp_path: Path) -> None:
    """Waiting has an end, and it says for whom."""
    path = tmp_path / "table"
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(f"{path}.lock"):
            held.set()
            done.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    try:
        with pytest.raises(LinkError, match="another command"), opened(str(path), 0.05) as endpoint:
            endpoint.send(message(17))
    finally:
        done.set()
        thread.join()


def test_the_default_lies_in_the_users_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_STATE_HOME decides where."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "ipvsnl" / "sim.table"
