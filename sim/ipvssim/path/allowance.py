"""How often a host tells a peer of a shorter way (net/ipv4/inetpeer.c, Linux 6.1)."""

from __future__ import annotations

from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import Clock

_PEERS: Final = 1 << 16


@mypyc_attr(allow_interpreted_subclasses=True)
class Allowance(Part):
    """How often each peer is told something: once a second, and six times at once after a pause, as whole jiffies have it
    (inet_peer_xrlim_allow, net/ipv4/inetpeer.c, Linux 6.1)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._peers: dict[bytes, tuple[int, int]] = {}

    def allows(self, peer: bytes) -> bool:
        """Whether ``peer`` may be told now; if so, it counts."""
        now, second = self._clock.now // self._clock.jiffy, self._clock.hz
        credit, since = self._peers.get(peer, (6 * second, now))
        credit = min(credit + now - since, 6 * second)
        allowed = credit >= second
        if len(self._peers) >= _PEERS:
            self._peers.clear()
        self._peers[peer] = credit - second if allowed else credit, now
        return allowed

    def spend(self, peer: bytes) -> None:
        """Leave ``peer`` nothing: a message without a limit takes all that there is."""
        self._peers[peer] = 0, self._clock.now // self._clock.jiffy
