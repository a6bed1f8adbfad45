"""The state of one simulated network namespace: what the netlink family answers from and the packet path works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import DEFAULT, Release, resolve
from ipvssim.clock import Clock
from ipvssim.net.network import Network
from ipvssim.net.networks import default_network
from ipvssim.net.pieces import SMALL_HEAD
from ipvssim.schedulers import Settings
from ipvssim.state.daemons import Daemons
from ipvssim.state.debug_log import DebugLog
from ipvssim.state.modules import TWOS, Modules
from ipvssim.state.service_table import ServiceTable
from ipvssim.state.sysctls import PREFIX, Sysctls
from ipvssim.state.table_rows import TableRows
from ipvssim.state.tracking_sysctls import NOT_MODELLED, TrackingSysctls

RELEASE: Final = DEFAULT
CONNECTION_TABLE_SIZE: Final = 4096
CONNTRACK = f"{PREFIX}conntrack"


@mypyc_attr(allow_interpreted_subclasses=True)
class ConnectionTimeouts(Part):
    """Connection timeouts in seconds, as SET_CONFIG sets and GET_CONFIG shows them."""

    __slots__ = ("tcp", "tcp_fin", "udp")

    def __init__(self, tcp: int = 900, tcp_fin: int = 120, udp: int = 300) -> None:
        self.tcp = tcp
        self.tcp_fin = tcp_fin
        self.udp = udp

    def astuple(self) -> tuple[int, int, int]:
        """tcp, tcp_fin, udp."""
        return self.tcp, self.tcp_fin, self.udp


@mypyc_attr(allow_interpreted_subclasses=True)
class Namespace(Part):
    """One network namespace of the simulated kernel.

    ``release`` chooses behaviours (:func:`ipvssim.behaviours.resolve`); ``padding`` puts 64-bit attributes at multiples of
    eight, as kernels do on machines without cheap unaligned access; ``hash_key`` is the secret byte that orders dumps;
    ``debug_level`` is that of the kernel's log, where one is wanted; ``small_head`` the one size of small packets' buffers
    since 6.3.
    """

    __slots__ = (
        "applications", "behaviours", "changes", "clock", "connections", "daemons", "ipv6", "log",
        "modules", "network", "padding", "release", "rows", "small_head", "smp", "sysctls", "table", "timeouts", "tracking",
    )  # fmt: skip

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        network: Network | None = None,
        release: str | Release = RELEASE,
        padding: bool = False,
        hash_key: int = 0,
        connection_table_size: int = CONNECTION_TABLE_SIZE,
        modules: Modules | None = None,
        debug_level: int | None = None,
        small_head: int = SMALL_HEAD,
        smp: bool = True,
    ) -> None:
        self.clock = clock if clock is not None else Clock()
        self.network = network if network is not None else default_network()
        kernel = release if isinstance(release, Release) else resolve(release)
        self.release = kernel.name
        self.behaviours = kernel.behaviours
        self.sysctls = Sysctls(self.behaviours, self.clock.hz)
        self.tracking = TrackingSysctls(self.behaviours, self.clock.hz)
        """The tunables of connection tracking."""
        self.table = ServiceTable(self.clock, hash_key=hash_key, settings=self._settings())
        self.log: DebugLog | None = None
        """What the kernel writes to its log; None where nobody wants to know."""
        if debug_level is not None:
            self.keep_log(debug_level)
        self.timeouts = ConnectionTimeouts()
        self.daemons = Daemons(self.network)
        self.padding = padding
        self.smp = smp
        self.small_head = small_head if self.behaviours.small_heads else 0
        """The size of small packets' buffers, 0 where they have several."""
        self.modules = modules if modules is not None else Modules()
        if TWOS in self.modules and not self.behaviours.twos:
            raise ValueError(f"{TWOS!r}: Linux {self.release} has no such module")
        """What is loaded besides IPVS and its schedulers."""
        self.applications: Callable[[], Iterable[tuple[int, int]]] | None = None
        """Where a loaded helper hangs in its ports, each with the number of connections that use it."""
        self.rows = TableRows(self.clock, self.behaviours, self.sysctls, self.table, connection_table_size)
        """Those of the connection table's hash."""
        self.changes = 0
        """Requests so far that may have changed anything: who keeps something derived compares it."""
        self.connections: Callable[[], Iterable[Mapping[str, Any]]] | None = None
        """Where the packet path hangs its connection table in: the rows of ``/proc/net/ip_vs_conn``."""
        self.ipv6 = True
        """Whether the host has IPv6 at all."""
        self.sysctls.on_write("run_estimation", self._switch_estimation)

    def keep_log(self, level: int) -> DebugLog:
        """Its log, which begins at that level where it has none yet. A packet path that is there already writes none."""
        if self.log is None:
            self.log = DebugLog(self.clock, level)
            self.table.tell(self.log)
            self.sysctls.debug_level = level
        return self.log

    def _settings(self) -> Settings:
        return Settings(self.behaviours, self.sysctls, self.draw)

    def draw(self) -> int:
        """32 bits of chance. It is a method, and no lambda: so the copy of a namespace has a chance of its own."""
        return self.clock.random.getrandbits(32)

    def sysctl_names(self) -> list[str]:
        """The full names of all tunables."""
        return self.sysctls.names() + self.tracking.names()

    def read_sysctl(self, name: str) -> str:
        """A tunable by its full name; OSError(ENOENT) where there is none."""
        return self._tunables(name).read(name)

    def write_sysctl(self, name: str, value: int | str) -> str:
        """Write a tunable as ``sysctl -w`` would; the words of a warning where it brings less here than in the kernel, which
        the log gets, too. OSError as of :meth:`ipvssim.state.sysctls.Sysctls.write`."""
        self._tunables(name).write(name, value)
        if name.replace("/", ".") != CONNTRACK or not self.sysctls.conntrack:
            return ""
        missing = f"{name}={self.sysctls.conntrack}: of connection tracking these are not modelled: {NOT_MODELLED}"
        if self.log is not None:
            self.log.own(missing)
        return missing

    def _tunables(self, name: str) -> Sysctls | TrackingSysctls:
        return self.sysctls if name.replace("/", ".").startswith(PREFIX) else self.tracking

    @property
    def hash_key(self) -> int:
        """The secret byte that orders service dumps."""
        return self.table.hash_key

    @property
    def connection_table_size(self) -> int:
        """Rows of the connection table's hash, as GET_INFO and listings tell."""
        return self.rows.number

    @property
    def bounds_upper_threshold(self) -> bool:
        """Whether an upper threshold over INT_MAX is refused (6.1.192; 6.1.176 takes any)."""
        return self.behaviours.bounded_thresholds

    def _switch_estimation(self) -> None:
        self.table.estimator.enabled = bool(self.sysctls.run_estimation)
