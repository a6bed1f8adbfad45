"""How many rows the connection table's hash has: one number until Linux 7.0; since 7.1 it follows the connections.

A connection too many for its rows, and a written ``conn_lfactor``, have the kernel's work look at the table at once. From
then on it looks every two seconds, and makes a table smaller whose connections are fewer than a sixteenth of what it holds
before it grows. It does not look at a table that never grew. (``conn_resize_work_handler`` in ip_vs_conn.c,
``ip_vs_rht_desired_size`` and ``ip_vs_rht_set_thresholds`` in ip_vs_core.c, Linux 7.2.13.)
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import Behaviours
from ipvssim.clock import SECOND, Clock
from ipvssim.state.service_table import ServiceTable
from ipvssim.state.sysctls import Sysctls

LEAST: Final = 256
"""Where the rows follow the connections: so many from the first service on."""
PERIOD: Final = 2 * SECOND
SPARSE: Final = 16
"""A table is made smaller whose connections need no more than one of so many of its rows."""


@mypyc_attr(allow_interpreted_subclasses=True)
class TableRows(Part):
    """The rows of one namespace's connection table; ``most`` of them at most."""

    __slots__ = ("_factor", "_most", "_rows", "_services", "_sysctls", "_timer", "connections", "follow")

    def __init__(
        self, clock: Clock, behaviours: Behaviours, sysctls: Sysctls, services: ServiceTable, most: int
    ) -> None:
        self._sysctls = sysctls
        self._services = services
        self.follow = behaviours.tables_grow
        """Whether the rows follow the connections."""
        self._most = most
        self._rows = LEAST if self.follow else most
        self._factor = sysctls.conn_lfactor
        """The load factor that the table was made with."""
        self._timer = clock.timer(self._tick)
        self.connections: Sized = ()
        """Where the packet path puts its connection table."""
        if self.follow:
            sysctls.on_write("conn_lfactor", self.look)

    @property
    def number(self) -> int:
        """So many rows, as GET_INFO and listings tell; 0 before the first service, where they follow the connections."""
        return self._rows if self._services.ever_used or not self.follow else 0

    def opened(self) -> None:
        """A connection was opened. Rows times two to the power of conn_lfactor connections are what the rows hold."""
        if self._rows < self._most and len(self.connections) > _scaled(self._rows, self._factor):
            self.look()

    def look(self) -> None:
        """The kernel's work: give the table as many rows as suit its connections, and look again in two seconds. A table of
        the least rows only becomes larger, and that its connections bring about."""
        if self._services.ever_used:
            self._rows = self._suitable()
        self._factor = self._sysctls.conn_lfactor
        if self._rows > LEAST:
            self._timer.start(PERIOD)
        else:
            self._timer.cancel()

    def _tick(self, _: object) -> None:
        self.look()

    def _suitable(self) -> int:
        needed = _scaled(1 << (max(len(self.connections), 1) - 1).bit_length(), -self._sysctls.conn_lfactor)
        if self._sysctls.conn_lfactor != self._factor:
            return self._within(needed)
        if needed > self._rows // SPARSE:
            return self._within(max(needed, self._rows))
        return self._within(2 * needed)

    def _within(self, rows: int) -> int:
        return max(min(rows, self._most), LEAST)


def _scaled(number: int, power: int) -> int:
    """The number times two to that power."""
    return number << power if power > 0 else number >> -power
