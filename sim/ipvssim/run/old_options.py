"""The old interface of IPVS, ``setsockopt`` and ``getsockopt`` ``IP_VS_SO_*``, on any of a program's sockets."""

from __future__ import annotations

from errno import EINVAL
from struct import Struct

from ipvssim.netlink.old_interface import OldInterface
from ipvssim.run import memory
from ipvssim.run.notify import Call
from ipvssim.run.outcome import Outcome
from ipvssim.run.reach import read
from ipvssim.run.worlds import World, Worlds

_INT = Struct("=i")


class OldOptions:
    """Answers for it, in the network namespace of the thread that asks."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._interfaces: dict[World, OldInterface] = {}

    def set(self, call: Call) -> Outcome:
        """``setsockopt``."""
        size = call.a4 & 0xFFFFFFFF
        if size > memory.LONGEST:
            return -EINVAL
        value = read(call.tid, call.a3, size)
        return -self._of(call).set(call.a2 & 0xFFFFFFFF, value)

    def get(self, call: Call) -> Outcome:
        """``getsockopt``."""
        room = _INT.unpack(read(call.tid, call.a4, _INT.size))[0]
        if room < 0:
            return -EINVAL
        value = read(call.tid, call.a3, min(room, memory.LONGEST))
        error, answer = self._of(call).get(call.a2 & 0xFFFFFFFF, value, room)
        if error:
            return -error
        memory.write(call.tid, [(call.a3, answer), (call.a4, _INT.pack(len(answer)))])
        return 0

    def _of(self, call: Call) -> OldInterface:
        world = self._worlds.of(call.tid)
        self._worlds.tick(world)
        found = self._interfaces.get(world)
        if found is None:
            found = self._interfaces[world] = OldInterface(world.kernel)
        return found
