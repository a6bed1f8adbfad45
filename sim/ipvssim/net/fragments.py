"""Putting packets together (net/ipv4/ip_fragment.c, net/ipv6/netfilter/nf_conntrack_reasm.c, inet_fragment.c, Linux 6.1).

What waits is bounded as in the kernel. Every fragment costs the memory of its buffer; once the fragments of a family cost
more than its ``high_thresh``, all further ones are refused, those included that would complete a packet, until some are
given up: 30 s (IPv4) or 60 s (IPv6) after the first fragment of their packet came. IPv4 also begins a packet anew where more
than ``max_dist`` other fragments of the same sender came since its last one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import SECOND, Clock
from ipvssim.net.packets import (
    AH,
    DF,
    FRAGMENT,
    ICMPV6,
    MF,
    NO_NEXT,
    OFFSET,
    OFFSET6,
    TCP,
    UDP,
    Assembled,
    Packet,
    parse4,
    parse6,
    sign4,
    walk6,
)
from ipvssim.net.pieces import PACKET, Pieces, Sender, buffer_size

if TYPE_CHECKING:
    from weakref import WeakValueDictionary

LOCAL_DELIVERY: Final = "local"
REPLIES: Final = "replies"
INPUT: Final = "input"
TRACKING: Final = "tracking"
"""The places on the way where fragments are gathered."""
TIMEOUT4: Final = 30 * SECOND
TIMEOUT6: Final = 60 * SECOND
HIGH_THRESH: Final = 4 << 20
"""net.ipv4.ipfrag_high_thresh and net.netfilter.nf_conntrack_frag6_high_thresh: bytes."""
LOW_THRESH: Final = 3 << 20
"""Their lower twins, which bound nothing any more but the higher ones."""
MAX_DIST: Final = 64
"""net.ipv4.ipfrag_max_dist."""
_LARGEST: Final = 65535
_QUEUE: Final = {AF_INET: 200, AF_INET6: 184}
"""What a packet that waits costs besides its fragments (struct ipq, struct frag_queue)."""
_HEADERS: Final = {TCP: 20, UDP: 8, ICMPV6: 8}
"""Bytes of transport headers that a first fragment has to have; of any other, one."""
_NOT_ECT: Final = 1
_CE: Final = 8
_Key = tuple[str, bytes, bytes, int]


def _nothing(packet: Packet) -> None:
    """What a packet is given to that nobody waits for."""


@mypyc_attr(allow_interpreted_subclasses=True)
class _Waiting(Part):
    """The packets of one family that wait for fragments, the oldest first; they are given up in that order."""

    def __init__(self, clock: Clock, family: int, timeout: int) -> None:
        self._clock = clock
        self._timeout = timeout
        self._queue = _QUEUE[family]
        self._timer = clock.timer(self._give_up)
        self.given_up: Callable[[Packet], object] = _nothing
        """Told the first fragment of a packet whose others did not come in time."""
        self.packets: dict[_Key, Pieces] = {}
        self.memory = 0

    def of(self, key: _Key) -> Pieces:
        """The pieces of a packet; none where this is the first."""
        pieces = self.packets.get(key)
        if pieces is None:
            pieces = self.packets[key] = Pieces(self._clock.firing(self._timeout))
            self.charge(pieces, self._queue)
            if not self._timer.pending:
                self._timer.resume(pieces.expires)
        return pieces

    def charge(self, pieces: Pieces, size: int) -> None:
        """Count the memory of one more fragment."""
        pieces.memory += size
        self.memory += size

    def remove(self, key: _Key) -> None:
        """They are complete, spoiled, or given up."""
        self.memory -= self.packets.pop(key).memory

    def restart(self, key: _Key) -> None:
        """Forget what has come, and wait for the whole packet again."""
        pieces = self.packets.pop(key)
        self.packets[key] = pieces
        pieces.clear()
        pieces.expires = self._clock.firing(self._timeout)
        self.charge(pieces, self._queue - pieces.memory)

    def _give_up(self, _: None) -> None:
        """Each has a timer of its own in the kernel. Of those that fire at one jiffy the last one is the first."""
        due, slot = [], self._clock.slot
        for key, pieces in self.packets.items():
            if pieces.expires > slot:
                self._timer.resume(pieces.expires)
                break
            due.append(key)
        for key in reversed(due):
            first = self.packets[key].first
            self.remove(key)
            if first is not None:
                self.given_up(first)


@mypyc_attr(allow_interpreted_subclasses=True)
class Reassembler(Part):
    """Waits for the fragments of packets. :meth:`add` returns the packet once it is whole, or why there is none yet.

    ``high_thresh``, ``low_thresh`` (bytes, by family) and ``max_dist`` (fragments) are the kernel's tunables. ``merges``:
    fragments for the host itself are moved into the first one's buffer while they fit. ``small_head``: small packets'
    buffers are all of so many bytes, if it is not 0.
    """

    def __init__(self, clock: Clock, *, merges: bool = True, small_head: int = 0) -> None:
        self._merges = merges
        self._small_head = small_head
        self.high_thresh = {AF_INET: HIGH_THRESH, AF_INET6: HIGH_THRESH}
        self.low_thresh = {AF_INET: LOW_THRESH, AF_INET6: LOW_THRESH}
        self.max_dist = MAX_DIST
        self._waiting = {AF_INET: _Waiting(clock, AF_INET, TIMEOUT4), AF_INET6: _Waiting(clock, AF_INET6, TIMEOUT6)}
        self._senders: WeakValueDictionary[bytes, Sender] | None = None
        self.completed: Callable[[Packet], object] | None = None
        """Told of each IPv4 packet that is whole, where somebody wants to know."""

    def tell(self, given_up: Callable[[Packet], object]) -> None:
        """Call it with the first fragment of each packet whose others did not come in time."""
        for waiting in self._waiting.values():
            waiting.given_up = given_up

    def __len__(self) -> int:
        return sum(len(waiting.packets) for waiting in self._waiting.values())

    @property
    def memory(self) -> int:
        """What all that waits costs the kernel, in bytes."""
        return sum(waiting.memory for waiting in self._waiting.values())

    def add(self, packet: Packet, user: str) -> Packet | str:
        """Add a fragment to the packets of one ``user`` (a place on the way: each keeps its own).

        An IPv6 fragment that is not the last and no multiple of eight bytes comes back as it is, and so does a first one
        that lacks headers: netfilter leaves it to the host itself to complain of them.
        """
        if packet.family != AF_INET and lacks_headers(packet):
            return packet
        waiting = self._waiting[packet.family]
        most = self.high_thresh[packet.family]
        if not most or waiting.memory > most:
            return "too many fragments wait"
        if packet.family != AF_INET:
            return self._add6(packet, user, waiting)
        whole = self._add4(packet, user, waiting)
        if self.completed is not None and isinstance(whole, Packet):
            self.completed(whole)
        return whole

    def _add4(self, packet: Packet, user: str, waiting: _Waiting) -> Packet | str:
        data = packet.data
        key = (user, data[12:20], data[4:6], data[9])
        pieces = waiting.of(key)
        if self._is_far(packet.source, pieces):
            waiting.restart(key)
        payload = data[packet.offset :]
        more, offset = bool(packet.fragment & MF), (packet.fragment & OFFSET) * 8
        if more:
            payload = payload[: len(payload) & ~7]
        if not pieces.fits(offset + len(payload), more) or not payload:
            waiting.remove(key)
            return "fragment refused: length"
        if data[6] & 0x40:
            pieces.largest_df = max(pieces.largest_df, packet.offset + len(payload))
        return self._put(packet, key, waiting, pieces, packet.offset, offset, payload, 1 << (data[1] & 3))

    def _add6(self, packet: Packet, user: str, waiting: _Waiting) -> Packet | str:
        data = packet.data
        header, _ = fragment_header(data)
        field = int.from_bytes(data[header - 6 : header - 4], "big")
        more, offset = bool(field & 1), field & OFFSET6
        key = (user, data[8:40], data[header - 4 : header], 0)
        pieces = waiting.of(key)
        payload = data[header:]
        end = offset + len(payload)
        if end > _LARGEST:
            return "fragment of impossible length"
        if more and end & 7:
            waiting.remove(key)
            return packet
        if not pieces.fits(end, more) or not payload:
            return "fragment refused: length"
        return self._put(packet, key, waiting, pieces, header, offset, payload, 1 << (packet.tos & 3))

    def _put(
        self, packet: Packet, key: _Key, waiting: _Waiting, pieces: Pieces, header: int, offset: int, payload: bytes,
        ecn: int,
    ) -> Packet | str:  # fmt: skip
        problem = pieces.put(offset, payload)
        if problem is not None:
            if problem != "duplicate":
                waiting.remove(key)
            return f"fragment refused: {problem}"
        waiting.charge(pieces, buffer_size(len(packet.data), small_head=self._small_head) + PACKET)
        pieces.largest = max(pieces.largest, header + len(payload))
        pieces.ecn |= ecn
        if offset == 0:
            pieces.first = packet
        if not pieces.complete:
            return "fragment kept"
        waiting.remove(key)
        whole = _assembled(pieces, packet)
        if isinstance(whole, Assembled):
            first = pieces.first if self._merges and key[0] == LOCAL_DELIVERY else None
            whole.cuts = pieces.cuts(len(first.data) if first is not None else 0, small_head=self._small_head)
        return whole

    def _is_far(self, source: bytes, pieces: Pieces) -> bool:
        """Whether too many other fragments of the sender came since the packet's last one (``ip_frag_too_far``)."""
        if not self.max_dist:
            return False
        sender = pieces.sender
        if sender is None:
            sender = pieces.sender = self._sender(source)
        before = pieces.heard
        pieces.heard = sender.heard = sender.heard + 1
        return bool(pieces) and pieces.heard - before > self.max_dist

    def _sender(self, source: bytes) -> Sender:
        """Who sends from there; known as long as some packet of its is incomplete. Most kernels never see a fragment."""
        if self._senders is None:
            from weakref import WeakValueDictionary

            self._senders = WeakValueDictionary()
        return self._senders.setdefault(source, Sender())


