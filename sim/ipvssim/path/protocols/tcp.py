"""TCP as IPVS follows it: net/netfilter/ipvs/ip_vs_proto_tcp.c, Linux 6.1.

The event is the first flag that is set of RST, SYN, FIN and ACK; a segment with none of them closes. A row of a table gives,
for one state, what follows SYN, FIN, ACK and RST.
"""

from __future__ import annotations

from typing import ClassVar, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.path.connections import STATES as NAMES
from ipvssim.path.protocols.machine import Machine, Tables, drawn

NUMBER: Final = 6
NAME: Final = "TCP"

STATES: Final[tuple[str, ...]] = (
    "NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN",
    "SYNACK",
)  # fmt: skip
NONE: Final = 0
ESTABLISHED: Final = 1
SYN_SENT: Final = 2
SYN_RECV: Final = 3
FIN_WAIT: Final = 4
TIME_WAIT: Final = 5
CLOSE: Final = 6
CLOSE_WAIT: Final = 7
LAST_ACK: Final = 8
LISTEN: Final = 9
SYNACK: Final = 10
TIMEOUTS: Final[tuple[int, ...]] = (2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120)
"""Seconds a state lasts without packets; ESTABLISHED and FIN_WAIT follow ``ipvsadm --set``."""
ACTIVE: Final = frozenset((ESTABLISHED, SYN_SENT, SYN_RECV, SYNACK))
EVENTS: Final = ("SYN", "FIN", "ACK", "RST", "none of them")
SHORT: Final = {
    name: state for state, name in enumerate(("NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"))
}

NORMAL: Final = {
    "input": """
        NO  SR CL ES CL
        ES  ES CW ES CL
        SS  ES SS SS CL
        SR  SR TW ES SR
        FW  SR TW FW CL
        TW  SR TW TW CL
        CL  SR CL CL CL
        CW  SR CW CW CL
        LA  SR LA CL LA
        LI  SR LI LI LI
        SA  SR TW ES SR""",
    "output": """
        NO  SS TW ES CL
        ES  ES FW ES CL
        SS  SS SS SS SS
        SR  SR TW ES CL
        FW  SS FW FW CL
        TW  SS TW TW TW
        CL  SS CL CL CL
        CW  SS TW CW CL
        LA  SS LA LA CL
        LI  LI LI ES CL
        SA  SR TW ES CL""",
    "input only": """
        NO  SR CL ES CL
        ES  ES FW ES CL
        SS  ES SS SS CL
        SR  SR TW ES SR
        FW  SR FW FW CL
        TW  SR TW TW CL
        CL  SR CL CL CL
        CW  SR CW CW CL
        LA  SR LA CL LA
        LI  SR LI LI LI
        SA  SR TW ES CL""",
}
SECURE: Final = {
    "input": """
        NO  SR CL ES CL
        ES  ES CW ES CL
        SS  ES SS SS CL
        SR  SR TW SR SR
        FW  SR TW FW CL
        TW  SR TW TW CL
        CL  SR CL CL CL
        CW  SR CW CW CL
        LA  SR LA CL LA
        LI  SR LI LI LI
        SA  SA SA SA CL""",
    "output": """
        NO  SS TW ES CL
        ES  ES FW ES CL
        SS  SS SS SS SS
        SR  SA TW ES CL
        FW  SS FW FW CL
        TW  SS TW TW TW
        CL  SS CL CL CL
        CW  SS TW CW CL
        LA  SS LA LA CL
        LI  LI LI ES CL
        SA  SA TW ES CL""",
    "input only": """
        NO  SA CL ES CL
        ES  ES FW ES CL
        SS  ES SS SS CL
        SR  SR TW ES SR
        FW  SA FW FW CL
        TW  SA TW TW CL
        CL  SA CL CL CL
        CW  SA CW CW CL
        LA  SA LA CL LA
        LI  SA LI LI LI
        SA  SA TW ES CL""",
}

_NO_FLAG: Final = (CLOSE,) * len(STATES)


def table(rows: dict[str, str]) -> Tables:
    """The text as direction x event x state, with the column for a segment without flags added."""
    directions = []
    for text in rows.values():
        cells = drawn(text, SHORT)
        columns = tuple(tuple(cells[state][event] for state in range(len(STATES))) for event in range(4))
        directions.append((*columns, _NO_FLAG))
    return tuple(directions)


def _event(flags: int) -> int:
    for event, bit in ((3, 0x04), (0, 0x02), (1, 0x01), (2, 0x10)):
        if flags & bit:
            return event
    return 4


EVENT_OF_FLAGS: Final[tuple[int, ...]] = tuple(_event(flags) for flags in range(256))
_NORMAL_TABLE: Final[Tables] = table(NORMAL)
_SECURE_TABLE: Final[Tables] = table(SECURE)
NAMES[NUMBER] = STATES


@mypyc_attr(allow_interpreted_subclasses=True)
class Tcp(Machine):
    """TCP's machine: two tables, of which ``net.ipv4.vs.secure_tcp`` chooses."""

    NORMAL: ClassVar[Tables] = _NORMAL_TABLE
    SECURE: ClassVar[Tables] = _SECURE_TABLE

    def __init__(self, seconds: tuple[int, ...] = TIMEOUTS) -> None:
        super().__init__(seconds, _NORMAL_TABLE)
        self.name = NAME
        self.states = STATES
        self.active = ACTIVE
        self.assured = ESTABLISHED

    def event(self, data: bytes, offset: int) -> int:
        """The event of a segment; -1 for one shorter than a TCP header."""
        return EVENT_OF_FLAGS[data[offset + 13]] if len(data) >= offset + 20 else -1
