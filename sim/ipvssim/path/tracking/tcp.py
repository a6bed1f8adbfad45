"""How TCP connections are tracked: states, and what a segment makes of them (net/netfilter/nf_conntrack_proto_tcp.c, 6.1).

These are not IPVS's states: they follow both ends, and a segment that does not fit the windows belongs to no connection.
What the switches change: connections picked up in the middle (tcp_loose), windows kept (tcp_be_liberal), resets believed
(tcp_ignore_invalid_rst).
"""

from __future__ import annotations

from typing import Final

from ipvssim.clock import HZ
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.packets import ACK, FIN, RST, SYN, TCP, Packet
from ipvssim.path.tracking.entries import ORIGINAL, REPLY, Entries, Entry, Outcome
from ipvssim.path.tracking.windows import (
    A_FIN,
    A_RST,
    A_SYN,
    A_SYNACK,
    AN_ACK,
    ANOTHER,
    CLOSE,
    CLOSE_WAIT,
    CLOSES,
    ESTABLISHED,
    FIN_WAIT,
    HAS_ACKED,
    LAST_ACK,
    LIBERAL,
    NONE,
    SCALES,
    SELECTIVE,
    SYN_RECV,
    SYN_SENT,
    SYN_SENT2,
    TIME_WAIT,
    UNACKNOWLEDGED,
    Measure,
    Segment,
    Side,
    Talk,
    before,
    measure,
    read,
    read_options,
)

_INVALID: Final = 10
_IGNORED: Final = 11
_TIMEOUTS: Final = {
    SYN_SENT: "syn_sent", SYN_RECV: "syn_recv", ESTABLISHED: "established", FIN_WAIT: "fin_wait", CLOSE_WAIT: "close_wait",
    LAST_ACK: "last_ack", TIME_WAIT: "time_wait", CLOSE: "close",
}  # fmt: skip
"""What the tunables nf_conntrack_tcp_timeout_* end with, by state."""
_SIMULTANEOUS: Final = 120 * HZ
"""The one state without a tunable: SYN_SENT2."""
_LONG: Final = 120 * HZ
"""A life that a misfit may shorten (``nf_tcp_handle_invalid``)."""
_URG: Final = 0x20
_MEANT: Final = frozenset(
    (SYN, SYN | _URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | _URG, ACK, ACK | _URG)
)  # what of FIN, SYN, RST, ACK and URG may stand together
_ALL: Final = FIN | SYN | RST | ACK | _URG
_ENDING: Final = frozenset((FIN_WAIT, LAST_ACK, TIME_WAIT, CLOSE, CLOSE_WAIT))
_LETTERS: Final = {
    "-": NONE, "S": SYN_SENT, "R": SYN_RECV, "E": ESTABLISHED, "F": FIN_WAIT, "W": CLOSE_WAIT, "L": LAST_ACK,
    "T": TIME_WAIT, "C": CLOSE, "2": SYN_SENT2, "x": _INVALID, "i": _IGNORED,
}  # fmt: skip


def _table(*rows: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(_LETTERS[letter] for letter in row) for row in rows)


_NEXT: Final = (
    #       none, syn_sent, syn_recv, established, fin_wait, close_wait, last_ack, time_wait, close, syn_sent2
    _table("SSiiiiiSS2", "xxRxxxxxxR", "xxFFLLLTCx", "ExEEWWTTCx", "xCCCCCCCCC", "xxxxxxxxxx"),
    _table("x2xxxxxSx2", "xRiiiiiiiR", "xxFFLLLTCx", "xiREWWTTCi", "xCCCCCCCCC", "xxxxxxxxxx"),
)
"""By side and kind of segment (SYN, SYN with ACK, FIN, ACK, RST, anything else): state to next state."""