def _assembled(pieces: Pieces, last: Packet) -> Packet | str:
    """The whole: it came in by the last piece's device, and is else what the first was (inet_frag_reasm_prepare)."""
    first = pieces.first
    assert first is not None
    if pieces.ecn & _NOT_ECT and pieces.ecn != _NOT_ECT:
        return "fragments disagree about ECN"
    payload = pieces.joined()
    kept_df = first.family == AF_INET and pieces.largest_df == pieces.largest
    if first.family == AF_INET:
        whole = _whole4(first, last, payload, pieces.ecn, kept_df)
    else:
        whole = _whole6(first, last, payload, pieces.ecn)
    if isinstance(whole, Assembled):
        whole.largest, whole.kept_df, whole.recorded = pieces.largest, kept_df, first.recorded
    return whole


def _whole4(first: Packet, last: Packet, payload: bytes, ecn: int, kept_df: bool) -> Packet | str:
    data = first.data
    size = first.offset + len(payload)
    if size > _LARGEST:
        return "reassembled packet too long"
    tos = data[1] | (3 if ecn & _CE else 0)
    field = DF if kept_df else 0
    header = bytes((data[0], tos)) + size.to_bytes(2, "big") + data[4:6] + field.to_bytes(2, "big")
    data = sign4(header + data[8 : first.offset]) + payload
    return parse4(data, last.device, first.mark, first.unicast, Assembled)


