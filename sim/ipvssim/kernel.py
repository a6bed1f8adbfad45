"""The front door: one simulated kernel, with its table, its network, its packets and its time.

    from ipvssim import Kernel

    kernel = Kernel(rules="-A -t 192.0.2.1:80 -s wrr\\n-a -t 192.0.2.1:80 -r 10.9.8.7:8080 -m -w 3")
    result = kernel.receive(packet)     # bytes, or a scapy packet
    kernel.advance(60)                  # seconds
    ipvs = kernel.connect()             # ipvsnl's client, on the same table

Everything that makes a simulated kernel makes one of these. What only packets need is imported with the first packet.
"""

from __future__ import annotations

import io
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ipvssim.behaviours import Release
from ipvssim.clock import HZ, RATES, SECOND, Clock
from ipvssim.net.network import ETHERNET, Network, framed
from ipvssim.net.networks import OpenNetwork
from ipvssim.net.pieces import SMALL_HEAD
from ipvssim.state.modules import Modules
from ipvssim.state.namespace import CONNECTION_TABLE_SIZE, RELEASE, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ipvsnl.client import IPVS
    from ipvsnl.procfs import Connection, Trashed
    from ipvsnl.refusals import KernelError
    from ipvsnl.wire.snapshot import Snapshot
    from ipvssim.lane import Batch, Lane, Packed
    from ipvssim.netlink.family import Family
    from ipvssim.netlink.socket import NetlinkSocket
    from ipvssim.path.director import Director
    from ipvssim.path.result import Result
    from ipvssim.path.sockets import Sockets
    from ipvssim.path.whatif import Why
    from ipvssim.run.programs import Programs
    from ipvssim.state.debug_log import Line
    from ipvssim.state.service_table import ServiceTable
    from ipvssim.state.sysctl_view import SysctlView

_LONGEST = 1e16
"""Seconds that may pass at once."""
_NO_LOG = "this kernel writes no log: Kernel(debug_level=N) does"
SEND_BUFFER = 1 << 26
"""Bytes of a client's send buffer: a simulated kernel takes whatever one send holds."""


def _more(refused: Sequence[KernelError]) -> str:
    """Why, and how many rules were refused for that."""
    why = f" ({refused[0].cause})" if refused[0].cause else ""
    return f"{why}; and {len(refused) - 1} lines more, to line {refused[-1].tag}" if len(refused) > 1 else why


class Completed(NamedTuple):
    """What became of a command line: its exit status, what it wrote, and what it complained of."""

    status: int
    stdout: str
    stderr: str


