"""Copies of other processes' descriptors, by their threads."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ipvssim.run import tracee
from ipvssim.run.core import core
from tests.ipvssim.run.programs import needs

WAYS = [tracee.copied]
if core is not None:
    from ipvssim.run import native

    WAYS.append(native.copied)
_THREAD = """
import os, threading
def work():
    print(threading.get_native_id(), os.pipe()[0], flush=True)
    input()
one = threading.Thread(target=work)
one.start()
one.join()
print("ended", flush=True)
input()
"""


@needs()
@pytest.mark.parametrize("handles_of_threads", [True, False])
@pytest.mark.parametrize("copied", WAYS)
def test_a_threads_descriptors_are_copied_while_it_lives(
    copied: Callable[[int, int], tuple[int, tracee.File]], handles_of_threads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the thread's own number, also where the kernel has handles of processes alone (before Linux 6.9); and a thread that
    is gone has none, though its process lives on. In Python, and in C where there is that."""
    if not handles_of_threads:
        monkeypatch.setattr(tracee, "_PIDFD_THREAD", 1 << 30)  # a flag that no kernel knows: EINVAL
    with subprocess.Popen(
        [sys.executable, "-c", _THREAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None and program.stdout is not None
        thread, descriptor = map(int, program.stdout.readline().split())
        copies = tracee.Descriptors(copied)
        for _ in range(2):
            copy, file = copies.copy(thread, descriptor)
            assert file == tracee.file_of(copy)
            assert os.readlink(f"/proc/self/fd/{copy}") == os.readlink(f"/proc/{thread}/fd/{descriptor}")
            os.close(copy)
        with pytest.raises(OSError) as refused:
            copies.copy(thread, 999)
        assert refused.value.errno == errno.EBADF
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "ended\n"
        while Path(f"/proc/{program.pid}/task/{thread}").exists():  # to Python it has ended a little earlier
            time.sleep(0.01)
        with pytest.raises(OSError) as gone:
            copies.copy(thread, descriptor)
        assert gone.value.errno in (errno.ESRCH, errno.ENOENT)
        copies.close()
        program.communicate("\n")
