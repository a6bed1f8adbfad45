"""What became of a capture."""

from __future__ import annotations

from collections import Counter

from ipvssim.doors.captures.flows import Flows
from ipvssim.doors.captures.sides import Role


class Captured:
    """What became of a capture that was played: packets in and out, verdicts, reasons, flows; as far as it was read.

    ``left`` counts, by :class:`ipvssim.doors.captures.sides.Role`, packets that were not played since they are none that
    came in; ``other`` those that carry no IP; ``cut`` those of which the capture kept only the beginning; ``merged`` those
    that were longer than the devices' MTU, since the network card had merged them; ``turned`` answers of another server than
    the simulated director chose, which were given to it as from its own; ``restored`` answers that the capture shows only
    where they left for a client, which were given to it as their server had sent them.
    """

    def __init__(self) -> None:
        self.received = self.sent = self.other = self.cut = self.merged = self.turned = self.restored = 0
        self.seconds = 0.0
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.left: Counter[Role] = Counter()
        self.flows = Flows()
