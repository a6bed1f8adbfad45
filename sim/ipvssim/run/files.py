"""The files of IPVS as programs open them: ``/proc/net/ip_vs*`` and the tunables in ``/proc/sys/net/ipv4/vs``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from errno import EACCES, EEXIST, EINVAL, ENOTDIR, EOPNOTSUPP
from struct import Struct

from ipvssim.run.notify import Call
from ipvssim.run.outcome import KEPT, PASS, Outcome
from ipvssim.run.paths import Path, named, status, status_x
from ipvssim.run.reach import put, read
from ipvssim.run.worlds import World, Worlds
from ipvssim.state import procfs
from ipvssim.state.sysctls import PREFIX

_HOW = Struct("=QQQ")
"""struct open_how: flags, mode, resolve."""
_LONGEST = 4096


class Writer:
    """A tunable that a program has open for writing: whatever it writes comes out of ``channel``."""

    def __init__(self, world: World, name: str, channel: socket.socket) -> None:
        self.world, self.name, self.channel = world, name, channel

    def catch_up(self) -> list[str]:
        """Set the tunable to what was written; what has to be said of it: what is not modelled, and refusals, which come too
        late for the program's ``write``."""
        words: list[str] = []
        while True:
            try:
                text = self.channel.recv(_LONGEST, socket.MSG_DONTWAIT).decode(errors="replace")
            except OSError:
                return words
            if not text:
                return words
            try:
                missing = self.world.kernel.namespace.write_sysctl(PREFIX + self.name, text)
            except OSError as wrong:
                missing = f"{wrong.strerror} (the program was not told)"
            if missing:
                words.append(missing)


class Files:
    """Answers for them. ``watch`` is told of tunables that are opened for writing."""

    def __init__(self, worlds: Worlds, watch: Callable[[Writer], object]) -> None:
        self._worlds, self._watch = worlds, watch

    def open(self, call: Call) -> Outcome:
        """``open``."""
        return self._opened(call, call.a0, call.a1)

    def openat(self, call: Call) -> Outcome:
        """``openat``."""
        return self._opened(call, call.a1, call.a2)

    def openat2(self, call: Call) -> Outcome:
        """``openat2``."""
        path = named(call.tid, call.a1)
        if path is None or call.a3 < _HOW.size:
            return PASS
        return self._inject(call, path, _HOW.unpack(read(call.tid, call.a2, _HOW.size))[0])

    def _opened(self, call: Call, address: int, flags: int) -> Outcome:
        path = named(call.tid, address)
        return PASS if path is None else self._inject(call, path, flags & 0xFFFFFFFF)

    def stat(self, call: Call) -> Outcome:
        """``stat`` and ``lstat``: none of these files is a link."""
        return self._told(call, named(call.tid, call.a0), call.a1, status)

    def newfstatat(self, call: Call) -> Outcome:
        """``newfstatat``."""
        return self._told(call, named(call.tid, call.a1), call.a2, status)

    def statx(self, call: Call) -> Outcome:
        """``statx``."""
        return self._told(call, named(call.tid, call.a1), call.a4, status_x)

    def access(self, call: Call) -> Outcome:
        """``access``."""
        return self._allowed(named(call.tid, call.a0), call.a1)

    def faccessat(self, call: Call) -> Outcome:
        """``faccessat`` and ``faccessat2``."""
        return self._allowed(named(call.tid, call.a1), call.a2)

    def readlink(self, call: Call) -> Outcome:
        """``readlink``: none of these files is a link."""
        return self._no_link(named(call.tid, call.a0))

    def readlinkat(self, call: Call) -> Outcome:
        """``readlinkat``."""
        return self._no_link(named(call.tid, call.a1))

    def getxattr(self, call: Call) -> Outcome:
        """``getxattr`` and ``lgetxattr``: files of ``/proc`` have no attributes."""
        path = named(call.tid, call.a0)
        return -EOPNOTSUPP if path is not None and self._exists(path) else PASS

    def listxattr(self, call: Call) -> Outcome:
        """``listxattr`` and ``llistxattr``: none."""
        path = named(call.tid, call.a0)
        return 0 if path is not None and self._exists(path) else PASS

    # --- answers ---

    def _told(self, call: Call, path: Path | None, address: int, made: Callable[[Path], bytes]) -> Outcome:
        if path is None or not self._exists(path):
            return PASS
        put(call.tid, address, made(path))
        return 0

    def _allowed(self, path: Path | None, wanted: int) -> Outcome:
        if path is None or not self._exists(path):
            return PASS
        lacking = os.W_OK if not path.name else os.X_OK if path.tunable else os.X_OK | os.W_OK
        return -EACCES if wanted & lacking else 0

    def _no_link(self, path: Path | None) -> Outcome:
        return -EINVAL if path is not None and self._exists(path) else PASS

    def _exists(self, path: Path) -> bool:
        world = self._worlds.of(path.thread)
        if not path.name:
            return True
        if path.tunable:
            return PREFIX + path.name in world.kernel.namespace.sysctls.names()
        return procfs.exists(path.name)

    def _inject(self, call: Call, path: Path, flags: int) -> Outcome:
        if not path.name or not self._exists(path):
            return PASS
        if flags & os.O_DIRECTORY:
            return -ENOTDIR
        if flags & os.O_CREAT and flags & os.O_EXCL:
            return -EEXIST
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if writes and not path.tunable:
            return -EACCES
        world = self._worlds.of(path.thread)
        self._worlds.tick(world)
        text = _tunable(world, path.name) if path.tunable else _file(world, path.name)
        close_on_exec = bool(flags & os.O_CLOEXEC)
        if not writes:
            descriptor = _readable(path.name, text)
            try:
                call.inject(descriptor, close_on_exec=close_on_exec)
            finally:
                os.close(descriptor)
            return KEPT
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            if flags & os.O_ACCMODE == os.O_RDWR:
                ours.send(text)
            ours.shutdown(socket.SHUT_WR)
            call.inject(theirs.fileno(), close_on_exec=close_on_exec)
        self._watch(Writer(world, path.name, ours))
        return KEPT


def _tunable(world: World, name: str) -> bytes:
    return f"{world.kernel.namespace.sysctls.read(PREFIX + name)}\n".encode()


def _file(world: World, name: str) -> bytes:
    return "".join(procfs.lines(world.kernel.namespace, name)).encode()


def _readable(name: str, text: bytes) -> int:
    """A descriptor, for reading alone, of a file in memory with that text."""
    whole = os.memfd_create(name)
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(whole, view) :]
        return os.open(f"/proc/self/fd/{whole}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(whole)
