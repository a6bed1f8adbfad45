"""The simulated kernel behind ``--target sim[:FILE]``: a table in a file, from one command to the next.

Commands that only read take no lock: the file is always whole, since it is only ever replaced. The first request that
may change something takes the lock, reads the file again if another command has replaced it meanwhile, and holds the
lock until the end, when the file is written once.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct

from ipvsnl.consts import NLM_F_DUMP, NLMSG_HEADER
from ipvsnl.errors import LinkError
from ipvsnl.family import Command
from ipvssim.namespace import Namespace
from ipvssim.netlink import FAMILY_ID, NetlinkSocket
from ipvssim.state import StateError, dumped, restored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another command to finish."""
_SEND_BUFFER = 1 << 26
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
        self._read: tuple[int, ...] | None = None

    def load(self, make: Callable[..., Namespace] = Namespace) -> Namespace:
        """What it holds; an empty table where there is no file. LinkError where it can't be read or is no table.

        ``make`` makes the namespace that is filled.
        """
        try:
            with self.path.open("rb") as file:
                self._read = _identity(os.fstat(file.fileno()))
                text = file.read()
        except FileNotFoundError:
            self._read = None
            return make()
        except OSError as wrong:
            raise _trouble(self.path, wrong) from wrong
        try:
            return restored(text, make)
        except StateError as wrong:
            raise LinkError(errno.EBADMSG, f"{self.path}: {wrong}; it is left as it is") from wrong

    @property
    def stale(self) -> bool:
        """Whether the file is another one than when it was last loaded."""
        try:
            return _identity(self.path.stat()) != self._read
        except FileNotFoundError:
            return self._read is not None

    def lock(self) -> None:
        """Keep other commands from changing it; LinkError where one does for longer than ``LOCK_TIMEOUT``."""
        from filelock import FileLock, Timeout

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{self.path}.lock")
            self._lock.acquire(timeout=LOCK_TIMEOUT)
        except Timeout:
            words = f"{self.path}: another command has held it locked for {LOCK_TIMEOUT:g} s"
            raise LinkError(errno.ETIMEDOUT, words) from None
        except OSError as wrong:
            raise _trouble(self.path, wrong) from wrong

    def unlock(self) -> None:
        """Let other commands go on."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def save(self, namespace: Namespace) -> None:
        """Replace the file: another one, whole and on the disk, takes its name and its permissions."""
        text = dumped(namespace)
        try:
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with open(handle, "wb") as file:  # noqa: PTH123
                    file.write(text)
                    file.flush()
                    self._keep_permissions(file.fileno())
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise
            self._sync_directory()
            self._read = _identity(self.path.stat())
        except OSError as wrong:
            raise _trouble(self.path, wrong) from wrong

    def _keep_permissions(self, handle: int) -> None:
        try:
            old = self.path.stat()
        except FileNotFoundError:
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(handle, 0o666 & ~umask)
            return
        with suppress(PermissionError):
            os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, stat.S_IMODE(old.st_mode))

    def _sync_directory(self) -> None:
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class _Endpoint:
    """A socket of the simulated kernel whose first changing request takes the file's lock."""

    def __init__(self, file: TableFile) -> None:
        self._file = file
        self._connect(file.load())
        self._writing = False

    def _connect(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._socket = NetlinkSocket(namespace, cap_ack=True, ext_ack=True, sndbuf=_SEND_BUFFER)
        self._unchanged = namespace.changes

    def send(self, data: bytes) -> None:
        """Execute a datagram of requests."""
        if not self._writing and _may_change(data):
            self._file.lock()
            self._writing = True
            if self._file.stale:
                self._connect(self._file.load())
        self._socket.send(data)

    def recv(self, size: int) -> bytes:
        """The next datagram; BlockingIOError when there is none."""
        return self._socket.recv(size)

    def proc(self, name: str) -> Iterable[str]:
        """The lines of the simulated ``/proc/net/NAME``."""
        return self._socket.proc(name)

    def finish(self) -> None:
        """Write what was changed."""
        if self._writing and self.namespace.changes != self._unchanged:
            self._file.save(self.namespace)


@contextmanager
def opened(path: str | None = None) -> Iterator[_Endpoint]:
    """The simulated kernel whose table is in ``path`` (default :func:`default_path`); what was changed is written at the
    end, unless an exception ends it. LinkError where the file can't be read or written, is locked, or is no table."""
    file = TableFile(path)
    try:
        endpoint = _Endpoint(file)
        yield endpoint
        endpoint.finish()
    finally:
        file.unlock()


def _may_change(data: bytes) -> bool:
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


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _trouble(path: Path, wrong: OSError) -> LinkError:
    return LinkError(wrong.errno or errno.EIO, f"{path}: {wrong.strerror or wrong}")
