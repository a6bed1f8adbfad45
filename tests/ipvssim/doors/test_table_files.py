"""Table files that are no tables, no files, not ours to write, or made by a program with other schedulers."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvsnl.errors import LinkError
from ipvssim.doors.table_file import TableFile, opened
from ipvssim.kernel import Kernel
from ipvssim.schedulers import REGISTRY, MissingSchedulerWarning, Scheduler, _registry, find, register
from ipvssim.state.saving import MAGIC, StateError, dumped, restored
from tests.ipvssim.requests import DUMP, REQUEST, mark_key, message, new_service
from tests.places import ROOT

from .test_state import rich

NOBODY = 65534
BODY: dict[str, Any] = json.loads(dumped(rich()).partition(b"\n")[2])


def signed(body: bytes) -> bytes:
    """A text whose checksum is right."""
    return MAGIC + b"1 sha256:" + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


# --- values ---

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["", "10.0.0.1", "::1", "fd00::1", "wlc", "ff", 2, 10, 1 << 70, -1]),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside of a JSON value."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [path] * bool(path) + [way for key, inner in items for way in places(inner, (*path, key))]
    return [path]


PLACES = [way for way in places({**BODY, "services": BODY["services"][:1] + BODY["services"][-3:]}) if len(way) < 7]


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(PLACES), JUNK, st.booleans())
def test_a_wrong_value_is_named_or_harmless(place: tuple[Any, ...], value: Any, drop: bool) -> None:
    """Whatever stands in a table whose checksum is right: it is refused as damaged, or can be listed and saved again."""
    whole = json.loads(json.dumps({**BODY, "services": BODY["services"][:1] + BODY["services"][-3:]}))
    inside = whole
    for key in place[:-1]:
        inside = inside[key]
    if drop:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    usable_or_damaged(json.dumps(whole).encode())


@settings(deadline=None)
@given(JUNK.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_any_body_is_named_or_harmless(body: bytes) -> None:
    """The same for a body that is something else altogether."""
    usable_or_damaged(body)


def usable_or_damaged(body: bytes) -> None:
    try:
        kernel = restored(signed(body), Kernel)
    except StateError as wrong:
        assert str(wrong).startswith("damaged: ")
        return
    for listing in ("-Ln", "-Sn", "-Ln --stats", "-Ln --tun-info", "-L --daemon", "-L --timeout"):
        assert kernel.ipvsadm(*listing.split()).status == 0
    list(kernel.proc("ip_vs")), list(kernel.proc("ip_vs_stats"))
    kernel.advance(200)
    again = dumped(kernel.namespace)
    assert dumped(restored(again, Kernel).namespace) == again


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * 100_000, "its arrays and objects are too deep"),
        (b'{"hash_key":0,"hash_key":1}', "a field stands twice"),
        (json.dumps({**BODY, "services": [[2, 0, 6, "10.0.0.1", 80, "rr", 2, 0, -1, "", None, []]]}).encode(),
         r"services\[0\]: its netmask is -1, and no number from 0 to 4294967295"),
        (json.dumps({**BODY, "services": [[2, 1, 6, "", 0, "rr", 2, 0, 0, "", None, []]] * 2}).encode(), "there twice"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_said(body: bytes, words: str) -> None:
    """The message names the value, and what it should be."""
    with pytest.raises(StateError, match=f"damaged: .*{words}"):
        restored(signed(body), Kernel)


# --- schedulers of one's own ---


def with_a_scheduler_of_ones_own(path: Path) -> None:
    """A table that names it, written by a program that knows it."""

    @register
    class Mine(Scheduler):
        NAME = "mine"

        def pick(self, flow: Any) -> Any:
            return next(self.service.servers(), None)

    try:
        with opened(str(path)) as endpoint:
            for mark in (1, 2, 3):
                endpoint.send(new_service(mark_key(mark), b"mine"))
            endpoint.kernel.load("-a -f 1 -r 10.0.0.1:0")
    finally:
        del REGISTRY["mine"]


def ipvsnl(path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Our command on a table file."""
    command = [sys.executable, "-c", "import sys; from ipvsnl.cli.main import main; sys.exit(main())"]
    more = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run([*command, "--target", f"sim:{path}", *arguments], capture_output=True, text=True, env=more)


