"""The system calls that are looked at, by machine: their numbers, and what tells them from those that pass.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux 6.1.
"""

from __future__ import annotations

import platform
from struct import Struct
from typing import NamedTuple

from ipvsnl.sockopt import BASE

AF_NETLINK, NETLINK_GENERIC = 16, 16
SOL_IP, SOL_SOCKET, SOL_NETLINK = 0, 1, 270
SO_TYPE, SO_ERROR, SO_PROTOCOL, SO_DOMAIN = 3, 4, 38, 39
SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 7, 8, 32, 33
MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT = 1, 2, 0x20, 0x40
AT_FDCWD = -100
ADDRESS = Struct("=HHII")
"""struct sockaddr_nl: family, padding, port, groups."""
KERNEL = ADDRESS.pack(AF_NETLINK, 0, 0, 0)
"""Whom datagrams come from."""
ALL = 0xFFFFFFFF

Test = tuple[int, int, tuple[int, ...]]
"""An argument's number, a mask, and the values that its low 32 bits may have under the mask."""


class Machine(NamedTuple):
    """One kind of processor, as seccomp names it, with the numbers of its system calls."""

    audit: int
    numbers: dict[str, int]


_NUMBERS = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "stat": (4, None), "lstat": (6, None), "access": (21, None),
    "socket": (41, 198), "connect": (42, 203), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211),
    "recvmsg": (47, 212), "shutdown": (48, 210), "bind": (49, 200), "listen": (50, 201), "getsockname": (51, 204),
    "getpeername": (52, 205), "setsockopt": (54, 208), "getsockopt": (55, 209), "readlink": (89, None),
    "openat": (257, 56), "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48), "recvmmsg": (299, 243),
    "sendmmsg": (307, 269), "seccomp": (317, 277), "statx": (332, 291), "openat2": (437, 437), "faccessat2": (439, 439),
    "getxattr": (191, 8), "lgetxattr": (192, 9), "listxattr": (194, 11), "llistxattr": (195, 12),
}  # fmt: skip
MACHINES = {
    "x86_64": Machine(0xC000003E, {name: both[0] for name, both in _NUMBERS.items()}),
    "aarch64": Machine(0xC00000B7, {name: both[1] for name, both in _NUMBERS.items() if both[1] is not None}),
}

PATH_AT = {
    **dict.fromkeys(
        ("open", "stat", "lstat", "access", "readlink", "getxattr", "lgetxattr", "listxattr", "llistxattr"), 0
    ),
    **dict.fromkeys(("openat", "openat2", "newfstatat", "statx", "faccessat", "faccessat2", "readlinkat"), 1),
}
"""The calls about a file by its name: which argument is the name."""
ABOUT_SOCKETS = (
    "bind", "connect", "getsockname", "getpeername", "shutdown", "listen",
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
)  # fmt: skip
"""The calls about any socket, whose first argument is its descriptor."""

ALWAYS: tuple[tuple[Test, ...], ...] = ((),)
_FORCED = (SO_SNDBUFFORCE, SO_RCVBUFFORCE)
_TOLD = (SO_TYPE, SO_ERROR, SO_SNDBUF, SO_RCVBUF, SO_PROTOCOL, SO_DOMAIN)
_OLD: tuple[Test, ...] = ((1, ALL, (SOL_IP,)), (2, ALL ^ 15, (BASE,)))
_FROM_HERE: tuple[tuple[Test, ...], ...] = (((0, ALL, (AT_FDCWD & ALL,)),),)

LOOKED_AT: dict[str, tuple[tuple[Test, ...], ...]] = {
    "socket": (((0, ALL, (AF_NETLINK,)), (2, ALL, (NETLINK_GENERIC,))),),
    **dict.fromkeys(ABOUT_SOCKETS, ALWAYS),
    "setsockopt": (((1, ALL, (SOL_NETLINK,)),), ((1, ALL, (SOL_SOCKET,)), (2, ALL, _FORCED)), _OLD),
    "getsockopt": (((1, ALL, (SOL_NETLINK,)),), ((1, ALL, (SOL_SOCKET,)), (2, ALL, _TOLD)), _OLD),
    # Who walks through folders goes from descriptor to descriptor, and sees none of our files on the way.
    **{name: _FROM_HERE if at else ALWAYS for name, at in PATH_AT.items()},
}
"""Which calls are looked at: where all tests of one of its rows hold. A test sees numbers; what a pointer leads to, paths
above all, has to be read afterwards."""


def here() -> Machine | None:
    """This machine; None where its numbers are not known."""
    return MACHINES.get(platform.machine())
