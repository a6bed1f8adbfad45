"""A kernel as a process: what it needs of the host, how it is started and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ipvsnl.lab_kernel.image import Image, MissingError
from ipvsnl.lab_kernel.places import PATH
from ipvsnl.lab_kernel.starting import Lines, command_line
from ipvsnl.lab_kernel.users import User, check

# The kernel keeps 2696 bytes of a process's floating-point state, and hands the host as many back. A host whose
# processor has AMX wants all of its 11 kilobytes, so the call that hands them over is completed with zeros.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
static char whole[1 << 16] __attribute__((aligned(64)));
long ptrace(enum __ptrace_request request, ...) {
    static long (*next)(enum __ptrace_request, ...);
    static size_t size;
    struct iovec all = {whole, sizeof whole}, *part;
    va_list rest;
    va_start(rest, request);
    int pid = va_arg(rest, int);
    void *kind = va_arg(rest, void *);
    part = va_arg(rest, struct iovec *);
    va_end(rest);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "ptrace");
    if (request != PTRACE_SETREGSET || kind != (void *)0x202) return next(request, pid, kind, part);
    if (!size) {
        if (next(PTRACE_GETREGSET, pid, kind, &all) < 0) return -1;
        size = all.iov_len;
        memset(whole, 0, sizeof whole);
    }
    memcpy(whole, part->iov_base, part->iov_len);
    all.iov_len = size;
    return next(request, pid, kind, &all);
}
"""


def shim() -> int | None:
    """On a host with AMX: the completed `ptrace` as a library in memory, its descriptor. Else nothing."""
    if "amx_tile" not in Path("/proc/cpuinfo").read_text():
        return None
    compiler = shutil.which("cc", path=PATH) or shutil.which("gcc", path=PATH)
    if not compiler:
        raise MissingError(
            "this processor has AMX, and user-mode-linux runs on it only with a small library made by"
            " a C compiler, which is not installed: apt-get install gcc libc6-dev"
        )
    fd = os.memfd_create("ptrace.so", 0)
    command = [compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", f"/proc/self/fd/{fd}", "-ldl"]
    done = subprocess.run(command, input=SHIM.encode(), pass_fds=[fd], capture_output=True, env={"PATH": PATH})
    if done.returncode:
        raise MissingError(
            f"{compiler} can't make the library that user-mode-linux needs on a processor with AMX"
            f" (apt-get install gcc libc6-dev): {done.stderr.decode(errors='replace')}"
        )
    return fd


@contextlib.contextmanager
def one_processor(turn: int) -> Iterator[None]:
    """What is started in here runs on one of the processors that this thread may use, in turn.

    The kernel uses only one, and every system call of its processes is a change between processes of the host: several
    times as fast where they need not wake each other up on another processor. IPVSNL_LAB_SPREAD=1 leaves it to the host.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if not os.environ.get("IPVSNL_LAB_SPREAD"):
        os.sched_setaffinity(0, {allowed[turn % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


class Guest:
    """A running kernel: `line` to write frames to, `answers` to read them from, `console` with its messages."""

    def __init__(self, image: Image, memory: str, user: User | None = None) -> None:
        """Start it, as ``user`` where one is given. MissingError, UserError: it was not started."""
        if user is not None:
            check(user, image.program, sys.executable, __file__)
        library = None if image.initramfs else shim()
        below, self.line = os.pipe()
        self.answers, above = os.pipe()
        self.console, messages = os.pipe()
        passed = [below, above, messages] + ([] if library is None else [library])
        environment = dict(os.environ, **({} if library is None else {"LD_PRELOAD": f"/proc/self/fd/{library}"}))
        if image.libraries:
            environment["LD_LIBRARY_PATH"] = image.libraries
        try:
            with one_processor(os.getpid()):
                self.process = subprocess.Popen(
                    command_line(image, memory, Lines(below, above, messages)),
                    stdin=below if image.initramfs else subprocess.DEVNULL,
                    stdout=above if image.initramfs else messages,
                    stderr=messages,
                    pass_fds=passed,
                    env=environment,
                    start_new_session=True,
                    user=None if user is None else user.number,
                    group=None if user is None else user.group,
                    extra_groups=None if user is None else [],
                )
        finally:
            for fd in passed:
                os.close(fd)
        os.set_blocking(self.line, False)

    def kill(self) -> None:
        """End the kernel with all its processes, however it is; the descriptors are closed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for fd in (self.line, self.answers, self.console):
            os.close(fd)
