"""Figures from outcomes: fairness, disruption, evening out, confidence. Pure arithmetic on arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ipvssim.clock import SECOND
from ipvssim.lab.run.outcome import Change, Outcome
from ipvssim.lab.run.traffic import Traffic

EVEN = 0.2
"""A server that joined has evened out when it carries the others' mean load within this share of it ..."""
EVEN_SAMPLES = 3
"""... in that many samples in a row."""
_LEAST_OPENED = 20
_NOWHERE = -1
REFUSED = -2
"""Where a connection went that no server took."""
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
    2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t for a two-sided 95 % interval, by degrees of freedom from 1 on."""


def jain(loads: ArrayLike) -> float:
    """Jain's index of fairness: 1 where all are equal, 1/n where one has everything; nan where nobody has anything."""
    values = np.asarray(loads, float)
    squares = float((values**2).sum()) * len(values)
    return float(values.sum()) ** 2 / squares if squares else float("nan")


def peak(loads: ArrayLike) -> float:
    """The most over the mean: 1 where all are equal, n where one has everything."""
    values = np.asarray(loads, float)
    total = float(values.sum())
    return float(values.max()) * len(values) / total if total else float("nan")


def interval(values: Iterable[float]) -> tuple[float, float]:
    """The mean over seeds, and half the width of its 95 % confidence interval (nan of fewer than two)."""
    known = np.array([value for value in values if value == value], float)
    if not len(known):
        return float("nan"), float("nan")
    if len(known) < 2:
        return float(known[0]), float("nan")
    t = _T95[len(known) - 2] if len(known) - 2 < len(_T95) else 1.96
    return float(known.mean()), t * float(known.std(ddof=1)) / len(known) ** 0.5


