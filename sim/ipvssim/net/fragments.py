"""Fragments: putting packets together, and cutting them up (net/ipv4/ip_fragment.c, ip_output.c, their IPv6 twins, 6.1)."""

from __future__ import annotations

from itertools import pairwise

from ipvsnl.consts import AF_INET
from ipvssim.clock import SECOND, Clock
from ipvssim.net.options4 import of_later_fragments
from ipvssim.net.packets import DF, FRAGMENT, MF, OFFSET, Assembled, Packet, parse4, parse6, sign4

LOCAL_DELIVERY, REPLIES, INPUT = "local", "replies", "input"
"""The places on the way where fragments are gathered."""
TIMEOUT4, TIMEOUT6 = 30 * SECOND, 60 * SECOND
_LARGEST = 65535
_BOOKKEEPING = 320
_NOT_ECT, _CE = 1, 8
_ORDER6 = (0, 43, 60)


class Queue:
    """The fragments of one packet that have come so far."""

    __slots__ = ("ecn", "first", "largest", "largest_df", "pieces", "size")

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self.first: Packet | None = None
        self.size: int | None = None
        """The packet's payload, once the last fragment told it."""
        self.largest = self.largest_df = self.ecn = 0

    def put(self, offset: int, payload: bytes, more: bool) -> str | None:
        """Take a piece in; "overlap" or "length" spoils the whole packet, "duplicate" only this piece."""
        end = offset + len(payload)
        if not more:
            if (self.size is not None and self.size != end) or any(
                end < at + len(old) for at, old in self.pieces.items()
            ):
                return "length"
        elif self.size is not None and end > self.size:
            return "length"
        for at, old in self.pieces.items():
            if offset < at + len(old) and at < end:
                return "duplicate" if at <= offset and end <= at + len(old) else "overlap"
        if not more:
            self.size = end
        self.pieces[offset] = payload
        return None

    def complete(self) -> bytes | None:
        """The payload, once nothing is missing."""
        if self.size is None or self.first is None or sum(map(len, self.pieces.values())) != self.size:
            return None
        return b"".join(payload for _, payload in sorted(self.pieces.items()))

    def cuts(self) -> tuple[int, ...]:
        """Where the pieces begin, the first left out, in bytes before the packet's end (headers may be put in front)."""
        size = self.size or 0
        return tuple(size - at for at in sorted(self.pieces)[1:])


class Reassembler:
    """Waits for the fragments of packets. :meth:`add` returns the packet once it is whole, or why there is none yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[tuple[object, ...], Queue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def add(self, packet: Packet, user: str) -> Packet | str:
        """Add a fragment to the packets of one ``user`` (a place on the way: each keeps its own)."""
        data = packet.data
        if packet.family == AF_INET:
            header = packet.offset
            field = packet.fragment
            offset, more = (field & OFFSET) * 8, bool(field & MF)
            key: tuple[object, ...] = (user, data[12:20], data[4:6], data[9])
            self_df = bool(data[6] & 0x40)
            ecn = 1 << (data[1] & 3)
        else:
            header, before = _fragment_header(data)
            field = int.from_bytes(data[header - 6 : header - 4], "big")
            offset, more = field & 0xFFF8, bool(field & 1)
            key = (user, data[8:40], data[header - 4 : header])
            self_df, ecn = False, 1 << (packet.tos & 3)
            del before
        return self._put(packet, key, header, offset, more, self_df, ecn)

    def _put(
        self, packet: Packet, key: tuple[object, ...], header: int, offset: int, more: bool, df: bool, ecn: int
    ) -> Packet | str:
        payload = packet.data[header:]
        if more and len(payload) % 8:
            if packet.family != AF_INET:
                return "fragment of no multiple of eight bytes"
            payload = payload[: len(payload) & ~7]
        if not payload or offset + len(payload) > _LARGEST:
            return "fragment of impossible length"
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue()
            limit = TIMEOUT4 if packet.family == AF_INET else TIMEOUT6
            self._clock.timer(self._give_up, (key, queue)).start(limit)
        problem = queue.put(offset, payload, more)
        if problem is not None:
            if problem != "duplicate":
                del self._queues[key]
            return f"fragment refused: {problem}"
        size = header + len(payload)
        queue.largest = max(queue.largest, size)
        if df:
            queue.largest_df = max(queue.largest_df, size)
        queue.ecn |= ecn
        if offset == 0:
            queue.first = packet
        whole = queue.complete()
        if whole is None:
            return "fragment kept"
        del self._queues[key]
        return _assembled(queue, whole, packet, merging=key[0] == LOCAL_DELIVERY)

    def _give_up(self, waiting: tuple[tuple[object, ...], Queue]) -> None:
        key, queue = waiting
        if self._queues.get(key) is queue:
            del self._queues[key]


def _assembled(queue: Queue, payload: bytes, last: Packet, *, merging: bool) -> Packet | str:
    first = queue.first
    assert first is not None
    if queue.ecn & _NOT_ECT and queue.ecn != _NOT_ECT:
        return "fragments disagree about ECN"
    data = first.data
    kept_df = queue.largest_df == queue.largest
    if first.family == AF_INET:
        size = first.offset + len(payload)
        if size > _LARGEST:
            return "reassembled packet too long"
        tos = data[1] | (3 if queue.ecn & _CE else 0)
        field = DF if kept_df else 0
        header = bytes((data[0], tos)) + size.to_bytes(2, "big") + data[4:6] + field.to_bytes(2, "big")
        data = sign4(header + data[8 : first.offset]) + payload
        whole = parse4(data, last.device, last.mark, last.unicast, Assembled)
    else:
        kept_df = False
        header_end, before = _fragment_header(data)
        head = bytearray(data[: header_end - 8])
        head[before] = data[header_end - 8]
        size = len(head) - 40 + len(payload)
        if size > _LARGEST:
            return "reassembled packet too long"
        head[4:6] = size.to_bytes(2, "big")
        whole = parse6(bytes(head) + payload, last.device, last.mark, last.unicast, Assembled)
    if isinstance(whole, Assembled):
        whole.largest, whole.kept_df = queue.largest, kept_df
        whole.cuts = _merged(queue, len(first.data)) if merging else queue.cuts()
    return whole


def _fragment_header(data: bytes) -> tuple[int, int]:
    """Where an IPv6 fragment's payload begins, and where the byte stands that names the fragment header."""
    before, following, at = 6, data[6], 40
    while following != FRAGMENT:
        before, following = at, data[at]
        at += (data[at + 1] + 2) * 4 if following == 51 else (data[at + 1] + 1) * 8
    return at + 8, before


