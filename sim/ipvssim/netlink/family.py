"""The simulated generic-netlink family ``IPVS``: what each command reads, and in which order it refuses.

``ip_vs_genl_*`` of net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1. A request is read exactly once (``policy``), which teaches a
shape; requests of a known shape are read fast (``shapes``). What commands do is in ``commands``, what replies look like in
``replies``, the netlink around it in ``netlink``.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, ESRCH
from struct import Struct
from typing import Any, ClassVar

from ipvsnl.consts import GENL_HEADER, NLMSG_HEADER
from ipvsnl.family import CONFIG, DAEMON, DEST, MAX_ATTRIBUTE, NAME, SERVICE, TOP_LEVEL, VERSION, Command, Kind, Table
from ipvssim.netlink import replies
from ipvssim.netlink.commands import Commands
from ipvssim.netlink.known_requests import ABSENT, KnownRequest, learn
from ipvssim.netlink.validation import Extack, Found, parse, rules
from ipvssim.state.daemons import Daemon
from ipvssim.state.namespace import Namespace
from ipvssim.state.services import VirtualService

_TOP, _SERVICE, _DAEMON = rules(TOP_LEVEL), rules(SERVICE), rules(DAEMON)
_TUNNEL = ("tun_type", "tun_port", "tun_flags")
_KEY = ("s_af", "s_protocol", "s_addr", "s_port", "s_fwmark")
_SERVICE_REST = ("s_sched_name", "s_flags", "s_flags_mask", "s_timeout", "s_netmask")
_DEST_KEY = ("d_addr", "d_port")
_DEST_REST = ("d_fwd_method", "d_weight", "d_u_thresh", "d_l_thresh")
_DEST_OPTIONAL = ("d_addr_family", "d_tun_type", "d_tun_port", "d_tun_flags")
_SERVICE_FULL = (*_KEY, *_SERVICE_REST, "s_pe_name")
_DEST_FULL = (*_KEY, *_DEST_KEY, *_DEST_REST, *_DEST_OPTIONAL)
_ARGUMENTS = {
    Command.NEW_SERVICE: _SERVICE_FULL,
    Command.SET_SERVICE: _SERVICE_FULL,
    Command.DEL_SERVICE: _KEY,
    Command.NEW_DEST: _DEST_FULL,
    Command.SET_DEST: _DEST_FULL,
    Command.DEL_DEST: (*_KEY, *_DEST_KEY, "d_addr_family"),
    Command.ZERO: _KEY,
}
"""Commands that go by a service: what they take, in the order of the methods of :class:`Commands`."""
_DEST_COMMANDS = (Command.NEW_DEST, Command.SET_DEST, Command.DEL_DEST)
_READING = (Command.GET_SERVICE, Command.GET_DEST, Command.GET_DAEMON, Command.GET_CONFIG, Command.GET_INFO)
_ADDRESS_KEY = ("s_protocol", "s_addr", "s_port")
_SHAPES_PER_LENGTH = 8
_SHAPES = 1024
_HEADERS = NLMSG_HEADER + GENL_HEADER
_CAP_DUMP, _CAP_DO, _ADMIN, _HAS_POLICY = 4, 2, 1, 8
_STRUCTS = {
    Kind.U8: Struct("=B"), Kind.U16: Struct("=H"), Kind.BE16: Struct("=H"), Kind.U32: Struct("=I"), Kind.S32: Struct("=i"),
}  # fmt: skip
_FLAGS = Struct("=II")


class Family:
    """The family of one namespace."""

    NAME: ClassVar[str] = NAME
    VERSION: ClassVar[int] = VERSION
    ADMIN: ClassVar[bool] = True
    LAST_LENIENT: ClassVar[int] = Command.FLUSH
    MAX_ATTRIBUTE: ClassVar[int] = MAX_ATTRIBUTE
    DUMPS: ClassVar[tuple[int, ...]] = (Command.GET_SERVICE, Command.GET_DEST, Command.GET_DAEMON)
    ONLY_DUMPS: ClassVar[tuple[int, ...]] = (Command.GET_DEST, Command.GET_DAEMON)
    OPERATIONS: ClassVar[tuple[int, ...]] = (*range(1, 14), Command.GET_INFO, Command.ZERO, Command.FLUSH)

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        behaviours = namespace.behaviours
        self._lacking = len(_TUNNEL) if not behaviours.gue_tunnels else 0 if behaviours.gre_tunnels else 1
        """How many of the attributes about tunnels the release does not know, the last ones."""
        unknown = _TUNNEL[len(_TUNNEL) - self._lacking :]
        self._dest = Table("DEST", *(one for one in DEST.attributes if one.name not in unknown))
        self._dest_rules = rules(self._dest)
        self._commands = Commands(namespace)
        self._shapes: dict[int, list[KnownRequest]] = {}
        self._learnt = 0
        commands = self._commands
        self._by_service: dict[int, Callable[..., int]] = {
            Command.NEW_SERVICE: commands.new_service,
            Command.SET_SERVICE: commands.set_service,
            Command.DEL_SERVICE: commands.del_service,
            Command.NEW_DEST: commands.new_dest,
            Command.SET_DEST: commands.set_dest,
            Command.DEL_DEST: commands.del_dest,
            Command.ZERO: commands.zero,
        }

    @classmethod
    def operation_flags(cls, command: int, *, split: bool) -> int:
        """What the controller reports of a command; ``split`` where those that only dump have no policy."""
        only = command in cls.ONLY_DUMPS
        policy = 0 if only and split else _HAS_POLICY
        return _ADMIN | policy | (0 if only else _CAP_DO) | (_CAP_DUMP if command in cls.DUMPS else 0)

    # --- requests that are no dumps ---

    def fast(self, command: int, data: bytes, at: int, length: int) -> int | None:
        """Execute the request at ``at`` if it is of a known shape: 0 or the errno; None where it is not."""
        for shape in self._shapes.get(length << 8 | command, ()):
            values = shape.read(data, at + _HEADERS)
            if values is not None:
                self.namespace.changes += 1
                return shape.run(*values)
        return None

    def execute(self, command: int, data: bytes, at: int, length: int, extack: Extack) -> tuple[int, bytes, int]:
        """Execute any request: the errno, and the reply's body and command (0 where there is none)."""
        start = at + _HEADERS
        error, found = parse(data, start, at + length, _TOP, extack, at)
        if error:
            return error, b"", 0
        if command not in _READING:
            self.namespace.changes += 1
        if command in self._by_service and not (command == Command.ZERO and found.payload(1) is None):
            return self._run_by_service(command, data, at, length, found), b"", 0
        if command == Command.GET_SERVICE:
            return self._get_service(found)
        namespace = self.namespace
        if command == Command.GET_CONFIG:
            return 0, replies.config(*namespace.timeouts.astuple()), Command.SET_CONFIG
        if command == Command.GET_INFO:
            return 0, replies.info(namespace.connection_table_size), Command.SET_INFO
        if command == Command.SET_CONFIG:
            return self._set_config(found), b"", 0
        if command in (Command.NEW_DAEMON, Command.DEL_DAEMON):
            return self._set_daemon(command, data, at, found, extack), b"", 0
        return (self._commands.flush() if command == Command.FLUSH else self._commands.zero_all()), b"", 0

    def entries(self, command: int, request: bytes, extack: Extack) -> tuple[int, list[Any]]:
        """What a dump goes through, with the command of its replies."""
        if command == Command.GET_SERVICE:
            return Command.NEW_SERVICE, list(self.namespace.table.services())
        if command == Command.GET_DAEMON:
            return Command.NEW_DAEMON, list(self.namespace.daemons.running())
        error, found = parse(request, _HEADERS, len(request), _TOP, extack)
        values = {} if error else self._read_service(found)[1]
        service = self._found(values) if values else None
        return Command.NEW_DEST, list(service.servers()) if isinstance(service, VirtualService) else []

    def check_dump(self, command: int, data: bytes, at: int, length: int, extack: Extack) -> int:  # noqa: ARG002
        """Whether a dump may start: always."""
        return 0

    def body(self, entry: Any, kind: int, phase: int) -> bytes:
        """One entry of a dump whose message stands at ``phase`` of its datagram."""
        if kind == Command.NEW_SERVICE:
            return replies.service(entry, phase)
        return replies.dest(entry, phase, self._lacking) if kind == Command.NEW_DEST else replies.daemon(entry)

    # --- reading exactly ---

    def _read_service(self, found: Found) -> tuple[int, dict[str, Any]]:
        """The key of a request's service (what else it holds too); the errno is EINVAL where it is no key."""
        payload = found.payload(1)
        if payload is None:
            return EINVAL, {}
        error, inner = parse(payload, 0, len(payload), _SERVICE, None)
        values = {} if error else _values("s_", SERVICE, inner)
        whole = "s_af" in values and ("s_fwmark" in values or all(name in values for name in _ADDRESS_KEY))
        return (0, values) if whole else (EINVAL, {})

    def _found(self, values: dict[str, Any]) -> VirtualService | int | None:
        return self._commands.find(*[_argument(values, name) for name in _KEY])

    def _run_by_service(self, command: int, data: bytes, at: int, length: int, found: Found) -> int:
        error, values = self._read_service(found)
        if error:
            return error
        service = self._found(values)
        if isinstance(service, int):
            return service
        if command in (Command.NEW_SERVICE, Command.SET_SERVICE) and not all(name in values for name in _SERVICE_REST):
            return EINVAL
        if service is None and command != Command.NEW_SERVICE:
            return ESRCH
        if command in _DEST_COMMANDS:
            error = self._read_dest(found, values, full=command != Command.DEL_DEST)
            if error:
                return error
        self._learn(command, data, at, length)
        return self._by_service[command](*[_argument(values, name) for name in _ARGUMENTS[command]])

    def _read_dest(self, found: Found, values: dict[str, Any], *, full: bool) -> int:
        payload = found.payload(2)
        if payload is None:
            return EINVAL
        error, inner = parse(payload, 0, len(payload), self._dest_rules, None)
        if error:
            return EINVAL
        values |= _values("d_", self._dest, inner)
        needed = (*_DEST_KEY, *_DEST_REST) if full else _DEST_KEY
        return 0 if all(name in values for name in needed) else EINVAL

    def _learn(self, command: int, data: bytes, at: int, length: int) -> None:
        known = self._shapes.setdefault(length << 8 | command, [])
        if len(known) >= _SHAPES_PER_LENGTH or self._learnt >= _SHAPES:
            return
        groups: list[tuple[str, int, Table]] = [("s_", 1, SERVICE)]
        if command in _DEST_COMMANDS:
            groups.append(("d_", 2, self._dest))
        start = at + _HEADERS
        shape = learn(data, start, at + length, groups, _ARGUMENTS[command], self._by_service[command])
        if shape is not None:
            known.append(shape)
            self._learnt += 1

    def _get_service(self, found: Found) -> tuple[int, bytes, int]:
        error, values = self._read_service(found)
        if error:
            return error, b"", 0
        service = self._found(values)
        if service is None or isinstance(service, int):
            return service or ESRCH, b"", 0
        phase = 0 if self.namespace.padding else replies.UNPADDED
        return 0, replies.service(service, phase), Command.NEW_SERVICE

    def _set_config(self, found: Found) -> int:
        values = _values("", CONFIG, found)
        now = self.namespace.timeouts.astuple()
        names = [one.name for one in CONFIG.attributes]
        return self._commands.set_config(*[values.get(name, old) for name, old in zip(names, now, strict=True)])

    def _set_daemon(self, command: int, data: bytes, at: int, found: Found, extack: Extack) -> int:
        outer = found.by_number.get(3)
        if outer is None:
            return EINVAL
        start = outer[0] + 4
        error, inner = parse(data, start, start + len(outer[1]), _DAEMON, extack, at)
        if error:
            return EINVAL
        values = _values("", DAEMON, inner)
        daemons = self.namespace.daemons
        try:
            if command == Command.NEW_DAEMON:
                wanted = _daemon(values)
                if wanted is None or self._commands.has_mixed():
                    return EINVAL
                daemons.start(wanted)
            elif "state" not in values:
                return EINVAL
            else:
                daemons.stop(values["state"])
        except OSError as refused:
            return refused.errno or EINVAL
        return 0


