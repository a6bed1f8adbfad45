"""One batch, from its first packet to its last: when the lane goes on, and when others come in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ipvssim.lane.batch import Batch, Packed, as_numbers
from ipvssim.lane.native import ffi, lib
from ipvssim.net.network import ETHERNET

if TYPE_CHECKING:
    from ipvssim.lane.lane import Lane
    from ipvssim.path.result import Result

_LAST: Final = (1 << 63) - 1


def receive_many(
    lane: Lane, packets: Iterable[bytes] | Packed, on: str | None = None, times: Sequence[int] | None = None
) -> Batch:
    """Packets come in, in their order (:meth:`ipvssim.kernel.Kernel.receive_many`)."""
    packed = packets if isinstance(packets, Packed) else Packed.of(packets)
    moments = None if times is None else as_numbers(times, "times")
    if moments is not None and len(moments) != len(packed):
        raise ValueError(f"times: {len(moments)} of them for {len(packed)} packets")
    network = lane.director.network
    if on is not None and on not in network.devices:
        raise KeyError(on)
    return Run(lane, Batch(packed, network, on), on, moments).done()


class Run:
    """A batch on its way through a lane. ``times`` are microseconds of the clock, one for each packet."""

    def __init__(self, lane: Lane, batch: Batch, on: str | None, times: memoryview | None) -> None:
        self._lane = lane
        self._batch = batch
        self._on = on
        self._times = times
        self._clock = lane.director.clock
        self._views: list[Any] = []

    def done(self) -> Batch:
        """The batch, when all of it is decided."""
        lane, batch = self._lane, self._batch
        if lane.handle is None or not lane.begin(forgets=True):
            self._generally(0)
            batch.end((), self._devices())
            return batch
        self._state = self._prepared()
        try:
            self._through()
        finally:
            self._release()
            lane.end()
        batch.end(lane.mirror.servers, lane.ways.devices)
        return batch

    # --- the lane ---

    def _prepared(self) -> Any:
        batch, state = self._batch, ffi.new("struct lane_batch *")
        state.count, state.now = len(batch), self._clock.now
        device = self._lane.director.network.devices[self._on] if self._on is not None else None
        if device is not None and device.kind == ETHERNET:
            state.framed = 1
            ffi.memmove(state.mac, device.mac.ljust(6, b"\0"), 6)
        return state

    def _pin(self) -> None:
        """Let the lane see the columns, which must not change their size meanwhile."""
        batch, state = self._batch, self._state
        state.room, state.leaving_room = len(batch.data), len(batch.ends)
        for name, kind, column in (
            ("data", "uint8_t", batch.packets.data), ("offsets", "int64_t", batch.packets.offsets),
            ("times", "int64_t", self._times), ("out", "uint8_t", batch.data), ("kinds", "uint8_t", batch.kinds),
            ("servers", "int32_t", batch.servers), ("left", "int64_t", batch.left), ("ends", "int64_t", batch.ends),
            ("devices", "uint16_t", batch.by),
        ):  # fmt: skip
            if column is not None:
                view = ffi.from_buffer(f"{kind}[]", column)
                self._views.append(view)
                setattr(state, name, view)

    def _release(self) -> None:
        for view in self._views:
            ffi.release(view)
        self._views.clear()

    def _through(self) -> None:
        lane, clock, state = self._lane, self._clock, self._state
        self._pin()
        while True:
            state.event = min(clock.next_event, _LAST)
            stop = self._go()
            lane.mirror.write_back()
            lane.wait()
            clock.advance_to(state.now)
            if stop == lib.LANE_DONE:
                return
            if stop == lib.LANE_FULL:
                raise MemoryError("the connections of the lane")
            goes_on = self._leaves(state.at) if stop == lib.LANE_LEFT else self._waits(state.at)
            if not goes_on:
                self._generally(state.at)
                return
            state.now = clock.now

    def _go(self) -> int:
        """The lane goes on; why it stopped."""
        return int(lib.lane_run(self._lane.handle, self._state))

    def _received(self, number: int) -> Result | None:
        """What becomes of a packet by the general way; None: it is not given to the director at all."""
        return self._lane.receive(self._batch.packets[number], self._on)

    def _is_other_network(self) -> bool:
        """Whether a packet has changed the network otherwise than by telling a path's MTU."""
        return False

    def _leaves(self, number: int) -> bool:
        """A packet goes the general way. Whether the lane goes on behind it."""
        lane, state = self._lane, self._state

        def goes() -> Result | None:
            result = self._received(number)
            self._note(number, result)
            return result

        goes_on = lane.meanwhile(goes)
        state.at = number + 1
        if goes_on and self._is_other_network():
            goes_on = lane.begin(forgets=False)
        lane.wait()
        return goes_on

    def _waits(self, number: int) -> bool:
        """Time passes, and what falls due on the way happens. Whether the lane goes on then."""
        lane, clock = self._lane, self._clock
        assert self._times is not None
        when, own = self._times[number], True
        while (event := clock.next_event) * clock.jiffy <= when:
            own = own and clock.awaits_only(lane.timer)
            clock.advance_to(event * clock.jiffy)
        clock.advance_to(when)
        lib.lane_expire(lane.handle, clock.slot)  # nothing expires: the timer has fired
        return own or lane.begin(forgets=False)

    # --- the general way ---

    def _generally(self, first: int) -> None:
        """All packets from ``first`` on go the general way."""
        for number in range(first, len(self._batch)):
            if self._times is not None:
                self._clock.advance_to(self._times[number])
            self._note(number, self._received(number))

    def _devices(self) -> list[str]:
        return self._lane.ways.devices if self._lane.handle is not None else self._lane.devices

    def _note(self, number: int, result: Result | None) -> None:
        batch = self._batch
        if result is None:
            batch.left[number + 1] = batch.left[number]
            return
        if batch.lacks(number, result):
            pinned = bool(self._views)
            self._release()
            batch.widen(result)
            if pinned:
                self._pin()
        end = batch.take(number, result, self._devices())
        if self._views:
            self._state.used, self._state.leaving = end, batch.left[number + 1]
