"""The tunables ``net.ipv4.vs.*``: defaults, types, ranges, and the errno of a refused write.

Every variable is an attribute of :class:`Sysctls`, an int (``sync_threshold`` a pair), for the packet path; by its full name
it is read and written as text, as ``/proc/sys`` has it (``vs_vars`` in net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, EINVAL, ENOENT
from os import strerror
from typing import Any

from ipvssim._parts import Part
from ipvssim.behaviours import BEHAVIOURS, Behaviours
from ipvssim.clock import HZ

PREFIX = "net.ipv4.vs."
DEBUG_LEVEL = "net.ipv4.vs.debug_level"
"""The whole kernel's, of which the simulated one is but a namespace: it is read there, and not written, nor saved."""
_INT_MAX, _ULONG_MAX, _CONN_MAX = 0x7FFFFFFF, (1 << 64) - 1, 1 << 30

_SINCE = {
    "run_estimation": "run_estimation", "est_cpulist": "estimator_sysctls", "est_nice": "estimator_sysctls",
    "conn_lfactor": "load_factors", "svc_lfactor": "load_factors", "conn_max": "conn_max",
}  # fmt: skip
"""Variables that not every release has, and the behaviour that brought them."""


class Sysctls(Part):
    """The tunables of one namespace, at the kernel's defaults. Expirations and periods are in seconds."""

    __slots__ = (
        "_hidden", "_hooks", "_hz", "_lenient", "_reads", "_skips_minus", "am_droprate", "amemthresh", "backup_only",
        "cache_bypass", "conn_lfactor", "conn_max", "conn_reuse_mode", "conntrack", "debug_level", "drop_entry",
        "drop_packet", "est_cpulist", "est_nice", "expire_nodest_conn", "expire_quiescent_template", "ignore_tunneled",
        "lblc_expiration", "lblcr_expiration", "nat_icmp_send", "pmtu_disc", "run_estimation", "schedule_icmp",
        "secure_tcp", "sloppy_sctp", "sloppy_tcp", "snat_reroute", "svc_lfactor", "sync_persist_mode", "sync_ports",
        "sync_qlen_max", "sync_refresh_period", "sync_retries", "sync_sock_size", "sync_threshold", "sync_version",
    )  # fmt: skip

    def __init__(self, behaviours: Behaviours = BEHAVIOURS, hz: int = HZ) -> None:
        self._hz = hz
        self._hidden = {name for name, since in _SINCE.items() if not getattr(behaviours, since)}
        self._lenient = not behaviours.sync_version_checked
        self._skips_minus = not behaviours.negative_longs
        self._hooks: dict[str, list[Callable[[], object]]] = {}
        self._reads: set[str] = set()
        self.am_droprate = 10
        self.amemthresh = 1024
        self.conn_reuse_mode = self.pmtu_disc = self.run_estimation = self.snat_reroute = 1
        self.sync_ports = self.sync_version = 1
        self.sync_threshold = (3, 50)
        self.lblc_expiration = self.lblcr_expiration = 86400
        self.sync_qlen_max = 4096
        """The kernel's default is a thirty-second of its memory, in pages: here that of 512 MB."""
        self.backup_only = self.cache_bypass = self.conntrack = self.debug_level = 0
        self.drop_entry = self.drop_packet = self.secure_tcp = 0
        self.expire_nodest_conn = self.expire_quiescent_template = self.ignore_tunneled = 0
        self.nat_icmp_send = self.schedule_icmp = self.sloppy_sctp = self.sloppy_tcp = 0
        self.conn_lfactor = self.svc_lfactor = -2  # in the first namespace -4 and -3
        self.conn_max = _CONN_MAX
        self.est_cpulist, self.est_nice = "", 0
        self.sync_persist_mode = self.sync_refresh_period = self.sync_retries = self.sync_sock_size = 0

    def on_write(self, variable: str, hook: Callable[[], object]) -> None:
        """Call ``hook`` after every accepted write of ``variable`` (its short name), changed or not."""
        self._hooks.setdefault(variable, []).append(hook)

    def watch(self, *, on: bool) -> None:
        """Begin, or cease, to note which variables are read as attributes. Unwatched reading costs nothing more."""
        self.__class__ = _Watched if on else Sysctls

    def taken_reads(self) -> list[str]:
        """The short names that were read since this was last asked, sorted; none while nobody watches."""
        reads, self._reads = self._reads, set()
        return sorted(reads)

    def read(self, name: str) -> str:
        """What ``/proc/sys`` shows, without the newline. OSError(ENOENT) where there is no such variable."""
        value = getattr(self, self._short(name))
        return "\t".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def write(self, name: str, value: int | str) -> None:
        """Write as ``sysctl -w`` would. OSError: ENOENT where there is no such variable, EINVAL where it is refused, EACCES
        for what only the initial namespace may write."""
        short = self._short(name)
        if short == "debug_level":
            raise OSError(EACCES, strerror(EACCES), name)
        if short == "sync_version" and self._lenient and _integer(str(value)) not in (0, 1):
            return
        if short == "sync_qlen_max" and self._skips_minus and _is_negative(str(value)):
            return
        parser = seconds(self._hz) if short in _SECONDS else _PARSERS.get(short, _integer)
        parsed = parser(str(value), getattr(self, short))
        self.turn(short, parsed)

    def turn(self, short: str, value: Any) -> None:
        """Give a variable a value by its short name, unchecked, as the kernel itself may: its hooks are called, too."""
        setattr(self, short, value)
        for hook in self._hooks.get(short, ()):
            hook()

    def names(self) -> list[str]:
        """The full names of the variables that this release has."""
        return [PREFIX + short for short in Sysctls.__slots__ if short[0] != "_" and short not in self._hidden]

    def _short(self, name: str) -> str:
        dotted = name.replace("/", ".")
        short = dotted.removeprefix(PREFIX)
        if short == dotted or short.startswith("_") or short not in Sysctls.__slots__ or short in self._hidden:
            raise OSError(ENOENT, strerror(ENOENT), name)
        return short


