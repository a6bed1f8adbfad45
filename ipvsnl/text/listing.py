"""Tables to text, to the byte as ipvsadm's listings: titles, a line a service, a line a real server."""

from __future__ import annotations

from ipvsnl.backends.contract import Print
from ipvsnl.consts import AF_INET6, TUNNEL_F_CSUM, TUNNEL_F_REMCSUM
from ipvsnl.text.printing import printed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ipvsnl.model import Daemon, DestinationStatus, Entry, Info, Service, Statistics, Timeouts
    from ipvsnl.procfs import Connection, Trashed
    from ipvsnl.text import rules, sorting
    from ipvsnl.text.compat import Compat
    from ipvsnl.text.names import Endpoint

    ServerLine = Callable[[str, DestinationStatus], str]
else:
    from ipvsnl._later import Later

    sorting, rules = Later("ipvsnl.text.sorting"), Later("ipvsnl.text.rules")

FORMATS = ("stats", "rate", "thresholds", "persistent-conn", "tun-info")
"""The listings beside the usual one; of several asked for, the first here counts."""

_SERVER_TITLE = "  -> RemoteAddress:Port"
_USUAL_TITLE = "Prot LocalAddress:Port Scheduler Flags"
TITLES = {
    "": f"{_USUAL_TITLE}\n{_SERVER_TITLE}           Forward Weight ActiveConn InActConn\n",
    "stats": "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n" f"{_SERVER_TITLE}\n",
    "rate": "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n" f"{_SERVER_TITLE}\n",
    "thresholds": "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n"
    f"{_SERVER_TITLE}\n",
    "persistent-conn": "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n"
    f"{_SERVER_TITLE}\n",
    "tun-info": f"{_USUAL_TITLE}\n{_SERVER_TITLE}           Forward TunnelInfo    Weight ActiveConn InActConn\n",
}  # fmt: skip

_SERVICE_WIDTH = 33
_SERVER_WIDTH = 28
_FORWARD: dict[str | int, str] = {"masq": "Masq", "local": "Local", "tunnel": "Tunnel", "route": "Route"}
_U32 = 0xFFFFFFFF
_KINDS = {
    "": Print.USUAL, "stats": Print.STATS, "rate": Print.RATE, "thresholds": Print.THRESHOLDS,
    "persistent-conn": Print.PERSISTENT,
}  # fmt: skip
"""The formats that the backend knows; what it does not is left to Python."""


def _endpoint(options: frozenset[str]) -> Endpoint:
    from ipvsnl.text.names import Names, numeric

    return numeric if "numeric" in options else Names(cut=True)


