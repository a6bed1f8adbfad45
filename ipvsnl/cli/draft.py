"""What the options say, gathered one by one; a handler an option, each refusing in ipvsadm's words."""

from __future__ import annotations

from ipvsnl.cli.errors import UsageError
from ipvsnl.cli.options import GROUP, OPTIONS
from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    INTERFACE_NAME_MAX,
    SCHEDULER_NAME_MAX,
    TUNNEL_F_CSUM,
    TUNNEL_F_REMCSUM,
    TUNNEL_TYPES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvsnl import model
    from ipvsnl.cli import values
    from ipvsnl.model import Daemon, Destination, Service

    Handler = Callable[["Draft", str, str | None], None]
else:
    from ipvsnl._later import Later

    model, values = Later("ipvsnl.model"), Later("ipvsnl.cli.values")

PERSISTENCE_DEFAULT = 360
"""Seconds of ``-p`` without a value (the man page says 300)."""
SCHEDULER_DEFAULT = "wlc"
INTERFACE_DEFAULT = "eth0"
INT_MAX = 2147483647


class Draft:
    """The state while options are read. Later options see what earlier ones left, as in ipvsadm."""

    def __init__(self) -> None:
        self.given: set[str] = set()
        self.protocol = ""
        self.port_protocol = ""
        self.address = ""
        self.port = 0
        self.fwmark = 0
        self.family = AF_INET
        self.scheduler = SCHEDULER_DEFAULT
        self.flag_names: str | None = None
        self.flags = 0
        self.one_packet = False
        self.persistence: int | None = None
        self.netmask: str | int | None = None
        self.engine = ""
        self.server = ""
        self.server_port = 0
        self.server_family = AF_INET
        self.forwarding = "route"
        self.numbers: dict[str, int] = {}
        self.tunnel_type = "ipip"
        self.tunnel_flags = 0
        self.interface = INTERFACE_DEFAULT
        self.group: str | None = None

    def service(self) -> Service:
        """The virtual service of the command line."""
        return model.Service(
            self.protocol, self.address, self.port, self.fwmark, self.family, self.scheduler, self.flags,
            self.one_packet, self.persistence, self.netmask, self.engine,
        )  # fmt: skip

    def destination(self) -> Destination:
        """The real server of the command line."""
        get = self.numbers.get
        return model.Destination(
            self.server, self.server_port, self.forwarding, get("weight", 1), get("u-threshold", 0),
            get("l-threshold", 0), self.tunnel_type, get("tun-port", 0), self.tunnel_flags,
        )  # fmt: skip

    def daemon(self, role: str) -> Daemon:
        """The synchronisation daemon of the command line."""
        get = self.numbers.get
        return model.Daemon(
            role, self.interface, get("syncid", 0), get("sync-maxlen"), self.group, get("mcast-port"), get("mcast-ttl")
        )  # fmt: skip

    def mark(self, name: str) -> None:
        """Note an option as given, once."""
        if name in self.given:
            raise UsageError(f"multiple '{name}' options specified")
        self.given.add(name)


def _service_address(draft: Draft, key: str, text: str | None) -> None:
    draft.mark("service-address")
    draft.protocol = draft.port_protocol = key
    try:
        draft.address, port = values.service_address(text or "", key)
    except ValueError:
        raise UsageError("illegal virtual server address[:port] specified") from None
    draft.port = port or 0
    if ":" in draft.address:
        draft.family = AF_INET6
        draft.netmask = None


def _fwmark(draft: Draft, _: str, text: str | None) -> None:
    draft.mark("service-address")
    draft.port_protocol = "tcp"  # a real server's port may then be named as a TCP service
    try:
        draft.fwmark = values.number(text or "", 1, 2**32 - 1)
    except ValueError:
        raise UsageError(f"invalid fwmark value `{text}' specified") from None


def _ipv6(draft: Draft, _: str, __: str | None) -> None:
    if not draft.fwmark:
        raise UsageError("-6 used before -f\n")
    draft.family = AF_INET6
    draft.netmask = None


