"""Connection tracking of the TCP connections whose packets are looked into: only with it ip_vs_ftp can rewrite them.

After net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1. A packet that is "invalid" has no conntrack entry: it goes on, but
the helper can't rewrite it, and its sequence numbers are not moved.
"""

from __future__ import annotations

from ipvssim.clock import SECOND
from ipvssim.net.packets import ACK, RST, SYN
from ipvssim.path.helpers.segment import E_ACK, E_FIN, E_NONE, E_RST, E_SYN, E_SYN_ACK, Segment
from ipvssim.path.helpers.sequences import Shift, after
from ipvssim.path.helpers.window import Side, begin, fits, learn

VALID, INVALID, AGAIN = range(3)
"""A packet belongs to its entry, does not, or is the first of another: the entry goes, and it is looked at again."""
ORIGINAL, REPLY = range(2)
NONE, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2, BAD, IGNORED = (
    range(12)
)
_SHORT = {
    name: state for state, name in enumerate(("NO", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2", "IV", "IG"))
}


def _drawn(text: str) -> list[list[int]]:
    return [[_SHORT[cell] for cell in row.split()] for row in text.strip().splitlines()]


_TABLES = (
    _drawn("""
        SS SS IG IG IG IG IG SS SS S2
        IV IV SR IV IV IV IV IV IV SR
        IV IV FW FW LA LA LA TW CL IV
        ES IV ES ES CW CW TW TW CL IV
        IV CL CL CL CL CL CL CL CL CL
        IV IV IV IV IV IV IV IV IV IV"""),
    _drawn("""
        IV S2 IV IV IV IV IV SS IV S2
        IV SR IG IG IG IG IG IG IG SR
        IV IV FW FW LA LA LA TW CL IV
        IV IG SR ES CW CW TW TW CL IG
        IV CL CL CL CL CL CL CL CL CL
        IV IV IV IV IV IV IV IV IV IV"""),
)
"""By direction and event (SYN, SYN+ACK, FIN, ACK, RST, none): what follows each state."""
_TIMEOUTS = {
    SYN_SENT: 120, SYN_RECV: 60, ESTABLISHED: 432000, FIN_WAIT: 120, CLOSE_WAIT: 60, LAST_ACK: 30, TIME_WAIT: 120, CLOSE: 10,
    SYN_SENT2: 120,
}  # fmt: skip
_WRONG = -1
_RETRANSMITTED = _UNACKNOWLEDGED = 300
_MOST_RETRANSMISSIONS = 3
_FULL = 1 << 32


class Tracking:
    """One TCP connection. ``origin`` tells which of IPVS's directions its first packet had; ``confirmed`` that this left."""

    def __init__(self, segment: Segment, origin: int) -> None:
        self.origin = origin
        self.state = NONE
        self.confirmed = self.seen_reply = self.assured = self.shifts = self.can_shift = False
        self.sides = Side(), Side()
        self.moved = Shift(), Shift()
        self.deadline = 0
        self._event = E_NONE
        self._direction = ORIGINAL
        self._sequence = self._ack = self._end = self._window = self._retransmitted = self._scale = 0
        self._sacks = self._scales = self._challenged = self._simultaneous = False
        own = self.sides[ORIGINAL]
        if segment.event == E_SYN:
            own.begin(segment)
        else:
            own.end, own.max_window = segment.end, segment.window or 1
            own.max_end = (segment.end + own.max_window) % _FULL
            for side in self.sides:
                side.sack = side.liberal = True

    @classmethod
    def begin(cls, segment: Segment, origin: int) -> Tracking | None:
        """A new entry for a packet that has none; None where it can't be a first one."""
        return cls(segment, origin) if _TABLES[ORIGINAL][segment.event][NONE] != BAD else None

    def judge(self, segment: Segment, direction: int, now: int) -> int:
        """Look at a packet: VALID, INVALID or AGAIN. ``now`` is in microseconds."""
        way = REPLY if direction != self.origin else ORIGINAL
        verdict = self._judge(segment, way, now)
        if verdict == VALID and way == REPLY:
            self.seen_reply = True
        return verdict

    def _judge(self, segment: Segment, way: int, now: int) -> int:
        new = _TABLES[way][segment.event][self.state]
        if new == SYN_SENT and self.state >= TIME_WAIT:
            closing = self.sides[0].closes or self.sides[1].closes
            if closing or (self._direction == way and self._event == E_RST):
                return AGAIN
            new = IGNORED
        if new == IGNORED:
            if not self._answers_ignored(segment, way):
                return self._ignore(segment, way)
            new = SYN_RECV
        elif new == BAD:
            return INVALID
        elif new == TIME_WAIT and self._is_challenge(segment, way):
            self._challenged = False
            return VALID
        elif new == SYN_SENT2:
            self._simultaneous = True
        elif new == SYN_RECV and way == REPLY and segment.event == E_ACK and self._simultaneous:
            new = ESTABLISHED
        elif new == CLOSE and segment.event == E_RST:
            judged = self._reset(segment, way)
            if judged == _WRONG:
                return INVALID
            if judged is not None:
                self._enter(judged, segment, way, now)
                return VALID
            new = self._after_reset
        fits = self._in_window(segment, way)
        if fits is None:
            return VALID
        if not fits:
            if self.assured and segment.event in (E_RST, E_FIN):
                self._invalid_end(segment, way, now)
            return INVALID
        self._enter(new, segment, way, now)
        return VALID

    # --- packets that are let through unjudged ---

    def _answers_ignored(self, segment: Segment, way: int) -> bool:
        """A SYN+ACK that answers a SYN which was let through: both ends agree, and the entry begins anew with them."""
        if segment.event != E_SYN_ACK or self._event != E_SYN or self._direction == way or segment.ack != self._end:
            return False
        self.state = SYN_SENT
        other = self.sides[self._direction]
        other.end = other.max_end = self._end
        other.max_window = self._window or 1
        other.forget()
        other.liberal = self._challenged = False
        other.scale, other.scales, other.sack = self._scale, self._scales, self._sacks
        own = self.sides[way]
        own.forget()
        own.end = own.max_end = own.max_window = 0
        return True

    def _ignore(self, segment: Segment, way: int) -> int:
        self._event, self._direction = segment.event, way
        self._sequence, self._end, self._window = segment.sequence, segment.end, segment.window
        if segment.event == E_SYN and way == ORIGINAL:
            scale, self._sacks = segment.offers()
            self._scales, self._scale = scale is not None, scale or 0
            self._challenged = self.state == LAST_ACK
        if self.state == SYN_SENT and segment.event == E_ACK and way == REPLY:
            self._ack = segment.ack
        return VALID

    def _is_challenge(self, segment: Segment, way: int) -> bool:
        return (
            self.state == LAST_ACK
            and segment.event == E_ACK
            and self._direction != way
            and self._event == E_SYN
            and self._challenged
        )

    # --- ends ---

    _after_reset = CLOSE

    def _reset(self, segment: Segment, way: int) -> int | None:
        """A RST: _WRONG, the state that it leads to without a look at the window, or None where the window decides."""
        other = self.sides[1 - way]
        self._after_reset = CLOSE
        if self.state in (FIN_WAIT, LAST_ACK, TIME_WAIT, CLOSE, CLOSE_WAIT):  # tcp_can_early_drop
            return CLOSE
        if other.max_ack is not None and self._event != E_SYN:
            established = self.state == ESTABLISHED and self.assured
            if segment.sequence == 0 and not established:
                return None
            if after(other.max_ack, segment.sequence):
                return _WRONG
            if not established or segment.sequence == other.max_ack:
                return None
            if self._event == E_ACK and self._direction == way and segment.sequence == self._end:
                return None
            self._after_reset = self.state
        answers_syn = self.seen_reply and self._event == E_SYN and self._direction != way
        answers_ack = not self.assured and self._event == E_ACK
        if (answers_syn or answers_ack) and segment.ack == self._end:
            return self._after_reset
        if (
            self.state == SYN_SENT
            and self._event == E_ACK
            and self._direction == REPLY
            and segment.sequence == self._ack
        ):
            return self._after_reset
        return None

    def _invalid_end(self, segment: Segment, way: int, now: int) -> None:
        if self._direction != way and self._event in (E_FIN, E_RST):
            if self.deadline - now >= 120 * SECOND:
                self.deadline = min(self.deadline, now + _UNACKNOWLEDGED * SECOND)
        else:
            self._event, self._direction = segment.event, way

    # --- the window ---

    def _in_window(self, segment: Segment, way: int) -> bool | None:
        """Whether sequence number and acknowledgement can be right; None: let through, but nothing is learnt from it."""
        sender, receiver = self.sides[way], self.sides[1 - way]
        sequence, ack, end, flags = segment.sequence, segment.ack, segment.end, segment.flags
        sack = ack
        if receiver.sack:
            for edge in segment.edges():
                if after(edge, sack):
                    sack = edge
        shift = self.moved[1 - way].of((ack - 1) % _FULL) if self.can_shift else 0
        ack, sack = (ack - shift) % _FULL, (sack - shift) % _FULL
        if sender.max_window == 0:
            if flags & SYN:
                begin(sender, receiver, segment, reply=way == REPLY)
                if not flags & ACK:
                    return True
            else:
                sender.end = end
                sender.max_window = segment.window << sender.scale or 1
                sender.max_end = (end + sender.max_window) % _FULL
                if receiver.max_window == 0:
                    receiver.end = receiver.max_end = sack
                elif sack == (receiver.end + 1) % _FULL:
                    receiver.end = sack
        elif flags & SYN and after(end, sender.end) and self.state in (SYN_SENT, SYN_RECV):
            begin(sender, receiver, segment, reply=way == REPLY)
            if way == REPLY and not flags & ACK:
                return True
        if not flags & ACK or (flags & RST and ack == 0):
            ack = sack = receiver.end
        if flags & RST and sequence == 0 and self.state == SYN_SENT:
            sequence = end = sender.end
        judged = fits(sender, receiver, sequence, end, sack)
        if judged is not True:
            return judged if not sender.liberal else True
        self._learn(segment, way, (ack, sack, end))
        return True

    def _learn(self, segment: Segment, way: int, numbers: tuple[int, int, int]) -> None:
        """A segment that fits tells both sides' windows; one that is no news is a retransmission."""
        ack, _, end = numbers
        learn(self.sides[way], self.sides[1 - way], segment, numbers)
        if segment.event != E_ACK:
            return
        seen = (way, segment.sequence, ack, end, segment.window)
        if seen == (self._direction, self._sequence, self._ack, self._end, self._window):
            self._retransmitted += 1
        else:
            self._direction, self._sequence, self._ack, self._end, self._window = seen
            self._retransmitted = 0

    # --- what a packet that fits leads to ---

    def _enter(self, new: int, segment: Segment, way: int, now: int) -> None:
        old, self.state = self.state, new
        self._event, self._direction = segment.event, way
        if new != old and new == FIN_WAIT:
            self.sides[way].closes = True
        seconds = self._seconds(segment, new)
        if not self.seen_reply:
            if segment.event == E_RST:
                self.deadline = now  # it goes at once
                return
            if segment.event == E_SYN and old == SYN_SENT:
                return
            if new == ESTABLISHED:
                seconds = min(seconds, _UNACKNOWLEDGED)
        elif not self.assured and old in (SYN_RECV, ESTABLISHED) and new == ESTABLISHED:
            self.assured = True
        self.deadline = now + seconds * SECOND

    def _seconds(self, segment: Segment, state: int) -> int:
        seconds = _TIMEOUTS[state]
        if self._retransmitted >= _MOST_RETRANSMISSIONS and seconds > _RETRANSMITTED:
            return _RETRANSMITTED
        if segment.event == E_RST:
            return _TIMEOUTS[CLOSE]
        if (self.sides[0].unacknowledged or self.sides[1].unacknowledged) and seconds > _UNACKNOWLEDGED:
            return _UNACKNOWLEDGED
        return min(seconds, _RETRANSMITTED) if self._window == 0 else seconds
