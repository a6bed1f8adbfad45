"""The host's half of the talk with a guest: input goes in, output and the exit status come out.

Host and guest talk over one serial line (ttyS0) in frames: a kind (one byte), a length (u32) and a payload. Host to guest:
C the configuration (JSON), I input (empty: its end). Guest to host: R ready, O output, E errors, X the exit status. The
guest's half is guest.py.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from collections import deque
from collections.abc import Callable

from ipvsnl.lab_kernel.frames import Unframer, frame
from ipvsnl.lab_kernel.machine import Guest


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
        """Pass on a part of what waits for the guest, as much as the line takes now."""
        with contextlib.suppress(BlockingIOError):
            del self.pending[: os.write(self.guest.line, self.pending[:4096])]

    def said(self) -> None:
        """Keep the console's messages; BootError where they are a panic's, or the console has closed."""
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
        """Take the caller's input; KeyboardInterrupt at the second Ctrl-C within two seconds."""
        data = os.read(self.source, 4096) if self.source is not None else b""
        if not data:
            self.source = None
        for _ in range(data.count(b"\x03") if self.typing else 0):  # the second Ctrl-C within two seconds is ours
            if time.monotonic() - self.interrupted < 2:
                raise KeyboardInterrupt
            self.interrupted = time.monotonic()
        self.pending += frame(b"I", data)

    def answered(self) -> None:
        """Take what the guest says: it is ready, output, or the exit status."""
        for kind, payload in self.frames.feed(os.read(self.guest.answers, 65536)):
            if kind == b"R":
                self.ready = True
                self.pending += self.first
            elif kind == b"X":
                self.status, self.ended = int(payload), True
            else:
                self.sink(kind, payload)
