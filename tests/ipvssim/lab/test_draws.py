"""The random draws are what they are called: their means and shares, by the law of large numbers; and seeds repeat."""

from __future__ import annotations

import numpy as np
import pytest

from ipvssim.lab.run import draws
from ipvssim.lab.scenario.reader import ScenarioError

MANY = 200_000


def fresh() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("spec", [{"kind": "constant", "rate": 50}, {"kind": "poisson", "rate": 50}])
def test_arrivals_keep_their_rate(spec: dict[str, object]) -> None:
    """In T seconds some rate x T connections come, in ascending order, none after T; a number of them is met exactly."""
    times = draws.arrivals(spec, fresh(), 0, 1000)
    assert abs(len(times) - 50_000) < 5 * 50_000**0.5
    assert (np.diff(times) >= 0).all()
    assert times[-1] <= 1000
    counted = draws.arrivals(spec, fresh(), 50_000, 0)
    assert len(counted) == 50_000
    assert counted[-1] == pytest.approx(1000, rel=0.03)


def test_poisson_gaps_are_exponential() -> None:
    """A Poisson process's gaps have a standard deviation equal to their mean; a constant one's have none."""
    gaps = np.diff(draws.arrivals({"kind": "poisson", "rate": 10}, fresh(), MANY, 0))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02)


def test_bursts_come_together() -> None:
    """Bursts of 100 every 2 s: 100 at 0, 100 at 2, and so on; with a width, within it."""
    spec = {"kind": "bursts", "size": 100, "every": 2}
    times, counts = np.unique(draws.arrivals(spec, fresh(), 0, 10), return_counts=True)
    assert times.tolist() == [0, 2, 4, 6, 8]
    assert set(counts) == {100}
    wide = draws.arrivals({**spec, "width": 0.5}, fresh(), 1000, 0)
    assert (wide % 2 < 0.5).all()


@pytest.mark.parametrize(
    ("spec", "mean"),
    [
        ({"kind": "fixed", "seconds": 3}, 3),
        ({"kind": "exponential", "mean": 4}, 4),
        ({"kind": "pareto", "mean": 5, "shape": 2.5}, 5),
    ],
)
def test_durations_keep_their_mean(spec: dict[str, object], mean: float) -> None:
    """Durations have the mean that was asked for; Pareto's also its least value and its tail."""
    lasting = draws.durations(spec, fresh(), MANY)
    assert lasting.mean() == pytest.approx(mean, rel=0.03)
    if spec["kind"] == "pareto":
        least = 5 * 1.5 / 2.5
        assert lasting.min() == pytest.approx(least, rel=0.001)
        assert (lasting > 2 * least).mean() == pytest.approx(2**-2.5, rel=0.05)


def test_zipf_shares_fall_as_powers() -> None:
    """Client k has 1/k^s of the first one's share; a NAT has what it was given; uniform is uniform."""
    _, shares = draws.clients({"kind": "zipf", "count": 100, "exponent": 1.2}, fresh(), 4)
    assert shares[9] / shares[0] == pytest.approx(10**-1.2)
    _, shares = draws.clients({"kind": "nat", "count": 11, "share": 0.4}, fresh(), 4)
    assert shares.tolist() == pytest.approx([0.4] + [0.06] * 10)
    assert draws.clients({"kind": "uniform", "count": 4}, fresh(), 16)[1].tolist() == [0.25] * 4


@pytest.mark.parametrize("size", [4, 16])
def test_clients_are_different(size: int) -> None:
    """Every client has an address of its own; a net is filled from its beginning; a file is taken as it is."""
    addresses, _ = draws.clients({"kind": "uniform", "count": 50_000}, fresh(), size)
    assert len(np.unique(addresses, axis=0)) == 50_000
    inside, _ = draws.clients({"kind": "uniform", "count": 3, "net": "192.0.2.0/24"}, fresh(), 4)
    assert inside.tolist() == [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]]
    listed, shares = draws.clients({"addresses": [["192.0.2.7", "3"], ["192.0.2.9"]]}, fresh(), 4)
    assert (listed[:, 3].tolist(), shares.tolist()) == ([7, 9], [0.75, 0.25])


def test_a_clients_ports_differ() -> None:
    """One client's connections have ports of their own until there are more than 64,000."""
    client = np.random.default_rng(2).integers(0, 3, 100_000)
    port = draws.ports(client, 3)
    assert port.min() >= 1024
    for one in range(3):
        assert len(np.unique(port[client == one])) == (client == one).sum()


@pytest.mark.parametrize(
    ("draw", "spec", "words"),
    [
        (draws.arrivals, {"kind": "poisson"}, "rate is missing"),
        (draws.arrivals, {"kind": "poisson", "rate": 0}, "not above 0"),
        (draws.arrivals, {"kind": "often", "rate": 1}, "none of constant"),
    ],
)
def test_what_is_wrong_is_named(draw: object, spec: dict[str, object], words: str) -> None:
    """A process that can't be drawn is refused, and the message says which word is wrong."""
    with pytest.raises(ScenarioError, match=words):
        draws.arrivals(spec, fresh(), 1, 0)
    with pytest.raises(ScenarioError, match="shape"):
        draws.durations({"kind": "pareto", "mean": 1, "shape": 1}, fresh(), 1)
    with pytest.raises(ScenarioError, match="does not hold"):
        draws.clients({"kind": "uniform", "count": 300, "net": "192.0.2.0/24"}, fresh(), 4)
