"""One program at the terminal: its signals, its stops, its end are those of the command that runs it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct
from time import monotonic

from ipvssim.run import launch
from ipvssim.run.joining import hand_over
from ipvssim.run.notify import failure, libc
from ipvssim.run.supervisor import Supervisor

_PATIENCE = 2.0
"""Seconds."""
_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
    signal.SIGCONT, signal.SIGALRM, signal.SIGPIPE,
)  # fmt: skip
_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_INFORMATION = Struct("=Iii116x")
"""struct signalfd_siginfo: the signal, an errno, where it came from."""
_FROM_KERNEL = 0x80
"""The terminal sends to all processes of a group: the program has got it, too."""
_GROUPS_TOO = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGWINCH)


class Session:
    """Runs one program to its end, with all that it leaves behind. ``joined`` is the connection to another run, which
    answers for it instead of the supervisor."""

    def __init__(self, supervisor: Supervisor, joined: socket.socket | None = None) -> None:
        self._supervisor, self._joined = supervisor, joined
        self._program = 0
        self._status: int | None = None
        self._asked = 0
        self._killed_by = 0

    def run(self, words: Sequence[str], environment: dict[str, str]) -> int:
        """The exit status of the program, 128 and the signal's number where one ended it (see :func:`leave`). RunError."""
        chosen = {*_FORWARDED, *_STOPS, signal.SIGCHLD}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, chosen)
        handle = _signals(chosen)
        limits = _many_descriptors()
        launch.be_reaper()
        try:
            self._program, listener = launch.begin(words, environment, prepare=lambda: _restored(before, limits))
            self._answered_for(listener)
            self._supervisor.watch(handle, lambda _: self._signalled(handle))
            self._reap()
            while self._status is None:
                self._supervisor.turn()
            self._see_off()
        finally:
            self._supervisor.unwatch(handle)
            os.close(handle)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._status

    def _answered_for(self, listener: int) -> None:
        if self._joined is None:
            self._supervisor.adopt(listener)
            return
        hand_over(self._joined, listener)
        self._supervisor.watch(self._joined.fileno(), lambda _: self._lost())

    def _lost(self) -> None:
        """The run that answered has gone: from now on the program's calls about IPVS fail, so it is ended, too."""
        assert self._joined is not None
        self._supervisor.unwatch(self._joined.fileno())
        if self._status is None:
            launch.complain("the simulated kernel has gone, and the program is ended with it")
            _send(self._program, signal.SIGKILL)

    def _see_off(self) -> None:
        """The program has ended: go on until what it left behind has, too, and say what for, if that lasts."""
        until = monotonic() + _PATIENCE
        said = False
        while self._supervisor.busy:
            self._supervisor.turn(None if said else max(until - monotonic(), 0))
            if not said and monotonic() >= until and self._supervisor.busy:
                said = True
                launch.complain(
                    f"the program has ended, and {len(_children())} processes that it left behind have not: Ctrl-C ends them"
                )

    def _signalled(self, handle: int) -> None:
        with suppress(BlockingIOError):
            while True:
                number, _, origin = _INFORMATION.unpack(os.read(handle, _INFORMATION.size))
                if number == signal.SIGCHLD:
                    self._reap()
                elif number in _STOPS:
                    continue  # the terminal's: the program has it, too, and we follow where it stops
                elif self._status is not None:
                    self._end(number)
                elif origin != _FROM_KERNEL or number not in _GROUPS_TOO:
                    _send(self._program, number)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                process, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
                if process == 0:
                    return
                if os.WIFSTOPPED(status):
                    self._stopped(process, os.WSTOPSIG(status))
                elif process == self._program:
                    ended = os.WIFSIGNALED(status)
                    self._status = 128 + os.WTERMSIG(status) if ended else os.WEXITSTATUS(status)
                    self._killed_by = os.WTERMSIG(status) if ended else 0

    def _stopped(self, process: int, number: int) -> None:
        """The terminal stopped the program: stop, too, so that the shell goes on; continued, let it go on."""
        if process == self._program and number in _STOPS:
            os.kill(os.getpid(), signal.SIGSTOP)
            _send(self._program, signal.SIGCONT)

    def _end(self, number: int) -> None:
        """The program has ended, and what it left behind is asked to: the second time, by SIGKILL."""
        if number in _ENDING:
            self._asked += 1
            for process in _children():
                _send(process, number if self._asked == 1 else signal.SIGKILL)

    def leave(self) -> None:
        """End by the signal that ended the program, so that whoever waits sees the same."""
        if self._killed_by:
            with suppress(OSError):
                resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
            number = self._killed_by
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            os.kill(os.getpid(), number)


def _signals(chosen: set[signal.Signals]) -> int:
    """A descriptor from which blocked signals are read."""
    mask = bytearray(128)
    for number in chosen:
        mask[(number - 1) // 8] |= 1 << (number - 1) % 8
    found = libc.signalfd(-1, (ctypes.c_char * len(mask)).from_buffer(mask), os.O_NONBLOCK | os.O_CLOEXEC)
    if found < 0:
        raise failure("signalfd")
    return int(found)


def _many_descriptors() -> tuple[int, int]:
    """Allow ourselves as many descriptors as we may have, one for each socket of a program; the limits before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def _restored(mask: set[int | signal.Signals], limits: tuple[int, int]) -> None:
    """In the new process: limits and signals as the command found them. Python ignores SIGPIPE, which programs do not
    expect."""
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _send(process: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def _children() -> list[int]:
    with open("/proc/thread-self/children") as file:  # noqa: PTH123
        return [int(word) for word in file.read().split()]