def judge(
    outcome: Outcome, traffic: Traffic, placed: NDArray[np.int64], route: Sequence[int], dead: NDArray[np.bool_]
) -> None:
    """Fill in an outcome's figures. ``placed`` has the server of each connection that was opened, :data:`REFUSED`, or -1
    where it met an old one or has not come; ``route`` its director; ``dead`` whether its server was dead."""
    if not len(outcome.times):
        return
    until = outcome.changes[0].at if outcome.changes else outcome.times[-1]
    calm = outcome.times <= until
    grids = outcome.grids
    weight = grids["weight"][0]
    usable = weight > 0
    last = int(np.flatnonzero(calm)[-1]) if calm.any() else 0
    if usable.any():
        loads = grids["opened"][last, usable] / weight[usable]
        outcome.figures |= {"jain": jain(loads), "peak": peak(loads)}
        later = slice(last // 2, last + 1)
        standing = grids["active"][later][:, usable] / weight[usable]
        if grids["active"][later].sum(1).mean() >= usable.sum():  # else it says nothing: most samples see none
            outcome.figures["peak_active"] = _mean([peak(row) for row in standing])
            outcome.figures["jain_active"] = _mean([jain(row) for row in standing])
        if grids["templates"].any():
            outcome.figures["peak_templates"] = _mean([peak(row) for row in grids["templates"][later][:, usable]])
    if any(route):
        outcome.figures["first_picks"] = _first_picks(np.array(route), placed)
    offered = outcome.counts["offered"]
    outcome.figures["refused"] = outcome.counts["refused"] / offered if offered else 0.0
    if "dead" in outcome.counts:
        outcome.figures["dead"] = outcome.counts["dead"]
    if not outcome.changes:
        return
    (clients, _), opened = _clients(traffic), _opened(traffic)
    for number, change in enumerate(outcome.changes):
        later_changes = outcome.changes[number + 1 :]
        change.figures |= _disruption(change, later_changes, clients, opened, placed)
        if "dead" in outcome.counts:
            change.figures["dead_after"] = _dead_after(change, later_changes, opened, placed, dead)
        change.figures |= _joining(change, later_changes, outcome)
    for number, change in enumerate(outcome.changes):
        suffix = f"_{number + 1}" if number else ""
        outcome.figures |= {name + suffix: value for name, value in change.figures.items()}


def _first_picks(route: NDArray[np.int64], placed: NDArray[np.int64]) -> float:
    """The largest share of directors that sent their first connection to one server."""
    known = np.flatnonzero(placed >= 0)
    if not len(known):
        return float("nan")
    _, first = np.unique(route[known], return_index=True)
    picks = np.bincount(placed[known[first]])
    return float(picks.max() / picks.sum())


def _disruption(
    change: Change,
    later: Sequence[Change],
    clients: NDArray[np.int64],
    opened: NDArray[np.float64],
    placed: NDArray[np.int64],
) -> dict[str, float]:
    """What became of clients and connections after a change, until the next one.

    ``moved``: of the clients whose server stayed and that came again, the share that was given another one, other than one
    that had just come. ``forced``: of all that came again, the share whose server takes no more connections, and that were
    given another one, or none. ``refused_after``: of the connections that came, the share that no server took.
    """
    end = later[0].at if later else np.inf
    before = np.flatnonzero((placed >= 0) & (opened < change.at))
    since = (opened >= change.at) & (opened < end)
    after = np.flatnonzero(since & (placed >= 0))[::-1]
    lost = np.flatnonzero(since & (placed == REFUSED))
    size = int(clients.max(initial=0)) + 1
    home, fresh, came = np.full(size, _NOWHERE), np.full(size, _NOWHERE), np.zeros(size, bool)
    home[clients[before]] = placed[before]
    fresh[clients[after]] = placed[after]
    came[clients[after]] = came[clients[lost]] = True
    again = (home != _NOWHERE) & came
    lasting = np.isin(home, list(change.usable))
    stayed = again & lasting & (fresh != _NOWHERE)
    moved = stayed & (fresh != home) & ~np.isin(fresh, list(change.joined))
    return {
        "moved": _share(moved, stayed),
        "forced": _share(again & ~lasting & (fresh != home), again),
        "refused_after": len(lost) / (len(lost) + len(after)) if len(lost) + len(after) else float("nan"),
        "broken": float(change.broken),
    }


def _dead_after(
    change: Change,
    later: Sequence[Change],
    opened: NDArray[np.float64],
    placed: NDArray[np.int64],
    dead: NDArray[np.bool_],
) -> float:
    """Of the connections that came after a change, until the next one, the share that was sent to a dead server."""
    since = (opened >= change.at) & (opened < (later[0].at if later else np.inf)) & (placed != _NOWHERE)
    return _share(since & dead, since)


def _share(some: NDArray[np.bool_], every: NDArray[np.bool_]) -> float:
    return float(some.sum() / every.sum()) if every.any() else float("nan")


def _joining(change: Change, later: Sequence[Change], outcome: Outcome) -> dict[str, float]:
    """For servers that came: the largest share of new connections in one sample, and the time to even out (nan: never)."""
    if not change.joined:
        return {}
    end = later[0].at if later else np.inf
    span = np.flatnonzero((outcome.times >= change.at) & (outcome.times <= end))
    mine = sorted(change.joined)
    others = sorted(change.usable - change.joined)
    if len(span) < 2 or not others:
        return {}
    grids = outcome.grids
    fresh = np.diff(grids["opened"][span], axis=0)
    rows = fresh[fresh.sum(1) >= _LEAST_OPENED]
    rush = float((rows[:, mine].sum(1) / rows.sum(1)).max()) if len(rows) else float("nan")
    weight = np.maximum(grids["weight"][span], 1)
    loads = grids["active"][span] / weight
    mean = loads[:, others].mean(1)
    even = np.abs(loads[:, mine].mean(1) - mean) <= EVEN * mean
    run = np.convolve(even.astype(int), np.ones(EVEN_SAMPLES, int), "valid") == EVEN_SAMPLES
    settled = float(outcome.times[span[int(np.argmax(run))]] - change.at) if run.any() else float("nan")
    highest = loads[1:, mine].mean(1) / np.maximum(mean[1:], 1e-9)
    return {"rush": rush, "even_after": settled, "overshoot": float(highest.max())}


# --- whose connections ---


def _clients(traffic: Traffic) -> tuple[NDArray[np.int64], list[bytes]]:
    """The client of each connection, numbered through all streams by address; and the addresses, by number."""
    known: dict[bytes, int] = {}
    parts = []
    for flows in traffic.flows:
        rows = np.ascontiguousarray(flows.addresses)
        each = rows.view(f"V{rows.shape[1]}").ravel().tolist()  # all at once: clients may be many
        numbers = np.array([known.setdefault(address, len(known)) for address in each], np.int64)
        parts.append(numbers[flows.client])
    return np.concatenate(parts) if parts else np.zeros(0, np.int64), list(known)


def _opened(traffic: Traffic) -> NDArray[np.float64]:
    return np.concatenate([flows.opened for flows in traffic.flows]) / SECOND


def heat(traffic: Traffic, placed: NDArray[np.int64], servers: int, most: int) -> tuple[NDArray[np.int64], list[str]]:
    """Connections by client and server, the busiest clients first; and the clients' addresses."""
    clients, addresses = _clients(traffic)
    known = placed != _NOWHERE
    counts = np.bincount(clients[known], minlength=1)
    busiest = np.argsort(-counts, kind="stable")[:most]
    busiest = busiest[counts[busiest] > 0]
    row_of = np.full(len(counts), _NOWHERE)
    row_of[busiest] = np.arange(len(busiest))
    rows = row_of[clients[known]]
    grid = np.zeros((len(busiest), servers), np.int64)
    shown = rows != _NOWHERE
    np.add.at(grid, (rows[shown], placed[known][shown]), 1)
    return grid, [str(ip_address(addresses[one])) for one in busiest]


def spread(traffic: Traffic, how: str, directors: int, seed: int) -> list[int]:
    """The director that each connection reaches: by its flow, by its client, or each in turn."""
    count = traffic.count
    if directors == 1:
        return [0] * count
    if how == "turn":
        order = np.argsort(np.argsort(_opened(traffic), kind="stable"), kind="stable")
        return list((order % directors).tolist())
    number, _ = _clients(traffic)
    if how == "flow":
        number = number * 65536 + np.concatenate([flows.port for flows in traffic.flows])
    draws = np.random.default_rng([seed, 7919]).integers(1, 1 << 62, 2)
    with np.errstate(over="ignore"):
        mixed = (number.astype(np.uint64) + np.uint64(draws[0])) * np.uint64(int(draws[1]) | 1)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
    return list(((mixed >> np.uint64(33)) % np.uint64(directors)).astype(int).tolist())


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


__all__ = ["EVEN", "heat", "interval", "jain", "judge", "peak", "spread"]
