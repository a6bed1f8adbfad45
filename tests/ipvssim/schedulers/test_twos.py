"""twos, whose picks are chance: its shares, against those of a real kernel."""

from __future__ import annotations

from collections import Counter

import pytest

from ipvssim import Kernel
from tests.ipvssim import worlds as w

RULES = "-A -u 203.0.113.8:53 -s twos\n" + "\n".join(
    f"-a -u 203.0.113.8:53 -r 10.0.0.{host}:53 -m -w {weight}" for host, weight in ((10, 1), (11, 2), (12, 5))
)
RECORDED = ((37, 75, 188), (37, 76, 187))
"""Of 300 connections that stay open, what the three servers got on Linux 6.12.118 (Debian's image under QEMU), twice."""


@pytest.mark.parametrize("seed", range(3))
def test_the_shares_are_a_real_kernel_s(seed: int) -> None:
    """Each server gets what it got there, but for the few that chance moves."""
    kernel = Kernel(RULES, modules=["ip_vs_twos"], seed=seed)
    got: Counter[int] = Counter()
    for number in range(300):
        client = bytes((192, 0, 2, 1 + number % 250))
        ((_, frame),) = kernel.receive(
            w.udp(2000 + number, 53, b"x", source=client, target=bytes((203, 0, 113, 8)))
        ).out  # fmt: skip
        got[frame[14 + 19]] += 1
    for shares in RECORDED:
        assert all(abs(got[host] - share) <= 4 for host, share in zip((10, 11, 12), shares, strict=True)), got
