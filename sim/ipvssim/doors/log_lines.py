"""What is compared of a kernel's log: every line that the simulator is to write, in order.

``UNMODELLED`` names the lines that it does not write and ``UNKNOWN`` the numbers that it cannot know, each with the reason;
docs/use/debug-log.md has both tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

UNMODELLED = {
    "ipvssim: ": "the simulator's own: no kernel writes it",
    r"IPVS: new dst ": "a route was looked up and is kept; its reference count is the routing cache's",
    r"IPVS: ip_vs_dest_set_max\(\): ": "lblcr looks for the server to drop from a set that grew old",
    r"IPVS: (SH|MH): selected unavailable ": "sh and mh look for another server (flags sh-fallback, mh-fallback)",
    r"IPVS: (filled cport|.*stopping DNAT to|We are crossing|.*mtu less than|ip6?_route_output error) ":
        "the way to a server; the result's own reason tells it",
    r"IPVS: (ICMP for|Sending ICMP for) ": "errors about tunnels, passed on to the client",
    r"IPVS: (Unknown ISAKMP entry|.*: Binding conn) ": "AH and ESP; application helpers",
}  # fmt: skip
"""How a line begins, and why the simulator does not write it."""
UNKNOWN = {
    r"(IPVS: Bind-dest .*) s:\d+ ": "the state is not set yet: what was in that memory before",
}
"""What stands before a number, and why it is any."""
_UNMODELLED = re.compile("<.>(?:" + "|".join(UNMODELLED) + ")")
_UNKNOWN = [re.compile(pattern) for pattern in UNKNOWN]


def comparable(lines: Iterable[str]) -> list[str]:
    """The lines that are compared, with what cannot be known left out."""
    return [_known(line) for line in lines if not _UNMODELLED.match(line)]


def _known(line: str) -> str:
    for pattern in _UNKNOWN:
        line = pattern.sub(r"\1 ", line)
    return line
