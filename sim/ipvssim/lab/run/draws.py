"""Random draws of traffic: when connections come, how long they last, whose they are. Vectors in, vectors out.

Every draw takes a generator seeded by scenario seed and stream, so that a seed means the same traffic to every scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipvssim.lab.scenario import laws
from ipvssim.lab.scenario.reader import LONGEST
from ipvssim.lab.scenario.values import SHORTEST

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_DRAWN = 1 << 16
"""Turns of closed-loop users that are drawn at once, of all users together."""
_SCATTERED = (0x0B000000, 0x63FFFFFF)
"""Clients that are nowhere in particular: 11.0.0.0 to 99.255.255.255, in which nothing is special."""


# --- arrivals ---


def arrivals(spec: Mapping[str, Any], random: np.random.Generator, count: int, seconds: float) -> Floats:
    """Times in ascending order: ``count`` of them, or those that come within ``seconds``."""
    law = laws.arrivals(spec)
    if law.kind == "bursts":
        return _bursts(random, count, seconds, law.size, law.every, law.width)
    rate = law.rate
    if law.kind == "constant":
        return np.arange(count or int(rate * seconds)) / rate
    if count:
        return np.asarray(np.cumsum(random.exponential(1 / rate, count)))
    return np.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))


def _bursts(random: np.random.Generator, count: int, seconds: float, size: int, every: float, width: float) -> Floats:
    total = count or size * int(np.ceil(seconds / every))
    times = (np.arange(total) // size) * every
    return np.sort(times + random.uniform(0, width, total)) if width else np.asarray(times, float)


# --- durations ---


def durations(spec: Mapping[str, Any], random: np.random.Generator, count: int) -> Floats:
    """How long connections last, in seconds."""
    law = laws.durations(spec)
    if law.kind == "fixed":
        return np.full(count, law.mean)
    if law.kind == "exponential":
        return np.minimum(random.exponential(law.mean, count), LONGEST)
    drawn = (random.pareto(law.shape, count) + 1) * law.mean * (law.shape - 1) / law.shape
    return np.asarray(np.minimum(drawn, LONGEST))


# --- closed-loop users ---


def turns(
    users: int, durations_: Mapping[str, Any], think: Mapping[str, Any], random: np.random.Generator, count: int,
    seconds: float,
) -> tuple[Floats, Floats, Integers]:  # fmt: skip
    """When each user's connections come, one after another: it thinks, opens one, waits for its end, thinks. Times in
    ascending order (``count`` of them, or those within ``seconds``), how long each lasts, and whose it is."""
    ready = np.zeros(users)
    parts: list[tuple[Floats, Floats, Integers]] = []
    each = max(_DRAWN // users, 1)  # the same for whatever count: more connections are the same ones, and more
    certain = 0
    while certain < count if count else float(ready.min()) < seconds:
        going = np.arange(users) if count else np.flatnonzero(ready < seconds)
        shape = (len(going), each)
        thought = (durations(think, random, len(going) * each) if think else np.zeros(len(going) * each)).reshape(shape)
        lasting = durations(durations_, random, len(going) * each).reshape(shape)
        over = ready[going, None] + np.cumsum(thought + np.maximum(lasting, SHORTEST), axis=1)
        opened = over - np.maximum(lasting, SHORTEST)
        parts.append((opened.ravel(), lasting.ravel(), np.repeat(going, each)))
        ready[going] = over[:, -1]
        if count:  # what comes before everyone's next one is all there
            certain = sum(int((part[0] <= ready.min()).sum()) for part in parts)
    opened, lasting, user = (np.concatenate([part[number] for part in parts]) for number in range(3))
    order = np.argsort(opened, kind="stable")
    order = order[:count] if count else order[opened[order] < seconds]
    return opened[order], lasting[order], user[order]


# --- clients ---


def clients(spec: Mapping[str, Any], random: np.random.Generator, size: int) -> tuple[Bytes, Floats]:
    """The clients' addresses (a row each, of ``size`` bytes), and the share of connections of each."""
    law = laws.clients(spec, size)
    if law.listed:
        weights = np.array([weight for _, weight in law.listed])
        packed = b"".join(address for address, _ in law.listed)
        return np.frombuffer(packed, np.uint8).reshape(-1, size), weights / weights.sum()
    number = law.count
    weights = np.ones(number)
    if law.kind == "zipf":
        weights = np.arange(1, number + 1) ** -law.exponent
    elif law.kind == "nat":
        weights[:] = (1 - law.share) / max(number - 1, 1)
        weights[0] = law.share
    return _addresses(random, number, size, law.net), weights / weights.sum()


def _addresses(random: np.random.Generator, number: int, size: int, where: str) -> Bytes:
    if where:
        return _consecutive(number, size, where)
    if size == 16:
        words = random.integers(0, 1 << 63, number, dtype=np.int64)
        prefix = np.frombuffer(ip_address("2001:db8:c::").packed, np.uint8)
        found = np.tile(prefix, (number, 1))
        found[:, 8:] = words.astype(">i8").view(np.uint8).reshape(number, 8)
        return found
    low, high = _SCATTERED
    drawn = _distinct(random.integers(low, high, number + number // 8 + 8))
    while len(drawn) < number:
        drawn = _distinct(np.concatenate((drawn, random.integers(low, high, number))))
    return random.permutation(drawn)[:number].astype(">u4").view(np.uint8).reshape(number, 4)


def _distinct(numbers: Integers) -> Integers:
    """The numbers in ascending order, each once. (NumPy 2.4 hashes for np.unique, which takes thirty times as long.)"""
    ordered = np.sort(numbers)
    return ordered[np.diff(ordered, prepend=-1) > 0]


def _consecutive(number: int, size: int, where: str) -> Bytes:
    first = int(ip_network(where).network_address) + 1
    packed = b"".join((first + one).to_bytes(size, "big") for one in range(number))
    return np.frombuffer(packed, np.uint8).reshape(-1, size)


def ports(client: Integers, number: int) -> Integers:
    """A client's ports: one after another from a start of its own; two connections share one only after 64,000 others."""
    order = np.argsort(client, kind="stable")
    counts = np.bincount(client, minlength=number)
    before = np.cumsum(counts) - counts
    turn = np.empty(len(client), np.int64)
    turn[order] = np.arange(len(client)) - before[client[order]]
    return np.asarray(1024 + (turn + client * 7919) % 64000)
