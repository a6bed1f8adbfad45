"""SCTP as IPVS follows it: net/netfilter/ipvs/ip_vs_proto_sctp.c, Linux 6.1.

The event is the type of the first chunk; COOKIE-ECHO or COOKIE-ACK with an ABORT behind counts as ABORT. A table lists only
what changes the state: ``state: event event NEXT, ...``. ABORT closes from everywhere but where a line says otherwise.
"""

from __future__ import annotations

from typing import ClassVar, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.path.connections import STATES as NAMES
from ipvssim.path.protocols.machine import Machine, Tables

NUMBER: Final = 132
NAME: Final = "SCTP"

STATES: Final[tuple[str, ...]] = (
    "NONE", "INIT1", "INIT", "C-SENT", "C-REPLIED", "C-WAIT", "COOKIE", "C-ECHOED", "ESTABLISHED",
    "S-SENT", "S-RECEIVED", "S-ACK-SENT", "REJECTED", "CLOSED",
)  # fmt: skip
INIT1: Final = 1
INIT: Final = 2
ESTABLISHED: Final = 8
SHUTDOWN_SENT: Final = 9
SHUTDOWN_ACK_SENT: Final = 11
CLOSED: Final = 13
ACTIVE: Final = frozenset((ESTABLISHED,))
TIMEOUTS: Final[tuple[int, ...]] = (2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61)
_SHORT: Final = ("NO", "I1", "IN", "CS", "CR", "CW", "CO", "CE", "ES", "SS", "SR", "SA", "RJ", "CL")
SHORT: Final = {name: state for state, name in enumerate(_SHORT)}

EVENTS: Final = ("data", "init", "iack", "cecho", "cack", "shut", "shack", "shcomp", "err", "abort")
DATA: Final = 0
INITIATE: Final = 1
ABORT: Final = 9
EVENT_OF_CHUNK: Final[tuple[int, ...]] = (0, 1, 2, 0, 0, 0, 9, 5, 6, 8, 3, 4, 0, 0, 7)
"""By chunk type; SACK, heartbeats, ECN and every unknown type count as data."""
CID_INIT: Final = 1
CID_ABORT: Final = 6
CID_COOKIE_ECHO: Final = 10
CID_COOKIE_ACK: Final = 11

CHANGES: Final = {
    "input": """
        NO: data cack ES, init I1, iack CW, cecho CR, shut SR, shack shcomp err CL
        I1: init cecho shack IN, iack CW, shcomp CL
        IN: iack CW, shcomp CL
        CS: cecho CR
        CW: iack CO, abort RJ
        CE: cack ES, err CL
        ES: shut SR
        SS: shack CL
        SA: shack shcomp CL
        RJ: init IN
        CL: init IN""",
    "output": """
        NO: data cack ES, init CW, iack CS, cecho CE, shut SS, shack SA, shcomp err CL
        I1: init CW, iack CS, cecho CE, cack ES, shut SS, shack SA, err CL, abort RJ
        IN: init CW, iack CS, cecho CE, cack ES, shut SS, shack SA, err CL
        CS: init CW, cecho CE, cack ES, shut SS, shack SA, err CL
        CR: init CW, cecho CE, cack ES, shut SS, shack SA, err CL
        CW: init CW, cecho CE, cack ES, shut SS
        CO: init CW, cecho CE, cack ES, shut SS
        CE: init CW, cack ES, shut SS
        ES: shut SS
        SS: init CW, shack SA
        SR: init CW, shack SA
        SA: init CW
        RJ: init CW
        CL: init CW""",
    "input only": """
        NO: data cecho cack ES, init I1, iack CE, shut SR, shack shcomp err CL
        I1: init shack IN, iack CE, cecho ES, shcomp CL
        IN: iack CE, cecho ES, shcomp CL
        CS: iack CE, cecho ES, shcomp CL, init IN, cack ES
        CR: iack CE, cecho ES, shcomp CL, init IN, cack ES
        CW: data cecho ES, init IN, iack CE, abort RJ
        CO: cack ES
        CE: cack ES
        ES: shut SR, shack CL
        SS: shack CL
        SR: shcomp CL
        SA: shack shcomp CL
        RJ: init IN
        CL: init IN""",
}


def table(changes: dict[str, str]) -> Tables:
    """The text as direction x event x state."""
    directions = []
    for text in changes.values():
        cells = [list(range(len(STATES))) for _ in EVENTS]
        cells[ABORT] = [CLOSED] * len(STATES)
        for line in text.strip().splitlines():
            state, _, rules = line.partition(":")
            for rule in rules.split(","):
                *events, following = rule.split()
                for event in events:
                    cells[EVENTS.index(event)][SHORT[state.strip()]] = SHORT[following]
        directions.append(tuple(tuple(row) for row in cells))
    return tuple(directions)


_TABLE: Final[Tables] = table(CHANGES)
NAMES[NUMBER] = STATES


def chunk_type(data: bytes, offset: int) -> int:
    """The type of the first chunk; -1 where the packet is too short for one."""
    return data[offset + 12] if len(data) >= offset + 16 else -1


@mypyc_attr(allow_interpreted_subclasses=True)
class Sctp(Machine):
    """SCTP's machine."""

    TABLE: ClassVar[Tables] = _TABLE

    def __init__(self, seconds: tuple[int, ...] = TIMEOUTS) -> None:
        super().__init__(seconds, _TABLE)
        self.name = NAME
        self.states = STATES
        self.active = ACTIVE
        self.assured = ESTABLISHED

    def event(self, data: bytes, offset: int) -> int:
        """The event of a packet; -1 for one without a chunk."""
        kind = chunk_type(data, offset)
        if kind in (CID_COOKIE_ECHO, CID_COOKIE_ACK):
            size = int.from_bytes(data[offset + 14 : offset + 16], "big")
            behind = offset + 12 + (size + 3 & ~3)
            if size >= 4 and len(data) >= behind + 4 and data[behind] == CID_ABORT:
                return ABORT
        if kind < 0:
            return -1
        return EVENT_OF_CHUNK[kind] if kind < len(EVENT_OF_CHUNK) else DATA
