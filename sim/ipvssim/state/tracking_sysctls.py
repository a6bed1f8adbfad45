"""The tunables ``net.netfilter.nf_conntrack_*`` that connection tracking here follows: timeouts, and TCP's switches.

Names, defaults and ranges are those of ``nf_ct_sysctl_table`` (nf_conntrack_standalone.c, Linux 6.1) and of the protocols
beside it. Values are whole seconds, or switches. :data:`NOT_MODELLED` says what of connection tracking is not here at all.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOENT
from os import strerror

from ipvssim.clock import HZ
from ipvssim.state.sysctls import seconds, within

PREFIX = "net.netfilter.nf_conntrack_"
NOT_MODELLED = (
    "rules of netfilter, and so translation by them and the match -m ipvs; expectations; nf_conntrack_max and the other "
    "bounds of its table; entries of ICMP. Packets are tracked only while a service of port 21 has a server by masq, or "
    "while tracker.asked says that rules ask"
)
"""What ``net.ipv4.vs.conntrack=1`` does not bring here, as whoever sets it is told."""
_JIFFIES = 0x7FFFFFFF
"""The longest life of an entry (``__nf_ct_refresh_acct``)."""
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
_SWITCHES = {"checksum": 1, "tcp_be_liberal": 0, "tcp_ignore_invalid_rst": 0, "tcp_loose": 1}
_COUNTS = {"tcp_max_retrans": 3}
_PARSERS: dict[str, Callable[[str, int], int]] = {
    **dict.fromkeys(_SECONDS, seconds), **dict.fromkeys(_SWITCHES, within(0, 1)), **dict.fromkeys(_COUNTS, within(0, 255)),
}  # fmt: skip


class TrackingSysctls:
    """The tunables of one namespace, by their names without :data:`PREFIX`."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values = {**_SECONDS, **_SWITCHES, **_COUNTS}

    def __getitem__(self, short: str) -> int:
        """A value; KeyError for a name that there is not."""
        return self._values[short]

    def life(self, short: str) -> int:
        """A timeout in jiffies, as the kernel keeps it: without a sign, so that a negative one is long."""
        return min(self._values[short] * HZ & 0xFFFFFFFF, _JIFFIES)

    def read(self, name: str) -> str:
        """What ``/proc/sys`` shows; OSError(ENOENT) where there is no such variable here."""
        return str(self._values[self._short(name)])

    def write(self, name: str, value: int | str) -> None:
        """Write as ``sysctl -w`` would. OSError: ENOENT where there is no such variable here, EINVAL where it is refused."""
        short = self._short(name)
        self._values[short] = _PARSERS[short](str(value), self._values[short])

    def names(self) -> list[str]:
        """The full names."""
        return [PREFIX + short for short in self._values]

    def _short(self, name: str) -> str:
        dotted = name.replace("/", ".")
        short = dotted.removeprefix(PREFIX)
        if short == dotted or short not in self._values:
            raise OSError(ENOENT, strerror(ENOENT), name)
        return short
