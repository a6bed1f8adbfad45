"""The tunables ``net.netfilter.nf_conntrack_*`` that connection tracking here follows: timeouts, and TCP's switches.

Names, defaults and ranges are those of ``nf_ct_sysctl_table`` (nf_conntrack_standalone.c, Linux 6.1) and of the protocols
beside it. Timeouts are in seconds, the others switches and counts. :data:`NOT_MODELLED` says what of connection tracking is
not here at all.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOENT
from os import strerror

from ipvssim.behaviours import BEHAVIOURS, Behaviours
from ipvssim.clock import HZ
from ipvssim.state.sysctls import seconds, within

PREFIX = "net.netfilter.nf_conntrack_"
NOT_MODELLED = (
    "rules of netfilter, and so translation by them and the match -m ipvs; expectations; nf_conntrack_max and the other "
    "bounds of its table; entries of ICMP. Packets are tracked only while a service of port 21 has a server by masq, or "
    "while tracker.asked says that rules ask"
)
"""What ``net.ipv4.vs.conntrack=1`` does not bring here, as whoever sets it is told."""
_SECONDS = {
    "generic_timeout": 600, "udp_timeout": 30, "udp_timeout_stream": 120,
    **{f"tcp_timeout_{name}": value for name, value in (
        ("syn_sent", 120), ("syn_recv", 60), ("established", 432000), ("fin_wait", 120), ("close_wait", 60),
        ("last_ack", 30), ("time_wait", 120), ("close", 10), ("max_retrans", 300), ("unacknowledged", 300),
    )},
    **{f"sctp_timeout_{name}": value for name, value in (
        ("closed", 10), ("cookie_wait", 3), ("cookie_echoed", 3), ("established", 210), ("shutdown_sent", 3),
        ("shutdown_recd", 3), ("shutdown_ack_sent", 3), ("heartbeat_sent", 30),
    )},
}  # fmt: skip
_ACKED = "sctp_timeout_heartbeat_acked"
_PATHS = {"sctp_timeout_established": 432000, _ACKED: 210}
"""Where an answered heartbeat is a state of its own."""
_SHORT = dict.fromkeys(("sctp_timeout_shutdown_sent", "sctp_timeout_shutdown_recd"), 0.3)
"""Where associations that are shut down end at once; it is shown as 0."""
_IGNORES = "tcp_ignore_invalid_rst"
_SWITCHES = {"checksum": 1, "tcp_be_liberal": 0, "tcp_ignore_invalid_rst": 0, "tcp_loose": 1}
_COUNTS = {"tcp_max_retrans": 3}
_PARSERS: dict[str, Callable[[str, int], int]] = {
    **dict.fromkeys(_SWITCHES, within(0, 1)),
    **dict.fromkeys(_COUNTS, within(0, 255)),
}  # fmt: skip
_ANY = within(-0x80000000, 0x7FFFFFFF)


class TrackingSysctls:
    """The tunables of one namespace, by their names without :data:`PREFIX`."""

    __slots__ = ("_any_count", "_hz", "_jiffies", "_values")

    def __init__(self, behaviours: Behaviours = BEHAVIOURS, hz: int = HZ) -> None:
        self._hz = hz
        timeouts: dict[str, float] = dict(_SECONDS)
        if not behaviours.sctp_paths:
            timeouts.update(_PATHS)
        if not behaviours.sctp_shutdowns:
            timeouts.update(_SHORT)
        self._jiffies = {short: int(value * HZ) for short, value in timeouts.items()}
        self._values = {**_SWITCHES, **_COUNTS}
        if not behaviours.stale_resets:
            del self._values[_IGNORES]
        self._any_count = not behaviours.byte_retrans

    def __getitem__(self, short: str) -> int:
        """A switch or a count; KeyError for a name that there is not."""
        return self._values[short]

    def life(self, short: str) -> int:
        """A timeout in jiffies, as the kernel keeps it: without a sign, so that a negative one is longer than any other."""
        return self._jiffies[short] & 0xFFFFFFFF

    def read(self, name: str) -> str:
        """What ``/proc/sys`` shows; OSError(ENOENT) where there is no such variable here."""
        short = self._short(name)
        return str(self._values[short] if short in self._values else int(self._jiffies[short] / HZ))

    def write(self, name: str, value: int | str) -> None:
        """Write as ``sysctl -w`` would. OSError: ENOENT where there is no such variable here, EINVAL where it is refused."""
        short = self._short(name)
        if short in self._jiffies:
            self._jiffies[short] = seconds(self._hz)(str(value), 0) * HZ
        else:
            parser = _ANY if short in _COUNTS and self._any_count else _PARSERS[short]
            self._values[short] = parser(str(value), self._values[short])

    def names(self) -> list[str]:
        """The full names."""
        return [PREFIX + short for short in (*self._jiffies, *self._values)]

    def _short(self, name: str) -> str:
        dotted = name.replace("/", ".")
        short = dotted.removeprefix(PREFIX)
        if short == dotted or (short not in self._jiffies and short not in self._values):
            raise OSError(ENOENT, strerror(ENOENT), name)
        return short
