"""The window of a TCP connection as tracking keeps it (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1)."""

from __future__ import annotations

from ipvssim.net.packets import ACK, SYN
from ipvssim.path.helpers.segment import Segment
from ipvssim.path.helpers.sequences import after

_LEAST_ACK_WINDOW = 66000
_FULL = 1 << 32


class Side:
    """What was seen of one sender."""

    __slots__ = (
        "closes",
        "end",
        "liberal",
        "max_ack",
        "max_end",
        "max_window",
        "sack",
        "scale",
        "scales",
        "unacknowledged",
    )

    def __init__(self) -> None:
        self.end = self.max_end = self.max_window = self.scale = 0
        self.max_ack: int | None = None
        self.scales = self.sack = self.liberal = self.closes = self.unacknowledged = False

    def begin(self, segment: Segment) -> None:
        """Its first SYN, or another that begins anew."""
        self.end = self.max_end = segment.end
        self.max_window = segment.window or 1
        self.read(segment)

    def read(self, segment: Segment) -> None:
        """What the options of a SYN offer."""
        if (segment.data[12] >> 4) > 5:
            self.forget()
            scale, self.sack = segment.offers()
            self.scales, self.scale = scale is not None, scale or 0

    def forget(self) -> None:
        """Everything but the window, and that it is taken as it comes."""
        self.max_ack = None
        self.scale = 0
        self.scales = self.sack = self.closes = self.unacknowledged = False


def begin(sender: Side, receiver: Side, segment: Segment, *, reply: bool) -> None:
    """A direction's first SYN. Windows are scaled only where both sides offer it."""
    sender.begin(segment)
    if reply and not (sender.scales and receiver.scales):
        sender.scale = receiver.scale = 0


def fits(sender: Side, receiver: Side, sequence: int, end: int, sack: int) -> bool | None:
    """Whether a segment's numbers can be right; None: let through, but nothing is learnt from it."""
    behind = after(end, sender.end - receiver.max_window - 1)
    least = receiver.end - max(sender.max_window, _LEAST_ACK_WINDOW) - 1
    if not after(sender.max_end + 1, sequence):
        overshot = (end - sender.max_end + 1) % _FULL
        within = receiver.max_window and behind and after(sack, least) and overshot <= receiver.max_window
        if within and after(receiver.end + 1, sack):
            sender.end, sender.unacknowledged = end, True
            return None
        return False
    if not after(receiver.end + 1, sack):
        return False
    if receiver.max_window and not behind:
        return None
    return True if after(sack, least) else None


def learn(sender: Side, receiver: Side, segment: Segment, numbers: tuple[int, int, int]) -> None:
    """What a segment that fits tells; ``numbers`` are its acknowledgement, the highest SACK edge and its end, as the
    receiver counts them."""
    ack, sack, end = numbers
    window = segment.window << (0 if segment.flags & SYN else sender.scale)
    sender.max_window = max(sender.max_window, (window + sack - ack) % _FULL)
    if after(end, sender.end):
        sender.end, sender.unacknowledged = end, True
    if segment.flags & ACK and (sender.max_ack is None or after(ack, sender.max_ack)):
        sender.max_ack = ack
    if receiver.max_window and after(end, sender.max_end):
        receiver.max_window += (end - sender.max_end) % _FULL
    if after(sack + window, receiver.max_end - 1):
        receiver.max_end = (sack + window + (not window)) % _FULL
    if ack == receiver.end:
        receiver.unacknowledged = False
