"""What the protocols with states share: a table of direction x event x state, timeouts, and the counting of active ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import SECOND
from ipvssim.path.connections import F_INACTIVE, F_NO_OUTPUT, F_TEMPLATE, TEMPLATE_ASSURED, ConnectionEntry

if TYPE_CHECKING:
    from ipvssim.path.debug_log import PathLog

INPUT: Final = 0
OUTPUT: Final = 1
INPUT_ONLY: Final = 2
DIRECTIONS: Final = ("input", "output", "input only")

Tables = tuple[tuple[tuple[int, ...], ...], ...]


def drawn(text: str, short: dict[str, int]) -> dict[int, list[int]]:
    """A table drawn as text, a row a state: state to what follows each event."""
    rows = (line.split() for line in text.strip().splitlines())
    return {short[row[0]]: [short[cell] for cell in row[1:]] for row in rows}


@mypyc_attr(allow_interpreted_subclasses=True)
class Machine(Part):
    """A protocol that follows the state of its connections."""

    def __init__(self, seconds: tuple[int, ...], tables: Tables) -> None:
        self.timeouts = [value * SECOND for value in seconds]
        """A state's timeout in microseconds."""
        self.tables = tables
        self.name = ""
        self.states: tuple[str, ...] = ()
        """The names of its states."""
        self.active: frozenset[int] = frozenset()
        """Those in which a connection counts as active."""
        self.assured = -1
        """The state whose entry makes a connection's template worth keeping."""
        self.log: PathLog | None = None

    def event(self, data: bytes, offset: int) -> int:
        """The event of a packet whose transport header begins at ``offset``; -1 where it has none."""
        raise NotImplementedError

    def transition(self, connection: ConnectionEntry, data: bytes, offset: int, direction: int) -> None:
        """Follow one packet: the connection's state, its timeout, and what hangs on its being active.

        The first reply of a connection whose replies were not expected to pass (direct routing, tunnels) ends that
        expectation; until then its requests follow the table of a machine that sees one side only.
        """
        event = self.event(data, offset)
        if event < 0:
            return
        flags = connection.flags
        if flags & F_NO_OUTPUT:
            if direction == OUTPUT:
                connection.flags = flags = flags & ~F_NO_OUTPUT
            else:
                direction = INPUT_ONLY
        old = connection.state
        new = self.tables[direction][event][old]
        if new != old:
            connection.state = new
            if self.log is not None:
                self.log.entered(connection, data, offset, direction, self.name, self.states[old])
            self._entered(connection, flags, new)
        connection.timeout = self.timeouts[new]

    def _entered(self, connection: ConnectionEntry, flags: int, state: int) -> None:
        active = state in self.active
        if active == bool(flags & F_INACTIVE):
            connection.flags = flags ^ F_INACTIVE
            if connection.server is not None:
                connection.keeper.activity_changed(connection, active)
        if state == self.assured:
            assure(connection)


def assure(connection: ConnectionEntry) -> None:
    """The template that placed this connection is worth keeping (``ip_vs_control_assure_ct``)."""
    control = connection.control
    if control is not None and control.flags & F_TEMPLATE and control.keeper.template_states:
        control.state |= TEMPLATE_ASSURED
