"""Random draws of traffic: when connections come, how long they last, whose they are. Vectors in, vectors out.

Every draw takes a generator seeded by scenario seed and stream, so that a seed means the same traffic to every scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipvssim.lab.scenario.reader import Reader, ScenarioError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_SCATTERED = (0x0B000000, 0x63FFFFFF)
"""Clients that are nowhere in particular: 11.0.0.0 to 99.255.255.255, in which nothing is special."""


# --- arrivals ---


def arrivals(spec: Mapping[str, Any], random: np.random.Generator, count: int, seconds: float) -> Floats:
    """Times in ascending order: ``count`` of them, or those that come within ``seconds``."""
    with Reader(spec, "traffic.arrivals").whole() as reader:
        kind = reader.choice("kind", ("constant", "poisson", "bursts"))
        if kind == "bursts":
            size, every = reader.need("size", int), reader.positive("every")
            width = float(reader.take("width", (int, float), 0))
            if size < 1 or width < 0:
                raise ScenarioError("traffic.arrivals: size is at least 1, width is not negative")
            return _bursts(random, count, seconds, size, every, width)
        rate = reader.positive("rate")
    if kind == "constant":
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
    with Reader(spec, "traffic.durations").whole() as reader:
        kind = reader.choice("kind", ("fixed", "exponential", "pareto"))
        if kind == "fixed":
            return np.full(count, reader.positive("seconds"))
        mean = reader.positive("mean")
        if kind == "exponential":
            return random.exponential(mean, count)
        shape = reader.positive("shape")
        if shape <= 1:
            raise ScenarioError("traffic.durations.shape: a Pareto distribution of shape 1 or less has no mean")
        return np.asarray((random.pareto(shape, count) + 1) * mean * (shape - 1) / shape)


# --- clients ---


def clients(spec: Mapping[str, Any], random: np.random.Generator, size: int) -> tuple[Bytes, Floats]:
    """The clients' addresses (a row each, of ``size`` bytes), and the share of connections of each."""
    with Reader(spec, "traffic.clients").whole() as reader:
        listed = reader.take("addresses", list)
        if listed is not None:
            return _listed(listed, size)
        kind = reader.choice("kind", ("uniform", "zipf", "nat"))
        number = reader.need("count", int)
        if number < 1:
            raise ScenarioError("traffic.clients.count is at least 1")
        where = reader.take("net", str, "")
        weights = np.ones(number)
        if kind == "zipf":
            weights = np.arange(1, number + 1) ** -reader.positive("exponent")
        elif kind == "nat":
            share = reader.positive("share")
            if share > 1:
                raise ScenarioError("traffic.clients.share is at most 1")
            weights[:] = (1 - share) / max(number - 1, 1)
            weights[0] = share
    return _addresses(random, number, size, where), weights / weights.sum()


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
    drawn = np.unique(random.integers(low, high, number + number // 8 + 8))
    while len(drawn) < number:
        drawn = np.unique(np.concatenate((drawn, random.integers(low, high, number))))
    return random.permutation(drawn)[:number].astype(">u4").view(np.uint8).reshape(number, 4)


def _consecutive(number: int, size: int, where: str) -> Bytes:
    try:
        net = ip_network(where)
    except ValueError as wrong:
        raise ScenarioError(f"traffic.clients.net: {wrong}") from None
    if net.max_prefixlen != size * 8 or net.num_addresses <= number:
        raise ScenarioError(f"traffic.clients.net: {where} does not hold {number} clients of the service's family")
    first = int(net.network_address) + 1
    return np.frombuffer(b"".join((first + one).to_bytes(size, "big") for one in range(number)), np.uint8).reshape(
        -1, size
    )


def _listed(listed: list[Any], size: int) -> tuple[Bytes, Floats]:
    rows = [row if isinstance(row, list) else [row] for row in listed]
    try:
        packed = [ip_address(str(row[0])).packed for row in rows]
        weights = np.array([float(row[1]) if len(row) > 1 else 1.0 for row in rows])
    except (ValueError, IndexError) as wrong:
        raise ScenarioError(f"traffic.clients: {wrong}; a line is an address and, if wanted, a weight") from None
    if not packed or any(len(one) != size for one in packed) or (weights < 0).any() or not weights.sum():
        raise ScenarioError("traffic.clients: addresses of the service's family are wanted, with weights above 0")
    return np.frombuffer(b"".join(packed), np.uint8).reshape(-1, size), weights / weights.sum()


def ports(client: Integers, number: int) -> Integers:
    """A client's ports: one after another from a start of its own; two connections share one only after 64,000 others."""
    order = np.argsort(client, kind="stable")
    counts = np.bincount(client, minlength=number)
    before = np.cumsum(counts) - counts
    turn = np.empty(len(client), np.int64)
    turn[order] = np.arange(len(client)) - before[client[order]]
    return np.asarray(1024 + (turn + client * 7919) % 64000)
