"""The kernel's decisions the kernel's way: plain scans of the whole list at every pick, tables refilled at every change.

Written from the description of the behaviour, sharing nothing with the schedulers but the servers themselves. A model is
told of changes with the list as it is after them, newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import gcd
from random import Random
from typing import Any

from tests.ipvssim.schedulers.harness import CHANCE

Server = Any
"""A real server as the schedulers see it; tests bring stand-ins, too."""
Flow = Any
HZ = 100


def usable(server: Server) -> bool:
    return server.weight > 0 and not server.overloaded


def signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def least_load(servers: Iterable[Server], load: Callable[[Server], int]) -> Server | None:
    servers = list(servers)
    first = next((index for index, server in enumerate(servers) if usable(server)), None)
    if first is None:
        return None
    best = servers[first]
    for server in servers[first + 1 :]:
        if not server.overloaded and load(best) * server.weight > load(server) * best.weight:
            best = server
    return best


class Model:
    """``flags``, ``sublevel`` and the expirations are attributes so that a test may set them."""

    flags = 0
    sublevel = 176
    expiration = 86400
    full = 16384
    bound = 24576

    def __init__(self, servers: Iterable[Server] = ()) -> None:
        self.servers = list(servers)
        self.begin()

    def begin(self) -> None:
        pass

    def added(self, servers: list[Server], server: Server) -> None:
        self.servers = servers
        self.changed()

    def removed(self, servers: list[Server], server: Server) -> None:
        self.servers = servers
        self.changed()

    def edited(self, server: Server) -> None:
        self.changed()

    def changed(self) -> None:
        pass

    def collect(self, now: int) -> None:
        pass

    def pick(self, flow: Flow) -> Server | None:
        raise NotImplementedError

    def held(self) -> list[Server]:
        """Servers that the scheduler keeps alive."""
        return []

    def overhead(self, server: Server) -> int:
        total = server.inactive + (server.active if self.sublevel >= 183 else 0)
        return signed((server.active << 8) + total)


class Rr(Model):
    def begin(self) -> None:
        self.cursor = -1

    def added(self, servers: list[Server], server: Server) -> None:
        self.servers = servers
        if self.cursor >= 0:
            self.cursor += 1

    def removed(self, servers: list[Server], server: Server) -> None:
        position = self.servers.index(server)
        self.servers = servers
        if position <= self.cursor:
            self.cursor -= 1

    def pick(self, flow: Flow) -> Server | None:
        count = len(self.servers)
        order = [*range(self.cursor + 1, count), *range(self.cursor + 1)]
        for position in order:
            if usable(self.servers[position]):
                self.cursor = position
                return self.servers[position]
        return None


class Wrr(Model):
    def begin(self) -> None:
        self.cl = -1
        self.measure()
        self.cw = self.mw

    def measure(self) -> None:
        self.di = gcd(*(server.weight for server in self.servers)) or 1
        self.mw = max((server.weight for server in self.servers), default=0) - (self.di - 1)

    def changed(self) -> None:
        self.cl = -1
        self.measure()
        if self.cw > self.mw or self.cw == 0:
            self.cw = self.mw
        elif self.di > 1:
            self.cw = self.cw // self.di * self.di + 1

    def pick(self, flow: Flow) -> Server | None:
        if self.mw == 0:
            return None
        begun = before = self.cl
        restarted = last_pass = False
        stop = None
        while True:
            for position in range(before + 1, len(self.servers)):
                server = self.servers[position]
                if not server.overloaded and server.weight >= self.cw:
                    self.cl = position
                    return server
                if position == stop:
                    self.cl = position
                    return None
            before = -1
            self.cw -= self.di
            if self.cw <= 0:
                self.cw = self.mw
                if last_pass or begun == -1:
                    self.cl = -1
                    return None
                restarted = True
            last_pass = self.cw <= self.di
            if last_pass and restarted and begun != -1:
                stop = begun


class Lc(Model):
    def pick(self, flow: Flow) -> Server | None:
        best = None
        for server in self.servers:
            if usable(server) and (
                best is None or self.overhead(server) & 0xFFFFFFFF < self.overhead(best) & 0xFFFFFFFF
            ):
                best = server
        return best


class Wlc(Model):
    def pick(self, flow: Flow) -> Server | None:
        return least_load(self.servers, self.overhead)


class Sed(Model):
    def pick(self, flow: Flow) -> Server | None:
        return least_load(self.servers, lambda server: server.active + 1)


class Nq(Model):
    def pick(self, flow: Flow) -> Server | None:
        best = None
        for server in self.servers:
            if not usable(server):
                continue
            if server.active == 0:
                return server
            if best is None or (best.active + 1) * server.weight > (server.active + 1) * best.weight:
                best = server
        return best


class Fo(Model):
    def pick(self, flow: Flow) -> Server | None:
        best = None
        for server in self.servers:
            if usable(server) and (best is None or server.weight > best.weight):
                best = server
        return best


class Ovf(Model):
    def pick(self, flow: Flow) -> Server | None:
        best = None
        for server in self.servers:
            if usable(server) and server.active <= server.weight and (best is None or server.weight > best.weight):
                best = server
        return best


class Twos(Model):
    """``CHANCE`` is the seed of the harness: both draw the same numbers, two for each pick that finds a server."""

    def begin(self) -> None:
        self.chance = Random(CHANCE)

    def pick(self, flow: Flow) -> Server | None:
        candidates = [server for server in self.servers if usable(server)]
        if not candidates:
            return None
        total = signed(sum(server.weight for server in candidates) + 1)
        rest = [signed(self.chance.getrandbits(32) * (total & 0xFFFFFFFF) >> 32) for _ in range(2)]
        choices, weights, loads = [candidates[-1], None], [-1, -1], [0, 0]
        for server in candidates:
            for which in (0, 1):
                rest[which] = signed(rest[which] - server.weight)
                if rest[which] <= 0 and weights[which] == -1:
                    choices[which], weights[which], loads[which] = server, server.weight, self.overhead(server)
            if -1 not in weights:
                break
        wins = choices[1] is not None and signed(weights[1] * loads[0]) > signed(weights[0] * loads[1])
        return choices[1] if wins else choices[0]


class Cached(Model):
    def begin(self) -> None:
        self.cache: dict[bytes, dict[str, Any]] = {}
        self.entries = 0
        self.counter = 1
        self.rover = 0

    def over(self, server: Server) -> bool:
        return server.active > server.weight and any(2 * other.active < other.weight for other in self.servers)

    def may_add(self) -> bool:
        return self.sublevel < 191 or self.entries < self.bound

    def collect(self, now: int) -> None:
        if self.counter % 30 == 0:
            for address, entry in list(self.cache.items()):
                if entry["use"] + self.expiration * HZ <= now:
                    self.forget(address)
            self.counter = 1
            return
        if self.entries <= self.full:
            self.counter += 1
            return
        goal = min((self.entries - self.full) * 4 // 3, self.full // 2)
        place = self.rover
        for _ in range(1024):
            place = (place + 1) & 1023
            for address, entry in list(self.cache.items()):
                if hash_32(words(address), 10) == place and now >= entry["use"] + 360 * HZ:
                    self.forget(address)
                    goal -= 1
            if goal <= 0:
                break
        self.rover = place

    def forget(self, address: bytes) -> None:
        del self.cache[address]
        self.entries -= 1


class Lblc(Cached):
    def held(self) -> list[Server]:
        return [entry["server"] for entry in self.cache.values()]

    def pick(self, flow: Flow) -> Server | None:
        entry = self.cache.get(flow.destination)
        if entry:
            entry["use"] = flow.now
            server = entry["server"]
            if server.available and server.weight > 0 and not self.over(server):
                return server
        server = least_load(self.servers, self.overhead)
        if server is None or (entry and entry["server"] is server) or not self.may_add():
            return server
        self.cache[flow.destination] = {"server": server, "use": flow.now}
        if not entry or self.sublevel < 191:  # what is replaced was counted, and goes on to be
            self.entries += 1
        return server


class Lblcr(Cached):
    def held(self) -> list[Server]:
        return [server for entry in self.cache.values() for server in entry["set"]]

    def pick(self, flow: Flow) -> Server | None:
        entry = self.cache.get(flow.destination)
        if not entry:
            server = least_load(self.servers, self.overhead)
            if server is not None and self.may_add():
                self.cache[flow.destination] = {"set": [server], "use": flow.now, "changed": flow.now}
                self.entries += 1
            return server
        entry["use"] = flow.now
        server = least_load([member for member in entry["set"] if member.available], self.overhead)
        if len(entry["set"]) > 1 and flow.now > entry["changed"] + self.expiration * HZ:
            most = None
            for member in entry["set"]:
                if member.weight > 0 and (
                    most is None or self.overhead(most) * member.weight < self.overhead(member) * most.weight
                ):
                    most = member
            if most is not None:
                entry["set"].remove(most)
                entry["changed"] = flow.now
        if server is not None and not self.over(server):
            return server
        server = least_load(self.servers, self.overhead)
        if server is not None and server not in entry["set"]:
            entry["set"].insert(0, server)
            entry["changed"] = flow.now
        return server


def words(address: bytes) -> int:
    """XOR of the address's 32-bit words."""
    total = 0
    for start in range(0, len(address), 4):
        total ^= int.from_bytes(address[start : start + 4], "big")
    return total