class Kernel:
    """A simulated kernel with one network namespace.

    ``rules`` is what its table begins with: lines in any spelling that ``ipvsadm -R`` takes. ValueError names the line that
    is refused, and why.

    ``network`` is what its host is connected to. Without one, any addresses work: a virtual address is local as soon as a
    service has it, a real server resolves as soon as a service has it, and everyone else is a client
    (:class:`ipvssim.net.networks.OpenNetwork`).

    ``release`` chooses between the behaviours of stable releases, ``sysctl`` are tunables to begin with, ``seed`` is that of
    the one source of chance, ``hash_key`` the secret byte that orders service dumps; ``padding`` puts 64-bit attributes at
    multiples of eight, as user-mode-linux does; ``small_head`` is the one size of small packets' buffers since 6.3, in
    bytes: 640 in Debian's user-mode-linux, 704 in its ordinary kernels. ``smp`` says that the kernel is built for several
    processors, as all but user-mode-linux are: a lock then keeps an ICMP error from being sent in the midst of another.
    ``hz`` is how many jiffies it counts a second: 100, 250 (Debian's ordinary kernels) or 1000. ``uptime`` is how long it
    has been up when this namespace begins, in seconds: timers then fire when the kernel's do, late by up to an eighth
    (:mod:`ipvssim.clock`). None: they fire as soon as they may.

    ``modules`` are kernel modules to load besides IPVS, its schedulers and the SIP persistence engine: ``"ip_vs_ftp"``,
    FTP's helper (``"ip_vs_ftp ports=21,2121"`` gives it other ports), and ``"ip_vs_twos"``, a scheduler. ValueError for
    others.
    """

    def __init__(
        self,
        rules: str = "",
        *,
        network: Network | None = None,
        release: str | Release = RELEASE,
        sysctl: Mapping[str, int | str] | None = None,
        seed: int = 0,
        hash_key: int = 0,
        padding: bool = False,
        connection_table_size: int = CONNECTION_TABLE_SIZE,
        modules: Iterable[str] = (),
        debug_level: int | None = None,
        small_head: int = SMALL_HEAD,
        smp: bool = True,
        uptime: float | None = None,
        hz: int = HZ,
    ) -> None:
        if not isinstance(rules, str):
            raise ValueError(f"{rules!r:.200}: rules are text, a rule a line")
        if network is not None and not isinstance(network, Network):
            raise ValueError(f"{network!r:.200}: a network is an ipvssim.Network")
        if uptime is not None and not (isinstance(uptime, int | float) and 0 <= uptime < _LONGEST):
            raise ValueError(f"uptime={uptime!r}: seconds from 0 to {_LONGEST:.0e}")
        if type(hz) is not int or hz not in RATES:
            raise ValueError(f"hz={hz!r}: 100, 250 or 1000 jiffies a second")
        network = network if network is not None else OpenNetwork()
        self.namespace = Namespace(
            clock=Clock(seed=seed, uptime=None if uptime is None else round(uptime * SECOND), hz=hz),
            network=network, release=release, padding=padding, hash_key=hash_key,
            connection_table_size=connection_table_size, modules=Modules(modules), debug_level=debug_level,
            small_head=small_head, smp=smp,
        )  # fmt: skip
        self.namespace.connections = lambda: self.director.connections()
        self.namespace.applications = lambda: self.director.helpers.applications()
        if isinstance(network, OpenNetwork):
            self.namespace.table.named_hook = network.name
        self._sockets: Sockets | None = None
        for name, value in (sysctl or {}).items():
            self.sysctl[name] = value
        if rules:
            self.load(rules)

    def __repr__(self) -> str:
        services = sum(1 for _ in self.namespace.table.services())
        return f"<Kernel {self.release} services={services} now={self.now:g}>"

    # --- the table ---

    def load(self, rules: str) -> None:
        """Carry out rule lines (-A, -a, -E, -e, -D, -d) in any spelling; ValueError names the lines that are refused, and
        why. What is not refused is carried out."""
        from ipvsnl.refusals import BatchError

        try:
            with self.connect() as ipvs:
                ipvs.load(rules)
        except BatchError as some:
            alike: dict[str, list[KernelError]] = {}
            for one in some.refused:
                lacking = one.field in ("scheduler", "persistence_engine")  # thousands of rules may lack the same
                alike.setdefault(one.cause if lacking else f"{one.tag}", []).append(one)
            lines = [f"line {of[0].tag}: {of[0]}{_more(of)}" for of in alike.values()]
            raise ValueError("\n".join(lines)) from some

    def connect(self, **how: Any) -> IPVS:
        """A client of this kernel's table; it speaks to it as to a real one, in netlink's bytes.

        ``how`` are arguments of :meth:`socket`.
        """
        from ipvsnl.client import IPVS
        from ipvsnl.link.simulated import SimulatedLink

        return IPVS(SimulatedLink(self.socket(**how)))

    def socket(self, **how: Any) -> NetlinkSocket:
        """A netlink socket of this kernel (:class:`ipvssim.netlink.socket.NetlinkSocket`), as a client wants it."""
        from ipvssim.netlink.socket import NetlinkSocket

        how = {"cap_ack": True, "ext_ack": True, "sndbuf": SEND_BUFFER, "family": self._family, **how}
        return NetlinkSocket(self.namespace, **how)

    @cached_property
    def _family(self) -> Family:
        """What its sockets have learnt to read fast, together."""
        from ipvssim.netlink.family import Family

        return Family(self.namespace)

    def ipvsadm(self, *arguments: str, stdin: str = "") -> Completed:
        """Run a command line of ``ipvsadm`` on this kernel, in this process."""
        from ipvsnl.cli.dispatch import run

        out, err = io.StringIO(), io.StringIO()
        status = run(
            list(arguments), client_factory=self.connect, stdin=io.StringIO(stdin), stdout=out, stderr=err, prog="ipvsadm",
            progress=False,
        )  # fmt: skip
        return Completed(status, out.getvalue(), err.getvalue())

    def ipvsnl(self, *arguments: str, stdin: str = "") -> Completed:
        """Run a command line of ``ipvsnl`` on this kernel, in this process: ipvsadm's with our options, or a sub-command."""
        from ipvsnl.cli.main import execute

        out, err = io.StringIO(), io.StringIO()
        status = execute(list(arguments), self.connect, io.StringIO(stdin), out, err, progress=False)
        return Completed(status, out.getvalue(), err.getvalue())

    def run(self, words: Sequence[str], **how: Any) -> Completed:
        """Run any program to its end, its calls about IPVS answered by this kernel: ``kernel.run(["ipvsadm", "-Ln"])``.

        ``how`` are ``stdin`` (text), ``environment`` and ``timeout`` (seconds; TimeoutError). The status is negative where a
        signal ended it. The kernel's time stands still meanwhile. :class:`ipvssim.run.system.RunError` says why programs
        can't be run here.
        """
        return Completed(*self.programs(words, **how))

    @cached_property
    def programs(self) -> Programs:
        """Programs on this kernel that go on while the test does something else: ``kernel.programs.start([...])``
        (:class:`ipvssim.run.programs.Programs`)."""
        from ipvssim.run.system import check_system

        check_system()
        from ipvssim.run.programs import Programs

        modules = self.namespace.modules.given
        return Programs(self, lambda: Kernel(release=self.release, modules=modules))

    def snapshot(self) -> Snapshot:
        """All virtual services with their real servers, as a client reads them."""
        with self.connect() as ipvs:
            return ipvs.snapshot()

    def connections(self) -> list[Connection]:
        """The connection table, persistence templates included, in no order that means anything."""
        from ipvsnl.procfs import read_connections
        from ipvssim.state.procfs import lines

        return list(read_connections(lines(self.namespace, "ip_vs_conn")))

    def trash(self) -> list[Trashed]:
        """The real servers that were deleted and are not freed yet, the last deleted first."""
        from ipvsnl.procfs import read_trash
        from ipvssim.state.procfs import lines

        return list(read_trash(lines(self.namespace, "ip_vs_trash")))

    @property
    def debug_level(self) -> int:
        """The level of its log, which may be changed at any time; 0 where it was made without one. As in any namespace but
        the first, the tunable of that name shows it and takes no writes."""
        return self.namespace.sysctls.debug_level

    @debug_level.setter
    def debug_level(self, level: int) -> None:
        if self.namespace.log is None:
            raise RuntimeError(_NO_LOG)
        self.namespace.log.level = self.namespace.sysctls.debug_level = level

    @property
    def log(self) -> list[Line]:
        """The lines of its log since it began, or since somebody cleared this list. RuntimeError for a kernel that was made
        without ``debug_level``."""
        if self.namespace.log is None:
            raise RuntimeError(_NO_LOG)
        return self.namespace.log.lines

    # --- packets ---

    @cached_property
    def director(self) -> Director:
        """The packet path."""
        from ipvssim.path.director import Director

        return Director(self.namespace)

    def receive(self, packet: Any, on: str | None = None, mark: int = 0) -> Result:
        """A packet comes in: bytes, or a scapy packet. Whatever it is, there is a result.

        ``mark`` is its firewall mark. ``on`` names the device; bytes begin with the Ethernet header where it has one, and
        KeyError says that there is no such device. None is the device by which the packet's source is reached; then bytes
        begin with the IP header. ValueError for what is neither bytes nor a scapy packet.
        """
        packet, on = self._arriving(packet, on, mark)
        result = self.director.receive(packet, on, mark)
        if result.local and self._sockets is not None:
            result.answers = self._sockets.answer(result)
        return result

    def receive_many(
        self, packets: Iterable[bytes] | Packed, on: str | None = None, *, times: Sequence[int] | None = None
    ) -> Batch:
        """Packets come in, in their order. The same becomes of each as with :meth:`receive`, but faster where they are
        plain (:mod:`ipvssim.lane` has C for those: ``ipvssim.lane.compiled``).

        ``packets`` are bytes one by one, or a :class:`~ipvssim.lane.Packed`: one buffer with offsets. ``on`` is as
        :meth:`receive` has it, for all of them. ``times`` are microseconds of the kernel's clock, one for each packet, to
        which it is advanced before; None: all come now. The :class:`~ipvssim.lane.Batch` has columns and one buffer with
        what left, and gives each packet's ``Result``. ValueError for what is no packets or no times; KeyError where there
        is no such device.
        """
        from ipvssim.lane import receive_many

        return receive_many(self._lane, packets, on, times)

    @cached_property
    def _lane(self) -> Lane:
        from ipvssim.lane import Lane

        return Lane(self.director, self.receive)

    def listen(self, protocol: str, port: int, *, echo: bool = False) -> None:
        """A program on the director's own host listens on a port of ``"tcp"`` or ``"udp"``, for a real server that is the
        host itself. Until then the port is closed, and what comes to it is refused.

        On TCP it takes connections, acknowledges data, and closes when its client does; with ``echo`` one of UDP sends back
        what it gets. ``Result.answers`` is what it says, as it leaves. ValueError for another protocol or port.
        """
        from ipvssim.path.sockets import Sockets

        if self._sockets is None:
            self._sockets = Sockets(self.director)
        self._sockets.open(protocol, port, echo=echo)

    def why(self, packet: Any, *, on: str | None = None, mark: int = 0, if_: str | Sequence[str] = ()) -> Why:
        """What would become of a packet that came in now, why, and what would change that. Nothing comes of it: the kernel
        stays as it is.

        ``packet``, ``on`` and ``mark`` are as :meth:`receive` has them. ``if_`` are changes in words, all made at once
        (:func:`ipvssim.path.changes.read`): ``weight=1``, ``server 10.9.8.7:80 weight=1``, ``sysctl conn_reuse_mode=0``.
        Without one, those are sought that make a difference. Set ``director.explaining`` before earlier packets, and it
        tells when their connections began and ended. ValueError names the word of a change that is wrong.
        """
        from ipvssim.path.changes import Question, read
        from ipvssim.path.whatif import why

        packet, on = self._arriving(packet, on, mark)
        changes = [read(text) for text in ([if_] if isinstance(if_, str) else if_)]
        return why(self.director, Question(packet, on, mark), changes)

    def _arriving(self, packet: Any, on: str | None, mark: int) -> tuple[Any, str]:
        """A packet as its device carries it, and that device's name."""
        if not isinstance(packet, bytes | bytearray | memoryview) and not hasattr(packet, "payload"):
            raise ValueError(f"{packet!r:.200} is no packet: bytes, or a packet of scapy's")
        if not 0 <= mark <= 0xFFFFFFFF:
            raise ValueError(f"mark={mark}: a firewall mark is 0 to {0xFFFFFFFF}")
        if on is None:
            bare = isinstance(packet, bytes | bytearray | memoryview)
            data = bytes(packet) if bare else _ip_bytes(packet)
            on = self.network.came_by(data)
            if bare and (device := self.network.devices[on]).kind == ETHERNET:
                packet = framed(data, device)
        return packet, on

    # --- time, network, tunables ---

    def advance(self, seconds: float) -> None:
        """Let time pass; what falls due happens on the way, in order. ValueError unless 0 <= ``seconds`` < 10^16."""
        if not isinstance(seconds, int | float) or not 0 <= seconds < _LONGEST:
            raise ValueError(f"{seconds!r}: seconds to let pass are a number from 0 to {_LONGEST:.0e}")
        self.clock.advance(round(seconds * SECOND))

    @property
    def now(self) -> float:
        """Seconds since this kernel began."""
        return self.clock.now / SECOND

    @property
    def jiffies(self) -> int:
        """The same in jiffies, of which there are ``hz`` a second."""
        return self.clock.now // self.clock.jiffy

    @property
    def clock(self) -> Clock:
        """Its clock, in microseconds."""
        return self.namespace.clock

    @property
    def network(self) -> Network:
        """Devices, addresses, routes, neighbours."""
        return self.namespace.network

    @property
    def table(self) -> ServiceTable:
        """Its virtual services and real servers, as the kernel keeps them."""
        return self.namespace.table

    @property
    def release(self) -> str:
        """The release whose behaviours it has."""
        return self.namespace.release

    @cached_property
    def sysctl(self) -> SysctlView:
        """The tunables ``net.ipv4.vs.*``, by their full or short names, and by their full names those of connection tracking
        (``net.netfilter.nf_conntrack_*``) that have an effect here. A value is text as ``/proc/sys`` shows it, and numbers
        are taken, too. KeyError for a name that there is not; OSError for a value that the kernel refuses;
        :class:`~ipvssim.state.sysctl_view.NotModelledWarning` for one that brings less here than in the kernel."""
        from ipvssim.state.sysctl_view import SysctlView

        return SysctlView(self.namespace)

    def proc(self, name: str) -> Iterator[str]:
        """The lines of ``/proc/net/NAME``; FileNotFoundError where there is no such file."""
        from ipvssim.state.procfs import lines

        found: Iterable[str] = lines(self.namespace, name)
        return iter(found)


def _ip_bytes(packet: Any) -> bytes:
    """A scapy packet from its IP header on."""
    from ipvssim.net.scapy_packets import ip_bytes

    return ip_bytes(packet)
