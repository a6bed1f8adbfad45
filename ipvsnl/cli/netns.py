"""Joins a network namespace: the kernel keeps one IPVS table in each."""

from __future__ import annotations

from ipvsnl.errors import LinkError

CLONE_NEWNET = 0x40000000
NAMED = "/run/netns/"


def enter(name: str, target: str) -> None:
    """Move this process into the namespace of a name (as ``ip netns`` knows it) or a path; LinkError says why not.

    For a whole process, so for the program alone: /proc/net follows, too.
    """
    import ctypes
    import os

    if target != "kernel":
        raise LinkError(22, f"--netns {name}: only the kernel has network namespaces, not {target!r}")
    path = name if "/" in name else NAMED + name
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as wrong:
        raise LinkError(wrong.errno or 0, f"--netns {name}: {path}: {wrong.strerror}") from wrong
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise LinkError(number, f"--netns {name}: {os.strerror(number)}")
    finally:
        os.close(namespace)
