"""The generic-netlink controller ``nlctrl``: which families there are (net/netlink/genetlink.c, Linux 6.1).

Knows itself and the family ``IPVS``; a real kernel lists whatever else is loaded too.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT
from functools import cache
from struct import Struct
from typing import Any, ClassVar

from ipvsnl.consts import CTRL_CMD_GETFAMILY, CTRL_CMD_NEWFAMILY, GENL_HEADER, GENL_ID_CTRL, NLMSG_HEADER
from ipvsnl.family import TOP_LEVEL, VERSION, Attribute, Kind, Table
from ipvssim.netlink.family import Family
from ipvssim.netlink.validation import NESTED_BIT, Extack, Rule, attribute, describe, parse, rules
from ipvssim.state.namespace import Namespace

GETPOLICY = 10
_REQUEST = Table("controller", Attribute(1, "family_id", Kind.U16), Attribute(2, "family_name", Kind.STRING, 15))
_POLICY_REQUEST = Table("controller's policies", *_REQUEST.attributes, Attribute(10, "op", Kind.U32))
_RULES, _POLICY_RULES = rules(_REQUEST), rules(_POLICY_REQUEST)
_ID, _NAME, _VERSION, _HEADER_SIZE, _MAX_ATTRIBUTE, _OPS, _GROUPS, _POLICY, _OP_POLICY = 1, 2, 3, 4, 5, 6, 7, 8, 9
_OP = 10
_OP_ID, _OP_FLAGS, _POLICY_DO, _POLICY_DUMP = 1, 2, 1, 2
_GROUP_NAME, _GROUP_ID = 1, 2
_CONTROLLER_OPS = ((CTRL_CMD_GETFAMILY, 0x0E), (GETPOLICY, 0x0C))
_U16, _U32 = Struct("=H"), Struct("=I")
_KNOWN: dict[tuple[bool, int, bytes], bytes] = {}
"""What a request for a family is answered, by whether policies are split, the number that IPVS has, and the request without
its netlink header; only what is not refused, for refusals are told with their place in the message."""
_MOST_KNOWN = 64


def _u32(number: int, value: int) -> bytes:
    return attribute(number, _U32.pack(value))


class Controller:
    """The controller of one namespace."""

    VERSION: ClassVar[int] = 2
    ADMIN: ClassVar[bool] = False
    LAST_LENIENT: ClassVar[int] = GETPOLICY
    OPERATIONS: ClassVar[tuple[int, ...]] = (CTRL_CMD_GETFAMILY, GETPOLICY)
    DUMPS: ClassVar[tuple[int, ...]] = OPERATIONS
    ONLY_DUMPS: ClassVar[tuple[int, ...]] = (GETPOLICY,)

    def __init__(self, namespace: Namespace, family_id: int) -> None:
        self.namespace = namespace
        self._family_id = family_id
        self._split = namespace.behaviours.split_policies
        self._names_dumps = namespace.behaviours.dump_ids
        self._ids = {b"nlctrl": GENL_ID_CTRL, Family.NAME.encode(): family_id}

    def execute(self, command: int, data: bytes, at: int, length: int, extack: Extack) -> tuple[int, bytes, int]:
        """GETFAMILY by number or by name: the errno, and the reply's body and command."""
        error, family, _ = self._asked(command, data, at, length, extack)
        if error:
            return error, b"", 0
        body = _described(family, self._split)
        if command == CTRL_CMD_GETFAMILY and len(_KNOWN) < _MOST_KNOWN:
            _KNOWN[self._split, self._family_id, bytes(data[at + NLMSG_HEADER : at + length])] = body
        return 0, body, CTRL_CMD_NEWFAMILY

    def known(self, data: bytes, at: int, length: int) -> bytes | None:
        """The body of the reply to a request that was made before, and was not refused: programs ask for the same
        family with each socket that they open."""
        return _KNOWN.get((self._split, self._family_id, bytes(data[at + NLMSG_HEADER : at + length])))

    def check_dump(self, command: int, data: bytes, at: int, length: int, extack: Extack) -> int:
        """Whether a dump may start; GETPOLICY must name a family that exists."""
        return self._asked(command, data, at, length, extack)[0] if command == GETPOLICY else 0

    def entries(self, command: int, request: bytes, extack: Extack) -> tuple[int, list[Any]]:
        """What a dump goes through, with the command of its replies."""
        if command == CTRL_CMD_GETFAMILY:
            return CTRL_CMD_NEWFAMILY, list(self._ids.values())
        _, family, only = self._asked(command, request, 0, len(request), extack)
        policies, operations = self._policies(family)
        listed: list[Any] = [("operation", family, one) for one in operations if only in (None, one[0])]
        used = {index for _, _, (_, uses) in listed for _, index in uses}
        for index, policy in enumerate(policies):
            listed += [("rule", family, (index, number, rule)) for number, rule in policy.items() if index in used]
        return GETPOLICY, listed

    def body(self, entry: Any, kind: int, phase: int) -> bytes:
        """One entry of a dump whose message stands at ``phase`` of its datagram."""
        if kind == CTRL_CMD_NEWFAMILY:
            return _described(entry, self._split)
        what, family, told = entry
        start = attribute(_ID, _U16.pack(family))
        if what == "operation":
            operation, uses = told
            inner = b"".join(_u32(use, index) for use, index in uses)
            return start + attribute(_OP_POLICY | NESTED_BIT, attribute(operation | NESTED_BIT, inner))
        first, second, third = told
        headers = NLMSG_HEADER + GENL_HEADER + len(start) + 12
        inner = attribute(second | NESTED_BIT, describe(third, phase + headers, self.namespace.padding))
        return start + attribute(_POLICY | NESTED_BIT, attribute(first | NESTED_BIT, inner))

    def _asked(self, command: int, data: bytes, at: int, length: int, extack: Extack) -> tuple[int, int, int | None]:
        """The errno, the family that a request names, and the operation, where it names one."""
        strict = command == GETPOLICY
        policy = _POLICY_RULES if strict else _RULES
        start = at + NLMSG_HEADER + GENL_HEADER
        error, found = parse(data, start, at + length, policy, extack, at, strict=strict)
        if error:
            return error, 0, None
        number, name, operation = found.payload(_ID), found.payload(_NAME), found.payload(_OP)
        if name is not None:
            family = self._ids.get(name.split(b"\0")[0], 0)
        elif number is not None:
            wanted = _U16.unpack_from(number)[0]
            family = wanted if wanted in self._ids.values() else 0
        else:
            return EINVAL, 0, None
        only = None if operation is None else _U32.unpack_from(operation)[0]
        if family and only is not None and all(one != only for one, _ in self._policies(family)[1]):
            family = 0
        return (0, family, only) if family else (ENOENT, 0, None)

    def _policies(self, family: int) -> Policies:
        if family != GENL_ID_CTRL:
            return _OURS
        return (_SPLIT if self._names_dumps else _NAMELESS) if self._split else _COMMON