class Listing:
    """Renders tables in one format. ``options`` are the names of the options of ``-L`` or ``-S``."""

    def __init__(self, options: frozenset[str], compat: Compat) -> None:
        self.compat = compat
        self.format = next((name for name in FORMATS if name in options), "")
        self._endpoint = _endpoint(options)
        self._numeric = "numeric" in options
        self._sorted = "nosort" not in options
        self._exact = "exact" in options
        self._server: ServerLine = getattr(self, "_" + (self.format.replace("-", "_") or "usual"))

    def table(self, entries: Sequence[Entry]) -> Iterator[str]:
        """The listing of a table: the two title lines, then each service with its real servers."""
        yield TITLES[self.format]
        kind = _KINDS.get(self.format)
        if kind is None or not self._numeric:
            yield from self._by_values(entries)
            return
        options = (
            (not self._sorted and Print.UNSORTED)
            | (self._exact and Print.EXACT)
            | (not self.compat.wide_counters and Print.NARROW)
        )
        yield from printed(kind, entries, options, self._by_values)

    def _by_values(self, entries: Sequence[Entry]) -> Iterator[str]:
        for entry in sorting.sort_entries(entries) if self._sorted else entries:
            service = entry.service
            yield self._service(service, entry.status.statistics)
            servers = entry.destinations
            for status in sorting.sort_servers(servers) if self._sorted else servers:
                server = status.destination
                where = self._endpoint(server.address, server.port, service.protocol)
                shown = where if ":" in server.address else where[:_SERVER_WIDTH]
                yield self._server(shown, status)

    def _service(self, service: Service, statistics: Statistics) -> str:
        if service.fwmark:
            mark = rules.mark_text(service.fwmark, unsigned=self.compat.unsigned_marks)
            name = f"FWM  {mark}{' IPv6' if service.family == AF_INET6 else ''}"
        else:
            where = self._endpoint(service.address, service.port, service.protocol)
            unnamed = isinstance(service.protocol, int) and not self.compat.protocol_numbers
            name = f"{'?' if unnamed else str(service.protocol).upper():<4} {where}"
            if ":" not in service.address:
                name = name[:_SERVICE_WIDTH]
        if self.format == "stats":
            return f"{name:<33}{self._counters(statistics)}\n"
        if self.format == "rate":
            return f"{name:<33}{self._rates(statistics)}\n"
        return f"{name} {_shown(service.scheduler, self.compat.escape_names)}{self._attributes(service)}\n"

    def _attributes(self, service: Service) -> str:
        text = ""
        if service.flags & rules.ALL_SCHEDULER_FLAGS:
            text = f" ({rules.flag_names(service.scheduler, service.flags, third=self.compat.third_flag)})"
        if service.persistence is not None:
            text += f" persistent {service.persistence}"
            if service.netmask is not None:
                text += f" mask {service.netmask}"
            if service.persistence_engine:
                text += f" pe {_shown(service.persistence_engine, self.compat.escape_names)}"
        return text + " ops" if service.one_packet else text

    # --- a real server's line, in each format ---

    def _usual(self, where: str, status: DestinationStatus) -> str:
        forward = _FORWARD.get(status.destination.forwarding, "(null)")
        return (
            f"  -> {where:<28} {forward:<7} {status.destination.weight:<6} "
            f"{status.active:<10} {status.inactive:<10}\n"
        )  # fmt: skip

    def _thresholds(self, where: str, status: DestinationStatus) -> str:
        server = status.destination
        return (
            f"  -> {where:<28} {server.upper_threshold:<10} {server.lower_threshold:<10} "
            f"{status.active:<10} {status.inactive:<10}\n"
        )  # fmt: skip

    def _persistent_conn(self, where: str, status: DestinationStatus) -> str:
        return (
            f"  -> {where:<28} {status.destination.weight:<9} {status.persistent:<11} "
            f"{status.active:<10} {status.inactive:<10}\n"
        )  # fmt: skip

    def _tun_info(self, where: str, status: DestinationStatus) -> str:
        server = status.destination
        forward = _FORWARD.get(server.forwarding, "(null)")
        tunnel = _tunnel_info(server.tunnel_type, server.tunnel_port, server.tunnel_flags)
        tunnel = tunnel if server.forwarding == "tunnel" else "n/a"
        return (
            f"  -> {where:<28} {forward:<7} {tunnel:<13} {server.weight:<6} "
            f"{status.active:<10} {status.inactive:<10}\n"
        )  # fmt: skip

    def _stats(self, where: str, status: DestinationStatus) -> str:
        counters = status.statistics
        if not self.compat.wide_counters:
            counters = counters.replace(
                conns=counters.conns & _U32, inpkts=counters.inpkts & _U32, outpkts=counters.outpkts & _U32
            )
        return f"  -> {where:<28}{self._counters(counters)}\n"

    def _rate(self, where: str, status: DestinationStatus) -> str:
        rates = status.statistics
        if not self.compat.wide_counters:
            rates = rates.replace(**{name: getattr(rates, name) & _U32 for name in rates.__fields__[5:]})
        # Connections and packets a second of a real server are never shortened.
        plain = f" {rates.cps:8} {rates.inpps:8} {rates.outpps:8}"
        return f"  -> {where:<28}{plain}{self._number(rates.inbps)}{self._number(rates.outbps)}\n"

    # --- numbers ---

    def _counters(self, of: Statistics) -> str:
        return "".join(map(self._number, (of.conns, of.inpkts, of.outpkts, of.inbytes, of.outbytes)))

    def _rates(self, of: Statistics) -> str:
        return "".join(map(self._number, (of.cps, of.inpps, of.outpps, of.inbps, of.outbps)))

    def _number(self, number: int) -> str:
        """Nine columns; from a hundred millions on in thousands, millions, ..., cut, not rounded. Or all of it."""
        if number < 10**8:
            return f"{number:9}"
        if self._exact:
            return f" {number}"
        if number < 10**9:
            return f"{number // 10**3:8}K"
        if number < 10**11:
            return f"{number // 10**6:8}M"
        if number < 10**14:
            return f"{number // 10**9:8}G"
        return f"{number // 10**12:8}T"