def _scheduler(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    draft.scheduler = (text or SCHEDULER_DEFAULT)[:SCHEDULER_NAME_MAX]


def _persistent(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    if text is None:
        draft.persistence = PERSISTENCE_DEFAULT
        return
    try:
        draft.persistence = values.number(text, 1, values.TIMEOUT_MAX)
    except ValueError:
        raise UsageError(f"invalid timeout value `{text}' specified") from None


def _netmask(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    try:
        draft.netmask = (values.prefix_length if draft.family == AF_INET6 else values.netmask)(text or "")
    except ValueError:
        kind = "ipv6 netmask" if draft.family == AF_INET6 else "virtual server persistent mask"
        raise UsageError(f"illegal {kind} specified") from None


def _real_server(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    try:
        draft.server, port = values.service_address(text or "", draft.port_protocol)
    except ValueError:
        raise UsageError("illegal real server address[:port] specified") from None
    draft.server_port = draft.port if port is None else port
    draft.server_family = AF_INET6 if ":" in draft.server else AF_INET


def _forwarding(draft: Draft, key: str, _: str | None) -> None:
    draft.mark(GROUP[key])
    draft.forwarding = key


_NUMBERS = {
    "weight": ("weight", 0, INT_MAX),
    "u-threshold": ("u_threshold", 0, INT_MAX),
    "l-threshold": ("l_threshold", 0, INT_MAX),
    "syncid": ("syncid", 0, 255),
    "mcast-port": ("mcast-port", 1, 65535),
    "mcast-ttl": ("mcast-ttl", 1, 255),
    "sync-maxlen": ("sync-maxlen", 1, 65535 - 20 - 8),
    "tun-port": ("tunnel port", 1, 65535),
}
"""What a message calls the number, and its range. Weights up to INT_MAX are Debian's; upstream stops at 65535."""


def _number(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    name, low, high = _NUMBERS[key]
    try:
        draft.numbers[key] = values.number(text or "", low, high)
    except ValueError:
        raise UsageError(f"illegal {name} specified") from None


def _engine(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    draft.engine = (text or "")[:SCHEDULER_NAME_MAX]


def _flags(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    draft.flag_names = text


def _one_packet(draft: Draft, key: str, _: str | None) -> None:
    draft.mark(key)
    draft.one_packet = True


def _interface(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    draft.interface = (text or INTERFACE_DEFAULT)[:INTERFACE_NAME_MAX]


def _group(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    word = text or ""
    try:
        draft.group = values.multicast_group(word)
    except (OSError, ValueError):
        raise UsageError(f"invalid {'IPv6' if ':' in word else 'IPv4'} mcast-group `{word}'") from None


def _tunnel_type(draft: Draft, key: str, text: str | None) -> None:
    draft.mark(key)
    if text not in TUNNEL_TYPES:
        raise UsageError("illegal tunnel type specified")
    draft.tunnel_type = text


def _tunnel_flag(draft: Draft, key: str, _: str | None) -> None:
    draft.mark(key)
    draft.tunnel_flags |= {"tun-csum": TUNNEL_F_CSUM, "tun-remcsum": TUNNEL_F_REMCSUM}.get(key, 0)


def _plain(draft: Draft, key: str, _: str | None) -> None:
    draft.mark(key)


def _nothing(_: Draft, __: str, ___: str | None) -> None:
    """``--sort``: what ipvsadm does anyway, and may be said as often as one likes."""


HANDLERS: dict[str, Handler] = {key: _plain for key, *_ in OPTIONS}
HANDLERS |= dict.fromkeys(("tcp", "udp", "sctp"), _service_address)
HANDLERS |= dict.fromkeys(("masq", "tunnel", "route"), _forwarding)
HANDLERS |= dict.fromkeys(("tun-nocsum", "tun-csum", "tun-remcsum"), _tunnel_flag)
HANDLERS |= dict.fromkeys(_NUMBERS, _number)
HANDLERS |= {
    "fwmark": _fwmark,
    "ipv6": _ipv6,
    "scheduler": _scheduler,
    "persistent": _persistent,
    "netmask": _netmask,
    "real-server": _real_server,
    "pe": _engine,
    "sched-flags": _flags,
    "ops": _one_packet,
    "mcast-interface": _interface,
    "mcast-group": _group,
    "tun-type": _tunnel_type,
    "sort": _nothing,
}
