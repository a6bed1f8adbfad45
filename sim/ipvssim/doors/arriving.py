"""Packets of a capture that come into a kernel at their own pace, while its loop does other things.

A thread reads the capture and waits, since a capture may be a pipe that has nothing for hours. Packets go to the loop by a
pair of sockets, so that the kernel is in one thread's hands.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

from ipvssim.clock import SECOND
from ipvssim.doors.captures.files import STANDARD_INPUT
from ipvssim.doors.captures.frame import CaptureError
from ipvssim.doors.sending import captured

_LONGEST = 1 << 17
_BEGIN = b"\0"
"""No packet is so short."""


class Arriving:
    """Plays ``source`` once the loop turns: ``packet`` is handed each packet in the loop's thread, ``complain`` the reason
    why the rest does not come. ``-`` is standard input: it becomes ours, and programs that are started from now on have an
    empty one. OSError where there is no such file, CaptureError where standard input is a terminal."""

    def __init__(self, source: Path, packet: Callable[[bytes], object], complain: Callable[[str], object]) -> None:
        self._name = str(source)
        self._source = _standard_input() if self._name == STANDARD_INPUT else source
        self._source.stat()
        self._packet, self._complain = packet, complain
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reader: Thread | None = None
        self._theirs.send(_BEGIN)

    def fileno(self) -> int:
        """Readable when :meth:`arrived` has something to do."""
        return self._ours.fileno()

    def arrived(self) -> bool:
        """Hand on one packet; False where no more will come. The first time the reading begins: a thread that ran already
        when the program was forked off might hold a lock there for ever."""
        data = self._ours.recv(_LONGEST)
        if data == _BEGIN and self._reader is None:
            self._reader = Thread(target=self._read, daemon=True)
            self._reader.start()
        elif data:
            self._packet(data)
        return bool(data)

    def close(self) -> None:
        """Let no more come."""
        self._ours.close()

    def _read(self) -> None:
        began: float | None = None
        try:
            for packet in captured(self._source):
                began = monotonic() - packet.when / SECOND if began is None else began
                sleep(max(began + packet.when / SECOND - monotonic(), 0))
                try:
                    self._theirs.send(packet.data)
                except OSError:  # the loop has ended
                    return
        except (CaptureError, OSError) as wrong:
            self._complain(f"--packets: {str(wrong).replace(str(self._source), self._name)}")
        finally:
            self._theirs.close()


def _standard_input() -> Path:
    """A name for what standard input was. Python's own reader of it must not be used in a thread that may be in the midst of
    reading when the program ends."""
    if os.isatty(0):
        raise CaptureError("-: standard input is a terminal: nothing to read")
    kept = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return Path(f"/dev/fd/{kept}")
