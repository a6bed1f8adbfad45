"""Random conversations with the netlink family: what to send to two kernels, the real one and the simulated one.

A script is one fresh namespace and one socket: ``{"cap_ack", "ext_ack", "receive", "sends": [hex, ...]}``. Values come from
small pools, so that requests meet what earlier ones made; a few in a hundred are malformed at every level.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any

FAMILY = 0xFFFF
ADDRESSES4 = ["0a000002", "0a000003", "0a010101", "ac10ffff", "0affffff", "7f000001", "e0000001", "00000000", "c6336401",
              "cb007101", "c0000201", "08080808", "0a000001", "f0000001", "7fffffff", "ffffffff"]  # fmt: skip
ADDRESSES6 = ["20010db8000000000000000000000001", "20010db8000000000000000000000005", "00" * 16, "fe80" + "00" * 13 + "01",
              "fe80" + "00" * 13 + "02", "ff02" + "00" * 13 + "01", "00" * 15 + "01", "00" * 10 + "ffff01020304",
              "fc00" + "00" * 13 + "01", "00" * 12 + "01020304"]  # fmt: skip
SCHEDULERS = [
    b"rr",
    b"wrr",
    b"lc",
    b"wlc",
    b"lblc",
    b"lblcr",
    b"dh",
    b"sh",
    b"sed",
    b"nq",
    b"fo",
    b"ovf",
    b"mh",
    b"none",
]
U32 = [0, 1, 2, 3, 5, 10, 100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
DEVICES = [b"lo", b"d0", b"d1", b"d2", b"d3", b""]


def attribute(number: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)


def message(command: int, body: bytes, flags: int = 5, sequence: int = 1, kind: int = FAMILY) -> bytes:
    return struct.pack("=IHHIIBBH", 20 + len(body), kind, flags, sequence, 0, command, 1, 0) + body


class Author:
    """Writes scripts out of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.sequence = 0
        self.rough = False

    def script(self, sends: int) -> dict[str, Any]:
        """One conversation of so many sends. Every third is free of malformed requests, to get further."""
        random = self.random
        self.sequence = 0
        self.rough = random.random() < 0.67
        return {
            "cap_ack": random.random() < 0.5,
            "ext_ack": random.random() < 0.6,
            "receive": random.choice([65536, 65536, 32768, 8192, 4096, 5001]),
            "sends": [self.send().hex() for _ in range(sends)],
        }

    def chance(self, percent: float) -> bool:
        return self.rough and self.random.random() * 100 < percent

    def send(self) -> bytes:
        """One datagram of one to six messages, rarely cut or followed by stray bytes."""
        count = 1 if self.random.random() < 0.7 else self.random.randint(2, 6)
        data = b""
        daemons = 0
        for _ in range(count):
            one = self.request(with_daemons=not daemons)
            daemons += one[16] in (9, 10)  # a daemon stopped before its thread has run gets no answer, or does
            data += one + bytes(-len(one) % 4)
        if self.chance(1.5):
            data += self.random.randbytes(self.random.randint(1, 24))
        if self.chance(1) and len(data) > 1:
            data = data[: self.random.randint(1, len(data) - 1)]
        return data

    def request(self, *, with_daemons: bool) -> bytes:
        random = self.random
        self.sequence += 1
        weights = [20, 6, 2, 6, 26, 9, 5, 9, 3 * with_daemons, 2 * with_daemons, 3, 3, 2, 0.3, 2, 2, 0.2]
        command = random.choices(range(1, 18), weights)[0]
        flags = random.choice([5, 5, 5, 1])
        if command in (8, 11) or (command == 4 and random.random() < 0.6):
            flags |= 0x300
        body = self.body(command)
        if self.chance(3):
            body += random.randbytes(random.randint(1, 7))
        if self.chance(2):
            flags = random.choice([0, 4, 0x101, 0x205, 0x305, 0x405, 0x0D, 0x1005, 0xFFFF, 0x301])
        if self.chance(1):
            command = random.choice([0, 14, 18, 19, 255])
        kind = random.choice([3, 15, 99]) if self.chance(0.7) else FAMILY
        whole = bytearray(message(command, body, flags, self.sequence, kind))
        if self.chance(1):
            struct.pack_into("=H", whole, 18, random.choice([1, 0xFFFF]))  # genlmsghdr.reserved
        if self.chance(0.7):
            struct.pack_into("=I", whole, 0, random.choice([0, 15, 16, 17, 19, 20, len(whole) - 1, len(whole) + 4]))
        return bytes(whole)

    def body(self, command: int) -> bytes:
        parts: list[bytes] = []
        if command <= 8 or (command == 16 and self.random.random() < 0.7):
            parts.append(self.nested(1, self.service(full=command in (1, 2))))
        if command in (5, 6, 7):
            parts.append(self.nested(2, self.dest(full=command != 7)))
        if command in (9, 10):
            parts.append(self.nested(3, self.daemon()))
        if command == 12:
            parts += [self.u32(number, [0, 1, 900, 21474836, 21474837, 0xFFFFFFFF]) for number in (4, 5, 6)
                      if self.random.random() < 0.7]  # fmt: skip
        if self.chance(3):
            parts = [part for part in parts if self.random.random() < 0.5]
        if self.chance(3):
            parts.append(
                self.nested(self.random.randint(0, 8), self.random.randbytes(self.random.choice([0, 2, 4, 8])))
            )
        return b"".join(parts)

    def nested(self, number: int, payload: bytes) -> bytes:
        return attribute(number | self.random.choice([0, 0x8000]), payload)

    def put(self, parts: list[bytes], number: int, payload: bytes) -> None:
        """An attribute, now and then absent, doubled, cut, too long or of a number that nobody knows."""
        random = self.random
        if self.chance(1.5):
            return
        if self.chance(1):
            payload = payload[: random.randint(0, max(len(payload) - 1, 0))]
        if self.chance(1):
            payload += random.randbytes(random.randint(1, 5))
        if self.chance(0.5):
            parts.append(attribute(number, random.randbytes(random.choice([0, 1, 2, 4, 8, 16]))))
        parts.append(attribute(number, payload))
        if self.chance(0.5):
            parts.append(attribute(random.choice([0, 20, 99, 0x3FFF]), b"abc"))

    def u32(self, number: int, pool: list[int]) -> bytes:
        parts: list[bytes] = []
        self.put(parts, number, struct.pack("=I", self.random.choice(pool)))
        return b"".join(parts)

    def service(self, *, full: bool) -> bytes:
        random = self.random
        parts: list[bytes] = []
        six = random.random() < 0.3
        family = random.choice([0, 1, 11]) if self.chance(1) else 10 if six else 2
        self.put(parts, 1, struct.pack("=H", family))
        if random.random() < 0.25:
            self.put(parts, 5, struct.pack("=I", random.choice([0, 1, 1, 2, 257, 0xFFFFFFFF])))
        if random.random() < 0.8 or not parts:
            self.put(parts, 2, struct.pack("=H", random.choice([6, 6, 6, 6, 17, 132, 0])))
            address = bytes.fromhex(random.choice(ADDRESSES6[:2] if six else ADDRESSES4[:2]))
            self.put(parts, 3, address if random.random() < 0.2 else address.ljust(16, b"\0"))
            self.put(parts, 4, struct.pack(">H", random.choice([80, 80, 80, 80, 81, 0, 21])))
        if full or self.chance(5):
            self.scheduling(parts, six)
        return b"".join(parts)

    def scheduling(self, parts: list[bytes], six: bool) -> None:
        random = self.random
        name = random.choice(SCHEDULERS) + b"\0"
        if self.chance(2):
            name = random.choice([b"\0", b"rr", b"rr\0rr\0", b"a" * 16, b"a" * 15 + b"\0", b"wlc\0\0\0", b"nosuch\0"])
        self.put(parts, 6, name)
        self.put(
            parts,
            7,
            struct.pack("=II", random.choice([0, 1, 4, 5, 0x18, 0xFFFFFFFF]), random.choice([0xFFFFFFFF, 5, 0])),
        )
        self.put(parts, 8, struct.pack("=I", random.choice([0, 60, 300, 42949672, 42949673, 0xFFFFFFFF])))
        good = [1, 64, 128] if six else [0xFFFFFFFF, 0xFFFFFF, 0]
        self.put(parts, 9, struct.pack("=I", random.choice([0, 129, 24]) if self.chance(5) else random.choice(good)))
        if random.random() < 0.15:
            self.put(
                parts,
                11,
                random.choice([b"sip\0", b"\0", b"sip\0x\0"] + ([b"nope\0", b"p" * 17] if self.rough else [])),
            )

    def dest(self, *, full: bool) -> bytes:
        random = self.random
        parts: list[bytes] = []
        six = random.random() < 0.3
        good = ADDRESSES6[:2] if six else ADDRESSES4[:3]
        pool = good if random.random() < 0.7 else ADDRESSES6 if six else ADDRESSES4
        self.put(parts, 1, bytes.fromhex(random.choice(pool)).ljust(16, b"\0"))
        self.put(parts, 2, struct.pack(">H", random.choice([80, 8080, 0])))
        if full:
            self.put(parts, 3, struct.pack("=I", random.choice([0, 1, 2, 2, 3, 3, 4, 7, 8, 0xFFFFFFFA])))
            self.put(parts, 4, struct.pack("=i", random.choice([0, 1, 1, 5, 100, 0x7FFFFFFF, -1])))
            self.put(parts, 5, struct.pack("=I", random.choice([0, 0, 0, 10, 100, 0x7FFFFFFF, 0x80000000])))
            self.put(parts, 6, struct.pack("=I", random.choice([0, 0, 0, 5, 10])))
        if random.random() < 0.8:
            self.put(parts, 11, struct.pack("=H", random.choice([0, 3]) if self.chance(3) else 10 if six else 2))
        optional: list[tuple[int, Callable[[], bytes]]] = [
            (13, lambda: struct.pack("=B", random.choice([0, 1, 2, 3, 255]))),
            (14, lambda: struct.pack(">H", random.choice([0, 6080]))),
            (15, lambda: struct.pack("=H", random.choice([0, 1, 2, 0xFFFF]))),
            (7, lambda: random.randbytes(4)),
            (12, lambda: random.randbytes(random.choice([0, 2, 4]))),
        ]
        for number, payload in optional:
            if random.random() < (0.3 if number > 12 else 0.03):
                self.put(parts, number, payload())
        return b"".join(parts)

    def daemon(self) -> bytes:
        random = self.random
        parts: list[bytes] = []
        self.put(parts, 1, struct.pack("=I", random.choice([1, 1, 2, 2, 0, 3])))
        name = random.choice(DEVICES) + b"\0"
        self.put(parts, 2, b"d" * random.choice([15, 16]) if self.chance(3) else name)
        self.put(parts, 3, struct.pack("=I", random.choice([0, 1, 255, 256])))
        for number, payload in (
            (4, struct.pack("=H", random.choice([0, 1, 1023, 1472, 65535]))),
            (5, bytes.fromhex(random.choice(["e0000052", "e0000052", "0a000001"]))),
            (
                6,
                bytes.fromhex(
                    random.choice(["ff02" + "00" * 13 + "51", "ff05" + "00" * 13 + "51", "fe80" + "00" * 14])
                ),
            ),
            (7, struct.pack("=H", random.choice([0, 8849]))),
            (8, struct.pack("=B", random.choice([0, 9]))),
        ):
            if random.random() < 0.25:
                self.put(parts, number, payload)
        return b"".join(parts)


def scripts(seed: int, count: int, sends: int) -> list[dict[str, Any]]:
    author = Author(seed)
    return [author.script(sends) for _ in range(count)]
