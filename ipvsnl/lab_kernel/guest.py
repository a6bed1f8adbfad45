"""Process 1 of the laboratory's kernel (see conversation.py): furnishes the machine, runs the command, tells its status."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ipvsnl.lab_kernel.frames import Unframer, frame, write_all
from ipvsnl.lab_kernel.modules import Tree
from ipvsnl.lab_kernel.places import LINE, MODULES

with contextlib.suppress(ImportError, TypeError):  # Linux runs this; other systems only look at it
    import fcntl
    import pty
    import termios
    import tty

    libc = ctypes.CDLL(None, use_errno=True)

SKIPPED = {"ip_vs_ftp"}  # loaded only if asked for: it brings address translation into every namespace
NOT_EXECUTABLE, NOT_FOUND, NOT_READY = 126, 127, 125
MS_BIND = 4096
MODULES_ROOT = "/run/modules"
"""Below this lies lib/modules, where the host has none."""


def mount(source: str, target: str, kind: str, options: str = "") -> None:
    """Mount a file system of this kind, or with ``bind`` a directory, at ``target``; OSError if the kernel refuses."""
    Path(target).mkdir(parents=True, exist_ok=True)
    flags = MS_BIND if kind == "bind" else 0
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


def furnish(extra: Sequence[str]) -> None:
    """Mounts, devices, modules. Every mount is the guest's own: the host's files stay as they are."""
    mount("run", "/run", "tmpfs", "mode=755")
    mount("pts", "/dev/pts", "devpts", "ptmxmode=666,mode=620")
    mount("shm", "/dev/shm", "tmpfs", "mode=1777")
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        with contextlib.suppress(FileExistsError):
            Path("/dev", name).symlink_to(f"/proc/self/fd{target}")
    tree = Tree(Path(MODULES, os.uname().release))
    lib_modules(tree)
    ours = [name for name in tree.under("net/netfilter/ipvs") if name not in SKIPPED]
    tree.load([*ours, "tun", "dummy", "act_skbedit", "cls_matchall", "sch_ingress", *extra])
    subprocess.run(["ip", "link", "set", "lo", "up"], env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}, check=True)


def lib_modules(tree: Tree) -> None:
    """/lib/modules/RELEASE for modprobe, over the host's. Where the host has no such directory one in memory is used, and
    both the kernel and MODPROBE_OPTIONS tell modprobe so: 5.10 can open no file of hostfs through an overlay."""
    target = Path("/lib/modules")
    if not target.is_dir():
        target = Path(MODULES_ROOT, "lib/modules")
        helper = Path("/run/modprobe")
        helper.write_text(f'#!/bin/sh\nexec modprobe -d {MODULES_ROOT} "$@"\n')
        helper.chmod(0o755)
        Path("/proc/sys/kernel/modprobe").write_text(str(helper))
        os.environ["MODPROBE_OPTIONS"] = f"-d {MODULES_ROOT}"
    mount("modules", str(target), "tmpfs")
    mount(str(tree.place), f"{target}/{os.uname().release}", "bind")


class Child:
    """The command, with a pipe or a terminal for each of its streams."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.streams: dict[int, bytes] = {}
        terminals = config["terminals"]
        typed = "I" in terminals
        passed = {kind: self.stream(kind, kind in terminals, typed, config["size"]) for kind in "OE"}
        inside, self.input = (passed["O"], os.dup(next(iter(self.streams)))) if typed else os.pipe()
        told = {name: os.environ[name] for name in ("MODPROBE_OPTIONS",) if name in os.environ}
        environment = {"TMPDIR": "/dev/shm", **told, **config["env"]}
        # The command is root here, whoever started the kernel: an ordinary user's PATH has no ipvsadm, ip or tc.
        environment["PATH"] = ":".join(dict.fromkeys([*environment.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]))
        self.process = subprocess.Popen(
            config["command"],
            cwd=config["cwd"],
            env=environment,
            stdin=inside,
            stdout=passed["O"],
            stderr=passed["E"],
            start_new_session=True,
            preexec_fn=self.control if typed else None,
        )
        for fd in {inside, *passed.values()}:
            os.close(fd)
        os.set_blocking(self.input, False)

    def stream(self, kind: str, terminal: bool, raw: bool, size: str) -> int:
        """The child's end of one of its streams, a terminal or a pipe; ours is among ``streams``. ``size``: a winsize."""
        ours, theirs = pty.openpty() if terminal else os.pipe()
        if terminal:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, bytes.fromhex(size))
            if not raw:  # the caller's terminal turns line feeds into new lines
                modes = termios.tcgetattr(theirs)
                termios.tcsetattr(theirs, termios.TCSANOW, [modes[0], modes[1] & ~termios.OPOST, *modes[2:]])
        self.streams[ours] = kind.encode()
        return theirs

    @staticmethod
    def control() -> None:
        """In the child: its input is the terminal that sends it Ctrl-C."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Relay:
    """Carries bytes between the child and the serial line, and buries orphans, until the child ends."""

    def __init__(self, line: int, frames: Unframer, child: Child) -> None:
        self.line, self.frames, self.child = line, frames, child
        self.pending: bytearray = bytearray()
        self.closing = False
        self.wakeup, end = os.pipe()
        os.set_blocking(end, False)
        signal.set_wakeup_fd(end)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def hold(self) -> int:
        """Until the child's end: its exit status, 128 more than the signal that ended it."""
        status = self.reap()
        while status is None:
            self.turn()
            status = self.reap()
        while self.turn(0):  # what the command left in its pipes
            pass
        return status

    def reap(self) -> int | None:
        """Bury what has ended; the child's exit status if it was among them."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                if ended.si_pid == self.child.process.pid:
                    return ended.si_status + (0 if ended.si_code == os.CLD_EXITED else 128)
        return None

    def turn(self, timeout: float | None = None) -> bool:
        """One round of what is ready; whether there was any output."""
        sources = [*self.child.streams, self.wakeup] + ([] if self.pending else [self.line])
        sinks = [self.child.input] if self.pending or self.closing else []
        ready, writable, _ = select.select(sources, sinks, [], timeout)
        for fd in ready:
            if fd == self.wakeup:
                os.read(fd, 4096)
            elif fd == self.line:
                self.told(os.read(fd, 4096))
            else:
                self.forward(fd)
        if writable:
            self.feed()
        return any(fd in self.child.streams for fd in ready)

    def told(self, data: bytes) -> None:
        """Take what the host sent; nothing means that the host's side has ended."""
        if not data:
            power_off()  # the host's side is gone
        self.accept(self.frames.feed(data))

    def accept(self, frames: Iterable[tuple[bytes, bytes]]) -> None:
        """Input for the child; an empty frame is its end."""
        for _, payload in frames:
            self.pending += payload
            self.closing |= not payload

    def feed(self) -> None:
        """Give the child a part of its input."""
        try:
            del self.pending[: os.write(self.child.input, self.pending)]
        except BlockingIOError:
            return
        except OSError:  # nobody reads
            self.pending.clear()
        if self.closing and not self.pending:
            os.close(self.child.input)
            self.closing, self.child.input = False, os.open("/dev/null", os.O_WRONLY)

    def forward(self, fd: int) -> None:
        """Send the host what one of the child's streams has, or note its end."""
        try:
            data = os.read(fd, 65536)
        except OSError:  # a terminal that nobody has open any more
            data = b""
        if data:
            write_all(self.line, frame(self.child.streams[fd], data))
        else:
            del self.child.streams[fd]
            os.close(fd)