def test_a_table_does_not_depend_on_a_scheduler_of_ones_own(tmp_path: Path) -> None:
    """Where the scheduler is not known, the table is listed and changed all the same, and keeps the name."""
    path = tmp_path / "table"
    with_a_scheduler_of_ones_own(path)
    kernel = TableFile(path).load()
    assert kernel.ipvsadm("-D", "-f", "2").status == 0
    assert kernel.ipvsadm("-E", "-f", "3", "-s", "rr").status == 0
    assert kernel.ipvsadm("-a", "-f", "1", "-r", "10.0.0.2:0").status == 0
    assert "FWM  1 mine" in kernel.ipvsadm("-Ln").stdout and "FWM  3 rr" in kernel.ipvsadm("-Ln").stdout
    again = restored(dumped(kernel.namespace), Kernel)
    assert again.ipvsadm("-Sn").stdout == kernel.ipvsadm("-Sn").stdout
    assert again.ipvsadm("-C").status == 0 and again.ipvsadm("-Ln").stdout.count("\n") == 3


def test_an_unknown_scheduler_picks_nobody_and_says_so(tmp_path: Path) -> None:
    """It names itself, and the way to load it, when it has to pick."""
    path = tmp_path / "table"
    with_a_scheduler_of_ones_own(path)
    kernel = TableFile(path).load()
    service = kernel.table.by_mark[2, 1]
    with pytest.warns(MissingSchedulerWarning, match="'mine' is not known here: set IPVSSIM_SCHEDULERS"):
        assert service.pick(None) is None  # type: ignore[arg-type]


def test_a_file_of_schedulers_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A syntax error in the environment's file is told with the file; a saved table does not depend on it."""
    path, bad = tmp_path / "table", tmp_path / "bad.py"
    with_a_scheduler_of_ones_own(path)
    bad.write_text("def (")
    monkeypatch.setenv(_registry.VARIABLE, str(bad))
    for _ in range(2):
        with pytest.raises(LinkError, match=f"{bad}: SyntaxError"), opened(str(path)) as endpoint:
            endpoint.send(new_service(mark_key(9), b"other"))
    assert len(TableFile(path).load().table.by_mark) == 3
    bad.write_text("from ipvssim.schedulers import *\n@register\nclass Mine(Scheduler):\n    NAME = 'other'\n")
    try:
        assert find("other") is not None
    finally:
        REGISTRY.pop("other", None)


# --- files ---


def made(kind: str, place: Path) -> Path:
    """Something that is no regular file."""
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(place))
    elif kind == "link":
        place.symlink_to("/dev/full")
    else:
        return Path(kind)
    return place


@pytest.mark.usefixtures("watchdog")
@pytest.mark.parametrize(
    "kind", ["fifo", "directory", "socket", "link", "/dev/full", "/dev/zero", "/dev/null", "/proc/x", "/proc/self/x"]
)
def test_what_is_no_regular_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    """Reading and writing say what is wrong with which file, and wait for nothing."""
    path = made(kind, tmp_path / "table")
    with pytest.raises(LinkError) as refused, opened(str(path)) as endpoint:
        endpoint.send(new_service(mark_key(1)))
    assert str(Path(os.path.realpath(path))) in str(refused.value) and "another command" not in str(refused.value)


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    """Of a file that does not begin as a table, no more than the beginning is read."""
    path = tmp_path / "table"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LinkError, match="not a table"), opened(str(path)):
        pass


