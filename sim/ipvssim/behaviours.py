"""What ever changed in IPVS between Linux releases: each behaviour by a name, with the releases that have it.

The rest of the simulator asks for a behaviour by its name and never for a version. A release is a set of behaviours:
:func:`resolve` finds it for what ``uname -r`` says, for a distribution's name, or for ``here``.

"recorded" behaviours were seen on running kernels of both kinds. "read" ones were learnt from sources and change logs.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

DEFAULT = "6.1.176"
"""The kernel that is modelled unless another is asked for."""
OLDEST, NEWEST = (4, 18), (7, 3)
"""The first and the last series that were looked at."""
_BEFORE = (5, 10)
UNMODELLED = (
    "a SYN that opens a tracked connection of an old port anew is not dropped (5.9)",
    "errors carry the words and the policy that netlink's got with 5.2 and 5.10",
)
"""What a simulated kernel before 5.10 does, and the real one does not."""


class Behaviour(NamedTuple):
    """``since`` names the series that has it first, and then the stable series that took it, each with its first release."""

    name: str
    since: str
    what: str
    source: str
    recorded: bool = True


TABLE = (
    Behaviour("template_states", "4.19", "a template is NONE until a connection that it placed is established, then "
              "ASSURED; drop_entry and the end of its connections take only the former. Before, it shows its protocol's "
              "first state",
              "ip_vs_conn.c, ip_vs_proto.c", recorded=False),
    Behaviour("timeout_limits", "5.0", "--set refuses what does not fit into an int of jiffies", "ip_vs_ctl.c"),
    Behaviour("sync_version_checked", "5.4", "sync_version out of range is EINVAL; before, ignored", "ip_vs_ctl.c"),
    Behaviour("gue_tunnels", "5.2", "tunnels by GUE, and the attributes of a tunnel's type and port; before, those are "
              "ignored, and a tunnel is IPIP", "ip_vs_ctl.c, ip_vs_xmit.c", recorded=False),
    Behaviour("gre_tunnels", "5.3", "tunnels by GRE, and checksums of tunnels; errors about tunnels are looked into "
              "where one leads there. Before, those about IPIP always, and no others", "ip_vs_xmit.c, ip_vs_core.c",
              recorded=False),
    Behaviour("merged_fragments", "5.3", "later fragments for the host itself move into the first one's buffer while they "
              "fit, so that the packet may be cut anew; before, it leaves in the pieces it came in",
              "net/ipv4/ip_fragment.c", recorded=False),
    Behaviour("nodest_reschedules", "5.9", "with expire_nodest_conn a deleted server's connections go at once, and their "
              "packets are scheduled anew; before, a packet is dropped, and its connection goes then",
              "ip_vs_core.c, ip_vs_ctl.c", recorded=False),
    Behaviour("hooks_follow_services", "5.9", "packets are looked at while services of their family exist; before, always",
              "ip_vs_ctl.c, ip_vs_core.c"),
    Behaviour("routed_replies", "5.10", "replies of routed and tunnelled servers that pass are counted and followed, and "
              "ICMP errors about those servers are counted; before, they are let be", "ip_vs_core.c, ip_vs_conn.c",
              recorded=False),
    Behaviour("hashed_masked", "5.13 5.12.10 5.10.43 4.19.194", "HASHED in a new service's flags is ignored; before, the "
              "service is added and never found. (5.4.125 took this, by the lists; a 5.4.291 was seen without it)",
              "ip_vs_ctl.c", recorded=False),
    Behaviour("twos", "5.12", "the scheduler twos", "ip_vs_twos.c"),
    Behaviour("byte_retrans", "5.13", "nf_conntrack_tcp_max_retrans is a byte; before, any int",
              "nf_conntrack_standalone.c"),
    Behaviour("gathering_ends", "5.13", "IPv4's fragments are no longer put together when nobody tracks connections any "
              "more; before, from then on all are", "nf_conntrack_proto.c"),
    Behaviour("stale_resets", "5.14", "connection tracking takes a RST of a connection that is closing, after a SYN that it "
              "let pass, or with number 0 before the connection is established, and has the sysctl "
              "tcp_ignore_invalid_rst; before, each RST is measured by what was acknowledged", "nf_conntrack_proto_tcp.c"),
    Behaviour("whole_sweeps", "5.14 5.10.62", "tracked entries whose time is over are swept all at once, each minute; "
              "before, a part at a time, so that each goes within 16 seconds", "nf_conntrack_core.c"),
    Behaviour("syns_keep_time", "5.15 5.10.166", "a SYN again does not renew the time of a tracked connection that had no "
              "answer; before, it did", "nf_conntrack_proto_tcp.c"),
    Behaviour("ioam_options", "5.15", "a hop-by-hop option of IOAM that is not at a multiple of four is refused; before, it "
              "is an unknown one, and let be", "net/ipv6/exthdrs.c"),
    Behaviour("reuse0_reschedules", "5.16 5.15.6 5.10.83", "with conn_reuse_mode=0 and expire_nodest_conn a SYN to the "
              "connection of a server of weight 0 is scheduled anew; before, it stayed there", "ip_vs_core.c"),
    Behaviour("later_options", "5.17 5.16.5 5.15.19 5.10.96", "later fragments of a packet that came in fragments lose the "
              "options that are not to be copied; before, they kept them", "net/ipv4/ip_output.c"),
    Behaviour("sctp_inits_keep_time", "5.17 5.16.11 5.15.25 5.10.102", "an INIT again does not renew the time of a "
              "tracked association that is closed; before, it did", "nf_conntrack_proto_sctp.c"),
    Behaviour("syns_begin_anew", "5.17", "while a tracked connection opens, a SYN of either side with a higher number "
              "begins its side's window anew; before, any segment of the client after its SYN, or of the server after its "
              "answer", "nf_conntrack_proto_tcp.c"),
    Behaviour("lasting_liberality", "5.18 5.17.2 5.16.19 5.15.33 5.10.110", "a side of a tracked connection that is not "
              "measured stays so when its options are read, or when it begins anew; before, it is measured from then on",
              "nf_conntrack_proto_tcp.c"),
    Behaviour("negative_longs", "5.18", "a negative number for sync_qlen_max is EINVAL; before, it is ignored",
              "kernel/sysctl.c"),
    Behaviour("run_estimation", "5.19", "the sysctl run_estimation", "ip_vs_ctl.c"),
    Behaviour("reserved_checked", "6.1", "of commands that netlink's families do not have the reserved bits and the flags "
              "are checked first, EINVAL; before, they are EOPNOTSUPP", "net/netlink/genetlink.c"),
    Behaviour("misfits_pass", "6.1", "segments under a window, and those that go a little beyond it, pass as part of a "
              "tracked connection, and a FIN or RST out of it shortens its time; before, all of them belong to none",
              "nf_conntrack_proto_tcp.c"),
    Behaviour("challenge_answers", "6.2 6.1.9", "a RST that answers a server's ACK to a SYN is taken; before, it is "
              "measured", "nf_conntrack_proto_tcp.c"),
    Behaviour("sctp_paths", "6.2 6.1.9 5.15.91 5.10.166", "a tracked association is established by an answered heartbeat, "
              "too, for 210 seconds, and ABORT and SHUTDOWN COMPLETE have the tag that their flag tells; before, that is a "
              "state of its own, the other lasts 5 days, and either tag is taken", "nf_conntrack_proto_sctp.c"),
    Behaviour("split_policies", "6.2", "the controller tells of commands that only dump without a policy, and of its own "
              "GETFAMILY with one to dump, too; before, all have one", "net/netlink/genetlink.c"),
    Behaviour("estimator_sysctls", "6.2", "the sysctls est_cpulist and est_nice", "ip_vs_est.c"),
    Behaviour("small_heads", "6.3", "small packets' buffers are of one size, 704 bytes (640 in user-mode-linux): what "
              "waiting fragments and netlink's answers cost, and what fits in. Before, of 512 or 1024", "net/core/skbuff.c"),
    Behaviour("sctp_shutdowns", "6.5 6.4.12 6.1.47 5.15.128 5.10.192", "a tracked association that is shut down lives on "
              "for 3 seconds, and an INIT of the client closes it; before, 0.3 seconds, and it stays",
              "nf_conntrack_proto_sctp.c"),
    Behaviour("sctp_collisions", "6.6 6.5.7 6.1.57 5.15.135 5.10.198", "connection tracking follows INITs of both sides at "
              "once, and refuses an INIT ACK of another tag; before, each gives the tag anew", "nf_conntrack_proto_sctp.c"),
    Behaviour("sctp_shutdown_tags", "6.8 6.7.7 6.6.19 6.1.80 5.15.150 5.10.211", "of the first packet of a tracked "
              "association only a SHUTDOWN ACK tells the tag of the answers, beside an INIT; before, any chunk that may "
              "come first, but a heartbeat", "nf_conntrack_proto_sctp.c"),
    Behaviour("later_headers6", "6.10 6.9.3 6.8.12 6.6.33 6.1.93 5.15.161 5.10.219", "a later IPv6 fragment for the host "
              "itself may be shorter than a transport header where another header stands before its own; before, it is "
              "refused", "net/ipv6/reassembly.c"),
    Behaviour("others_merge", "7.0 6.12.75 6.1.165 5.10.252", "a first packet of AH or ESP passes though a tracked entry "
              "has its key, as one of UDP does; before, it is dropped", "nf_conntrack_proto_generic.c"),
    Behaviour("helper_offsets6", "7.1 6.12.94 6.1.176 5.10.259", "a helper's check finds a segment behind IPv6 extension "
              "headers; before, the check fails there", "ip_vs_proto_tcp.c"),
    Behaviour("sctp_stale_inits", "7.1 6.12.91 6.1.175 5.10.258", "an INIT with the tag that is known counts as none of its "
              "side; before, it does", "nf_conntrack_proto_sctp.c"),
    Behaviour("reset_sides", "7.1 6.12.93 6.1.176 5.10.259", "a RST is the answer to a SYN that passed only if it is the "
              "other side's; before, of either", "nf_conntrack_proto_tcp.c"),
    Behaviour("offsets6", "7.2 6.12.97 6.1.178 5.15.210 5.10.261", "TCP and SCTP states are read behind IPv6 extension "
              "headers; before, at byte 40", "ip_vs_proto_tcp.c, ip_vs_proto_sctp.c"),
    Behaviour("tunnel_mtu", "7.2 6.12.97 6.1.178 5.15.210 5.10.261", "a relayed MTU leaves room for the tunnel's header",
              "ip_vs_core.c"),
    Behaviour("quoted_headers", "7.2 6.12.97 6.1.178 5.15.210 5.10.261", "an ICMP error of the client's side that quotes an "
              "IPv4 header of another version, or of less than 20 bytes, is let be; before, ports are read where it says",
              "ip_vs_core.c"),
    Behaviour("overload_by_all", "7.2 6.12.104 6.1.183 5.15.210", "thresholds count all connections of a server; an active "
              "connection weighs 257 inactive ones", "ip_vs_conn.c, ip_vs_ctl.c, ip_vs_wlc.c"),
    Behaviour("bounded_thresholds", "7.2 6.12.104 6.1.183 5.15.210", "an upper threshold above INT_MAX is refused",
              "ip_vs_ctl.c"),
    Behaviour("icmp_checksums", "7.2 6.12.103 6.1.183", "ICMPv6 checksums are verified rightly, and a wrong one of ICMP "
              "passes where nothing is translated and no tunnel is meant", "ip_vs_core.c"),
    Behaviour("own_errors6", "7.2 6.12.103 6.1.183", "the host's own ICMPv6 errors about packets of a virtual address "
              "elsewhere go to the servers of routed and tunnelled connections, too; before, of translated ones only",
              "ip_vs_core.c"),
    Behaviour("quoted_fragments", "7.2 6.12.103 6.1.183", "an ICMP error that quotes a later fragment is let be, and one of "
              "the servers' side that quotes an IPv4 header of another version, or of less than 20 bytes", "ip_vs_core.c"),
    Behaviour("helper_checksums6", "7.2 6.12.103 6.1.183", "a helper's check of an IPv6 request leaves out what connection "
              "tracking summed up already; before, it fails", "ip_vs_proto_tcp.c"),
    Behaviour("helper_numbers", "7.2 6.12.110 6.1.188", "ip_vs_ftp refuses numbers above 255 in PORT and 227; before, "
              "their low byte counts. Seen in 6.12.113 and 6.1.192, and named in the lists of those fixes", "ip_vs_ftp.c"),
    Behaviour("dump_ids", "7.3 7.2.9 6.12.112", "the controller tells of a policy whose operation it is, of those that only "
              "dump, too; before, since split_policies, 0", "net/netlink/genetlink.c"),
    Behaviour("whole_headers6", "7.3 7.2.9 6.12.112 6.1.189", "an IPv6 extension header that the packet ends within is "
              "broken; before, its first bytes told what follows", "net/ipv6/exthdrs_core.c"),
    Behaviour("resets_keep_time", "7.3 6.12.117", "a RST that does not close a tracked connection leaves it the 300 "
              "seconds of unacknowledged data; before, the 10 of a closed one. 7.2.13 is without it",
              "nf_conntrack_proto_tcp.c"),
    Behaviour("udp_errors_teach", "7.3 7.2.11 6.12.115 6.1.191", "an ICMP error to the host that a datagram of its own is "
              "too big narrows the way to that address, whoever sent the datagram; before, only a socket of its port did",
              "net/ipv4/udp.c"),
    Behaviour("udp_errors_teach6", "7.3 7.2.11 6.12.117", "as udp_errors_teach, with IPv6", "net/ipv6/udp.c"),
    Behaviour("same_flow_merges", "6.12", "where connection tracking knows the addresses and ports of a new datagram, the "
              "datagram passes if it is of the same flow, one way or the other; before, always", "nf_conntrack_core.c"),
    Behaviour("header_limit6", "7.2", "no more than 12 IPv6 extension headers are looked through; before, all",
              "net/ipv6/exthdrs_core.c"),
    Behaviour("redirects_apart", "7.2", "ICMPv6 errors, which have no limit here, leave that of redirects alone; before, "
              "they spent it", "net/ipv6/icmp.c"),
    Behaviour("bounded_caches", "7.3 7.2.10 6.12.113 6.1.191 5.15.210", "lblc and lblcr bound their entries. 6.12.113 "
              "does, and 7.2.7 does not", "ip_vs_lblc.c, ip_vs_lblcr.c"),
    Behaviour("tables_grow", "7.1", "connection tables of each namespace, which begin with the first service at 256 rows, "
              "grow with their connections, and shrink; their services are dumped in an order of chance",
              "ip_vs_conn.c, ip_vs_core.c, ip_vs_ctl.c"),
    Behaviour("load_factors", "7.1", "the sysctls conn_lfactor and svc_lfactor", "ip_vs_ctl.c"),
    Behaviour("dead_templates_keep_ports", "7.1", "a template whose server is gone keeps its virtual port; before, FFFF",
              "ip_vs_conn.c"),
    Behaviour("udp_lite_gone", "7.2", "the host has no UDP-Lite, and errors about it teach nothing. It ended between 6.12 "
              "and 7.2", "net/ipv4/udplite.c"),
    Behaviour("conn_max", "7.2", "the sysctl conn_max: no connection is opened beyond it", "ip_vs_conn.c"),
)  # fmt: skip
NAMES = tuple(behaviour.name for behaviour in TABLE)


class Behaviours:
    """A set of behaviours: each is an attribute, true where the kernel has it."""

    __slots__ = ("names", *NAMES)
    names: frozenset[str]

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        for name in NAMES:
            setattr(self, name, name in names)

    def __getattr__(self, name: str) -> bool:
        raise AttributeError(f"no behaviour is called {name!r}")  # for type checkers: every other attribute is a bool

    def __repr__(self) -> str:
        return f"<Behaviours {' '.join(sorted(self.names))}>"

    def changed(self, *names: str) -> Behaviours:
        """The set with these behaviours the other way round; ValueError for a name that is none."""
        for name in names:
            if name not in NAMES:
                raise ValueError(f"no behaviour is called {name!r}; there are {', '.join(NAMES)}")
        return Behaviours(self.names ^ frozenset(names))


class Release(NamedTuple):
    """A kernel as it was asked for: its name, what it does, and why that was taken ("" where nothing had to be guessed)."""

    name: str
    behaviours: Behaviours
    note: str = ""


def resolve(text: str) -> Release:
    """The kernel that ``text`` names: a release (``6.1.176``, ``6.12``), what ``uname -r`` says, ``debian11`` to
    ``debian13``, or ``here``. ValueError where it names none, or one of a series that is not modelled."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r:.100}: a release is text, such as {DEFAULT}")
    asked = os.uname().release if text == "here" and hasattr(os, "uname") else text
    if not asked.replace(".", "").isdigit():
        from ipvssim.distributions import meant  # most releases are numbers, and need none of these tables

        if found := meant(asked):
            base, one = found
            known = resolve(base)
            note = "; ".join(filter(None, (one.note, known.note)))
            return Release(known.name, Behaviours(known.behaviours.names | one.more), note)
    numbers = _numbers(asked, text)
    series, note = numbers[:2], ""
    if series < OLDEST:
        raise ValueError(
            f"{text!r:.100}: kernels before {_dotted(OLDEST)} are not modelled; the nearest is {_dotted(OLDEST)}"
        )
    if series > NEWEST:
        note = f"{_dotted(series)} was not looked at: it is taken as {_dotted(NEWEST)}, the newest that was"
    if series < _BEFORE:
        note = f"of kernels before {_dotted(_BEFORE)} not all is modelled: {'; '.join(UNMODELLED)}"
    return Release(_dotted(numbers), Behaviours(_of(numbers)), note)


def _numbers(release: str, asked: str) -> tuple[int, ...]:
    """Two or three numbers with points between, whatever follows them."""
    end = next((at for at, one in enumerate(release) if one not in "0123456789."), len(release))
    parts = release[:end].split(".")
    if len(parts) not in (2, 3) or not all(0 < len(part) < 5 for part in parts):
        raise ValueError(f"{asked!r:.100}: no release of Linux: 6.1.176, 5.15.0-91-generic, debian12 and here are some")
    return tuple(map(int, parts))


@lru_cache(maxsize=64)
def _of(release: tuple[int, ...]) -> frozenset[str]:
    series = f"{release[0]}.{release[1]}."
    return frozenset(one.name for one in TABLE if _has(release, series, one.since))


def _has(release: tuple[int, ...], series: str, since: str) -> bool:
    first, *stable = since.split()
    major, _, minor = first.partition(".")
    if release[:2] >= (int(major), int(minor)):
        return True
    return any(one.startswith(series) and release[2:] >= (int(one[len(series) :]),) for one in stable)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


BEHAVIOURS = resolve(DEFAULT).behaviours
"""Those of the kernel that is modelled unless another is asked for."""
