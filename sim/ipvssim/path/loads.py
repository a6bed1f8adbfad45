"""What connections do to the loads of their servers: counts, the mark of overload, and what schedulers are told
(``ip_vs_bind_dest`` and ``ip_vs_unbind_dest`` in net/netfilter/ipvs/ip_vs_conn.c, Linux 6.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.behaviours import BEHAVIOURS, Behaviours
from ipvssim.clock import Clock
from ipvssim.path.connections import F_INACTIVE, F_TEMPLATE, ConnectionEntry, Keeper

if TYPE_CHECKING:
    from ipvssim.path.debug_log import PathLog
    from ipvssim.state.services import RealServer

_U32: Final = 0xFFFFFFFF


@mypyc_attr(allow_interpreted_subclasses=True)
class Loads(Keeper):
    """Keeps servers' counts of connections. ``behaviours`` are those of the release."""

    def __init__(self, clock: Clock, behaviours: Behaviours = BEHAVIOURS) -> None:
        super().__init__(clock, behaviours)
        self._recomputes = behaviours.overload_by_all
        self.log: PathLog | None = None
        self.on_load: Callable[[RealServer], None] | None = None
        """Called after each change of a server's counts, where somebody watches them all."""

    def activity_changed(self, connection: ConnectionEntry, active: bool) -> None:
        """It became active or inactive."""
        server = connection.server
        assert server is not None
        step = 1 if active else -1
        server.active += step
        # a template that a reply made active was never counted as inactive: the kernel's counter wraps
        server.inactive = server.inactive - step & _U32
        self._loaded(server)

    def _bind(self, connection: ConnectionEntry, server: RealServer) -> None:
        if self.log is not None:
            self.log.bound(connection, server)
        if connection.flags & F_TEMPLATE:
            server.persistent += 1
        else:
            server.conns += 1
            if connection.flags & F_INACTIVE:
                server.inactive = server.inactive + 1 & _U32
            else:
                server.active += 1
        upper = server.upper
        if upper and not server.overloaded and self._is_full(connection, server, upper):
            server.overloaded = True
            self._marked(server)
        else:
            self._loaded(server)

    def _is_full(self, connection: ConnectionEntry, server: RealServer, upper: int) -> bool:
        if self._recomputes:
            return server.conns == upper and not connection.flags & F_TEMPLATE
        return server.conns >= upper

    def _unbind(self, connection: ConnectionEntry, server: RealServer) -> None:
        if self.log is not None:
            self.log.unbound(connection, server)
        if connection.flags & F_TEMPLATE:
            server.persistent -= 1
        else:
            server.conns -= 1
            if connection.flags & F_INACTIVE:
                server.inactive = server.inactive - 1 & _U32
            else:
                server.active -= 1
        if server.overloaded and self._has_room(server, template=bool(connection.flags & F_TEMPLATE)):
            server.overloaded = False
            self._marked(server)
        else:
            self._loaded(server)

    def released(self, server: RealServer, active: int, inactive: int) -> None:
        """So many active and inactive connections of a server expired elsewhere."""
        server.active -= active
        server.inactive = server.inactive - inactive & _U32
        for _ in range(active + inactive):
            server.conns -= 1
            if server.overloaded and self._has_room(server, template=False):
                server.overloaded = False
                self._marked(server)
        self._loaded(server)

    def _has_room(self, server: RealServer, *, template: bool) -> bool:
        """Whether an unbind ends the overload, by the rule of the release."""
        upper, lower, conns = server.upper, server.lower, server.conns
        if self._recomputes:
            least = lower or upper - upper // 4
            return not template and conns == least - 1 and conns < upper
        if lower:
            return conns < lower
        return not upper or conns * 4 < upper * 3

    def _loaded(self, server: RealServer) -> None:
        service = server.service
        if service is not None:
            scheduler = service.scheduler
            if scheduler is not None and scheduler.loads:
                scheduler.loaded(server)
        if self.on_load is not None:
            self.on_load(server)

    def _marked(self, server: RealServer) -> None:
        """Its mark of overload changed: every scheduler is told."""
        if server.service is not None and server.service.scheduler is not None:
            server.service.scheduler.loaded(server)
        if self.on_load is not None:
            self.on_load(server)
