"""The simulated kernel behind ``--target sim[:FILE]``: a table in a file, from one command to the next.

Commands that only read take no lock: the file is always whole, since it is only ever replaced. The first request that
may change something takes the lock, reads the file again if another command has replaced it meanwhile, and holds the
lock until the end, when the file is written once. Between commands time passes for deleted servers: the trash is as old as
the file is.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from struct import Struct
from typing import Any

from ipvsnl import _files as files
from ipvsnl._held import acquired, held
from ipvsnl.consts import NLM_F_DUMP, NLMSG_HEADER
from ipvsnl.errors import LinkError
from ipvsnl.family import Command
from ipvssim.doors import acknowledged
from ipvssim.doors.acknowledged import Acknowledged
from ipvssim.kernel import Kernel
from ipvssim.net.networks import default_network
from ipvssim.netlink.socket import FAMILY_ID
from ipvssim.schedulers import LoadingError
from ipvssim.state.namespace import Namespace
from ipvssim.state.saving import MAGIC, StateError, dumped, restored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from filelock import BaseFileLock

    from ipvsnl.link.contract import Log

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another command to finish."""
MEMORY = ":memory:"
_HEADER = Struct("=IHH")
_READING = frozenset((Command.GET_SERVICE, Command.GET_DEST, Command.GET_DAEMON, Command.GET_CONFIG, Command.GET_INFO))


def default_path() -> Path:
    """Where the table lies if no file is named: in the user's state directory."""
    from platformdirs import user_state_dir

    return Path(user_state_dir("ipvsnl")) / "sim.table"


