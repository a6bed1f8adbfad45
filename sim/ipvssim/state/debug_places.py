"""Where Linux 6.1.176 says that it enters and leaves a function: in its debug log such a line has the line of the source.

Seen in the logs of Debian's user-mode-linux 6.1.176 (``tests/data/traces/log-*``). Other releases have the same functions in
other lines.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A function that tells: its file, the level, and the lines in which it says so, at its usual end and where it fails.
    0: it does not."""

    file: str
    level: int
    enters: int
    leaves: int
    fails: int = 0


_CORE, _CTL, _XMIT = "ip_vs_core.c", "ip_vs_ctl.c", "ip_vs_xmit.c"
PLACES = {
    "ip_vs_add_dest": Place(_CTL, 2, 1043, 1098),
    "ip_vs_new_dest": Place(_CTL, 2, 968, 1023),
    "ip_vs_edit_dest": Place(_CTL, 2, 1114, 1147),
    "ip_vs_del_dest": Place(_CTL, 2, 1222, 1244),
    "ip_vs_out_hook": Place(_CORE, 11, 1344, 0),
    "handle_response": Place(_CORE, 11, 0, 1319),
    "ip_vs_nat_xmit": Place(_XMIT, 10, 774, 845, 850),
    "ip_vs_nat_xmit_v6": Place(_XMIT, 10, 862, 933),
    "ip_vs_tunnel_xmit": Place(_XMIT, 10, 1155, 1274, 1281),
    "ip_vs_tunnel_xmit_v6": Place(_XMIT, 10, 1305, 1422, 1429),
    "ip_vs_dr_xmit": Place(_XMIT, 10, 1445, 1463, 1468),
    "ip_vs_dr_xmit_v6": Place(_XMIT, 10, 1479, 1497),
    "ip_vs_icmp_xmit": Place(_XMIT, 10, 1522, 1597),
    "ip_vs_icmp_xmit_v6": Place(_XMIT, 10, 1612, 1686),
}
