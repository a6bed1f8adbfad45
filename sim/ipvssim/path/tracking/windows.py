"""The windows of a tracked TCP connection: which segments both ends can have meant (tcp_in_window,
net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1). Sequence numbers are of 32 bits and wrap."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import Behaviours
from ipvssim.net.packets import ACK, FIN, RST, SYN, Packet

SCALES: Final = 1
SELECTIVE: Final = 2
CLOSES: Final = 4
LIBERAL: Final = 8
UNACKNOWLEDGED: Final = 16
HAS_ACKED: Final = 32
"""Of a side: it scales its window, takes selective acknowledgements, closed first, is not measured at all, has data on the
way, has acknowledged something."""
NONE: Final = 0
SYN_SENT: Final = 1
SYN_RECV: Final = 2
ESTABLISHED: Final = 3
FIN_WAIT: Final = 4
CLOSE_WAIT: Final = 5
LAST_ACK: Final = 6
TIME_WAIT: Final = 7
CLOSE: Final = 8
SYN_SENT2: Final = 9
"""The states of a connection."""
A_SYN: Final = 0
A_SYNACK: Final = 1
A_FIN: Final = 2
AN_ACK: Final = 3
A_RST: Final = 4
ANOTHER: Final = 5
"""The kinds of segments, by their flags."""
_MASK: Final = 0xFFFFFFFF
_LEAST_WINDOW: Final = 66000
_LARGEST_SCALE: Final = 14
_NOP_TIMESTAMP: Final = b"\x01\x01\x08\x0a"
_SELECTIVE: Final = 4
_WINDOW: Final = 3
_BLOCKS: Final = 5


class Measure(Enum):
    """A segment is in the window; or it is not, and passes as part of the connection, or as none of it."""

    IN = "in"
    IGNORED = "ignored"
    OUT = "out"


class Segment(NamedTuple):
    """What is read of a TCP segment. ``kind`` is one of those above, ``end`` the sequence number behind it."""

    flags: int
    kind: int
    sequence: int
    acknowledged: int
    window: int
    end: int
    options: bytes


@mypyc_attr(allow_interpreted_subclasses=True)
class Side(Part):
    """What one end has sent and said."""

    __slots__ = ("end", "flags", "max_ack", "max_end", "max_window", "scale")

    def __init__(self) -> None:
        self.flags = 0
        self.reset()

    def reset(self, kept: int = 0) -> None:
        """Forget everything but those flags."""
        self.end = self.max_end = self.max_window = self.max_ack = self.scale = 0
        self.flags &= kept


@mypyc_attr(allow_interpreted_subclasses=True)
class Talk(Part):
    """A TCP connection as it is tracked. What begins with ``last`` is of the last segment that was let through."""

    __slots__ = (
        "challenged", "last_ack", "last_end", "last_flags", "last_kind", "last_scale", "last_sequence", "last_side",
        "last_window", "repeated", "sides", "simultaneous", "state",
    )  # fmt: skip

    def __init__(self) -> None:
        self.state = 0
        self.sides = (Side(), Side())
        self.last_kind = self.last_side = self.last_sequence = self.last_ack = self.last_end = self.last_window = 0
        self.last_flags = self.last_scale = self.repeated = 0
        self.simultaneous = self.challenged = False


def before(one: int, other: int) -> bool:
    """Whether one sequence number comes before another."""
    return (one - other & _MASK) > 0x7FFFFFFF


def read_options(options: bytes, side: Side, kept: int) -> None:
    """What a SYN's options say of the side that sent it, beside those flags which it keeps."""
    if not options:
        return
    side.scale = 0
    side.flags &= kept
    for kind, value in _walked(options):
        if kind == _SELECTIVE and not value:
            side.flags |= SELECTIVE
        elif kind == _WINDOW and len(value) == 1:
            side.scale = min(value[0], _LARGEST_SCALE)
            side.flags |= SCALES


