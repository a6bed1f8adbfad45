"""Random calls of the old interface: what to ask two kernels, the real one and the simulated one.

A script is one fresh namespace: a list of calls, ``["set", option, value]``, ``["get", option, buffer, room]`` and
``["netlink", request]``, bytes as hexadecimal digits. The requests by netlink make what the old interface cannot (IPv6,
tunnels, servers of another family), so that it has something not to show. Values come from small pools, so that calls meet
what earlier ones made; every other script has malformed calls at every level, too.
"""

from __future__ import annotations

import struct
from random import Random
from typing import Any

from ipvsnl import sockopt
from ipvsnl.sockopt import Get, Set
from tests.kernel.netlink_scripts import ADDRESSES4, DEVICES, SCHEDULERS, Author

Call = list[Any]
ADDRESSES = [bytes.fromhex(one) for one in ADDRESSES4]
GUARD = 64
"""Bytes behind each buffer, which the kernel must leave alone."""
_SET_WEIGHTS = {
    Set.ADD: 20, Set.EDIT: 8, Set.DEL: 3, Set.FLUSH: 0.3, Set.ADDDEST: 24, Set.DELDEST: 6, Set.EDITDEST: 10, Set.TIMEOUT: 3,
    Set.STARTDAEMON: 3, Set.STOPDAEMON: 2, Set.ZERO: 3,
}  # fmt: skip
_GET_WEIGHTS = {
    Get.VERSION: 1, Get.INFO: 3, Get.SERVICES: 6, Get.SERVICE: 8, Get.DESTS: 10, Get.TIMEOUT: 2, Get.DAEMON: 3,
}  # fmt: skip
_BY_NETLINK = ((1, 4), (2, 1), (5, 6), (6, 2))
"""Commands of netlink's, and how often each."""


class Caller:
    """Writes scripts out of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.by_netlink = Author(seed)
        self.rough = False
        self.keys: list[tuple[int, bytes, int, int]] = []
        """Services that were added, probably: most calls are about one of the last few."""

    def script(self, calls: int) -> list[Call]:
        """So many calls."""
        self.rough = self.random.random() < 0.5
        self.keys = []
        return [self.call() for _ in range(calls)]

    def chance(self, percent: float) -> bool:
        return self.rough and self.random.random() * 100 < percent

    def call(self) -> Call:
        random = self.random
        way = random.random()
        if way < 0.04:
            commands, weights = zip(*_BY_NETLINK, strict=True)
            return ["netlink", self.netlink_request(random.choices(commands, weights)[0])]
        if way < 0.6:
            option = random.choices(list(_SET_WEIGHTS), list(_SET_WEIGHTS.values()))[0]
            if self.chance(3):
                option = random.randint(sockopt.BASE - 2, Set.MAX + 3)
            return ["set", option, self.value(option).hex()]
        option = random.choices(list(_GET_WEIGHTS), list(_GET_WEIGHTS.values()))[0]
        if self.chance(3):
            option = random.randint(sockopt.BASE - 2, Get.MAX + 3)
        buffer = self.buffer(option)
        room = random.choice([-1, 0, 1, len(buffer) - 1]) if self.chance(3) else len(buffer)
        return ["get", option, buffer.hex(), room]

    def netlink_request(self, command: int) -> str:
        while True:
            data = self.by_netlink.request(with_daemons=False)
            if data[16] == command:
                return data.hex()

    def value(self, option: int) -> bytes:
        random = self.random
        if option in (Set.ADDDEST, Set.EDITDEST, Set.DELDEST):
            value = self.service() + self.dest()
        elif option == Set.TIMEOUT:
            value = sockopt.TIMEOUT.pack(*random.choices([0, 1, 900, 21474836, 21474837, 0x80000000, 0xFFFFFFFF], k=3))
        elif option in (Set.STARTDAEMON, Set.STOPDAEMON):
            value = self.daemon()
        else:
            value = self.service(new=option == Set.ADD) if sockopt.SET_SIZES.get(option) else b""
        if self.chance(3):
            value = random.choice([value[:-1], value + b"\0", b"", value + bytes(24)])
        return value

    def service(self, *, new: bool = False) -> bytes:
        random = self.random
        key = self.key(new=new)
        if new:
            self.keys = [*self.keys[-3:], key]
        name = random.choice(SCHEDULERS)
        if self.chance(4):
            name = random.choice([b"", b"a" * 16, b"a" * 15, b"rr\0rr", b"nosuch"])
        return sockopt.SERVICE.pack(
            *key, name, random.choice([0, 1, 2, 4, 5, 0x18, 0xFFFFFFFF]),
            random.choice([0, 60, 300, 42949672, 42949673, 0xFFFFFFFF]), random.choice([0xFFFFFFFF, 0xFFFFFF, 0]),
        )  # fmt: skip

    def key(self, *, new: bool = False) -> tuple[int, bytes, int, int]:
        random = self.random
        if self.keys and not new and random.random() < 0.75:
            return random.choice(self.keys)
        protocol = random.choice([0, 1, 47, 0xFFFF]) if self.chance(4) else random.choice([6, 6, 6, 6, 17, 132])
        address = bytes(4) if random.random() < 0.1 else random.choice(ADDRESSES[:2])
        port = int.from_bytes(struct.pack(">H", random.choice([80, 80, 80, 81, 0, 21])), "little")
        return protocol, address, port, random.choice([0, 0, 0, 0, 1, 2, 257, 0xFFFFFFFF])

    def dest(self) -> bytes:
        random = self.random
        address = random.choice(ADDRESSES[:3] if random.random() < 0.7 else ADDRESSES)
        port = int.from_bytes(struct.pack(">H", random.choice([80, 8080, 0])), "little")
        return sockopt.DEST.pack(
            address, port, random.choice([0, 1, 2, 3, 4, 7, 0x2000, 0x10003, 0x80, 0xFFFFFFFA]),
            random.choice([0, 1, 1, 5, 100, 0x7FFFFFFF, -1]),
            random.choice([0, 0, 0, 10, 100, 0x7FFFFFFF, 0x80000000]), random.choice([0, 0, 0, 5, 10]),
        )  # fmt: skip

    def daemon(self) -> bytes:
        random = self.random
        name = random.choice(DEVICES) if not self.chance(10) else b"d" * 16
        return sockopt.DAEMON.pack(random.choice([1, 1, 2, 2, 0, 3]), name, random.choice([0, 1, 255, 256, 0xFFFFFFFF]))

    def buffer(self, option: int) -> bytes:
        """What a caller's buffer holds: what is asked for, among leftovers of whatever was there before."""
        random = self.random
        size = sockopt.GET_SIZES.get(option, 0) + random.choice([0, 0, 0, 1, 7, 40])
        count = random.choice([0, 1, 2, 5, 20])
        if option == Get.SERVICES:
            head, size = sockopt.GET_SERVICES.pack(count), 8 + count * sockopt.SERVICE_ENTRY.size
        elif option == Get.DESTS:
            head, size = sockopt.GET_DESTS.pack(*self.key(), count), 24 + count * sockopt.DEST_ENTRY.size
        elif option == Get.SERVICE:
            head = sockopt.SERVICE.pack(*self.key(), random.randbytes(16), *[random.getrandbits(32) for _ in range(3)])
        else:
            head = b""
        if self.chance(4):
            size += random.choice([-1, 1, 96, 104])
        return (head + random.randbytes(1) * max(size, 0))[: max(size, 0)]


def scripts(seed: int, count: int, calls: int) -> list[list[Call]]:
    """So many scripts of so many calls."""
    caller = Caller(seed)
    return [caller.script(calls) for _ in range(count)]
