"""What comes in many at a time, and what became of it: columns and one buffer, of which results are made when asked."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from ipvssim.lane.native import compiled, ffi, lib
from ipvssim.net.network import Network
from ipvssim.net.packets import parse4
from ipvssim.path.result import DROP, FORWARD, HELD, TO_HOST, Result, Verdict

if TYPE_CHECKING:
    from ipvssim.state.services import RealServer

GENERAL: Final = 0
KNOWN: Final = 1
OPENED: Final = 2
REPLY: Final = 3
_REASONS: Final = {KNOWN: "known connection", OPENED: "opened a connection", REPLY: "reply"}
VERDICTS: Final[tuple[Verdict, ...]] = (FORWARD, TO_HOST, DROP, HELD)
"""The verdicts by their number in a batch's column."""
_NUMBERS: Final = {verdict: number for number, verdict in enumerate(VERDICTS)}
_HEADER: Final = 14


class Packed:
    """Many packets in one buffer: packet n lies from ``offsets[n]`` to ``offsets[n + 1]``.

    ``data`` is anything with a buffer, ``offsets`` a sequence of one more numbers than there are packets (an ``array("q")``
    or a numpy array of int64 is taken as it is). ValueError where offsets do not ascend, or leave the data.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: bytes | bytearray | memoryview, offsets: Sequence[int]) -> None:
        self.data = memoryview(data).cast("B")
        self.offsets = as_numbers(offsets, "offsets")
        if not len(self.offsets) or not _ascend(self.offsets, self.data.nbytes):
            raise ValueError("offsets: one more than there are packets, ascending, and none past the data's end")

    @classmethod
    def of(cls, packets: Iterable[bytes | bytearray | memoryview]) -> Packed:
        """Packets one by one, packed; ValueError for what is no bytes."""
        every = list(packets)
        try:
            data = b"".join(every)
        except TypeError:
            wrong = next(one for one in every if not isinstance(one, bytes | bytearray | memoryview))
            raise ValueError(f"{wrong!r:.200} is no packet: in a batch packets are bytes") from None
        offsets, end = array("q", [0]), 0
        for packet in every:
            end += len(packet) if type(packet) is bytes else memoryview(packet).nbytes
            offsets.append(end)
        return cls(data, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        return bytes(self.data[self.offsets[number] : self.offsets[number + 1]])


def as_numbers(given: Sequence[int], what: str) -> memoryview:
    """Numbers as 64-bit ones; ValueError for what are none."""
    try:
        view = memoryview(given)  # type: ignore[arg-type]
    except TypeError:
        view = None
    if view is not None and view.format in ("q", "l") and view.itemsize == 8 and view.ndim == 1 and view.c_contiguous:
        return view if view.format == "q" else view.cast("B").cast("q")
    try:
        return memoryview(array("q", given))
    except (TypeError, OverflowError) as wrong:
        raise ValueError(f"{what}: 64-bit numbers, {wrong}") from wrong


def _ascend(offsets: memoryview, size: int) -> bool:
    """Whether offsets ascend and end within the data."""
    count = len(offsets) - 1
    if compiled:
        return bool(lib.lane_check(ffi.from_buffer("int64_t[]", offsets), count, size))
    return offsets[0] >= 0 and offsets[count] <= size and all(offsets[at] <= offsets[at + 1] for at in range(count))


class Batch(Sequence[Result]):
    """What became of a batch of packets, in their order: each is a :class:`~ipvssim.path.result.Result` once asked for.

    ``verdicts`` is a column of bytes, numbers of :data:`VERDICTS`: 0 forwarded, 1 for the host itself, 2 dropped, 3 held.
    ``kinds`` is another: 0 for a packet that went the general way, 1 for one of a known connection, 2 for one that opened
    a connection, 3 for a reply. ``data`` is what left, one behind the other; of packet n that is what stands between
    ``left[n]`` and ``left[n + 1]`` in ``ends`` (where each that left ends in ``data``) and ``by`` (its device, a number of
    ``devices``). ``servers`` is the server of each packet, a number of ``server_list``, or -1.
    """

    def __init__(self, packets: Packed, network: Network, on: str | None) -> None:
        count = len(packets)
        self.packets = packets
        self.verdicts = bytearray(count)
        self.kinds = bytearray(count)
        self.servers = array("i", bytes(4 * count))
        self.left = array("q", bytes(8 * (count + 1)))
        self.ends = array("q", bytes(8 * count))
        self.by = array("H", bytes(2 * count))
        self.data = bytearray(packets.data.nbytes + _HEADER * count)
        self.devices: list[str] = []
        self.server_list: list[RealServer | None] = []
        self._network = network
        self._on = on
        self._results: dict[int, Result] = {}
        self._numbers: dict[RealServer, int] = {}

    def __len__(self) -> int:
        return len(self.packets)

    def __getitem__(self, number: Any) -> Any:
        """The result of a packet, or of a slice of them. A packet of the lane's has no ``connection``."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        count = len(self)
        if not -count <= number < count:
            raise IndexError(f"{number}: there are {count} packets")
        number %= count
        found = self._results.get(number)
        return found if found is not None else self._result(number)

    def out(self, number: int) -> list[tuple[str, bytes]]:
        """What left of a packet: each device and its bytes, as in ``Result.out``."""
        return [
            (self.devices[self.by[one]], bytes(self.data[self.ends[one - 1] if one else 0 : self.ends[one]]))
            for one in range(self.left[number], self.left[number + 1])
        ]

    def server(self, number: int) -> RealServer | None:
        """The server of a packet."""
        place = self.servers[number]
        return self.server_list[place] if place >= 0 else None

    def general(self) -> Iterator[int]:
        """The numbers of the packets that went the general way."""
        return (number for number, kind in enumerate(self.kinds) if kind == GENERAL)

    def __repr__(self) -> str:
        shares = ", ".join(f"{verdict.value} {self.verdicts.count(n)}" for n, verdict in enumerate(VERDICTS))
        return f"<Batch of {len(self)}: {shares}; the general way {self.kinds.count(GENERAL)}>"

    # --- what the lane writes ---

    def take(self, number: int, result: Result, devices: list[str]) -> int:
        """Note a result of the general way, for which the columns have room; where what has left ends now. ``devices`` names
        all by number, and more are appended."""
        self._results[number] = result
        self.verdicts[number] = _NUMBERS[result.verdict]
        self.servers[number] = -1
        if result.server is not None:
            self.servers[number] = self._number(result.server)
        leaving = self.left[number]
        end = self.ends[leaving - 1] if leaving else 0
        for device, data in result.out:
            self.data[end : end + len(data)] = data
            end += len(data)
            self.ends[leaving] = end
            if device not in devices:
                devices.append(device)
            self.by[leaving] = devices.index(device)
            leaving += 1
        self.left[number + 1] = leaving
        return end

    def lacks(self, number: int, result: Result) -> bool:
        """Whether the columns are too short for it and for the packets that follow, if each of those sends one."""
        leaving, rest = self.left[number] + len(result.out), len(self) - number - 1
        end = self.ends[self.left[number] - 1] if self.left[number] else 0
        ahead = self.packets.offsets[len(self)] - self.packets.offsets[number + 1] + _HEADER * rest
        needed = end + sum(len(data) for _, data in result.out) + ahead
        return leaving + rest > len(self.ends) or needed > len(self.data)

    def widen(self, result: Result) -> None:
        """Make the columns longer by what it sends, and by as much again as they have."""
        more = len(result.out) + len(self.ends) // 2
        self.ends.extend(array("q", bytes(8 * more)))
        self.by.extend(array("H", bytes(2 * more)))
        self.data.extend(bytes(sum(len(data) for _, data in result.out) + len(self.data) // 2))

    def end(self, servers: Sequence[RealServer | None], devices: Sequence[str]) -> None:
        """It is done: cut what nobody wrote, and name the lane's servers and devices."""
        leaving = self.left[len(self)]
        del self.data[self.ends[leaving - 1] if leaving else 0 :]
        del self.ends[leaving:], self.by[leaving:]
        self.server_list[:0] = servers
        for number in self._results:
            if self.servers[number] < -1:
                self.servers[number] = len(servers) - 2 - self.servers[number]
        self.devices = list(devices)

    # --- inside ---

    def _number(self, server: RealServer) -> int:
        """A number that is not the lane's, until :meth:`end`: below -1."""
        number = self._numbers.get(server)
        if number is None:
            number = self._numbers[server] = -2 - len(self.server_list)
            self.server_list.append(server)
        return number

    def _result(self, number: int) -> Result:
        result, kind = Result(), self.kinds[number]
        result.network = self._network
        result.verdict = VERDICTS[self.verdicts[number]]
        result.reason = _REASONS[kind]
        result.server = self.server(number)
        result.out = self.out(number)
        device = self._on if self._on is not None else ""
        data = self.packets[number]
        if device and self._network.devices[device].kind == "ethernet":
            data = data[_HEADER:]
        packet = parse4(data, device or self._network.came_by(data))
        if not isinstance(packet, str):
            result.packet = packet
        if kind == OPENED:
            result.opened = True
            result.service = result.server.service if result.server is not None else None
        return result