def power_off() -> None:
    """End this kernel."""
    libc.sync()
    libc.reboot(0x4321FEDC)


def converse(line: int) -> int:
    """Get the configuration over the line to the host, furnish the machine, run the command; the exit status."""
    write_all(line, frame(b"R"))
    frames = Unframer()
    told: list[tuple[bytes, bytes]] = []
    while not told:
        data = os.read(line, 4096)
        if not data:
            power_off()  # the host's side is gone
        told += frames.feed(data)
    config = json.loads(told[0][1])
    try:
        furnish(config["modules"])
        relay = Relay(line, frames, Child(config))
        relay.accept(told[1:])
        return relay.hold()
    except (OSError, LookupError, subprocess.CalledProcessError) as error:
        write_all(line, frame(b"E", f"ipvsnl lab-kernel: {error}\n".encode()))
        if isinstance(error, FileNotFoundError):
            return NOT_FOUND
        return NOT_EXECUTABLE if isinstance(error, PermissionError) else NOT_READY


def main() -> None:
    """Process 1: it must not end before the machine does."""
    mount("proc", "/proc", "proc")
    mount("sys", "/sys", "sysfs")
    line = os.open(LINE, os.O_RDWR | os.O_NOCTTY)
    serial = os.isatty(line)  # QEMU's line is none: it takes bytes as they are, and a write ends when the host has them
    if serial:
        tty.setraw(line)
    status = converse(line)
    libc.sync()
    write_all(line, frame(b"X", b"%d" % status))
    if serial:
        termios.tcdrain(line)
    power_off()


if __name__ == "__main__":
    main()
