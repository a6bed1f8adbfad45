"""Runs one command in a kernel of its own: as a call that returns what the command wrote, or between given streams."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ipvsnl.lab_kernel.choosing import chosen
from ipvsnl.lab_kernel.conversation import Conversation
from ipvsnl.lab_kernel.frames import frame, write_all
from ipvsnl.lab_kernel.image import Image, installed
from ipvsnl.lab_kernel.machine import Guest
from ipvsnl.lab_kernel.users import User
from ipvsnl.lab_kernel.users import chosen as whose


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
    user: User | None = None,
    image: Image | None = None,
) -> int:
    """Boots, runs, ends; the exit status. `terminals`: which of O and E are terminals, and I for input as typed.

    `user`: whose process the kernel is (None: the caller's). `image`: the kernel (None: the installed one).
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    config = {
        "command": list(command),
        "env": dict(os.environ if env is None else env),
        "terminals": terminals,
        "cwd": str(Path(cwd or ".").absolute()),
        "modules": list(modules),
        "size": window_size(terminals),
    }
    guest = Guest(image or installed(), memory, user)
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
    user: str | None = None,
    release: str | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Runs `command` in a kernel of its own and returns status, stdout and stderr, as subprocess.run does.

    `user`: whose process the kernel is, where root calls (None: root's own). `release`: as ``--release`` (None: the kernel
    that is installed); fetching one does not count as time of `timeout`.

    Raises MissingError, ValueError where nothing is called like `release`,
    BootError, UserError, and subprocess.TimeoutExpired (`timeout` is in seconds and includes the boot).
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
            user=whose(user, as_root=user is None),
            image=chosen(release),
        )
    except TimeoutError:
        raise subprocess.TimeoutExpired(list(command), timeout or 0, bytes(caught[b"O"]), bytes(caught[b"E"])) from None
    finally:
        os.close(source)
    return subprocess.CompletedProcess(list(command), status, bytes(caught[b"O"]), bytes(caught[b"E"]))


def window_size(terminals: str) -> str:
    """The size of the caller's terminal, a struct winsize as hex digits; zeros without one."""
    if "O" not in terminals:
        return bytes(8).hex()
    import fcntl
    import termios

    return fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8)).hex()
