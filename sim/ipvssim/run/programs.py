"""Programs on a kernel of this process: they go on while one waits for them, and stand still at IPVS otherwise.

Nothing happens to the kernel behind its owner's back: a call about IPVS (and each path that a program opens) is held until
somebody waits. So a test may let virtual time pass, hand in packets and look at the table between a program's steps.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from time import monotonic
from typing import IO, NamedTuple

from ipvssim.run import launch
from ipvssim.run.supervisor import Supervisor
from ipvssim.run.worlds import AnyKernel, Worlds

_SOON = 5.0
"""Seconds that killed programs may take to go."""


class Completed(NamedTuple):
    """What became of a program: its exit status (negative: the signal that ended it), what it wrote, and its messages."""

    status: int
    stdout: str
    stderr: str


class Program:
    """One program that was started. As a context manager it is ended, with whatever it started, when the block is left."""

    def __init__(self, programs: Programs, words: Sequence[str], stdin: str, environment: Mapping[str, str]) -> None:
        self._programs = programs
        self.words = list(words)
        self._status: int | None = None
        with ExitStack() as opened:
            files: list[IO[bytes]] = [opened.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            files[0].write(stdin.encode())
            files[0].seek(0)
            self.pid, listener = launch.begin(
                words, launch.surroundings(environment), prepare=lambda: _become_child(files)
            )
            self._files = files
            self._opened = opened.pop_all()
        self._handle = os.pidfd_open(self.pid)
        programs.supervisor.adopt(listener)
        programs.supervisor.watch(self._handle, lambda _: self._ended())

    @property
    def status(self) -> int | None:
        """Its exit status, negative where a signal ended it; None while it runs."""
        return self._status

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return self._text(1)

    @property
    def stderr(self) -> str:
        """Its messages so far."""
        return self._text(2)

    def wait(self, timeout: float = 60) -> Completed:
        """Let it go on to its end. TimeoutError after ``timeout`` seconds; then it runs still."""
        self.until(lambda: self._status is not None, timeout)
        return Completed(self._status or 0, self.stdout, self.stderr)

    def until(self, happened: Callable[[], bool], timeout: float = 60) -> None:
        """Let all programs of the kernel go on until something has happened; ``happened`` is asked after each of their
        steps. TimeoutError after ``timeout`` seconds."""
        until = monotonic() + timeout
        while not happened():
            left = until - monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.words[0]}: it has not happened in {timeout:g} s")
            self._programs.supervisor.turn(min(left, 0.1))

    def go_on(self, seconds: float) -> None:
        """Let all programs of the kernel go on for some time of the machine's clock."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            self._programs.supervisor.turn(left)

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs still."""
        if self._status is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        """End it by SIGKILL, if it runs still, and whatever it started (and did not move to another session)."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._status is None:
            self.wait(_SOON)
        self._opened.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ended(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self._programs.supervisor.unwatch(self._handle)
        os.close(self._handle)
        self._status = os.waitstatus_to_exitcode(status)

    def _text(self, which: int) -> str:
        descriptor = self._files[which].fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")


class Programs:
    """All programs of one kernel. Calling it runs one to its end; ``start`` begins one that goes on."""

    def __init__(self, kernel: AnyKernel, make: Callable[[], AnyKernel]) -> None:
        self._worlds = Worlds(kernel, make, passes=False)
        self.supervisor = Supervisor(self._worlds, complain=launch.complain)
        self._started: list[Program] = []

    def __call__(
        self,
        words: Sequence[str],
        *,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Completed:
        """Run a program to its end. RunError where programs can't be run here; TimeoutError after ``timeout`` seconds: then
        it was ended."""
        with self.start(words, stdin=stdin, environment=environment) as program:
            return program.wait(timeout)

    def start(self, words: Sequence[str], *, stdin: str = "", environment: Mapping[str, str] | None = None) -> Program:
        """Start a program. It goes on while one waits, for it or for another program of this kernel."""
        program = Program(self, words, stdin, os.environ if environment is None else environment)
        self._started.append(program)
        return program

    def close(self) -> None:
        """End all that run still, and let go."""
        for program in self._started:
            program.close()
        self.supervisor.close()
        self._worlds.close()


def _become_child(files: list[IO[bytes]]) -> None:
    """In the new process: a session of its own, its three files, and signals as programs expect them."""
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