def hash_32(value: int, bits: int) -> int:
    return ((value * 0x61C88647) % (1 << 32)) >> (32 - bits)


class Dh(Model):
    def begin(self) -> None:
        self.buckets: list[Server] = []

    def edited(self, server: Server) -> None:
        pass

    def changed(self) -> None:
        count = len(self.servers)
        self.buckets = [self.servers[bucket % count] for bucket in range(256)] if count else []

    def pick(self, flow: Flow) -> Server | None:
        if not self.buckets:
            return None
        server = self.buckets[hash_32(words(flow.destination), 8)]
        return server if usable(server) else None


def source(flow: Flow, with_port: int) -> int:
    return words(flow.client) + (flow.client_port if with_port and flow.protocol in (6, 17, 132) else 0)


class Sh(Model):
    def begin(self) -> None:
        self.buckets: list[Server] = []

    def changed(self) -> None:
        self.buckets = []
        position = placed = 0
        while self.servers and len(self.buckets) < 256:
            server = self.servers[position % len(self.servers)]
            self.buckets.append(server)
            placed += 1
            if placed >= server.weight:
                position += 1
                placed = 0

    def pick(self, flow: Flow) -> Server | None:
        if not self.buckets:
            return None
        first = hash_32(source(flow, self.flags & 0x10), 8)
        if usable(self.buckets[first]):
            return self.buckets[first]
        if self.flags & 8:
            for offset in range(256):
                server = self.buckets[((offset + first) % 256 + first) % 256]
                if usable(server):
                    return server
        return None


