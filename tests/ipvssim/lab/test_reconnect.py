"""A member that restarts: clients of long connections come back to the others, and stay there."""

from __future__ import annotations

from typing import Any

import pytest

from ipvssim.lab import Outcome, build, simulate

LONG: dict[str, Any] = {
    "arrivals": {"kind": "constant", "rate": 1}, "durations": {"kind": "fixed", "seconds": 6000},
    "clients": {"kind": "uniform", "count": 27}, "connections": 27, "packets": 600,
}  # fmt: skip
SHORT: dict[str, Any] = {
    "arrivals": {"kind": "constant", "rate": 0.05}, "durations": {"kind": "fixed", "seconds": 1}, "seconds": 400,
    "start": 30, "clients": {"kind": "uniform", "count": 3},
}  # fmt: skip
RESTART = [{"at": 60, "do": "remove", "server": 1}, {"at": 120, "do": "add", "server": 1}]


def restarted(variant: str, options: str = "-m", *, reconnect: bool = True, forget: int = 1, **table: Any) -> Outcome:
    raw = {
        "table": {"servers": 3, "options": options, **table}, "sysctl": {"expire_nodest_conn": forget}, "events": RESTART,
        "traffic": [{**LONG, "reconnect": reconnect}, SHORT],
    }  # fmt: skip
    return simulate(build(raw), variant, 1)


@pytest.mark.parametrize("variant", ["rr", "lc", "wlc"])
@pytest.mark.parametrize("options", ["-m", "-g"])
def test_a_member_that_restarts_stays_empty(variant: str, options: str) -> None:
    """Its nine clients go to the other two, and come back with nothing but new connections: the imbalance stays."""
    one = restarted(variant, options)
    first, back, last = one.grids["active"][-1].tolist()
    assert 27 <= first + last <= 28
    assert min(first, last) >= 13
    assert back <= 2
    assert one.counts["reopened"] == 9
    assert one.counts["offered"] == 27 + 20


def test_without_it_they_wait() -> None:
    """Clients that do not come back meet their connections again with the server, where the director kept them."""
    assert restarted("wlc", reconnect=False, forget=0).grids["active"][-1].sum() == 28
    assert restarted("wlc", reconnect=False, forget=0).counts["reopened"] == 0


def test_a_client_that_nobody_takes_is_gone() -> None:
    """A client that comes back while no server takes more sends nothing more; it was served once, and counts as that."""
    one = restarted("wlc", "-m -x 10 -y 1")
    assert one.counts["reopened"] < 9
    assert one.counts["offered"] == 27 + 20


@pytest.mark.parametrize(
    "service", ["-u 203.0.113.1:53", "--sctp-service 203.0.113.1:5060", "-t [2001:db8:80::1]:80", "-f 7"]
)
def test_every_protocol_comes_back(service: str) -> None:
    """UDP, SCTP, IPv6 and marks as TCP."""
    assert restarted("rr", service=service).counts["reopened"] == 9