def _walked(options: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            break
        found.append((options[at], options[at + 2 : at + size]))
        at += size
    return found


def _selected(options: bytes, acknowledged: int) -> int:
    """The highest number that a segment acknowledges, selective acknowledgements included."""
    if len(options) == 12 and options[:4] == _NOP_TIMESTAMP:
        return acknowledged
    for kind, value in _walked(options):
        if kind == _BLOCKS and value and not len(value) % 8:
            for at in range(4, len(value), 8):
                end = int.from_bytes(value[at : at + 4], "big")
                if before(acknowledged, end):
                    acknowledged = end
            break
    return acknowledged


def begin(side: Side, other: Side, segment: Segment, kept: int, *, reply: bool) -> None:
    """A side's SYN, or its answer to one."""
    side.end = side.max_end = segment.end
    side.max_window = segment.window or 1
    read_options(segment.options, side, kept)
    if reply and not (side.flags & SCALES and other.flags & SCALES):
        side.scale = other.scale = 0


def measure(talk: Talk, which: int, segment: Segment, shift: int, known: Behaviours, *, liberal: bool) -> Measure:
    """Whether a segment fits the windows; if so, they move on. ``shift`` is what was added on the way to the stream that it
    acknowledges; ``liberal`` takes every segment for one that fits."""
    kept = LIBERAL if known.lasting_liberality else 0
    sender, receiver = talk.sides[which], talk.sides[1 - which]
    flags, end, sequence = segment.flags, segment.end, segment.sequence
    acknowledged = selected = segment.acknowledged
    if receiver.flags & SELECTIVE:
        selected = _selected(segment.options, selected)
    if shift:
        acknowledged, selected = acknowledged - shift & _MASK, selected - shift & _MASK
    if not sender.max_window:
        if flags & SYN:
            begin(sender, receiver, segment, kept, reply=bool(which) or not known.syns_begin_anew)
            if not flags & ACK:
                return Measure.IN
        else:
            _pick_up(sender, receiver, segment, selected)
    elif before(sender.end, end) and _is_begun_anew(talk.state, which, flags, known):
        begin(sender, receiver, segment, kept, reply=bool(which) and known.syns_begin_anew)
        if known.syns_begin_anew and which and not flags & ACK:
            return Measure.IN
    if not flags & ACK or (flags & RST and not acknowledged):
        acknowledged = selected = receiver.end
    if flags & RST and not sequence and talk.state == SYN_SENT:
        sequence = end = sender.end
    misfit = _misfit(sender, receiver, sequence, end, selected, known)
    if misfit is not None:
        return Measure.IN if liberal or sender.flags & LIBERAL else misfit
    _move_on(sender, receiver, segment, end, acknowledged, selected)
    if segment.kind == AN_ACK:
        _count_repeats(talk, which, segment, sequence, acknowledged, end)
    return Measure.IN


def _is_begun_anew(state: int, which: int, flags: int, known: Behaviours) -> bool:
    """Whether a segment with a higher number begins its side's window anew while the connection opens."""
    if known.syns_begin_anew:
        return bool(flags & SYN) and state in (SYN_SENT, SYN_RECV)
    return state == (SYN_RECV if which else SYN_SENT)


def _pick_up(sender: Side, receiver: Side, segment: Segment, selected: int) -> None:
    """The first segment seen of a side is none of its beginning: its history is lost."""
    sender.end = segment.end
    sender.max_window = (segment.window << sender.scale) or 1
    sender.max_end = segment.end + sender.max_window & _MASK
    if not receiver.max_window:
        receiver.end = receiver.max_end = selected
    elif selected == receiver.end + 1 & _MASK:
        receiver.end = selected


def _misfit(
    sender: Side, receiver: Side, sequence: int, end: int, selected: int, known: Behaviours
) -> Measure | None:  # fmt: skip
    """None where all four bounds are kept (the paper of Guido van Rooij that the kernel follows)."""
    lowest = sender.end - receiver.max_window - 1
    oldest = receiver.end - max(sender.max_window, _LEAST_WINDOW) - 1
    late = not before(oldest, selected)
    unseen = not before(selected, receiver.end + 1)
    if not before(sequence, sender.max_end + 1):
        over = end - sender.max_end + 1 & _MASK
        inside = receiver.max_window and before(lowest, end)
        if known.misfits_pass and inside and not late and over <= receiver.max_window and not unseen:
            sender.end = end
            sender.flags |= UNACKNOWLEDGED
            return Measure.IGNORED
        return Measure.OUT
    if unseen:
        return Measure.OUT
    if (receiver.max_window and not before(lowest, end)) or late:
        return Measure.IGNORED if known.misfits_pass else Measure.OUT
    return None


def _move_on(sender: Side, receiver: Side, segment: Segment, end: int, acknowledged: int, selected: int) -> None:
    window = segment.window if segment.flags & SYN else segment.window << sender.scale
    sender.max_window = max(sender.max_window, window + (selected - acknowledged) & _MASK)
    if before(sender.end, end):
        sender.end = end
        sender.flags |= UNACKNOWLEDGED
    if segment.flags & ACK:
        if not sender.flags & HAS_ACKED:
            sender.max_ack = acknowledged
            sender.flags |= HAS_ACKED
        elif before(sender.max_ack, acknowledged):
            sender.max_ack = acknowledged
    if receiver.max_window and before(sender.max_end, end):
        receiver.max_window = receiver.max_window + end - sender.max_end & _MASK
    if before(receiver.max_end - 1, selected + window):
        receiver.max_end = selected + window + (not window) & _MASK
    if acknowledged == receiver.end:
        receiver.flags &= ~UNACKNOWLEDGED


def _count_repeats(talk: Talk, which: int, segment: Segment, sequence: int, acknowledged: int, end: int) -> None:
    said = (which, sequence, acknowledged, end, segment.window)
    if said == (talk.last_side, talk.last_sequence, talk.last_ack, talk.last_end, talk.last_window):
        talk.repeated += 1
        return
    talk.last_side, talk.last_sequence, talk.last_ack, talk.last_end, talk.last_window = said
    talk.repeated = 0


def read(packet: Packet) -> Segment | None:
    """A segment's fields; None where it is cut short."""
    data = packet.data[packet.offset :]
    if len(data) < 20 or not 20 <= (size := (data[12] >> 4) * 4) <= len(data):
        return None
    flags = data[13]
    if flags & RST:
        kind = A_RST
    elif flags & SYN:
        kind = A_SYNACK if flags & ACK else A_SYN
    elif flags & FIN:
        kind = A_FIN
    else:
        kind = AN_ACK if flags & ACK else ANOTHER
    sequence = int.from_bytes(data[4:8], "big")
    end = sequence + len(data) - size + bool(flags & SYN) + bool(flags & FIN) & _MASK
    return Segment(
        flags, kind, sequence, int.from_bytes(data[8:12], "big"), int.from_bytes(data[14:16], "big"), end, data[20:size]
    )
