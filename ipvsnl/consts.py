"""Numbers of the IPVS interface that are not attribute tables.

Source of every number: ``include/uapi/linux/ip_vs.h``, ``netlink.h`` and ``genetlink.h`` of Linux 6.1.
The attribute tables stand in :mod:`ipvsnl.family`; nothing else in the project holds a number of the wire.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final  # it takes long to import, and is for whoever reads types

# --- netlink (linux/netlink.h) ---------------------------------------------------------------------------------------
NLMSG_HEADER = 16
"""Bytes of ``struct nlmsghdr``: length u32, type u16, flags u16, sequence u32, port u32."""
NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
NLMSG_CONTROL = 15
"""What a served simulated kernel is asked besides netlink (:mod:`ipvssim.doors.control`); Linux passes over it."""
NLMSG_MIN_TYPE = 16

NLM_F_REQUEST = 0x01
NLM_F_MULTI = 0x02
NLM_F_ACK = 0x04
NLM_F_ECHO = 0x08
NLM_F_DUMP_INTR = 0x10
"""What a dump reads has changed since it began: it may lack something, or have it twice."""
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2
NLMSGERR_ATTR_POLICY = 4

NLA_HEADER = 4
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

# --- generic netlink (linux/genetlink.h) -----------------------------------------------------------------------------
GENL_HEADER = 4
"""Bytes of ``struct genlmsghdr``: command u8, version u8, reserved u16."""
GENL_ID_CTRL = 0x10
CTRL_CMD_NEWFAMILY = 1
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2

# --- address families ------------------------------------------------------------------------------------------------
AF_INET: Final = 2
AF_INET6: Final = 10

# --- protocols of a virtual service ----------------------------------------------------------------------------------
IPPROTO_TCP = 6
IPPROTO_UDP = 17
IPPROTO_SCTP = 132
PROTOCOLS = {"tcp": IPPROTO_TCP, "udp": IPPROTO_UDP, "sctp": IPPROTO_SCTP}

# --- virtual service flags (IP_VS_SVC_F_*) ---------------------------------------------------------------------------
SVC_F_PERSISTENT = 0x01
SVC_F_HASHED = 0x02
SVC_F_ONEPACKET = 0x04
SVC_F_SCHED1 = 0x08
SVC_F_SCHED2 = 0x10
SVC_F_SCHED3 = 0x20

SCHEDULER_FLAGS = {
    "sh": {"sh-fallback": SVC_F_SCHED1, "sh-port": SVC_F_SCHED2},
    "mh": {"mh-fallback": SVC_F_SCHED1, "mh-port": SVC_F_SCHED2},
}
"""Flag names that belong to one scheduler, as ipvsadm's ``-b`` takes them."""
GENERIC_SCHEDULER_FLAGS = {"flag-1": SVC_F_SCHED1, "flag-2": SVC_F_SCHED2, "flag-3": SVC_F_SCHED3}
"""Flag names that every scheduler takes."""

# --- forwarding methods (IP_VS_CONN_F_FWD_MASK) ----------------------------------------------------------------------
FWD_MASK = 0x07
FORWARDING = {"masq": 0, "local": 1, "tunnel": 2, "route": 3, "bypass": 4}

# --- connection flags of a destination (IP_VS_CONN_F_*), which the old interface gives and tells -------------------------
CONN_F_NOOUTPUT = 0x0080
CONN_F_INACTIVE = 0x0100
CONN_F_ONE_PACKET = 0x2000
CONN_F_NFCT = 0x10000
DEST_FLAGS = CONN_F_ONE_PACKET | CONN_F_NFCT
"""What a destination may be given besides its forwarding method (the rest of IP_VS_CONN_F_DEST_MASK)."""

# --- tunnels (IP_VS_CONN_F_TUNNEL_TYPE_*, IP_VS_TUNNEL_ENCAP_FLAG_*) -------------------------------------------------
TUNNEL_TYPES = {"ipip": 0, "gue": 1, "gre": 2}
TUNNEL_F_CSUM = 0x01
TUNNEL_F_REMCSUM = 0x02

# --- sync daemons (IP_VS_STATE_*) ------------------------------------------------------------------------------------
DAEMON_ROLES = {"master": 1, "backup": 2}

# --- limits ----------------------------------------------------------------------------------------------------------
SCHEDULER_NAME_MAX = 15
"""Characters of a scheduler name (IP_VS_SCHEDNAME_MAXLEN - 1)."""
PE_NAME_MAX = 16
"""Characters of a persistence engine name (IP_VS_PENAME_MAXLEN: the kernel lets one more through than fits)."""
INTERFACE_NAME_MAX = 15
