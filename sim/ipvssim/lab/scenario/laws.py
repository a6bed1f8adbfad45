"""The laws of traffic as a scenario writes them: when connections come, how long they last, whose they are. Read and checked
when the scenario is, and drawn from them by :mod:`ipvssim.lab.run.draws`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from ipvssim.lab.scenario.reader import Reader, ScenarioError, shown

MOST_CONNECTIONS = 20_000_000
"""Of one run: some 14 GB of memory, and a quarter of an hour."""
MOST_CLIENTS = 4_000_000


@dataclass(frozen=True, slots=True)
class Arrivals:
    """``constant`` and ``poisson`` have a rate, ``bursts`` the rest."""

    kind: str
    rate: float = 0.0
    size: int = 0
    every: float = 0.0
    width: float = 0.0

    def expected(self, seconds: float) -> float:
        """How many connections come in so many seconds, about."""
        return self.size * (seconds / self.every + 1) if self.kind == "bursts" else self.rate * seconds

    def lasting(self, count: int) -> float:
        """How many seconds pass until so many have come, about; exactly, unless it is ``poisson``."""
        if self.kind == "bursts":
            return (count - 1) // self.size * self.every + self.width
        return (count - 1) / self.rate


def arrivals(spec: Mapping[str, Any], place: str = "traffic.arrivals") -> Arrivals:
    """``arrivals`` of a stream."""
    with Reader(spec, place).whole() as reader:
        kind = reader.choice("kind", ("constant", "poisson", "bursts"))
        if kind != "bursts":
            return Arrivals(kind, rate=reader.positive("rate"))
        size = reader.whole_number("size", None, 1, MOST_CONNECTIONS)
        return Arrivals(kind, size=size, every=reader.positive("every"), width=reader.number("width", 0.0))


@dataclass(frozen=True, slots=True)
class Durations:
    """``mean`` is that of ``fixed``, too."""

    kind: str
    mean: float
    shape: float = 0.0

    @property
    def usual(self) -> float:
        """The mean; of ``pareto`` the median, since few of its draws come near its mean."""
        if self.kind != "pareto":
            return self.mean
        return self.mean * (self.shape - 1) / self.shape * 2 ** (1 / self.shape)


def durations(spec: Mapping[str, Any], place: str = "traffic.durations") -> Durations:
    """``durations`` of a stream."""
    with Reader(spec, place).whole() as reader:
        kind = reader.choice("kind", ("fixed", "exponential", "pareto"))
        if kind != "pareto":
            return Durations(kind, reader.positive("seconds" if kind == "fixed" else "mean"))
        found = Durations(kind, reader.positive("mean"), reader.positive("shape"))
    if found.shape <= 1:
        raise ScenarioError(f"{place}.shape: a Pareto distribution of shape 1 or less has no mean")
    return found


@dataclass(frozen=True, slots=True)
class Clients:
    """How many, and how connections are shared out among them: by an ``exponent`` or a ``share`` of the first, or evenly.
    ``listed`` ones are (packed address, weight)."""

    kind: str
    count: int
    exponent: float = 0.0
    share: float = 0.0
    net: str = ""
    listed: tuple[tuple[bytes, float], ...] = ()


def clients(spec: Mapping[str, Any], size: int, place: str = "traffic.clients") -> Clients:
    """``clients`` of a stream whose service has addresses of ``size`` bytes."""
    with Reader(spec, place).whole() as reader:
        rows = reader.take("addresses", list)
        if rows is not None:
            found = _listed(rows, size, place)
            return Clients("listed", len(found), listed=found)
        kind = reader.choice("kind", ("uniform", "zipf", "nat"))
        count = reader.whole_number("count", None, 1, MOST_CLIENTS)
        net = _net(reader.take("net", str, ""), count, size, place)
        exponent = reader.positive("exponent") if kind == "zipf" else 0.0
        share = reader.positive("share") if kind == "nat" else 0.0
    if exponent > 100:
        raise ScenarioError(f"{place}.exponent: {exponent:g} is not above 0 and at most 100")
    if share > 1:
        raise ScenarioError(f"{place}.share: {share:g} is not above 0 and at most 1")
    return Clients(kind, count, exponent, share, net)


def _net(where: str, count: int, size: int, place: str) -> str:
    if not where:
        return where
    try:
        net = ip_network(where)
    except ValueError as wrong:
        raise ScenarioError(f"{place}.net: {wrong}") from None
    if net.max_prefixlen != size * 8 or net.num_addresses <= count:
        raise ScenarioError(f"{place}.net: {where} does not hold {count} clients of the service's family")
    return where


def _listed(rows: list[Any], size: int, place: str) -> tuple[tuple[bytes, float], ...]:
    found = []
    for row in rows:
        words = row if isinstance(row, list) else [row]
        try:
            found.append((ip_address(str(words[0])).packed, float(words[1]) if len(words) > 1 else 1.0))
        except (ValueError, IndexError, TypeError, OverflowError):
            raise ScenarioError(f"{place}: {shown(row)} is no address with, if wanted, a weight") from None
    total = sum(weight for _, weight in found)
    fine = all(len(address) == size and 0 <= weight < math.inf for address, weight in found)
    if not fine or not 0 < total < math.inf or len(found) > MOST_CLIENTS:
        raise ScenarioError(f"{place}: addresses of the service's family are wanted, with weights above 0")
    return tuple(found)