CHECKSUMS = ("-c", "+c", "r+c", "(null)")
"""By the flags of a tunnel, as ipvsadm has them: no word for both. (It looks further where there are other flags, which mean
nothing, and prints what it finds there.)"""


def _tunnel_info(kind: str | int, port: int, flags: int) -> str:
    if kind not in ("gue", "gre"):
        return "ipip" if kind == "ipip" else "n/a"
    checksum = CHECKSUMS[flags & (TUNNEL_F_CSUM | TUNNEL_F_REMCSUM)]
    return f"gue:{port}:{checksum}" if kind == "gue" else f"gre:{checksum}"


def version(info: Info) -> str:
    """The line above a listing of the whole table."""
    major, minor, patch = info.version
    return f"IP Virtual Server version {major}.{minor}.{patch} (size={info.connection_table_size})\n"


def timeouts(of: Timeouts) -> str:
    """``-L --timeout``."""
    return f"Timeout (tcp tcpfin udp): {of.tcp or 0} {of.tcp_fin or 0} {of.udp or 0}\n"


def _shown(name: str, escaped: bool) -> str:
    """A name as it is, or with escapes for what a terminal would obey."""
    if not escaped or name.isprintable():
        return name
    from ipvsnl.text.hints import printable

    return printable(name)


def daemon(of: Daemon, *, escaped: bool = False) -> str:
    """A line of ``-L --daemon``; ``escaped`` is what :class:`~ipvsnl.text.compat.Compat` says of names."""
    return (
        f"{of.role} sync daemon (mcast={_shown(of.interface, escaped)}, syncid={of.sync_id}, maxlen={of.max_length or 0}, "
        f"group={of.group or '0.0.0.0'}, port={of.port or 0}, ttl={of.ttl or 0})\n"
    )


def connections(of: Iterable[Connection], options: frozenset[str], *, escaped: bool = False) -> Iterator[str]:
    """``-L -c``, in the kernel's order; ``--persistent-conn`` adds the persistence engine and its data (what a client sent:
    ``escaped`` shows it so that no terminal obeys it)."""
    engines = "persistent-conn" in options
    where = _endpoint(options)
    yield "IPVS connection entries\n"
    title = "pro expire state       source             virtual            destination"
    yield f"{title}        pe name          pe_data\n" if engines else f"{title}\n"
    for one in of:
        protocol = one.protocol.lower()
        source = where(one.client, one.client_port, protocol)
        virtual = where(one.virtual, one.virtual_port, protocol)
        destination = where(one.destination, one.destination_port, protocol)
        expire = f"{one.expires // 60:02}:{one.expires % 60:02}"
        line = f"{one.protocol:<3} {expire:<6} {one.state:<11} {source:<18} {virtual:<18} "
        if engines and one.persistence_engine:
            data = _shown(one.persistence_data, escaped)
            yield f"{line}{destination:<16} {one.persistence_engine:<18} {data}\n"
        else:
            yield f"{line}{destination}\n"


def trash(of: Iterable[Trashed], options: frozenset[str]) -> Iterator[str]:
    """``-L --trash``, the last deleted first; times in seconds: so long ago, so long idle, freed in so many."""
    where = _endpoint(options)
    yield "IPVS deleted servers\n"
    yield ("pro virtual            server             refcnt conns templates caches  deleted     idle freed in\n")
    for one in of:
        service = one.service
        protocol = str(service.protocol).lower()
        name = "FWM" if service.fwmark else protocol.upper()
        virtual = str(service.fwmark) if service.fwmark else where(service.address, service.port, protocol)
        server = where(one.address, one.port, protocol or "tcp")
        times = "".join(
            " {:>8}".format("-" if value is None else f"{value:.2f}") for value in (one.deleted, one.idle, one.freed_in)
        )
        yield (
            f"{name:<3} {virtual:<18} {server:<18} {one.references:>6} {one.connections:>5} {one.templates:>9} "
            f"{one.caches:>6}{times}\n"
        )
