"""Files that are read whole and replaced whole, and nothing but regular ones: what a path leads to may be anything."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager, suppress
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import BinaryIO


def _flags(*names: str) -> int:
    """Flags of open by their names, as far as this system has them."""
    return sum(getattr(os, name, 0) for name in names)


_NO_WAIT = _flags("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
_NO_LINK = _flags("O_NOFOLLOW")
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_NEW = ".new"


def read(path: Path, beginning: bytes) -> tuple[bytes, os.stat_result]:
    """A regular file's bytes, and its status; only its first bytes where it does not begin as it should (it may be endless).

    OSError: as of open, EISDIR for a directory, EINVAL for a FIFO, device or socket; none of them is waited for.
    """
    handle = os.open(path, os.O_RDONLY | _NO_WAIT)
    try:
        status = os.fstat(handle)
        _refuse_other(path, status.st_mode)
    except BaseException:
        os.close(handle)
        raise
    with open(handle, "rb") as file:  # noqa: PTH123
        head = file.read(len(beginning))
        return head + (file.read() if head == beginning else b""), status


def check_writable(path: Path) -> None:
    """OSError where :func:`replace` would take a file away from under its permissions (EACCES), or no regular one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    _refuse_other(path, mode)
    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def check_lock(path: Path) -> None:
    """OSError where a lock file can't be: ELOOP for a symbolic link, ENOENT where no file can be made, and so on."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK | _NO_WAIT, 0o644)
    try:
        _refuse_other(path, os.fstat(handle).st_mode)
    finally:
        os.close(handle)


def replace(path: Path, data: bytes, *, mode: int | None = None) -> os.stat_result:
    """Another file, whole and on the disk, takes the name and the permissions; its status. OSError: the old one stays.

    ``mode`` are permissions that it gets whoever had the name (None: the old file's, or those of any new one).
    """
    with whole(path, mode=mode) as file:
        file.write(data)
    return path.stat()


@contextmanager
def whole(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file to write to, beside ``path``: it takes its name and its permissions (or ``mode``) once the block is done, whole
    and on the disk. With any exception the old one stays, and nothing beside it; OSError names ``path`` where none can be
    made. What killed writers of ``path`` left behind is removed."""
    check_writable(path)
    sweep(path)
    new = _beside(path)
    try:  # from before there is a file: an interrupt leaves none behind
        while not _claimed(file := open(new, "xb", opener=_private)):  # noqa: SIM115
            file.close()
            new = _beside(path)
        with file:
            yield file
            file.flush()
            _permit(file.fileno(), path, mode)
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException as wrong:
        named = isinstance(wrong, OSError) and wrong.filename == os.fspath(new)
        if not (named and isinstance(wrong, FileExistsError)):  # then it is another's
            with suppress(OSError):
                new.unlink()
        if named and isinstance(wrong, OSError):
            raise type(wrong)(wrong.errno, wrong.strerror, str(path)) from None
        raise
    _sync_directory(path.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}{_NEW}")


def _private(name: str, flags: int) -> int:
    """Opens a file that nobody else reads before it has its permissions."""
    return os.open(name, flags, 0o600)


def sweep(path: Path) -> None:
    """Remove what writers of ``path`` that were killed left behind. A writer that lives has its half-written file locked, so
    whatever has the name of one and can be locked is stale."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(_NEW)}")
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_stale(Path(entry.path))


def _remove_stale(new: Path) -> None:
    if _fcntl() is None:  # Windows: a file that is open can't be removed
        new.unlink()
        return
    handle = os.open(new, os.O_RDONLY | _NO_WAIT | _NO_LINK)
    try:
        _lock(handle)
        new.unlink()
    finally:
        os.close(handle)  # and with it the lock goes


def _claimed(file: BinaryIO) -> bool:
    """Lock a new file for as long as it is open, also where its writer is killed; False where a sweep was quicker, and took
    it away. Where there are no locks, nothing is ever swept."""
    try:
        _lock(file.fileno())
    except OSError as wrong:
        return wrong.errno not in (errno.EAGAIN, errno.EACCES)
    return _fcntl() is None or os.fstat(file.fileno()).st_nlink > 0


def _lock(handle: int) -> None:
    """OSError where another process has it locked, or the file system has no locks."""
    if (fcntl := _fcntl()) is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _fcntl() -> ModuleType | None:
    """The module, which Windows lacks."""
    try:
        import fcntl
    except ImportError:
        return None
    return fcntl


def _refuse_other(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "no file")
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, f"{kind}, and no regular file", str(path))


def _permit(handle: int, path: Path, mode: int | None) -> None:
    """``mode``, or as the file has them that is replaced, or as a new file's are; nothing on Windows, where the directory
    decides."""
    if not hasattr(os, "fchown") or not hasattr(os, "fchmod"):
        return
    if mode is not None:
        os.fchmod(handle, mode)
        return
    try:
        old = path.stat()
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        return
    with suppress(PermissionError):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _sync_directory(path: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no directories
        return
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
