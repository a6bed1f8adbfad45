"""wlc, weighted least connection: the server with the least connection overhead by weight.

State: none. Ties: the first in list order. An active connection counts as 256 (6.1.192: 257) inactive ones.
Kernel: net/netfilter/ipvs/ip_vs_wlc.c, Linux 6.1.
"""

from __future__ import annotations

from typing import ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._ranked import LeastOverhead


@mypyc_attr(allow_interpreted_subclasses=True)
class WeightedLeastConnection(LeastOverhead):
    """Least overhead / weight among the usable."""

    NAME: ClassVar[str] = "wlc"
    RULE: ClassVar[str] = "least connection overhead / weight, first in list order of equals"
