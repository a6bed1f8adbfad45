"""Random system calls about a generic-netlink socket, and what they return.

They ask only the family ``nlctrl`` about itself. Its answers have grown with later kernels, so of an answer the header is
kept; and how many fit a small receive queue differs, so that is left large.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import struct
from collections.abc import Callable
from typing import Any

AF_NETLINK, SOL_NETLINK = 16, 270
_MESSAGE = struct.Struct("=IHHII")


def played(sequences: int, length: int) -> list[list[Any]]:
    """What every call of every sequence returned. The numbers of sequences are their seeds."""
    return [_sequence(random.Random(seed), length) for seed in range(sequences)]


def main(sequences: int, length: int) -> None:
    """The same as JSON on standard output."""
    print(json.dumps(played(sequences, length)))


def _request(chance: random.Random, sequence: int) -> bytes:
    name = chance.choice([b"nlctrl\0\0", b"nothing\0", b""])
    attribute = struct.pack("=HH", 4 + len(name), 2) + name if name else b""
    flags = chance.choice([1, 5, 0x305 if not name else 5, 4, 0])
    kind = chance.choice([16, 16, 16, 1, 77])
    body = struct.pack("=BBH", 3, 1, 0) + attribute
    return _MESSAGE.pack(16 + len(body), kind, flags & ~0x300, sequence, 0) + body


def _shown(value: Any, port: int) -> Any:
    if isinstance(value, bytes):
        if len(value) < 16:
            return value.hex()
        length, kind, flags, sequence, peer = _MESSAGE.unpack_from(value)
        rest = value[16:20].hex() if kind == 2 else ""
        return [length if kind == 2 else 0, kind, flags, sequence, "own" if peer == port else peer, rest]
    if isinstance(value, tuple | list):
        return ["own" if one == port and one else _shown(one, port) for one in value]
    return "own" if value == port and value else value


def _sequence(chance: random.Random, length: int) -> list[Any]:
    kind = chance.choice([socket.SOCK_RAW, socket.SOCK_DGRAM])
    made = socket.socket(AF_NETLINK, kind, 16)
    made.setblocking(False)
    calls = _calls(made, chance)
    found: list[Any] = []
    with made:
        for step in range(length):
            name, call = chance.choice(calls)
            try:
                value: Any = call(step)
            except OSError as wrong:
                value = f"errno {wrong.errno}"
            port = made.getsockname()[0]
            ready = [bool(one) for one in select.select([made], [made], [], 0)[:2]]
            found.append([name, _shown(value, port), ready])
    return found


def _calls(made: socket.socket, chance: random.Random) -> list[tuple[str, Callable[[int], Any]]]:
    """What may be done. Received datagrams are cut where the cut is what is asked about."""
    port = 0x40000000 | os.getpid() << 8
    options = [(SOL_NETLINK, 10), (SOL_NETLINK, 11), (SOL_NETLINK, 5), (SOL_NETLINK, 3), (SOL_NETLINK, 99)]
    told = [(1, socket.SO_TYPE), (1, socket.SO_DOMAIN), (1, socket.SO_PROTOCOL), (1, socket.SO_ERROR), (1, 7), (1, 8)]

    def message(step: int) -> Any:
        data, control, flags, name = made.recvmsg(chance.choice([20, 16384]), 64)
        return [data, [one[:2] for one in control], flags, name]

    return [
        ("send", lambda step: made.send(_request(chance, step))),
        ("send", lambda step: made.send(_request(chance, step))),
        ("send two", lambda step: made.send(_request(chance, step) + _request(chance, step + 100))),
        ("sendto", lambda step: made.sendto(_request(chance, step), (0, 0))),
        ("sendmsg", lambda step: made.sendmsg([_request(chance, step)], [], 0, (0, 0))),
        ("send nothing", lambda step: made.send(b"")),
        ("recv", lambda step: made.recv(16384)),
        ("recv", lambda step: made.recv(16384)),
        ("recvfrom", lambda step: made.recvfrom(16384)),
        ("recvmsg", message),
        ("peek", lambda step: made.recv(20, socket.MSG_PEEK)),
        ("out of band", lambda step: made.recv(20, socket.MSG_OOB)),
        ("bind", lambda step: made.bind((chance.choice([0, port, port + 1]), 0))),
        ("connect", lambda step: made.connect((0, 0))),
        ("getpeername", lambda step: made.getpeername()),
        ("set", lambda step: made.setsockopt(*chance.choice(options), chance.choice([0, 1]))),
        ("buffers", lambda step: made.setsockopt(1, *chance.choice([(7, 1), (7, 5000), (7, 70000), (8, 70000)]))),
        ("get", lambda step: made.getsockopt(*chance.choice([*options, *told]))),
        ("shutdown", lambda step: made.shutdown(socket.SHUT_RDWR)),
        ("listen", lambda step: made.listen(1)),
    ]
