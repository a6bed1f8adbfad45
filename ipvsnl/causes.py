"""Why the kernel refused: it sends a bare number, and these are the reasons that the number can have.

The checks stand in the order of the kernel's (``ip_vs_genl_set_cmd``, ``ip_vs_add_dest`` and their siblings in
net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1); what a rule shows of itself comes first, what only the machine knows last.
"""

from __future__ import annotations

import errno
from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_pton

from ipvsnl.consts import AF_INET6, SCHEDULER_FLAGS
from ipvsnl.family import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvsnl.model import Daemon, Destination, Service

    Cause = tuple[str, str]
    """The field that is at fault (empty: none in particular), and the likely cause in words."""

SCHEDULERS = frozenset(
    (*SCHEDULER_FLAGS, "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sed", "nq", "fo", "ovf", "twos", "none")
)
MODULAR = frozenset(("twos",))
"""Those that the simulator has only where their module is asked for."""
SIMULATED = tuple(sorted(SCHEDULERS - MODULAR - {"none"}))
"""Those that the simulator always has; a kernel may have fewer, or others."""
ENGINES = ("sip",)
"""Persistence engines, the kernel's and the simulator's."""
_MOST_OF_MH = 4093
_OF_SERVICES = frozenset(
    (Command.NEW_SERVICE, Command.SET_SERVICE, Command.DEL_SERVICE, Command.GET_SERVICE, Command.ZERO)
)
_OF_SERVERS = frozenset((Command.NEW_DEST, Command.SET_DEST, Command.DEL_DEST, Command.GET_DEST))
_PRIVILEGE = (
    "netlink needs CAP_NET_ADMIN in the initial user namespace; root of a user namespace of its own (a rootless container, "
    "unshare -r -n) gets by with the kernel's old interface, and is refused, too, in a network namespace that is not its own"
)  # fmt: skip


def diagnose(
    number: int, command: int, service: Service | None, destination: Destination | None, daemon: Daemon | None = None,
    *, simulated: bool = False,
) -> Cause | None:  # fmt: skip
    """The likely cause of a refusal with errno ``number``; None where nothing is known beyond the number.

    ``simulated`` is a kernel that has no modules.
    """
    if number == errno.EPERM:
        return "", _PRIVILEGE
    if number == errno.EAFNOSUPPORT:
        return "family", "this kernel does not do that address family (is IPv6 disabled?)"
    if command in _OF_SERVERS:
        return _of_server(number, command, service, destination)
    if command in _OF_SERVICES:
        return _of_service(number, service, simulated)
    if command == Command.SET_CONFIG and number == errno.EINVAL:
        return "timeouts", "a timeout is negative, or longer than the kernel counts (some 21 million seconds at 100 Hz)"
    return _of_daemon(number, command, daemon)


def foresee(service: Service | None, server: Destination | None) -> int:
    """The errno of a refusal that is certain from the rule alone; 0 where the kernel has to be asked."""
    if server is not None:
        if server.weight < 0 or server.lower_threshold > server.upper_threshold:
            return errno.ERANGE
        mixed = service is not None and service.family != server.family and server.forwarding != "tunnel"
        return errno.EINVAL if mixed or (server.tunnel_type == "gue" and not server.tunnel_port) else 0
    mask = service.netmask if service is not None and service.family == AF_INET6 else None
    return errno.EINVAL if isinstance(mask, int) and not 1 <= mask <= 128 else 0


# --- virtual services ---


def _of_service(number: int, service: Service | None, simulated: bool) -> Cause | None:
    if number == errno.EEXIST:
        return "key", "the table has a service of that key already: edit it (-E)"
    if number == errno.ESRCH:
        return "key", "no service has that key: protocol, address and port, or mark and family, must all agree"
    if service is None:
        return None
    if number == errno.ENOENT:
        return _not_simulated(service) if simulated else _missing_module(service)
    if number == errno.EINVAL:
        mask = service.netmask
        if service.family == AF_INET6 and mask is not None and not (isinstance(mask, int) and 1 <= mask <= 128):
            return "netmask", "the prefix length of an IPv6 service is 1 to 128"
        if service.scheduler == "mh":
            return "scheduler", f"mh takes at most {_MOST_OF_MH} servers"
    return None


def _missing_module(service: Service) -> Cause:
    name, engine = service.scheduler, service.persistence_engine
    if engine and name in SCHEDULERS and engine != "sip":
        return "persistence_engine", f"no persistence engine {engine!r}: is there a module ip_vs_pe_{engine}?"
    if engine and name in SCHEDULERS:
        return "persistence_engine", f"module ip_vs_pe_{engine} or ip_vs_{name} is not there, or could not be loaded"
    if name in SCHEDULERS:
        return "scheduler", f"the scheduler's module is not there, or could not be loaded: modprobe ip_vs_{name}"
    return "scheduler", f"no scheduler is called {name!r}, and there is no module ip_vs_{name}"