def follow(entries: Entries, entry: Entry, which: int, packet: Packet, *, verified: bool) -> Outcome:
    """A segment of side ``which``: the entry's state and time after it. ``verified`` where its checksum need not be looked
    at."""
    segment = read(packet)
    if segment is None or segment.flags & _ALL not in _MEANT or not (verified or _is_sound(packet)):
        return Outcome.INVALID
    talk = entry.talk
    assert isinstance(talk, Talk)
    if not entry.confirmed and not _begin(talk, segment, loose=bool(entries.sysctls["tcp_loose"])):
        return Outcome.INVALID
    old = talk.state
    new = _NEXT[which][segment.kind][old]
    if new == _INVALID:
        return Outcome.INVALID
    known, fits = entries.behaviours, False
    if new == _IGNORED or (new == SYN_SENT and old >= TIME_WAIT):
        if new == SYN_SENT and _is_reopened(talk, which):
            entries.kill(entry)
            return Outcome.AGAIN
        if not _is_in_step(talk, which, segment, LIBERAL if known.lasting_liberality else 0):
            _note(talk, which, segment, old, challenges=known.challenge_answers)
            return Outcome.VALID
        old, new = SYN_SENT, SYN_RECV
    elif new == TIME_WAIT and old == LAST_ACK and _is_challenge(talk, which, segment):
        return Outcome.VALID
    elif new == SYN_SENT2:
        talk.simultaneous = True
    elif new == SYN_RECV and which == REPLY and segment.kind == AN_ACK and talk.simultaneous:
        new = ESTABLISHED
    elif new == CLOSE and segment.kind == A_RST:
        found = _reset(entries, entry, which, segment, old)
        if found is None:
            return Outcome.INVALID
        new, fits = found
    if not fits:
        shifts = entry.shifts  # what a helper added to the stream that the segment acknowledges (nf_ct_seq_offset)
        shift = shifts.sides[1 - which].of(segment.acknowledged - 1) if shifts is not None else 0
        measured = measure(talk, which, segment, shift, known, liberal=bool(entries.sysctls["tcp_be_liberal"]))
        if measured is Measure.IGNORED:
            return Outcome.VALID
        if measured is Measure.OUT:
            if known.misfits_pass:
                _misfits(entries, entry, talk, which, segment)
            return Outcome.INVALID
    _advance(entries, entry, talk, which, segment, old, new)
    return Outcome.VALID


def _is_sound(packet: Packet) -> bool:
    segment = packet.data[packet.offset :]
    return is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment)))


def _begin(talk: Talk, segment: Segment, *, loose: bool) -> bool:
    """The first segment of an entry: a SYN, or one from the middle of a connection that began before it was tracked."""
    new = _NEXT[ORIGINAL][segment.kind][NONE]
    if new == _INVALID or (new != SYN_SENT and not loose):
        return False
    side = talk.sides[ORIGINAL]
    side.end = side.max_end = segment.end
    side.max_window = segment.window or 1
    if new == SYN_SENT:
        read_options(segment.options, side, 0)
    else:
        side.max_end = segment.end + side.max_window & 0xFFFFFFFF
        for either in talk.sides:
            either.flags = SELECTIVE | LIBERAL
    talk.last_kind = ANOTHER
    return True


def _is_reopened(talk: Talk, which: int) -> bool:
    """Whether a SYN begins a connection anew in the place of one that was closed or broken off."""
    closed = (talk.sides[0].flags | talk.sides[1].flags) & CLOSES
    return bool(closed) or (talk.last_side == which and talk.last_kind == A_RST)


def _is_in_step(talk: Talk, which: int, segment: Segment, kept: int) -> bool:
    """Whether this answers a SYN that was let through without being followed: both ends agree, and the entry follows."""
    asked = talk.last_side
    if segment.kind != A_SYNACK or talk.last_kind != A_SYN or asked == which:
        return False
    if segment.acknowledged != talk.last_end:
        return False
    side = talk.sides[asked]
    side.end = side.max_end = talk.last_end
    side.max_window = talk.last_window or 1
    side.scale, side.flags = talk.last_scale, talk.last_flags
    talk.challenged = False
    talk.sides[which].reset(kept)
    return True


def _note(talk: Talk, which: int, segment: Segment, state: int, *, challenges: bool) -> None:
    """A segment is let through without being followed; what it said may explain the next one. With ``challenges`` that may
    be a RST which answers an ACK."""
    talk.last_kind, talk.last_side = segment.kind, which
    talk.last_sequence, talk.last_end, talk.last_window = segment.sequence, segment.end, segment.window
    if segment.kind == A_SYN and which == ORIGINAL:
        said = Side()
        read_options(segment.options, said, 0)
        talk.last_flags = said.flags & (SCALES | SELECTIVE)
        talk.last_scale = said.scale if said.flags & SCALES else 0
        talk.simultaneous = False
        talk.challenged = state == LAST_ACK
    if challenges and state == SYN_SENT and segment.kind == AN_ACK and which == REPLY:
        talk.last_ack = segment.acknowledged


def _is_challenge(talk: Talk, which: int, segment: Segment) -> bool:
    """Whether an ACK answers a stray SYN (RFC 5961), and not the last FIN."""
    if segment.kind != AN_ACK or talk.last_side == which or talk.last_kind != A_SYN or not talk.challenged:
        return False
    talk.challenged = False
    return True