def siphash_1_3(data: bytes, key: bytes) -> int:
    """SipHash as its paper has it, one compression and three finalization rounds; ``key`` is 16 bytes."""
    mask = (1 << 64) - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotl(x: int, b: int) -> int:
        return ((x << b) | (x >> (64 - b))) & mask

    def sip_round() -> None:
        for a, b, c, d, s, t in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
            v[a] = (v[a] + v[b]) & mask
            v[b] = rotl(v[b], s) ^ v[a]
            v[a] = rotl(v[a], 32)
            v[c] = (v[c] + v[d]) & mask
            v[d] = rotl(v[d], t) ^ v[c]

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v[3] ^= word
        sip_round()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        sip_round()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def hashed(key: int, value: int) -> int:
    data = (value & 0xFFFFFFFF).to_bytes(4, "little")
    return siphash_1_3(data, key.to_bytes(8, "little") * 2) & 0xFFFFFFFF


class Mh(Model):
    size = 4093

    def begin(self) -> None:
        self.slots: list[Server] = []

    def changed(self) -> None:
        if len(self.servers) > self.size:
            return
        self.slots = []
        divisor = gcd(*(server.last_weight for server in self.servers))
        if not divisor:
            return
        largest = max(server.last_weight for server in self.servers) // divisor
        shift = max(largest.bit_length() - 6, 0)
        slots: list[Server] = [None] * self.size
        walks = []
        for server in self.servers:
            value = words(server.address[:4]) + server.port  # a service of IPv4 reads so much of any address
            walks.append([hashed(2654435761, value) % self.size, hashed(2654446892, value) % (self.size - 1) + 1])
        free = self.size
        while free:
            for server, walk in zip(self.servers, walks, strict=True):
                share = max((server.last_weight // divisor) >> shift, 1) if server.last_weight else 0
                for _ in range(share):
                    while slots[walk[0]] is not None:
                        walk[0] = (walk[0] + walk[1]) % self.size
                    slots[walk[0]] = server
                    free -= 1
                    if not free:
                        self.slots = slots
                        return

    def pick(self, flow: Flow) -> Server | None:
        if not self.slots:
            return None
        value = source(flow, self.flags & 0x10)
        first = hashed(2654435761, value) % self.size
        if usable(self.slots[first]):
            return self.slots[first]
        if self.flags & 8 and any(usable(server) for server in self.servers):
            for offset in range(self.size):
                server = self.slots[hashed(2654435761, value + (first + offset) % self.size) % self.size]
                if usable(server):
                    return server
        return None


MODELS = {
    "dh": Dh,
    "fo": Fo,
    "lblc": Lblc,
    "lblcr": Lblcr,
    "lc": Lc,
    "mh": Mh,
    "nq": Nq,
    "ovf": Ovf,
    "rr": Rr,
    "sed": Sed,
    "sh": Sh,
    "twos": Twos,
    "wlc": Wlc,
    "wrr": Wrr,
}
