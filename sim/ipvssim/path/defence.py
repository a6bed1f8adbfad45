"""How a director defends itself: drop_packet, drop_entry, secure_tcp (update_defense_level, ip_vs_ctl.c; Linux 6.1).

Mode 3 always acts. Modes 1 and 2 are one: 2 is what the kernel writes in place of 1 while the host has less free memory than
``amemthresh`` pages, and only then it acts. The simulated host has :data:`AVAILABLE` pages, always.
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

ARMED: Final = 1
ACTING: Final = 2
ALWAYS: Final = 3
AVAILABLE: Final = 100_000
"""Pages of memory that are free: about what an idle host of 512 MB has."""
PERIOD: Final = SECOND
SWITCHES: Final = ("drop_entry", "drop_packet", "secure_tcp")
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
        self._modes = (0, 0, 0)
        self._levels = namespace.clock.every(PERIOD, self)
        for name in SWITCHES:
            namespace.sysctls.on_write(name, self._written)
        self._written()  # perhaps before there was a director

    def drops_packet(self) -> bool:
        """Whether this packet, which could open a connection, is the one in so many that is dropped."""
        if not self._sysctls.drop_packet or not self._rate:
            return False
        self._counter -= 1
        if self._counter > 0:
            return False
        self._counter = self._rate
        return True

    def _written(self) -> None:
        """A switch was written: where that changed it, levels are computed at once (not for the other tunables). Else they
        are each full second since the namespace began, whenever the switch was written."""
        if self._read() != self._modes:
            self._recompute()
        if any(self._modes):
            self._levels.join()
        else:
            self._levels.stop()

    def _drops_entries(self) -> bool:
        return self._modes[0] >= ACTING

    def _read(self) -> tuple[int, int, int]:
        sysctls = self._sysctls
        return sysctls.drop_entry, sysctls.drop_packet, sysctls.secure_tcp

    def _recompute(self) -> None:
        """Find what each switch comes to with the memory that there is."""
        sysctls, threshold = self._sysctls, self._sysctls.amemthresh
        level = ACTING if threshold > AVAILABLE else ARMED
        entry, packet, tcp_mode = self._read()
        entry = level if entry in (ARMED, ACTING) else entry
        packet = level if packet in (ARMED, ACTING) else packet
        tcp_mode = level if tcp_mode in (ARMED, ACTING) else tcp_mode
        self._modes = entry, packet, tcp_mode
        sysctls.drop_entry, sysctls.drop_packet = entry, packet
        self._rate = sysctls.am_droprate if packet == ALWAYS else 0
        if packet == ACTING:
            self._rate = self._counter = threshold // (threshold - AVAILABLE)
        if sysctls.secure_tcp != tcp_mode:
            sysctls.turn("secure_tcp", tcp_mode)

    def idle(self, now: int) -> int:
        """Without connections there is nothing to drop, and chance is not asked (:class:`ipvssim.clock.Task`)."""
        del now
        return 0 if self._drops_entries() and len(self._connections) else FOREVER

    def skip(self, ticks: int) -> None:
        """Levels are computed; that they are computed more than once changes nothing."""
        del ticks
        self._recompute()

    def tick(self) -> None:
        """Every second, compute the levels, and drop what looks half open of a thirty-second of the connections
        (``ip_vs_random_dropentry``)."""
        self._recompute()
        if not self._drops_entries():
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