class _Watched(Sysctls):
    """The same, reading noted: an object's class is changed to this one and back, so that only watching costs anything."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name in _VARIABLES:
            self._reads.add(name)
        return object.__getattribute__(self, name)


_VARIABLES = frozenset(name for name in Sysctls.__slots__ if not name.startswith("_"))


def _refuse() -> OSError:
    return OSError(EINVAL, strerror(EINVAL))


def _numbers(text: str, limit: int) -> list[int]:
    """Up to ``limit`` 32-bit integers as proc_dointvec (kernel/sysctl.c) reads them; what follows is ignored."""
    found: list[int] = []
    for word in text.split()[:limit]:
        found.append(_c_integer(word))
        if not -_INT_MAX - 1 <= found[-1] <= _INT_MAX:
            raise _refuse()
    if not found:  # no number at all: whoever writes ends the line, so that something is written
        raise _refuse()
    return found


def _c_integer(word: str) -> int:
    sign = -1 if word.startswith("-") else 1
    digits = word.removeprefix("-").lower()
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] != "x"
    try:
        if not digits[:1].isdigit() or "_" in digits:
            raise ValueError
        return sign * int(digits, 8 if octal else 16 if digits.startswith("0x") else 10)
    except ValueError:
        raise _refuse() from None


def _integer(text: str, _: object = None) -> int:
    return _numbers(text, 1)[0]


def within(low: int, high: int) -> Callable[[str, int], int]:
    """What reads an int within bounds."""

    def parse(text: str, _: int) -> int:
        value = _integer(text)
        if not low <= value <= high:
            raise _refuse()
        return value

    return parse


def _mode(text: str, _: int) -> int:
    """0 off, 1 on when memory is short, 3 always on; 2 is 1 while it is short (:mod:`ipvssim.path.defence`)."""
    value = within(0, 3)(text, 0)
    return 1 if value == 2 else value


def seconds(hz: int) -> Callable[[str, int], int]:
    """What reads seconds, as proc_dointvec_jiffies (kernel/sysctl.c) does: no more than fit in an int of jiffies."""
    return within(-(_INT_MAX // hz), _INT_MAX // hz)


def _ports(text: str, _: int) -> int:
    value = _integer(text)
    if value < 1 or value & (value - 1):
        raise _refuse()
    return value


def _threshold(text: str, old: tuple[int, int]) -> tuple[int, int]:
    given = _numbers(text, 2)
    first, second = (*given, *old[len(given) :])
    if first < 0 or second < 0 or (first >= second and second):
        raise _refuse()
    return first, second


def _processors(text: str, _: str) -> str:
    """A list such as ``0-3,6`` (cpulist_parse); nothing makes it all of them."""
    words = text.strip().split(",") if text.strip() else []
    if not all(part.isdigit() for word in words for part in word.split("-", 1)):
        raise _refuse()
    return text.strip()


def _is_negative(text: str) -> bool:
    """Whether a number is written with a minus; EINVAL where it is none."""
    first = (text.split() or [""])[0]
    return first.startswith("-") and _c_integer(first) <= 0


def _unsigned_long(text: str, _: int) -> int:
    words = text.split()
    value = _c_integer(words[0]) if words else -1
    if not 0 <= value <= _ULONG_MAX or words[0].startswith("-"):  # a minus is refused before a 0, too
        raise _refuse()
    return value


_SECONDS = frozenset(("sync_refresh_period", "lblc_expiration", "lblcr_expiration"))
"""These are times."""
_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "drop_entry": _mode,
    "drop_packet": _mode,
    "secure_tcp": _mode,
    "sync_version": within(0, 1),
    "sync_retries": within(0, 3),
    "sync_ports": _ports,
    "sync_threshold": _threshold,
    "sync_qlen_max": _unsigned_long,
    "conn_lfactor": within(-8, 8),
    "svc_lfactor": within(-8, 8),
    "conn_max": within(0, _CONN_MAX),
    "est_cpulist": _processors,
    "est_nice": within(-20, 19),
}
"""All others take any int."""
