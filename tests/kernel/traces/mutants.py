"""`mutants`: the packets of other kinds with bits flipped, cut, and grown; in half of them lengths and checksums are mended.

The commands of the other kind stay as they are, so that the mutants meet a table that knows what they were made of.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from . import corners, lifetimes, paths, pieces
from . import packets as p
from .script import Script

PARENTS: dict[str, Callable[[int], Script]] = {
    name: kinds[name]
    for kinds, names in (
        (paths.KINDS, ("forward", "six", "ops", "marks", "ftp", "odd")),
        (lifetimes.KINDS, ("states", "persist", "trash")),
        (corners.KINDS, ("corners",)),
        (pieces.KINDS, ("pieces",)),
    )
    for name in names
}
ETHERNET, TIMESTAMP, ARP = 14, 0x44, b"\x08\x06"
CHECKS = {p.TCP: 16, p.UDP: 6, p.ICMP: 2, p.ICMPV6: 2}
NEIGHBOURHOODS = (p.address("10.0.0.0")[:2], p.address("fd00:10::")[:8])
"""What is on the servers' wire: who does not answer there would be asked for, and that takes its time."""


def flipped(chance: random.Random, data: bytes) -> bytes:
    """A few bits of the headers, or a byte that becomes 0, 255 or any other."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(min(len(changed), chance.choice((24, 44, 64, 2000))))
        changed[at] = (
            changed[at] ^ 1 << chance.randrange(8)
            if chance.random() < 0.7
            else chance.choice((0, 255, chance.randrange(256)))
        )
    return bytes(changed)


def cut(chance: random.Random, data: bytes) -> bytes:
    """Without its end; mostly in the middle of a header."""
    return data[: chance.randrange(1, min(len(data), chance.choice((48, 64, 2000))) + 1)]


def grown(chance: random.Random, data: bytes) -> bytes:
    """With bytes behind it, or within it."""
    more = bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 3, 4, 8, 40))))
    at = len(data) if chance.random() < 0.6 else chance.randrange(len(data) + 1)
    return data[:at] + more + data[at:]


def mended(data: bytes) -> bytes:
    """The packet with lengths and checksums that fit what it now is."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        start, protocol = (data[0] & 15) * 4, data[9]
        if not 20 <= start <= len(data):
            return data
        head = p.put(p.put(data[:start], 2, len(data)), 10, 0)
        head = p.put(head, 10, p.checksum(head))
        return head + checked(head[12:16], head[16:20], protocol, data[start:])
    if len(data) >= 40 and data[0] >> 4 == 6:
        return p.put(data[:40], 4, len(data) - 40) + checked(data[8:24], data[24:40], data[6], data[40:])
    return data


def checked(source: bytes, target: bytes, protocol: int, payload: bytes) -> bytes:
    """A transport payload with its checksum, where it has one and room for it."""
    at = CHECKS.get(protocol)
    if at is None or len(payload) < at + 2:
        return payload
    if protocol == p.UDP and len(payload) >= 8:
        payload = p.put(payload, 4, len(payload))
    payload = p.put(payload, at, 0)
    head = b"" if protocol == p.ICMP else p.pseudo(source, target, protocol, len(payload))
    return p.put(payload, at, p.checksum(head + payload) or 0xFFFF)


def is_decided(before: bytes, data: bytes) -> bool:
    """Whether it has one right answer: nobody is asked for an unknown neighbour, and no time of day is written."""
    four = data[:1] < b"\x50"
    if four and TIMESTAMP in data[20 : (data[0] & 15) * 4]:
        return False
    for place in (slice(16, 20), slice(24, 40)):
        target = data[place]
        if target != before[place] and target.startswith(NEIGHBOURHOODS):
            return False
    return True


def mutant(chance: random.Random, packet: bytes) -> bytes:
    """Another packet made of this one."""
    while True:
        data = chance.choice((flipped, flipped, flipped, flipped, cut, grown))(chance, packet)
        data = mended(data) if chance.random() < 0.5 else data
        if is_decided(packet, data):
            return data


def mutants(seed: int) -> Script:
    """A trace of another kind, a third of whose packets are mutants; some come again as they were."""
    script = Script("mutants", seed)
    parent = PARENTS[script.pick(*PARENTS)](seed)
    script.header = {**parent.header, "name": script.header["name"]}
    for step in parent.steps:
        if step["do"] != "packet" or script.chance(45):
            script.steps.append(step)
            continue
        data = bytes.fromhex(step["hex"])
        start = ETHERNET if step["on"] == "server" else 0
        if start and script.chance(5):
            head = flipped(script.random, data[:start])
            head = head if head[12:14] != ARP else data[:start]
            script.steps.append({**step, "hex": (head + data[start:]).hex()})
        else:
            script.steps.append({**step, "hex": (data[:start] + mutant(script.random, data[start:])).hex()})
        if script.chance(20):
            script.steps.append(step)
    return script


KINDS: dict[str, Callable[[int], Script]] = {"mutants": mutants}
