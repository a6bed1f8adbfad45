"""Beginning a program behind the filter, and what keeps one from it."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from struct import Struct

from ipvssim.run import calls
from ipvssim.run.filter import program
from ipvssim.run.notify import failure, install, libc
from ipvssim.run.system import RunError, check_system

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of a program that could not begin, as the shells have them."""
TOOLS = Path(__file__).with_name("tools")
"""What stands first in a program's PATH: ``modprobe``, which has nothing to do for ip_vs."""
_DIES_WITH_PARENT, _SUBREAPER = 1, 36
_PIDFD_GETFD = 438
_NUMBER = Struct("=i")


def complain(text: str) -> None:
    """Say something on standard error, whatever Python has put before it."""
    os.write(2, f"ipvssim run: {text}\n".encode(errors="surrogateescape"))


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program: its own, with our ``modprobe`` before the system's."""
    return {**environment, "PATH": os.pathsep.join((str(TOOLS), environment.get("PATH", os.defpath)))}


def begin(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    prepare: Callable[[], object] = lambda: None,
) -> tuple[int, int]:
    """Start a program: its process, and the listener's descriptor. ``prepare`` is called in the new process, before it
    becomes the program; where it can't become it, a line on its standard error says why. RunError where it can't be held."""
    machine = check_system()
    code = program(machine)
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(from_child)
            os.close(to_child)
            prepare()
            libc.prctl(_DIES_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
            os.write(to_parent, _held(code, machine))
            if os.read(from_parent, 1):
                _become(words, environment)
        finally:
            os._exit(NOT_FOUND)
    os.close(to_parent)
    os.close(from_parent)
    try:
        listener = _fetched(child, os.read(from_child, _NUMBER.size))
        os.write(to_child, b"g")
        return child, listener
    except BaseException:
        os.close(to_child)
        to_child = -1
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(from_child)
        if to_child >= 0:
            os.close(to_child)


def be_reaper() -> None:
    """Let processes that lose their parent become ours: a zombie that nobody waits for keeps its filter, and we would never
    hear that the last one is gone (until Linux 6.11)."""
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)


# --- in the new process ---


def _held(code: bytes, machine: calls.Machine) -> bytes:
    """The descriptor of the listener, or the errno as a negative number. From here on nothing may be imported or opened:
    nobody answers yet."""
    try:
        return _NUMBER.pack(install(code, machine))
    except OSError as wrong:
        return _NUMBER.pack(-(wrong.errno or errno.EIO))


def _become(words: Sequence[str], environment: Mapping[str, str]) -> None:
    try:
        os.execvpe(words[0], list(words), dict(environment))
    except OSError as wrong:
        complain(f"{words[0]}: {wrong.strerror}")
        os._exit(NOT_FOUND if wrong.errno == errno.ENOENT else NOT_EXECUTABLE)


# --- in ours ---


def _fetched(child: int, told: bytes) -> int:
    """The listener, taken out of the new process. RunError."""
    if len(told) < _NUMBER.size:
        raise RunError("the new process ended before it began")
    number = _NUMBER.unpack(told)[0]
    if number < 0:
        raise RunError(_REFUSED.get(-number, f"its system calls can't be held: {os.strerror(-number)}"))
    handle = os.pidfd_open(child)
    try:
        found = libc.syscall(ctypes.c_long(_PIDFD_GETFD), handle, number, 0)
        if found < 0:
            raise RunError(
                f"this system lets no process look into its children ({failure().strerror}): see "
                "/proc/sys/kernel/yama/ptrace_scope (2 and 3 forbid it), and the container's seccomp profile"
            )
        return int(found)
    finally:
        os.close(handle)


_REFUSED = {
    errno.EBUSY: "it is run by a program that holds system calls already (ipvssim run within ipvssim run, or a "
    "container that does)",
    errno.ENOSYS: "this kernel, or the container's seccomp profile, has no seccomp()",
    errno.EINVAL: "this kernel was built without user notification of seccomp",
}
