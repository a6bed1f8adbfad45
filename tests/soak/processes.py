"""Commands in forked processes, ended by signals at chosen moments.

A process begins with everything imported, so a command takes milliseconds. A moment is a count of Python's own events (a
call, a return, of a function or of C): it lies between any two system calls, and the same count is the same moment again.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

BOTH = (signal.SIGINT, signal.SIGTERM)
FAULT = 99
"""The exit status of an exception that nobody caught."""
_NEVER = 1 << 60


class Shot(NamedTuple):
    """A signal, and when: after so many events of the whole command, or (``writing``) of it from its first write on."""

    number: int
    event: int
    writing: bool


class Ended(NamedTuple):
    """How a command ended: the status of waitpid, and what it said."""

    status: int
    out: str
    errors: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended it, which it did not handle."""
        return os.WIFSIGNALED(self.status)

    @property
    def code(self) -> int:
        """The exit status of one that ended by itself."""
        return os.waitstatus_to_exitcode(self.status)


class Length(NamedTuple):
    """How many events a command has: all, and from its first write on; and how many seconds it takes."""

    events: int
    writing: int
    seconds: float


class _Events:
    """Counts a command's events, in its own process, and shoots."""

    def __init__(self, folder: str, shots: Sequence[Shot]) -> None:
        self.all = self.written = 0
        self._folder, self._process = folder, os.getpid()
        self._writing = False
        self._early = sorted((shot.event, shot.number) for shot in shots if not shot.writing)
        self._late = sorted((shot.event, shot.number) for shot in shots if shot.writing)

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        """A file that is new begins the writing."""
        if event == "open" and not self._writing and isinstance(path := arguments[0], str | bytes | os.PathLike):
            flags = arguments[2]
            making = isinstance(flags, int) and flags & os.O_CREAT and not os.fsdecode(path).endswith(".lock")
            self._writing = bool(making) and os.fsdecode(path).startswith(self._folder)

    def profile(self, *_: object) -> None:
        """One event; none in a process that the command forks."""
        if os.getpid() != self._process:
            sys.setprofile(None)
            return
        self.all += 1
        if self._early and self.all >= self._early[0][0]:
            os.kill(os.getpid(), self._early.pop(0)[1])
        if self._writing:
            self.written += 1
            if self._late and self.written >= self._late[0][0]:
                os.kill(os.getpid(), self._late.pop(0)[1])


def start(
    main: Callable[[], int], folder: Path, stdin: str = "", shots: Sequence[Shot] = (), *, counted: bool = True
) -> int:  # fmt: skip
    """Begin a command in a process, and a process group, of its own; its number. What comes before it runs waits."""
    sys.stdout.flush()
    sys.stderr.flush()
    for name in ("stdout", "stderr", "events"):  # one that is killed at once says nothing
        (folder / name).unlink(missing_ok=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)
    process = os.fork()
    if not process:
        _run(main, folder, stdin, shots, counted=counted)
    with suppress(PermissionError, ProcessLookupError):
        os.setpgid(process, process)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)
    return process


def _run(main: Callable[[], int], folder: Path, stdin: str, shots: Sequence[Shot], *, counted: bool) -> NoReturn:
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        (folder / "stdin").write_text(stdin)
        for descriptor, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", -1), (2, "stderr", -1)):
            made = os.open(folder / name, flags if flags >= 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(made, descriptor)
            os.close(made)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        events = _Events(str(folder / "w"), shots)
        if counted:
            sys.addaudithook(events.audit)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)
        except KeyboardInterrupt:
            os._exit(130)  # nothing was begun
        if counted:
            sys.setprofile(events.profile)
        status = main()
        sys.setprofile(None)
        signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)
        sys.stdout.flush()
        sys.stderr.flush()
        (folder / "events").write_text(f"{events.all} {events.written}")
        os._exit(status)
    except BaseException as wrong:
        sys.setprofile(None)
        import traceback

        with suppress(BaseException):
            if isinstance(wrong, SystemExit):
                os._exit(int(wrong.code or 0))
            if isinstance(wrong, KeyboardInterrupt) and _outside(wrong):
                os._exit(130)  # it came before the program's first line, or behind its last one
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(FAULT)


def _outside(wrong: BaseException) -> bool:
    """Whether an interrupt came where Python itself begins or ends a program, and no line of ours was at work."""
    here, trace = 0, wrong.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        here += "/ipvsnl/" in code.co_filename or "/ipvssim/" in code.co_filename
        trace = trace.tb_next
    return here <= 1


def finish(process: int, folder: Path) -> Ended:
    """Wait for its end, and for that of all that it began: AssertionError where something outlives it by seconds."""
    status = os.waitpid(process, 0)[1]
    deadline = time.monotonic() + 60
    while _alive(process):
        assert time.monotonic() < deadline, "a process of its group is still there after 20 s"
        time.sleep(0.01)
    said = [
        (folder / name).read_text(errors="replace") if (folder / name).exists() else "" for name in ("stdout", "stderr")
    ]
    return Ended(status, *said)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError as wrong:
        return wrong.errno != errno.ESRCH
    return True


def length(main: Callable[[], int], folder: Path, stdin: str = "") -> Length:
    """Carry a command out, and count."""
    ended = finish(start(main, folder, stdin), folder)
    assert not ended.killed, ended
    everything, writing = map(int, (folder / "events").read_text().split())
    began = time.perf_counter()
    finish(start(main, folder, stdin, counted=False), folder)
    return Length(everything, writing, time.perf_counter() - began)


def aimed(chance: random.Random, of: Length, numbers: Sequence[int]) -> list[Shot]:
    """Signals in a row, each at a moment of the writing, or (a third) of the whole command."""
    shots = []
    for number in numbers:
        writing = bool(of.writing) and chance.random() < 0.67
        shots.append(Shot(number, chance.randint(1, (of.writing if writing else of.events) or _NEVER), writing))
    return shots
