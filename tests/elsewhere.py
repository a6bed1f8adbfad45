"""What macOS and Windows lack, taken away from this Linux: a ``sitecustomize`` for a process and all its children.

The libraries are imported first, since they know where they really are. What is ours finds another system: its name, the
number of its IPv6 family, and nothing of what only Linux (or only Unix) has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PREAMBLE = """
import argparse, asyncio, concurrent.futures.process, ctypes, filelock, importlib.metadata, importlib.resources, json
import multiprocessing.popen_spawn_posix, multiprocessing.resource_tracker, multiprocessing.shared_memory
import multiprocessing.spawn, os, platformdirs, rich.console, rich.live, rich.progress, rich.table, selectors, shutil
import signal, socket, subprocess, sys, tempfile, tomllib, types, urllib.request
import numpy, numpy.random

system = os.environ["ELSEWHERE"]
linux = {
    "socket": "AF_NETLINK AF_PACKET SOCK_NONBLOCK SOCK_CLOEXEC SO_PASSCRED SO_PEERCRED SCM_CREDENTIALS SO_MARK".split(),
    "os": "sched_getaffinity sched_setaffinity memfd_create setns unshare pidfd_open O_TMPFILE O_PATH".split(),
    "signal": "SIGRTMIN SIGPWR SIGSTKFLT".split(),
}
unix = {
    "socket": "AF_UNIX SOCK_SEQPACKET CMSG_SPACE CMSG_LEN MSG_DONTWAIT MSG_TRUNC SCM_RIGHTS socketpair".split(),
    "os": "O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_CLOEXEC fchown fchmod chown fork forkpty geteuid getuid getgid getpgrp "
          "tcgetpgrp killpg set_blocking setsid mkfifo mknod".split(),
    "signal": "SIGHUP SIGKILL SIGUSR1 SIGUSR2 SIGCHLD SIGWINCH SIGALRM SIGPIPE setitimer alarm".split(),
}
whole = types.SimpleNamespace(**vars(os))
for name, module in list(sys.modules.items()):
    if name.startswith("filelock") and hasattr(module, "os"):
        module.os = whole
hidden = [linux] if system == "darwin" else [linux, unix]
for names in hidden:
    for module, gone in names.items():
        for one in [sys.modules[module], sys.modules.get("_" + module)]:
            for name in gone:
                if one is not None and hasattr(one, name):
                    delattr(one, name)
if system == "win32":
    for name in ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource"):
        sys.modules[name] = None
    for name in ("fork", "forkserver"):
        multiprocessing.context._concrete_contexts.pop(name)
    def no_library(name, *rest, real=ctypes.CDLL, **more):
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        return real(name, *rest, **more)
    ctypes.CDLL = no_library

import _socket
family = 30 if system == "darwin" else 23
def translated(function):
    def call(number, value):
        if number not in (2, family):
            raise OSError(97, "Address family not supported")
        return function(10 if number == family else 2, value)
    return call
_socket.inet_pton, _socket.inet_ntop = translated(_socket.inet_pton), translated(_socket.inet_ntop)
_socket.AF_INET6 = family

def opened(path, *rest, real=open, **more):
    if str(path).startswith("/proc/"):
        raise FileNotFoundError(2, "No such file or directory", path)
    return real(path, *rest, **more)
import builtins, io
builtins.open = io.open = opened
sys.platform = system
"""

SYSTEMS = ("darwin", "win32")


def run(system: str, folder: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A Python command line as another system would run it, with ``folder`` as its home and its working directory."""
    hooks = folder / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(PREAMBLE)
    environment = {
        **os.environ, "PYTHONPATH": str(hooks), "ELSEWHERE": system, "HOME": str(folder), "IPVSNL_BACKEND": "ctypes",
    }  # fmt: skip
    environment.pop("IPVSNL_TARGET", None)
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, input=stdin, capture_output=True, text=True
    )
