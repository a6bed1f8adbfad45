"""The command lines of kernels: user-mode-linux as a program, any other in QEMU's plain emulation."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from ipvsnl.lab_kernel.image import Image, MissingError
from ipvsnl.lab_kernel.initramfs import TAG
from ipvsnl.lab_kernel.places import PATH

PACKAGES = Path(__file__).resolve().parents[2]
"""The directory in which the package ipvsnl lies: in there the guest's process 1 finds its program."""
EMULATOR = "qemu-system-x86_64"
_LOG = "log_buf_len=1M"  # a whole trace at the highest debug level


class Lines(NamedTuple):
    """Descriptors of the host: what the guest reads from, what it writes to, and what the console writes to."""

    below: int
    above: int
    messages: int


def command_line(image: Image, memory: str, lines: Lines) -> list[str]:
    """How this kernel is started with so much memory (512M). MissingError: there is no QEMU."""
    return _emulated(image, memory, lines) if image.initramfs else _user_mode(image, memory, lines)


def _user_mode(image: Image, memory: str, lines: Lines) -> list[str]:
    return [
        image.program,
        f"mem={memory}",
        "uml_dir=/dev/null/",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        "con=null",
        f"con0=null,fd:{lines.messages}",
        "ssl=null",
        f"ssl0=fd:{lines.below},fd:{lines.above}",
        "quiet",
        _LOG,
        *_variables(image),
        f'init="{sys.executable}"',
        *("--", "-S", "-P", "-m", "ipvsnl.lab_kernel.guest"),
    ]


def _emulated(image: Image, memory: str, lines: Lines) -> list[str]:
    """The host's files come over 9p, the line to the host is a virtio port and QEMU's own input and output, the console a
    serial line. QEMU translates a program's code once for each address that it lies at: so programs lie where they did the
    last time (norandmaps), and a run of ipvsadm costs half. With time travel (``Image.time_travel``) an instruction is a
    nanosecond (2 to the power of 0), and nobody sleeps until a timer is due."""
    program = shutil.which(EMULATOR, path=PATH)
    if not program:
        raise MissingError(f"{EMULATOR} is not installed: apt-get install qemu-system-x86")
    time = ["-icount", "shift=0,sleep=off"] if image.time_travel else []
    words = ["console=ttyS0", "quiet", "loglevel=1", "panic=-1", "mitigations=off", "norandmaps"]
    return [
        program, "-accel", "tcg", *time, "-cpu", "max", "-smp", "1", "-m", memory,
        "-nodefaults", "-display", "none", "-vga", "none", "-monitor", "none", "-no-reboot",
        "-add-fd", f"fd={lines.messages},set=1", "-chardev", "file,id=console,append=on,path=/dev/fdset/1",
        "-serial", "chardev:console",
        "-chardev", "stdio,id=line,signal=off",
        "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=line",
        "-fsdev", "local,id=files,path=/,security_model=none,multidevs=remap",
        "-device", f"virtio-9p-pci,fsdev=files,mount_tag={TAG}",
        "-kernel", image.program, "-initrd", image.initramfs, "-append", " ".join([*words, _LOG, *_variables(image)]),
    ]  # fmt: skip


def _variables(image: Image) -> list[str]:
    """Words that a kernel does not know become init's environment."""
    return [
        f'IPVSNL_LAB_MODULES="{image.modules}"',
        f'IPVSNL_LAB_PYTHON="{sys.executable}"',
        f'PYTHONPATH="{PACKAGES}"',
    ]