@cache
def _described(family: int, split: bool) -> bytes:
    """What GETFAMILY tells of a family: of its number, and whether commands that only dump are told of without a policy."""
    ours = family != GENL_ID_CTRL
    name = Family.NAME.encode() if ours else b"nlctrl"
    operations = (
        [(one, Family.operation_flags(one, split=split)) for one in Family.OPERATIONS] if ours else _CONTROLLER_OPS
    )
    listed = b"".join(
        attribute(index, _u32(_OP_ID, number) + _u32(_OP_FLAGS, flags))
        for index, (number, flags) in enumerate(operations, start=1)
    )
    body = attribute(_NAME, name + b"\0") + attribute(_ID, _U16.pack(family))
    body += _u32(_VERSION, VERSION if ours else Controller.VERSION) + _u32(_HEADER_SIZE, 0)
    body += _u32(_MAX_ATTRIBUTE, Family.MAX_ATTRIBUTE if ours else 0) + attribute(_OPS, listed)
    if not ours:
        group = _u32(_GROUP_ID, GENL_ID_CTRL) + attribute(_GROUP_NAME, b"notify\0")
        body += attribute(_GROUPS, attribute(1, group))
    return body


Policies = tuple[tuple[dict[int, Rule], ...], list[tuple[int, tuple[tuple[int, int], ...]]]]
"""What GETPOLICY tells of a family: its policies, and of each operation which of them it has, to do and to dump."""
_OURS: Policies = (
    (rules(TOP_LEVEL),),
    [(one, ((_POLICY_DO, 0),)) for one in Family.OPERATIONS if one not in Family.ONLY_DUMPS],
)
_RULED = (_RULES, _POLICY_RULES)
_DUMPED = ((_POLICY_DUMP, 1),)
_BOTH = (CTRL_CMD_GETFAMILY, ((_POLICY_DO, 0), (_POLICY_DUMP, 0)))
_COMMON: Policies = (_RULED, [(CTRL_CMD_GETFAMILY, ((_POLICY_DO, 0),)), (GETPOLICY, _DUMPED)])
_SPLIT: Policies = (_RULED, [_BOTH, (GETPOLICY, _DUMPED)])
_NAMELESS: Policies = (_RULED, [_BOTH, (0, _DUMPED)])
"""The controller's own, where operations to do and to dump share a policy, where each has its own, and where those that only
dump have no number there."""
