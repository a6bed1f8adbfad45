"""What the options say, gathered one by one; a handler an option, each refusing in ipvsadm's words."""

from __future__ import annotations

from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    FORWARDING,
    FWD_MASK,
    INTERFACE_NAME_MAX,
    SCHEDULER_NAME_MAX,
    TUNNEL_F_CSUM,
    TUNNEL_F_REMCSUM,
    TUNNEL_TYPES,
)
from ipvsnl.text.options import GROUP, OPTIONS, OWN_PROTOCOL
from ipvsnl.text.popt import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvsnl import model
    from ipvsnl.model import Daemon, Destination, Service
    from ipvsnl.text import values

    Handler = Callable[["Gathered", str, str | None], None]
else:
    from ipvsnl._later import Later

    model, values = Later("ipvsnl.model"), Later("ipvsnl.text.values")

PERSISTENCE_DEFAULT = 360
"""Seconds of ``-p`` without a value (the man page says 300)."""
SCHEDULER_DEFAULT = "wlc"
INTERFACE_DEFAULT = "eth0"
INT_MAX = 2147483647
_U32 = 2**32 - 1


class Gathered:
    """The state while options are read. Later options see what earlier ones left, as in ipvsadm."""

    def __init__(self, *, as_is: bool = False) -> None:
        self.as_is = as_is
        """Whether the rule is taken as it stands, where ipvsadm would change or refuse it."""
        self.given: set[str] = set()
        self.protocol: str | int = ""
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
        self.forwarding: str | int = "route"
        self.numbers: dict[str, int] = {}
        self.tunnel_type = "ipip"
        self.tunnel_flags = 0
        self.interface = INTERFACE_DEFAULT
        self.group: str | None = None
        self.note = ""

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


def _service_address(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark("service-address")
    gathered.protocol = gathered.port_protocol = key
    try:
        gathered.address, port = values.service_address(text or "", key)
    except ValueError:
        raise UsageError("illegal virtual server address[:port] specified") from None
    gathered.port = port or 0
    if ":" in gathered.address:
        gathered.family = AF_INET6
        gathered.netmask = None


def protocol_address(gathered: Gathered, key: str, text: str | None) -> None:
    """The address of a service whose protocol is a number: ``key`` is ``protocol-47``."""
    number = key.removeprefix(OWN_PROTOCOL)
    if len(number) > 5 or int(number) > 65535:
        raise UsageError(f"invalid protocol `{number}' specified")
    _service_address(gathered, "", text)
    gathered.protocol = int(number)


def _fwmark(gathered: Gathered, _: str, text: str | None) -> None:
    gathered.mark("service-address")
    gathered.port_protocol = "tcp"  # a real server's port may then be named as a TCP service
    try:
        gathered.fwmark = values.number(text or "", 1, 2**32 - 1)
    except ValueError:
        raise UsageError(f"invalid fwmark value `{text}' specified") from None


def _ipv6(gathered: Gathered, _: str, __: str | None) -> None:
    if not gathered.fwmark:
        raise UsageError("-6 used before -f\n")
    gathered.family = AF_INET6
    gathered.netmask = None


def _scheduler(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    gathered.scheduler = (text or SCHEDULER_DEFAULT)[:SCHEDULER_NAME_MAX]


def _persistent(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    if text is None:
        gathered.persistence = PERSISTENCE_DEFAULT
        return
    try:
        low, high = (0, _U32) if gathered.as_is else (1, values.TIMEOUT_MAX)
        gathered.persistence = values.number(text, low, high)
    except ValueError:
        raise UsageError(f"invalid timeout value `{text}' specified") from None


def _netmask(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    try:
        gathered.netmask = (values.prefix_length if gathered.family == AF_INET6 else values.netmask)(text or "")
    except ValueError:
        kind = "ipv6 netmask" if gathered.family == AF_INET6 else "virtual server persistent mask"
        raise UsageError(f"illegal {kind} specified") from None


def _real_server(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    try:
        gathered.server, port = values.service_address(text or "", gathered.port_protocol)
    except ValueError:
        raise UsageError("illegal real server address[:port] specified") from None
    gathered.server_port = gathered.port if port is None else port
    gathered.server_family = AF_INET6 if ":" in gathered.server else AF_INET


def _forwarding(gathered: Gathered, key: str, _: str | None) -> None:
    gathered.mark(GROUP[key])
    gathered.forwarding = key


def _forward(gathered: Gathered, key: str, text: str | None) -> None:
    """A method that has no option of ipvsadm's, by its word or its number."""
    gathered.mark(GROUP[key])
    word = text or ""
    try:
        gathered.forwarding = word if word in FORWARDING else values.number(word, 0, FWD_MASK)
    except ValueError:
        raise UsageError(f"illegal forward specified: one of {', '.join(FORWARDING)}, or a number") from None


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


def _number(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    name, low, high = _NUMBERS[key]
    if gathered.as_is and key.endswith("-threshold"):
        high = _U32
    try:
        gathered.numbers[key] = values.number(text or "", low, high)
    except ValueError:
        raise UsageError(f"illegal {name} specified") from None


def _engine(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    gathered.engine = (text or "")[:SCHEDULER_NAME_MAX]


def _flags(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    gathered.flag_names = text


def _one_packet(gathered: Gathered, key: str, _: str | None) -> None:
    gathered.mark(key)
    gathered.one_packet = True


def _interface(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    gathered.interface = (text or INTERFACE_DEFAULT)[:INTERFACE_NAME_MAX]


def _group(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    word = text or ""
    try:
        gathered.group = values.multicast_group(word)
    except (OSError, ValueError):
        raise UsageError(f"invalid {'IPv6' if ':' in word else 'IPv4'} mcast-group `{word}'") from None


def _tunnel_type(gathered: Gathered, key: str, text: str | None) -> None:
    gathered.mark(key)
    if text not in TUNNEL_TYPES:
        raise UsageError("illegal tunnel type specified")
    gathered.tunnel_type = text


def _tunnel_flag(gathered: Gathered, key: str, _: str | None) -> None:
    gathered.mark(key)
    gathered.tunnel_flags |= {"tun-csum": TUNNEL_F_CSUM, "tun-remcsum": TUNNEL_F_REMCSUM}.get(key, 0)


def _plain(gathered: Gathered, key: str, _: str | None) -> None:
    gathered.mark(key)


def _nothing(_: Gathered, __: str, ___: str | None) -> None:
    """``--sort``: what ipvsadm does anyway, and may be said as often as one likes."""


HANDLERS: dict[str, Handler] = {key: _plain for key, *_ in OPTIONS}
HANDLERS |= dict.fromkeys(("tcp", "udp", "sctp"), _service_address)
HANDLERS |= dict.fromkeys(("masq", "tunnel", "route"), _forwarding)
HANDLERS |= dict.fromkeys(("tun-nocsum", "tun-csum", "tun-remcsum"), _tunnel_flag)
HANDLERS |= dict.fromkeys(_NUMBERS, _number)
HANDLERS |= {"as-is": _plain, "forward": _forward}
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
    OWN_PROTOCOL: _nothing,
}