def _whole6(first: Packet, last: Packet, payload: bytes, ecn: int) -> Packet | str:
    """One piece that met congestion marks the whole (ip_frag_ecn_table)."""
    data = first.data
    end, before = fragment_header(data)
    head = bytearray(data[: end - 8])
    head[before] = data[end - 8]
    head[1] |= 0x30 if ecn & _CE else 0
    size = len(head) - 40 + len(payload)
    if size > _LARGEST:
        return "reassembled packet too long"
    head[4:6] = size.to_bytes(2, "big")
    return parse6(bytes(head) + payload, last.device, first.mark, first.unicast, Assembled)


def lacks_headers(packet: Packet) -> bool:
    """Whether an IPv6 packet's first fragment ends before its transport header does (``ipv6frag_thdr_truncated``)."""
    if packet.fragment & OFFSET6 or packet.protocol == NO_NEXT:
        return False
    return len(packet.data) < packet.offset + _HEADERS.get(packet.protocol, 1)


def seems_cut(packet: Packet) -> bool:
    """What :func:`lacks_headers` was before ``later_headers6``, for any fragment behind another header: that one is looked
    for where the fragment header stands, so that what follows is taken for the transport header."""
    data = packet.data
    if data[6] == FRAGMENT:
        return False
    walked = walk6(data, fragment_header(data)[0] - 8, data[6])
    if walked is None or walked[0] == NO_NEXT or walked[2] & OFFSET6:
        return False
    return len(data) < walked[1] + _HEADERS.get(walked[0], 1)


def is_authenticated(packet: Packet) -> bool:
    """Whether an authentication header stands before an IPv6 packet's fragment header: a host looks at that one first."""
    kind, at = packet.data[6], 40
    while kind not in (FRAGMENT, AH):
        kind, at = packet.data[at], at + (packet.data[at + 1] + 1) * 8
    return kind == AH


def fragment_header(data: bytes) -> tuple[int, int]:
    """Where an IPv6 fragment's payload begins, and where the byte stands that names the fragment header.

    For a packet that :func:`ipvssim.net.packets.walk6` found a fragment header in: it went the same way.
    """
    before, kind, at = 6, data[6], 40
    while kind != FRAGMENT:
        size = (data[at + 1] + 2) * 4 if kind == AH else (data[at + 1] + 1) * 8
        before, kind = at, data[at]
        at += size
    return at + 8, before