def _not_simulated(service: Service) -> Cause:
    name, engine = service.scheduler, service.persistence_engine
    if engine and engine not in ENGINES and name in SIMULATED:
        return (
            "persistence_engine",
            f"the simulator has no persistence engine {engine!r}: it knows {', '.join(ENGINES)}",
        )
    if name in MODULAR:
        return "scheduler", (
            f"the simulated kernel has not loaded ip_vs_{name}: Kernel(modules=['ip_vs_{name}']), or --module ip_vs_{name} "
            "of the command that makes it"
        )  # fmt: skip
    return "scheduler", (
        f"the simulator has no scheduler {name!r}: it knows {', '.join(SIMULATED)}, and those of the Python files that "
        "IPVSSIM_SCHEDULERS names"
    )  # fmt: skip


# --- real servers ---


def _of_server(number: int, command: int, service: Service | None, server: Destination | None) -> Cause | None:
    if number == errno.ESRCH:
        return "service", "the service that it belongs to is not in the table: add it first"
    if number == errno.EEXIST:
        return "key", "the service has a server of that address and port already: edit it (-e)"
    if number == errno.ENOENT:
        return "key", "the service has no server of that address and port"
    if server is None:
        return None
    if number == errno.ERANGE:
        if server.weight < 0:
            return "weight", "a weight is not negative"
        return "lower_threshold", "the lower threshold is above the upper one (0 is none)"
    if number != errno.EINVAL:
        return None
    for look in (_mixed_families, _tunnel, _address):
        cause = look(service, server)
        if cause is not None:
            return cause
    if command == Command.NEW_DEST and server.family != AF_INET6:
        return "address", (
            "the broadcast address of a local network; or this network namespace never had an IPv4 address "
            "(ip link set lo up)"
        )  # fmt: skip
    return None


def _mixed_families(service: Service | None, server: Destination) -> Cause | None:
    if service is None or service.family == server.family:
        return None
    if server.forwarding != "tunnel":
        return "forwarding", "service and server are of different address families: only a tunnel joins those"
    return "address", "a synchronisation daemon runs: it excludes servers of another address family"


def _tunnel(_: Service | None, server: Destination) -> Cause | None:
    if server.tunnel_type == "gue" and not server.tunnel_port:
        return "tunnel_port", "a gue tunnel needs the port where it ends (--tun-port)"
    if server.upper_threshold > 0x7FFFFFFF:
        return "upper_threshold", "later kernels take thresholds up to 2147483647"
    return None


def _address(_: Service | None, server: Destination) -> Cause | None:
    if server.family == AF_INET6:
        packed = inet_pton(HOST_AF_INET6, server.address)
        odd = not any(packed) or packed[0] == 0xFF or packed[:12] == bytes(10) + b"\xff\xff"
        if odd or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80):
            return "address", "not a unicast address: unspecified, multicast, link-local or an IPv4 one in disguise"
        return None
    first = int(server.address.partition(".")[0])
    if server.address in ("0.0.0.0", "255.255.255.255") or 224 <= first < 240:
        return "address", "not a unicast address: unspecified, broadcast or multicast"
    return None


# --- daemons ---


def _of_daemon(number: int, command: int, daemon: Daemon | None) -> Cause | None:
    if command not in (Command.NEW_DAEMON, Command.DEL_DAEMON):
        return None
    device = f"{daemon.interface!r}" if daemon is not None else "that name"
    causes: dict[int, Callable[[], Cause]] = {
        errno.ENODEV: lambda: ("interface", f"this network namespace has no device {device}"),
        errno.EEXIST: lambda: ("role", "a daemon of that role runs already: stop it first"),
        errno.ESRCH: lambda: ("role", "no daemon of that role runs"),
        errno.ENETUNREACH: lambda: ("interface", f"the device {device} is down (ip link set up)"),
        errno.EADDRNOTAVAIL: lambda: ("interface", f"the device {device} has no address of the group's family"),
        errno.EINVAL: lambda: _unfit_daemon(daemon),
    }
    return causes[number]() if number in causes else None


def _unfit_daemon(daemon: Daemon | None) -> Cause:
    group = daemon.group if daemon is not None else None
    if group is not None and not (group[:2].lower() == "ff" if ":" in group else group[:3] in _GROUPS):
        return "group", "not a multicast address"
    return "", "some server is of another address family than its service: that excludes daemons"


_GROUPS = frozenset(str(number) for number in range(224, 240))

__all__ = ["SCHEDULERS", "diagnose", "foresee"]
