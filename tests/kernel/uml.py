#!/usr/bin/env python3
"""A real Linux kernel for one command, without root: user-mode-linux over the host's own file system.

    python tests/kernel/uml.py [--timeout SECONDS] -- COMMAND [ARG...]

boots the kernel of Debian's package `user-mode-linux`, runs COMMAND in it as root, with the caller's working
directory, environment and input, and ends with its exit status. From Python: `run(command, timeout=60)`.

Host and guest talk over one serial line (ttyS0) in frames: a kind (one byte), a length (u32) and a payload.
Host to guest: C the configuration (JSON), I input (empty: its end). Guest to host: R ready, O output, E errors, X the
exit status. The guest's side, its process 1, is guest.py beside this file; the two need frames.py and machine.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from frames import Unframer, frame, write_all
from machine import Guest, MissingError, kernel_release

__all__ = ["BootError", "MissingError", "kernel_release", "run"]
EXIT_TIMEOUT, EXIT_MISSING, EXIT_BOOT = 124, 69, 70


class BootError(RuntimeError):
    """The kernel did not come up, or died; the message ends with its console's last lines."""


class Conversation:
    """Carries input, output and the exit status between the caller and the guest."""

    def __init__(
        self, guest: Guest, first: bytes, source: int | None, sink: Callable[[bytes, bytes], None], typing: bool
    ) -> None:
        self.guest, self.sink, self.source, self.typing = guest, sink, source, typing
        self.first, self.pending = first, bytearray()
        self.ready, self.status, self.ended = False, -1, False
        self.messages: deque[bytes] = deque(maxlen=64)
        self.frames = Unframer()
        self.interrupted = 0.0

    def hold(self, deadline: float | None) -> int:
        """Until the command's end: its exit status. Raises TimeoutError, BootError."""
        while not self.ended:
            left = 3600.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            poll = selectors.PollSelector()
            poll.register(self.guest.answers, selectors.EVENT_READ, self.answered)
            poll.register(self.guest.console, selectors.EVENT_READ, self.said)
            if self.pending:
                poll.register(self.guest.line, selectors.EVENT_WRITE, self.send)
            elif self.source is not None and self.ready:
                poll.register(self.source, selectors.EVENT_READ, self.typed)
            for key, _ in poll.select(left):
                key.data()
        return self.status

    def send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            del self.pending[: os.write(self.guest.line, self.pending[:4096])]

    def said(self) -> None:
        data = os.read(self.guest.console, 65536)
        self.messages.append(data)
        if not data or b"Kernel panic" in data:
            time.sleep(0.2)
            os.set_blocking(self.guest.console, False)
            with contextlib.suppress(BlockingIOError):
                self.messages.append(os.read(self.guest.console, 65536))
            lines = b"".join(self.messages).decode(errors="replace").splitlines()
            keep = next((i for i, line in enumerate(lines) if "Kernel panic" in line), len(lines))
            state = "died" if self.ready else "did not boot"
            raise BootError(
                f"the kernel {state}; its console's last lines:\n" + "\n".join(lines[max(keep - 15, 0) : keep + 2])
            )

    def typed(self) -> None:
        data = os.read(self.source, 4096) if self.source is not None else b""
        if not data:
            self.source = None
        for _ in range(data.count(b"\x03") if self.typing else 0):  # the second Ctrl-C within two seconds is ours
            if time.monotonic() - self.interrupted < 2:
                raise KeyboardInterrupt
            self.interrupted = time.monotonic()
        self.pending += frame(b"I", data)

    def answered(self) -> None:
        for kind, payload in self.frames.feed(os.read(self.guest.answers, 65536)):
            if kind == b"R":
                self.ready = True
                self.pending += self.first
            elif kind == b"X":
                self.status, self.ended = int(payload), True
            else:
                self.sink(kind, payload)


def boot(
    command: Sequence[str],
    sink: Callable[[bytes, bytes], None],
    *,
    source: int | None,
    timeout: float | None,
    env: Mapping[str, str] | None,
    cwd: str | None,
    modules: Sequence[str],
    memory: str,
    terminals: str = "",
) -> int:
    """Boots, runs, ends; the exit status. `terminals`: which of O and E are terminals, and I for input as typed."""
    deadline = None if timeout is None else time.monotonic() + timeout
    config = {
        "command": list(command),
        "env": dict(os.environ if env is None else env),
        "terminals": terminals,
        "cwd": os.path.abspath(cwd or os.getcwd()),
        "modules": list(modules),
        "size": window_size(terminals),
    }
    guest = Guest(memory)
    try:
        first = frame(b"C", json.dumps(config).encode())
        return Conversation(guest, first, source, sink, "I" in terminals).hold(deadline)
    finally:
        guest.kill()


def run(
    command: Sequence[str],
    *,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    input: bytes = b"",
    modules: Sequence[str] = (),
    memory: str = "512M",
) -> subprocess.CompletedProcess[bytes]:
    """Runs `command` in a kernel of its own and returns status, stdout and stderr, as subprocess.run does.

    Raises MissingError, BootError, and subprocess.TimeoutExpired (`timeout` is in seconds and includes the boot).
    """
    caught = {b"O": bytearray(), b"E": bytearray()}
    source = os.memfd_create("input")
    write_all(source, input)
    os.lseek(source, 0, os.SEEK_SET)
    try:
        status = boot(
            command,
            lambda kind, data: caught[kind].extend(data),
            source=source,
            timeout=timeout,
            env=env,
            cwd=cwd,
            modules=modules,
            memory=memory,
        )
    except TimeoutError:
        raise subprocess.TimeoutExpired(list(command), timeout or 0, bytes(caught[b"O"]), bytes(caught[b"E"])) from None
    finally:
        os.close(source)
    return subprocess.CompletedProcess(list(command), status, bytes(caught[b"O"]), bytes(caught[b"E"]))


def window_size(terminals: str) -> str:
    size = fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8)) if "O" in terminals else bytes(8)
    return size.hex()


def stop(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="uml.py", description="Runs COMMAND as root in a Linux kernel of its own.")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="end it all after so long, with exit status 124"
    )
    parser.add_argument("--memory", default="512M", help="the kernel's memory (512M)")
    parser.add_argument("--module", action="append", default=[], help="load this kernel module too (again for more)")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    chosen = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    foreground = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    terminals = "".join(name for name, fd in zip("OE", (1, 2), strict=True) if os.isatty(fd))
    terminals += "I" if foreground and "O" in terminals else ""
    before = termios.tcgetattr(0) if "I" in terminals else None
    try:
        if before:
            tty.setraw(0, termios.TCSADRAIN)
        return boot(
            chosen.command,
            lambda kind, data: write_all(1 if kind == b"O" else 2, data),
            env=None,
            cwd=None,
            source=0 if foreground or not os.isatty(0) else None,
            timeout=chosen.timeout,
            modules=chosen.module,
            memory=chosen.memory,
            terminals=terminals,
        )
    except (MissingError, BootError) as error:
        print(f"uml.py: {error}", file=sys.stderr)
        return EXIT_MISSING if isinstance(error, MissingError) else EXIT_BOOT
    except TimeoutError:
        print(f"uml.py: not done after {chosen.timeout:g} seconds", file=sys.stderr)
        return EXIT_TIMEOUT
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        if before:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
