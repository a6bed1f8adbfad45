"""Targets by name: ``kernel``, ``sim``, ``sim:FILE``, ``sim::memory:``, ``unix:PATH``."""

from __future__ import annotations

import errno as _errno
import os

from ipvsnl.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.link.contract import Link, Log
    from ipvsnl.link.kernel import KernelLink
    from ipvsnl.link.namespaces import NetworkNamespace


_OWN_USERS, _HOST_USERS = "/proc/self/ns/user", 0xEFFFFFFD
"""The user namespace of this process, and the number of the host's (PROC_USER_INIT_INO, include/linux/proc_ns.h)."""
MEMORY = ":memory:"
"""``sim::memory:`` is a simulated table that nobody keeps."""
SIMULATOR = "ipvssim.doors.table_file"
"""Where the simulator's tables are opened: named, not imported, since the simulator itself imports this package."""


def open_link(target: str, netns: str | None = None, timeout: float = 5.0, log: Log | None = None) -> Link:
    """The link that a target names; ``netns`` is the network namespace of a kernel's (a name or a path).

    ``timeout`` is how many seconds a connection may take, and a send, and the lock of a simulated table's file. ``log`` is
    the level of a simulated kernel's log, and what gets its lines.

    ``kernel``, or for the simulated one ``sim``, ``sim:FILE`` (the only way there) and ``unix:PATH`` (one that serves).
    """
    if not isinstance(target, str):
        raise LinkError(_errno.EINVAL, f"a target is text such as 'kernel' or 'sim:FILE', not {target!r}")
    if netns is not None and target != "kernel":
        raise LinkError(
            _errno.EINVAL, f"--netns {netns}: only the kernel has network namespaces, not {target!r}"
        )  # fmt: skip
    if target == "kernel":
        if log is not None:
            raise LinkError(
                _errno.EINVAL,
                "--debug-level: a simulated kernel's (--target sim); Linux has net.ipv4.vs.debug_level and dmesg",
            )
        return _kernel(netns)
    kind, _, where = target.partition(":")
    if kind == "sim":
        from importlib import import_module

        opened = import_module(SIMULATOR).opened

        from ipvsnl.link.simulated import SimulatedLink

        place = "" if where == MEMORY else f"sim:{os.path.realpath(where) if where else ''}"
        return SimulatedLink(opened(where or None, timeout, log), place)
    if kind == "unix" and where:
        from ipvsnl.link.unix import UnixLink

        return UnixLink(where, timeout, log)
    raise LinkError(_errno.EINVAL, f"unknown target {target!r}: one of kernel, sim, sim:FILE, sim::memory:, unix:PATH")


def _kernel(netns: str | None) -> Link:
    from ipvsnl.link.kernel import KernelLink, check_system

    if netns is None:
        return _speaking(KernelLink(), None)
    check_system()
    from ipvsnl.link.namespaces import NetworkNamespace

    namespace = NetworkNamespace(netns)
    try:
        link = KernelLink(namespace)
    except BaseException:
        namespace.close()
        raise
    return _speaking(link, namespace)


def _speaking(link: KernelLink, namespace: NetworkNamespace | None) -> Link:
    """The link itself; one by the old interface where netlink is refused, and that is not. Netlink is never refused to root
    of the host, so only others are asked."""
    try:
        if os.stat(_OWN_USERS).st_ino == _HOST_USERS:  # noqa: PTH116
            return link
    except OSError:
        pass  # nobody tells: then the kernel is asked
    from ipvsnl.link.sockopt import instead

    try:
        return instead(link, namespace)
    except BaseException:
        link.close()
        raise