WRITE = (
    "import os, sys, filelock\n"
    "from ipvssim.doors.table_file import opened; from tests.ipvssim.requests import *\n"
    "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    "try:\n"
    "    with opened(sys.argv[1]) as end: end.send(new_service(mark_key(7)))\n"
    "except OSError as wrong: print(wrong); sys.exit(3)\n"
)


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path: Path) -> None:
    """Mode 0444 refuses its own owner (root may): EACCES, and the file is what it was."""
    if os.geteuid() == 0 and not all(one.stat().st_mode & 0o5 == 0o5 for one in ROOT.parents):
        pytest.skip(f"another user can't read {ROOT}")
    path = tmp_path / "table"
    with opened(str(path)) as endpoint:
        endpoint.send(new_service(mark_key(1)))
    before = path.read_bytes()
    path.chmod(0o444)
    for one in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        one.chmod(0o777)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
        os.chown(tmp_path, NOBODY, NOBODY)
        Path(f"{path}.lock").unlink()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", WRITE, str(path)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, f"{path}: Permission denied\n"), done.stderr
    assert path.read_bytes() == before


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    """The next command that changes something takes away half-written files of its own table, and nothing else."""
    path = tmp_path / "table"
    stale = tmp_path / ".table.abcd_123.new"
    others = [".table.abcd_123", ".table.b.abcd_123.new", ".other.abcd_123.new", ".table.ABCD_123.new"]
    for name in [stale.name, *others]:
        (tmp_path / name).write_bytes(b"half")
    with opened(str(path)) as endpoint:
        endpoint.send(message(4, b"", REQUEST | DUMP))
    assert stale.exists()
    with opened(str(path)) as endpoint:
        endpoint.send(new_service(mark_key(1)))
    assert not stale.exists() and all((tmp_path / name).exists() for name in others)


def test_a_killed_writer_loses_nothing_and_leaves_nothing_for_long(tmp_path: Path) -> None:
    """Killed while it writes, the old table stays, and the next writer cleans up."""
    path = tmp_path / "table"
    with opened(str(path)) as endpoint:
        endpoint.send(new_service(mark_key(1)))
    script = "import os; os.fsync = lambda _: os.kill(os.getpid(), 9)\n" + WRITE.replace("os.geteuid() == 0", "False")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script, str(path)], env=environment).returncode == -9
    assert len(list(tmp_path.glob(".table.*"))) == 1
    with opened(str(path)) as endpoint:
        endpoint.send(new_service(mark_key(2)))
    assert not list(tmp_path.glob(".table.*"))
    assert sorted(mark for _, mark in TableFile(path).load().table.by_mark) == [1, 2]


def test_a_lock_that_is_a_link_does_no_harm(tmp_path: Path) -> None:
    """A symbolic link in the lock's place is refused with its name, and what it leads to is not touched."""
    path, victim = tmp_path / "table", tmp_path / "victim"
    victim.write_bytes(b"precious")
    lock = Path(f"{path}.lock")
    lock.symlink_to(victim)
    with pytest.raises(LinkError, match=f"{lock}: "), opened(str(path)) as endpoint:
        endpoint.send(new_service(mark_key(1)))
    assert victim.read_bytes() == b"precious" and not path.exists()
    from filelock import FileLock

    with pytest.raises(OSError):
        FileLock(lock).acquire(timeout=0.05)
    assert victim.read_bytes() == b"precious"


def test_a_full_disk_is_told_with_the_files_name(tmp_path: Path) -> None:
    """The command's last words name the file; nothing stays behind."""
    path = tmp_path / "table"
    script = (
        "import os, errno\n"
        "def full(_): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "os.fsync = full\nfrom ipvsnl.cli.main import main\nimport sys; sys.exit(main())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, "--target", f"sim:{path}", "-A", "-t", "192.0.2.1:80"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode != 0 and f"{path}: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr and not path.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["table.lock"]


def test_the_command_says_what_is_wrong_in_a_line(tmp_path: Path) -> None:
    """A device as a table: one line, a status, no traceback."""
    done = ipvsnl(Path("/dev/full"), "-A", "-t", "192.0.2.1:80")
    assert done.returncode != 0 and "/dev/full: a device, and no regular file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("watchdog")
def test_the_clients_timeout_bounds_the_wait_for_the_lock(tmp_path: Path) -> None:
    """A change waits for another command as long as the client waits for anything, and says whose file it is."""
    from ipvsnl.client import open as open_ipvs

    path = tmp_path / "table"
    other = TableFile(path)
    other.lock()
    with open_ipvs(f"sim:{path}", timeout=0.3) as ipvs, pytest.raises(LinkError, match=f"{path}: .* for 0.3 s"):
        ipvs.flush()
    other.unlock()