def _argument(values: dict[str, Any], name: str) -> Any:
    return values[name] if name in values else ABSENT[name[2:]]


def _values(prefix: str, table: Table, found: Found) -> dict[str, Any]:
    """The values of the attributes by name; what is longer than it needs to be is cut, what may be shorter is extended."""
    values: dict[str, Any] = {}
    for one in table.attributes:
        payload = found.payload(one.number)
        if payload is None:
            continue
        name = prefix + one.name
        if one.kind in _STRUCTS:
            values[name] = _STRUCTS[one.kind].unpack_from(payload)[0]
        elif one.kind == Kind.FLAGS:
            values[name], values[f"{name}_mask"] = _FLAGS.unpack(payload.ljust(8, b"\0"))
        elif one.kind == Kind.BYTES:
            values[name] = payload[: one.size].ljust(one.size, b"\0")
        elif one.kind == Kind.STRING:
            values[name] = payload
    return values


def _daemon(values: dict[str, Any]) -> Daemon | None:
    """The daemon that NEW_DAEMON asks for; None where the kernel says EINVAL. The IPv4 group wins over the IPv6 one."""
    if not all(name in values for name in ("state", "mcast_ifn", "sync_id")):
        return None
    group = values.get("mcast_group", b"")
    if group and group[0] & 0xF0 != 0xE0:
        return None
    if not group:
        group = values.get("mcast_group6", b"")
        if group and group[0] != 0xFF:
            return None
    return Daemon(
        values["state"], values["mcast_ifn"].split(b"\0")[0], values["sync_id"], values.get("sync_maxlen", 0), group,
        values.get("mcast_port", 0), values.get("mcast_ttl", 0),
    )  # fmt: skip