def _reset(entries: Entries, entry: Entry, which: int, segment: Segment, old: int) -> tuple[int, bool] | None:
    """A RST: the state after it, and whether the windows need not be looked at; None where it is not believed."""
    talk, known = entry.talk, entries.behaviours
    assert isinstance(talk, Talk)
    taken = known.stale_resets
    if taken and old in _ENDING:
        return CLOSE, True
    new, other, sequence = CLOSE, talk.sides[1 - which], segment.sequence
    lasting = old == ESTABLISHED and entry.assured
    if other.flags & HAS_ACKED and not (taken and talk.last_kind == A_SYN):
        if taken and not sequence and not lasting:
            return new, False
        if before(sequence, other.max_ack) and not (taken and entries.sysctls["tcp_ignore_invalid_rst"]):
            return None
        if not lasting or sequence == other.max_ack:
            return new, False
        if talk.last_kind == AN_ACK and talk.last_side == which and sequence == talk.last_end:
            return new, False
        new = old
    stray = entry.replied and talk.last_kind == A_SYN and (talk.last_side != which or not known.reset_sides)
    half_open = not entry.assured and talk.last_kind == AN_ACK
    if (stray or half_open) and segment.acknowledged == talk.last_end:
        return new, True
    answers = known.challenge_answers and old == SYN_SENT and talk.last_kind == AN_ACK and talk.last_side == REPLY
    return new, answers and sequence == talk.last_ack


def _misfits(entries: Entries, entry: Entry, talk: Talk, which: int, segment: Segment) -> None:
    """A FIN or RST out of the window, and one from the other side before it: the connection is as good as over."""
    if not entry.assured or segment.kind not in (A_FIN, A_RST):
        return
    if talk.last_side != which and talk.last_kind in (A_FIN, A_RST):
        if entry.expires - entries.clock.hundredths >= _LONG:
            entries.shorten(entry, _life(entries, "unacknowledged"))
        return
    talk.last_kind, talk.last_side = segment.kind, which


def _advance(entries: Entries, entry: Entry, talk: Talk, which: int, segment: Segment, old: int, new: int) -> None:
    """The segment is the connection's: its state, and how long the entry lives after it."""
    talk.last_kind, talk.last_side, talk.state = segment.kind, which, new
    if old != new and new == FIN_WAIT:
        talk.sides[which].flags |= CLOSES
    life = _life_in(entries, talk, segment, new)
    if not entry.replied:
        if segment.flags & RST:
            entries.kill(entry)
            return
        if segment.kind == A_SYN and old == SYN_SENT and entries.behaviours.syns_keep_time:
            return
        if new == ESTABLISHED:
            life = min(life, _life(entries, "unacknowledged"))
    elif not entry.assured and new == ESTABLISHED and old in (SYN_RECV, ESTABLISHED):
        entry.assured = True
    entries.refresh(entry, life)


def _life(entries: Entries, name: str) -> int:
    """A timeout by the end of its tunable's name, in jiffies."""
    return entries.sysctls.life(f"tcp_timeout_{name}")


def _life_in(entries: Entries, talk: Talk, segment: Segment, new: int) -> int:
    """How long a connection lives in a state that a segment brought it to."""
    usual = _SIMULTANEOUS if new == SYN_SENT2 else _life(entries, _TIMEOUTS[new])
    if talk.repeated >= entries.sysctls["tcp_max_retrans"] & 0xFFFFFFFF and usual > (
        repeats := _life(entries, "max_retrans")
    ):
        return repeats
    unanswered = _life(entries, "unacknowledged")
    if segment.kind == A_RST:
        if not entries.behaviours.resets_keep_time:
            return _life(entries, "close")
        if new == ESTABLISHED and usual > unanswered:
            return unanswered
    if (talk.sides[0].flags | talk.sides[1].flags) & UNACKNOWLEDGED and usual > unanswered:
        return unanswered
    return usual if talk.last_window else min(usual, _life(entries, "max_retrans"))


def reset(packet: Packet) -> Packet | None:
    """The RST with which a host refuses a segment, None where it does not (tcp_v4_send_reset, net/ipv4/tcp_ipv4.c)."""
    segment = packet.data[packet.offset :]
    if len(segment) < 20 or segment[13] & RST:
        return None
    if not is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment))):
        return None
    flags, size = segment[13], (segment[12] >> 4) * 4
    if flags & ACK:
        numbers, kind = segment[8:12] + bytes(4), RST
    else:
        end = int.from_bytes(segment[4:8], "big") + len(segment) - size + bool(flags & SYN) + bool(flags & FIN)
        numbers, kind = bytes(4) + (end & 0xFFFFFFFF).to_bytes(4, "big"), RST | ACK
    body = segment[2:4] + segment[:2] + numbers + bytes((0x50, kind)) + bytes(6)
    source, destination = packet.destination, packet.source
    key = source + destination + body[:4]
    return Packet(bytes(40) + body, packet.family, TCP, 40, 64, source, destination, key, 0)