def split4(data: bytes, limit: int, *, keep_df: bool = False, cuts: tuple[int, ...] = ()) -> list[bytes]:
    """An IPv4 packet in pieces of at most ``limit`` bytes; at ``cuts`` where those pieces fit (``ip_do_fragment``).

    DF is lost, unless the packet's own fragments had it (``keep_df``) and it is cut anew.
    """
    start = (data[0] & 15) * 4
    payload = data[start:]
    old = int.from_bytes(data[6:8], "big")
    base, more_behind = old & OFFSET, old & MF
    room = limit - start
    spans = _along(len(payload), room, cuts)
    df = DF if keep_df and not spans else 0
    pieces = []
    for at, end in spans or _ranges(len(payload), room):
        options = data[20:start] if at == 0 else of_later_fragments(data[20:start])
        field = df | base + at // 8 | (MF if end < len(payload) or more_behind else 0)
        size = start + end - at
        header = data[:2] + size.to_bytes(2, "big") + data[4:6] + field.to_bytes(2, "big") + data[8:20] + options
        pieces.append(sign4(header) + payload[at:end])
    return pieces


def split6(data: bytes, limit: int, ident: int, *, cuts: tuple[int, ...] = ()) -> list[bytes]:
    """An IPv6 packet in fragments of at most ``limit`` bytes; at ``cuts`` where those pieces fit (``ip6_fragment``)."""
    head, before = _unfragmentable(data)
    payload = data[head:]
    name = bytearray(data[:head])
    following = name[before]
    name[before] = FRAGMENT
    pieces = []
    room = limit - head - 8
    for at, end in _along(len(payload), room, cuts) or _ranges(len(payload), room):
        field = at | (1 if end < len(payload) else 0)
        name[4:6] = (head - 40 + 8 + end - at).to_bytes(2, "big")
        fragment = bytes((following, 0)) + field.to_bytes(2, "big") + ident.to_bytes(4, "big")
        pieces.append(bytes(name) + fragment + payload[at:end])
    return pieces


def _along(size: int, room: int, cuts: tuple[int, ...]) -> list[tuple[int, int]]:
    """The pieces of a payload along ``cuts``, if all of them fit; else none."""
    bounds = [0, *(size - cut for cut in cuts), size]
    spans = list(pairwise(bounds))
    if cuts and all(0 < end - at <= room for at, end in spans) and not any((end - at) % 8 for at, end in spans[:-1]):
        return spans
    return []


def _ranges(size: int, room: int) -> list[tuple[int, int]]:
    """The pieces of a payload, as large as may be."""
    step = max(room & ~7, 8)
    spans = []
    at = 0
    while at < size:
        end = size if size - at <= room else at + step
        spans.append((at, end))
        at = end
    return spans


def _merged(queue: Queue, first: int) -> tuple[int, ...]:
    """The cuts that are left, as the kernel moves pieces into the first one's buffer while they fit (skb_try_coalesce).

    That buffer is what kmalloc gives for a packet of ``first`` bytes with 64 in front and 320 of bookkeeping behind.
    """
    wanted = (first + 64 + 63 & ~63) + _BOOKKEEPING
    bucket = max(1 << (wanted - 1).bit_length(), 512)
    spare = bucket - _BOOKKEEPING - 64 - first
    size = queue.size or 0
    kept = sorted(queue.pieces)[1:]
    while kept and len(queue.pieces[kept[0]]) <= spare:
        spare -= len(queue.pieces[kept.pop(0)])
    return tuple(size - at for at in kept)


def _unfragmentable(data: bytes) -> tuple[int, int]:
    """Where a fragment header goes, and where the byte stands that will name it (``ip6_find_1stfragopt``)."""
    before, following, at = 6, data[6], 40
    while following in _ORDER6 and len(data) >= at + 8:
        if following == 60 and not _routing_follows(data, at):
            break
        before, following = at, data[at]
        at += (data[at + 1] + 1) * 8
    return at, before


def _routing_follows(data: bytes, at: int) -> bool:
    """Destination options in front of a routing header belong to every fragment."""
    return data[at] == 43