class TableFile:
    """One file with a table."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(os.path.realpath(path if path is not None else default_path()))
        self._lock: BaseFileLock | None = None
        self._log: Acknowledged | None = None
        self._read: tuple[object, ...] = ()
        self._base = b""
        """The first line of what was read: it tells every table from all others."""

    def load(self, **how: Any) -> Kernel:
        """A kernel with what it holds, and what a server acknowledged since; with an empty table where there is no file.
        LinkError where it can't be read or is no table. ``how`` are more arguments of :class:`ipvssim.kernel.Kernel`."""
        make = partial(Kernel, **{"network": default_network(), **how})
        self._read = self._there()
        kernel, written = self._restored(make)
        served = acknowledged.place(self.path)
        try:
            written = acknowledged.repeat(kernel, self.path, self._base) or written
        except StateError as wrong:
            raise LinkError(errno.EBADMSG, f"{served}: {wrong}; it is left as it is") from wrong
        except OSError as wrong:
            raise _trouble(served, wrong) from wrong
        if len(kernel.table.trash) or not kernel.table.total.settled:  # all else stays, however much time passes
            kernel.advance(max(time.time() - written, 0))
        return kernel

    def _restored(self, make: Callable[..., Kernel]) -> tuple[Kernel, float]:
        """The kernel of the file, and when that was written."""
        try:
            text, status = files.read(self.path, MAGIC)
        except FileNotFoundError:
            self._base = b""
            return make(), time.time()
        except OSError as wrong:
            raise _trouble(self.path, wrong) from wrong
        self._base = text.partition(b"\n")[0]
        try:
            return restored(text, make), status.st_mtime
        except StateError as wrong:
            raise LinkError(errno.EBADMSG, f"{self.path}: {wrong}; it is left as it is") from wrong

    def keep(self, namespace: Namespace) -> None:
        """Begin to keep what a server of this namespace acknowledges, which holds the lock; LinkError where it can't. What a
        killed one left is saved first."""
        try:
            if acknowledged.place(self.path).exists():
                self.save(namespace)
            self._log = Acknowledged(self.path, self._base)
        except OSError as wrong:
            raise _trouble(acknowledged.place(self.path), wrong) from wrong

    def acknowledge(self, moment: int, datagram: bytes) -> None:
        """Keep a datagram of requests that was executed then, where it may change something; LinkError where it can't."""
        if self._log is None or not may_change(datagram):
            return
        try:
            self._log.add(moment, datagram)
        except OSError as wrong:
            raise _trouble(acknowledged.place(self.path), wrong) from wrong

    @property
    def stale(self) -> bool:
        """Whether the file is another one than when it was last loaded, or a server went on with it."""
        return self._there() != self._read

    def _there(self) -> tuple[object, ...]:
        return _identity(self.path), _identity(acknowledged.place(self.path))

    def lock(self, timeout: float = LOCK_TIMEOUT) -> None:
        """Keep other commands from changing it; LinkError where one does for longer than ``timeout`` seconds, and at once
        where the file could not be written. What killed writers left behind is removed."""
        from filelock import FileLock

        place = Path(f"{self.path}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.check_writable(self.path)
        except OSError as wrong:
            raise _trouble(self.path, wrong) from wrong
        try:
            files.check_lock(place)
            lock = FileLock(place)
            taken = acquired(lock, timeout)
        except OSError as wrong:
            raise _trouble(place, wrong) from wrong
        if not taken:
            raise LinkError(errno.ETIMEDOUT, f"{self.path}: another command has held it locked for {timeout:g} s")
        self._lock = lock
        files.sweep(self.path)

    def unlock(self) -> None:
        """Let other commands go on."""
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def save(self, namespace: Namespace) -> None:
        """Replace the file: another one, whole and on the disk, takes its name and its permissions."""
        text = dumped(namespace)
        try:
            files.replace(self.path, text)
            acknowledged.forget(self.path)
            self._read, self._base = self._there(), text.partition(b"\n")[0]
        except OSError as wrong:
            raise _trouble(self.path, wrong) from wrong


class Endpoint:
    """A client's end of a simulated kernel whose table is kept in a file (None: in no file).

    The first request that may change something takes the file's lock. :meth:`close` writes what was changed; as a context
    manager it writes nothing where an exception ended the work.
    """

    def __init__(self, file: TableFile | None, timeout: float = LOCK_TIMEOUT, log: Log | None = None) -> None:
        """``timeout`` is how many seconds it waits for the file's lock; ``log`` the level of the kernel's log, and what gets
        its lines."""
        self._file, self._timeout, self._log = file, timeout, log
        self._connect(file.load() if file is not None else Kernel(network=default_network()))
        self._writing = False

    def _connect(self, kernel: Kernel) -> None:
        self.kernel = kernel
        if self._log is not None:
            level, told = self._log
            kernel.namespace.keep_log(level).told = lambda line: told(str(line))
        self._socket = kernel.socket()
        self._unchanged = kernel.namespace.changes

    def send(self, data: bytes) -> None:
        """Execute a datagram of requests. LinkError where the file can't be locked, or the environment names schedulers that
        can't be loaded."""
        if self._file is not None and not self._writing and may_change(data):
            self._file.lock(self._timeout)
            self._writing = True
            if self._file.stale:
                self._connect(self._file.load())
        try:
            with held():  # no signal ends a system call half-way
                self._socket.send(data)
        except LoadingError as wrong:
            raise LinkError(errno.ENOEXEC, str(wrong)) from wrong

    def recv(self, size: int) -> bytes:
        """The next datagram; BlockingIOError when there is none."""
        return self._socket.recv(size)

    def proc(self, name: str) -> Iterable[str]:
        """The lines of the simulated ``/proc/net/NAME``."""
        return self._socket.proc(name)

    def close(self) -> None:
        """Write what was changed, and let other commands go on. LinkError where it can't be written."""
        if self._file is None:
            return
        with held():
            self._close(self._file)

    def _close(self, file: TableFile) -> None:
        try:
            if self._writing and self.kernel.namespace.changes != self._unchanged:
                file.save(self.kernel.namespace)
        finally:
            self._release()

    def _release(self) -> None:
        if self._file is not None:
            with held():
                self._writing = False
                self._file.unlock()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self._release()


def opened(path: str | None = None, timeout: float = LOCK_TIMEOUT, log: Log | None = None) -> Endpoint:
    """The simulated kernel whose table is in ``path`` (default :func:`default_path`; ``:memory:``: in no file). ``timeout``:
    seconds that a change waits for others. ``log`` is as of :class:`Endpoint`. LinkError where the file can't be read, or is
    no table."""
    return Endpoint(None if path == MEMORY else TableFile(path), timeout, log)


def may_change(data: bytes) -> bool:
    """Whether a datagram holds a request of the family that is more than a question."""
    at, end = 0, len(data)
    while end - at > NLMSG_HEADER:
        length, kind, flags = _HEADER.unpack_from(data, at)
        if length < NLMSG_HEADER:
            return False
        if kind == FAMILY_ID and data[at + NLMSG_HEADER] not in _READING and flags & NLM_F_DUMP != NLM_F_DUMP:
            return True
        at += (length + 3) & ~3
    return False


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _trouble(path: Path, wrong: OSError) -> LinkError:
    return LinkError(wrong.errno or errno.EIO, f"{path}: {wrong.strerror or wrong}")
