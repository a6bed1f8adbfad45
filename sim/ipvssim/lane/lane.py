"""The express lane of a director: batches through C, and whatever is not plain through the general way, in order.

    begin: what the table, the network and the tunables are ─► the lane
    run ─┬─ the packet is not plain ─► its connections go back, the general way, they come in again ─► run
         ├─ something else happens first ─► the clock ─► run
         └─ done ─► loads and counters ─► the table

A connection is kept by one of the two at a time. Between batches those of the lane stay where they are: its timer lets them
expire, and they are given back when somebody looks for them (:class:`ipvssim.path.connection_table.Elsewhere`). Servers'
loads and all counters are the table's whenever anybody else can look at them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipvssim.clock import Timer
from ipvssim.lane.keeping import Keeping
from ipvssim.lane.mirror import Mirror
from ipvssim.lane.native import compiled, ffi, lib
from ipvssim.lane.ways import Ways
from ipvssim.lane.world import is_plain, rules
from ipvssim.path.connection_table import Elsewhere

if TYPE_CHECKING:
    from ipvssim.net.packets import Packet
    from ipvssim.path.director import Director
    from ipvssim.path.result import Result
    from ipvssim.path.shadowed import Hashed
    from ipvssim.state.services import RealServer

Receive = Callable[[bytes, str | None], "Result"]


class _Expiry(Timer):
    """The lane's one timer: at the next jiffy at which any of its connections may expire."""

    __slots__ = ("_lane",)

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane.director.clock)
        self._lane = lane

    def fire(self) -> None:
        """Some expire."""
        self._lane.expire()


class Lane(Elsewhere):
    """The lane of one director. ``receive`` is the general way: a packet's bytes and its device's name to its result."""

    def __init__(self, director: Director, receive: Receive) -> None:
        self.director = director
        self.receive = receive
        self.handle: Any = None
        self.devices: list[str] = []
        """The names of devices by number, where there is no C."""
        if not compiled:
            return
        self.handle = ffi.gc(lib.lane_new(), lib.lane_free)
        if not self.handle:
            raise MemoryError("the lane")
        self.ways = Ways(self.handle, director.network)
        self.mirror = Mirror(self.handle, director, self.ways)
        self.keeping = Keeping(self.handle, director, self.mirror)
        self.timer = _Expiry(self)
        self._mtus: dict[bytes, int] = {}
        self.begun = 0
        """How often servers and services were handed in."""
        self.given = 0
        """How often somebody looked for connections of the lane's."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Lane:
        """A lane that keeps nothing: a director is copied once its lane has given everything back."""
        if self.count:
            raise RuntimeError("the express lane keeps connections: gather them before the director is copied")
        twin = memo[id(self)] = Lane.__new__(Lane)
        twin.handle = None
        return twin

    @property
    def count(self) -> int:
        """How many connections it keeps."""
        return int(lib.lane_count(self.handle)) if self.handle is not None else 0

    @property
    def memory(self) -> int:
        """The bytes that its connections take: themselves, what finds them, and their timers."""
        return int(lib.lane_memory(self.handle)) if self.handle is not None else 0

    # --- what others ask ---

    def seek(self, packet: Packet) -> None:
        """Give back what a packet may be about."""
        if self.count:
            self.given += 1
            self.keeping.seek(packet)

    def gather(self) -> None:
        """Give everything back."""
        if self.count:
            self.given += 1
            self.keeping.give_all()
            self.timer.cancel()

    def expire(self) -> None:
        """Let go what is due now, and wait for the next."""
        lib.lane_expire(self.handle, self.director.clock.slot)
        self.mirror.let_go()
        self.wait()

    def wait(self) -> None:
        """Let the timer be at the next jiffy at which there is work."""
        jiffy = lib.lane_next(self.handle)
        if jiffy < 0:
            self.timer.cancel()
        else:
            self.timer.resume(jiffy)

    # --- what a batch asks ---

    def begin(self, *, forgets: bool) -> bool:
        """Be as the table, the network and the tunables are now. False: the lane can't decide anything just now, and keeps
        nothing. ``forgets``: servers that are gone lose their numbers. MemoryError."""
        director = self.director
        director.accounts.take_timeouts()
        made = rules(director) if is_plain(director) else None
        if made is None:
            self.gather()
            self._attach(None)
            return False
        lib.lane_rule(self.handle, made)
        lib.lane_expire(self.handle, director.clock.slot)  # nothing expires: the timer has fired
        self.ways.refresh()
        self.mirror.refresh(forgets=forgets)
        self.begun += 1
        self.keeping.take_all()
        self._mtus = director.network.narrowed()
        self._attach(self)
        self.wait()
        return True

    def meanwhile(self, happens: Callable[[], Result | None]) -> bool:
        """Something happens the general way; the lane learns what that changed. Whether it can go on: its timer is to wait
        anew then. MemoryError."""
        table = self.director.connection_table
        loaded: list[RealServer] = []
        requests: list[Hashed] = []
        replies: list[Hashed] = []
        table.on_load = loaded.append
        table.watch(requests, replies)
        try:
            result = happens()
        finally:
            table.on_load = None
            table.watch(None, None)
        if self.director.network.narrowed() != self._mtus:
            return self.begin(forgets=False)
        self.mirror.update(loaded, result.service if result is not None else None)
        self.keeping.take_fresh(requests, replies)
        return True

    def end(self) -> None:
        """A batch is done. Who keeps nothing need not be asked."""
        if not self.count:
            self._attach(None)

    def _attach(self, lane: Lane | None) -> None:
        self.director.connection_table.elsewhere = lane
        self.director.reassembler.completed = lane.seek if lane is not None else None
