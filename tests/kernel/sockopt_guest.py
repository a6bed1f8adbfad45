"""Plays scripts of the old interface on the real kernel: scripts on standard input, one JSON a line, answers on standard
output. Runs as root in the laboratory (ipvsnl lab-kernel); each script has a namespace of its own, as netlink's have.

An answer to a call is ``[errno]`` for a change, and ``[errno, buffer, optlen]`` for a question: the buffer with the guard
behind it, and what the kernel made of its length.
"""

from __future__ import annotations

import ctypes
import socket
import time
from typing import Any

from ipvsnl.sockopt import LEVEL, Set
from tests.kernel.netlink_guest import each_alone, enter_network, hash_key, renumber_requests
from tests.kernel.recorder import family_id
from tests.kernel.sockopt_scripts import GUARD, Call

libc = ctypes.CDLL(None, use_errno=True)


def called(option: int, value: bytes, descriptor: int) -> list[Any]:
    failed = libc.setsockopt(descriptor, LEVEL, option, value, len(value))
    if option in (Set.STARTDAEMON, Set.STOPDAEMON):
        time.sleep(0.02)  # a daemon's thread has to have run before it can be stopped
    return [ctypes.get_errno() if failed else 0]


def asked(option: int, value: bytes, room: int, descriptor: int) -> list[Any]:
    buffer = ctypes.create_string_buffer(value + b"\xa5" * GUARD, len(value) + GUARD)
    length = ctypes.c_int(room)
    failed = libc.getsockopt(descriptor, LEVEL, option, buffer, ctypes.byref(length))
    return [ctypes.get_errno() if failed else 0, buffer.raw.hex(), length.value]


def played(script: list[Call]) -> dict[str, Any]:
    enter_network()
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as link,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old,
    ):
        link.bind((0, 0))
        family = family_id(link)
        key = hash_key(link, family)
        answers: list[list[Any]] = []
        for kind, first, *rest in script:
            if kind == "netlink":
                link.send(renumber_requests(bytes.fromhex(first), family))
                answers.append([])
            elif kind == "set":
                answers.append(called(first, bytes.fromhex(rest[0]), old.fileno()))
            else:
                answers.append(asked(first, bytes.fromhex(rest[0]), rest[1], old.fileno()))
        called(Set.FLUSH, b"", old.fileno())
    return {"hash_key": key, "family": family, "answers": answers}


if __name__ == "__main__":
    each_alone(played)
