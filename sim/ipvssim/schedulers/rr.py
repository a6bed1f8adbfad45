"""rr, round robin: the next usable server after the last one picked.

State: the last picked (at first: before the list's head). Deleting it moves the cursor to the one before it in the list.
Ties: none. Weights matter only as zero or not. Kernel: net/netfilter/ipvs/ip_vs_rr.c, Linux 6.1.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings, label
from ipvssim.schedulers._line import Line


@mypyc_attr(allow_interpreted_subclasses=True)
class RoundRobin(Scheduler):
    """All usable servers in turn."""

    NAME: ClassVar[str] = "rr"
    RULE: ClassVar[str] = "next usable server in list order after the last picked"

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._all = Line(service.servers())
        self._usable = Line(server for server in service.servers() if server.weight > 0 and not server.overloaded)
        self._last: Server | None = None

    def added(self, server: Server) -> None:
        self._all.put(server)
        self.loaded(server)

    def removed(self, server: Server) -> None:
        if server is self._last:
            self._last = self._all.before(server)
        self._all.drop(server)
        self._usable.drop(server)

    def edited(self, server: Server) -> None:
        self.loaded(server)

    def loaded(self, server: Server) -> None:
        if server.weight > 0 and not server.overloaded and server.available:
            self._usable.put(server)
        else:
            self._usable.drop(server)

    def pick(self, flow: Flow) -> Server | None:
        picked = self._usable.after(self._last) or self._usable.after(None)
        if picked is not None:
            self._last = picked
        return picked

    def state(self, flow: Flow) -> dict[str, Any]:
        return {"last": label(self._last)}

    def why(self, flow: Flow, picked: Server | None) -> str:
        if picked is None:
            return self.nobody()
        if self._last is None:
            how = "the first usable server in list order"
        elif self._usable.after(self._last) is None:
            how = f"no usable server follows {label(self._last)}, so the list begins again"
        else:
            how = f"the next usable server in list order after {label(self._last)}"
        return f"rr takes {label(picked)}: {how}{self.passed_over('; ')}"
