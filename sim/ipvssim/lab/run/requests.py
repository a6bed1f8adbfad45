"""Where the requests of keep-alive pools went."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ipvssim.clock import SECOND
from ipvssim.lab.run import measures
from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.run.traffic import Traffic


def judge(
    outcome: Outcome, traffic: Traffic, placed: NDArray[np.int64], again: Mapping[int, int], gone: NDArray[np.uint8]
) -> None:
    """Count them, and tell how evenly they went by weight: each to the server of its connection at the end of the run.

    ``placed`` has the server of each connection (-1: none), ``again`` those whose clients came back. ``gone`` is not 0 of
    connections whose client sends nothing more: their requests do not count.
    """
    servers = placed.copy()
    servers[list(again)] = list(again.values())
    counts = np.zeros(len(outcome.servers), np.int64)
    now = max(outcome.times, default=0.0) * SECOND
    for flows in traffic.flows:
        if flows.requests is not None:
            sent, over = flows.requests
            connection = over[sent <= now] + flows.first
            connection = connection[(servers[connection] >= 0) & (gone[connection] == 0)]
            counts += np.bincount(servers[connection], minlength=len(counts))
    if counts.any():
        weight = outcome.grids["weight"][0]
        outcome.counts["requests"] = int(counts.sum())
        outcome.figures["peak_requests"] = measures.peak(counts[weight > 0] / weight[weight > 0])
