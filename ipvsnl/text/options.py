"""The options as data: how each is written, what it belongs to, and which command takes it."""

from __future__ import annotations

NONE, REQUIRED, OPTIONAL = 0, 1, 2
"""Whether an option takes a value."""

Option = tuple[str, str, int]
"""Key, long name (without dashes), and whether it takes a value."""

COMMANDS: tuple[tuple[str, str, str, int], ...] = (
    ("add-service", "A", "add-service", NONE),
    ("edit-service", "E", "edit-service", NONE),
    ("delete-service", "D", "delete-service", NONE),
    ("flush", "C", "clear", NONE),
    ("list", "L", "list", NONE),
    ("list", "l", "", NONE),
    ("add-server", "a", "add-server", NONE),
    ("delete-server", "d", "delete-server", NONE),
    ("edit-server", "e", "edit-server", NONE),
    ("set", "", "set", NONE),
    ("start-daemon", "", "start-daemon", REQUIRED),
    ("stop-daemon", "", "stop-daemon", REQUIRED),
    ("restore", "R", "restore", NONE),
    ("save", "S", "save", NONE),
    ("zero", "Z", "zero", NONE),
    ("help", "h", "help", NONE),
    ("version", "v", "version", NONE),
)
"""Key (what messages call the command), short name, long name, value."""

OPTIONS: tuple[tuple[str, str, str, int], ...] = (
    ("tcp", "t", "tcp-service", REQUIRED),
    ("udp", "u", "udp-service", REQUIRED),
    ("sctp", "", "sctp-service", REQUIRED),
    ("fwmark", "f", "fwmark-service", REQUIRED),
    ("ipv6", "6", "ipv6", NONE),
    ("scheduler", "s", "scheduler", REQUIRED),
    ("persistent", "p", "persistent", OPTIONAL),
    ("netmask", "M", "netmask", REQUIRED),
    ("real-server", "r", "real-server", REQUIRED),
    ("masq", "m", "masquerading", NONE),
    ("tunnel", "i", "ipip", NONE),
    ("route", "g", "gatewaying", NONE),
    ("weight", "w", "weight", REQUIRED),
    ("u-threshold", "x", "u-threshold", REQUIRED),
    ("l-threshold", "y", "l-threshold", REQUIRED),
    ("mcast-interface", "", "mcast-interface", REQUIRED),
    ("mcast-group", "", "mcast-group", REQUIRED),
    ("mcast-port", "", "mcast-port", REQUIRED),
    ("mcast-ttl", "", "mcast-ttl", REQUIRED),
    ("sync-maxlen", "", "sync-maxlen", REQUIRED),
    ("syncid", "", "syncid", REQUIRED),
    ("timeout", "", "timeout", NONE),
    ("daemon", "", "daemon", NONE),
    ("connection", "c", "connection", NONE),
    ("numeric", "n", "numeric", NONE),
    ("stats", "", "stats", NONE),
    ("rate", "", "rate", NONE),
    ("thresholds", "", "thresholds", NONE),
    ("persistent-conn", "", "persistent-conn", NONE),
    ("tun-info", "", "tun-info", NONE),
    ("nosort", "", "nosort", NONE),
    ("sort", "", "sort", NONE),
    ("exact", "X", "exact", NONE),
    ("ops", "o", "ops", NONE),
    ("pe", "", "pe", REQUIRED),
    ("sched-flags", "b", "sched-flags", REQUIRED),
    ("tun-type", "", "tun-type", REQUIRED),
    ("tun-port", "", "tun-port", REQUIRED),
    ("tun-nocsum", "", "tun-nocsum", NONE),
    ("tun-csum", "", "tun-csum", NONE),
    ("tun-remcsum", "", "tun-remcsum", NONE),
)

OWN_PROTOCOL = "protocol-"
"""``--protocol-47 HOST:PORT`` is a service of a protocol that has no option."""
OWN: tuple[tuple[str, str, str, int], ...] = (
    ("as-is", "", "as-is", NONE),
    ("forward", "", "forward", REQUIRED),
)
"""Options of ours for what the kernel holds and ipvsadm's options can't say; never read under the name ipvsadm."""

SHORT: dict[str, Option] = {short: (key, long, takes) for key, short, long, takes in COMMANDS + OPTIONS if short}
LONG: dict[str, Option] = {long: (key, long, takes) for key, _, long, takes in COMMANDS + OPTIONS if long}
OWN_LONG: dict[str, Option] = LONG | {long: (key, long, takes) for key, _, long, takes in OWN}
OWN_LONG[OWN_PROTOCOL] = (OWN_PROTOCOL, OWN_PROTOCOL, REQUIRED)
COMMAND_KEYS = frozenset([key for key, *_ in COMMANDS])

NAMES = (
    "numeric", "connection", "service-address", "scheduler", "persistent", "netmask", "real-server",
    "forwarding-method", "weight", "u-threshold", "l-threshold", "mcast-interface", "timeout", "daemon", "stats", "rate",
    "thresholds", "persistent-conn", "nosort", "syncid", "exact", "ops", "pe", "sched-flags", "mcast-group",
    "mcast-port", "mcast-ttl", "sync-maxlen", "tun-info", "tun-type", "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum",
)  # fmt: skip
"""What messages call the options, in the order in which the tables below are checked: the first offence is reported."""

GROUP = dict.fromkeys(("tcp", "udp", "sctp", "fwmark"), "service-address")
GROUP |= dict.fromkeys(("masq", "tunnel", "route", "forward"), "forwarding-method")
"""Options that count as one, by their key. ``--sort`` and ``-6`` are outside of all tables."""

Table = tuple[frozenset[str], frozenset[str], frozenset[str]]
"""Options that must be there, that may be there, and of which at most one may."""


def _table(must: str = "", may: str = "", one_of: str = "") -> Table:
    return frozenset(must.split()), frozenset(f"{must} {may} {one_of}".split()), frozenset(one_of.split())


_SERVICE = _table("service-address", "scheduler persistent netmask ops pe sched-flags")
_SERVER = _table(
    "service-address real-server",
    "forwarding-method weight u-threshold l-threshold tun-type tun-port tun-nocsum tun-csum tun-remcsum",
)

ALLOWED: dict[str, Table] = {
    "add-service": _SERVICE,
    "edit-service": _SERVICE,
    "delete-service": _table("service-address"),
    "flush": _table(),
    "list": _table(
        may="numeric stats rate thresholds persistent-conn nosort syncid exact tun-info",
        one_of="connection service-address timeout daemon",
    ),
    "add-server": _SERVER,
    "edit-server": _SERVER,
    "delete-server": _table("service-address real-server"),
    "set": _table(),
    "start-daemon": _table(may="mcast-interface syncid mcast-group mcast-port mcast-ttl sync-maxlen"),
    "stop-daemon": _table(may="syncid"),
    "restore": _table(),
    "save": _table(may="numeric"),
    "zero": _table(may="service-address"),
}

TUNNEL_NAMES = ("tun-port", "tun-nocsum", "tun-csum", "tun-remcsum")
TUNNELS: dict[str, Table] = {
    "ipip": _table(),
    "gue": _table("tun-port", one_of="tun-nocsum tun-csum tun-remcsum"),
    "gre": _table(one_of="tun-nocsum tun-csum"),
}
