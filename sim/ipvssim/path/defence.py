"""How a director defends itself: drop_packet, drop_entry, secure_tcp (update_defense_level, ip_vs_ctl.c; Linux 6.1).

Modes 1 and 2 flip with the host's free memory, which the simulator takes to be ample: mode 1 and 2 do nothing, 3 acts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import FOREVER, SECOND
from ipvssim.path.protocols import sctp, tcp

if TYPE_CHECKING:
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.path.connections import ConnectionEntry
    from ipvssim.state.namespace import Namespace

ALWAYS: Final = 3
PERIOD: Final = SECOND
_SHARE: Final = 32
_IDLE: Final = 60 * SECOND
_HALF_OPEN: Final = {
    tcp.NUMBER: frozenset((tcp.SYN_RECV, tcp.SYNACK)),
    sctp.NUMBER: frozenset((sctp.INIT1, sctp.INIT)),
}


@mypyc_attr(allow_interpreted_subclasses=True)
class Defence(Part):
    """The counters of drop_packet, and the random drops of drop_entry."""

    def __init__(self, namespace: Namespace, connections: ConnectionTable) -> None:
        self._sysctls = namespace.sysctls
        self._clock = namespace.clock
        self._connections = connections
        self._rate = 0
        self._counter = 0
        self._computed = -PERIOD
        self._drops = namespace.clock.every(PERIOD, self)
        for name in ("drop_packet", "drop_entry", "secure_tcp"):
            namespace.sysctls.on_write(name, self._recompute)
        if self._sysctls.drop_entry == ALWAYS:  # written before there was a director
            self._drops.start()

    def drops_packet(self) -> bool:
        """Whether this packet, which could open a connection, is the one in so many that is dropped."""
        if self._sysctls.drop_packet != ALWAYS:
            return False
        if self._clock.now - self._computed >= PERIOD:
            self._recompute()
        if not self._rate:
            return False
        self._counter -= 1
        if self._counter > 0:
            return False
        self._counter = self._rate
        return True

    def _recompute(self) -> None:
        """Levels are computed every second, and on a write of their switches (not of ``am_droprate``)."""
        self._rate = self._sysctls.am_droprate
        self._computed = self._clock.now
        if self._sysctls.drop_entry == ALWAYS:
            self._drops.start()

    def idle(self, now: int) -> int:
        """Without connections there is nothing to drop, and chance is not asked (:class:`ipvssim.clock.Task`)."""
        del now
        return FOREVER if self._sysctls.drop_entry == ALWAYS and not len(self._connections) else 0

    def skip(self, ticks: int) -> None:
        """Where there is nothing to drop, nothing is left behind."""

    def tick(self) -> None:
        """Every second, drop what looks half open of a thirty-second of the connections (``ip_vs_random_dropentry``)."""
        if self._sysctls.drop_entry != ALWAYS:
            self._drops.stop()
            return
        random = self._clock.random
        for connection in [one for one in self._connections if not random.randrange(_SHARE)]:
            if not connection.controlled and self._is_victim(connection):
                if self._connections.log is not None:
                    self._connections.log.drops("drop connection")
                self._connections.drop(connection)

    def _is_victim(self, connection: ConnectionEntry) -> bool:
        if connection.is_template:
            service = connection.server.service if connection.server is not None else None
            if service is not None and service.one_packet:
                return self._is_idle(connection)
            return connection.keeper.template_states and not connection.state & 1
        half_open = _HALF_OPEN.get(connection.protocol)
        if half_open is not None and connection.state in half_open:
            return True
        if half_open is not None and connection.state not in (tcp.ESTABLISHED, sctp.ESTABLISHED):
            return False
        return self._is_idle(connection)

    def _is_idle(self, connection: ConnectionEntry) -> bool:
        """Whether it was unused for a minute, and chance hits it: the more often, the fewer packets it had."""
        idle = connection.timeout - (connection.expires - self._clock.now)
        packets = connection.in_packets
        if idle <= _IDLE or not 0 < packets <= 8:
            return False
        return not self._clock.random.randrange(packets)
