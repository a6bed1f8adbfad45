"""The packaged kernel as a process: where it is, what it needs, how it is started and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ipvsnl.lab_kernel.places import KERNEL, MODULES, PATH
from ipvsnl.lab_kernel.users import User, check

PACKAGES = Path(__file__).resolve().parents[2]
"""The directory in which the package ipvsnl lies: in there the guest's process 1 finds its program."""

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


class MissingError(RuntimeError):
    """Something that the laboratory needs is not installed; the message says what, and how to get it."""


def kernel() -> str | None:
    """The kernel's program, by its absolute path; None where it is not installed."""
    found = shutil.which(KERNEL, path=PATH)
    return None if found is None else str(Path(found).absolute())


def kernel_release() -> str:
    """The release of the kernel that would be booted; raises MissingError if there is none."""
    releases = sorted(path.name for path in Path(MODULES).iterdir()) if Path(MODULES).is_dir() else []
    if not kernel() or not releases:
        what = KERNEL if not kernel() else f"{MODULES}/*"
        raise MissingError(f"user-mode-linux is not installed ({what} not found): apt-get install user-mode-linux")
    return releases[-1]


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


def _command_line(program: str, memory: str, below: int, above: int, messages: int) -> list[str]:
    """The kernel with its words: which descriptors are its serial line and its console, and what process 1 is."""
    return [
        program,
        f"mem={memory}",
        "uml_dir=/dev/null/",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        "con=null",
        f"con0=null,fd:{messages}",
        "ssl=null",
        f"ssl0=fd:{below},fd:{above}",
        "quiet",
        "log_buf_len=1M",  # a whole trace at the highest debug level
        f'IPVSNL_LAB_MODULES="{MODULES}"',  # words that the kernel does not know become init's environment
        f'PYTHONPATH="{PACKAGES}"',
        f'init="{sys.executable}"',
        *("--", "-S", "-P", "-m", "ipvsnl.lab_kernel.guest"),
    ]


class Guest:
    """A running kernel: `line` to write frames to, `answers` to read them from, `console` with its messages."""

    def __init__(self, memory: str, user: User | None = None) -> None:
        """Start it, as ``user`` where one is given. MissingError, UserError: it was not started."""
        kernel_release()
        program = kernel() or KERNEL
        if user is not None:
            check(user, program, sys.executable, __file__)
        library = shim()
        below, self.line = os.pipe()
        self.answers, above = os.pipe()
        self.console, messages = os.pipe()
        passed = [below, above, messages] + ([] if library is None else [library])
        environment = dict(os.environ, **({} if library is None else {"LD_PRELOAD": f"/proc/self/fd/{library}"}))
        try:
            with one_processor(os.getpid()):
                self.process = subprocess.Popen(
                    _command_line(program, memory, below, above, messages),
                    stdin=subprocess.DEVNULL,
                    stdout=messages,
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
