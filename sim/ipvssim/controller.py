"""The generic-netlink controller ``nlctrl``: which families there are (net/netlink/genetlink.c, Linux 6.1).

Knows itself and the family ``IPVS``; a real kernel lists whatever else is loaded too.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT
from struct import Struct
from typing import Any, ClassVar

from ipvsnl.consts import CTRL_CMD_GETFAMILY, CTRL_CMD_NEWFAMILY, GENL_HEADER, GENL_ID_CTRL, NLMSG_HEADER
from ipvsnl.family import TOP_LEVEL, VERSION, Attribute, Kind, Table
from ipvssim.genl import Family
from ipvssim.namespace import Namespace
from ipvssim.policy import NESTED_BIT, Extack, attribute, describe, parse, rules

GETPOLICY = 10
_REQUEST = Table("controller", Attribute(1, "family_id", Kind.U16), Attribute(2, "family_name", Kind.STRING, 15))
_RULES = rules(_REQUEST)
_ID, _NAME, _VERSION, _HEADER_SIZE, _MAX_ATTRIBUTE, _OPS, _GROUPS, _POLICY, _OP_POLICY = 1, 2, 3, 4, 5, 6, 7, 8, 9
_OP_ID, _OP_FLAGS, _POLICY_DO = 1, 2, 1
_GROUP_NAME, _GROUP_ID = 1, 2
_CONTROLLER_OPS = ((CTRL_CMD_GETFAMILY, 0x0E), (GETPOLICY, 0x0C))
_U16, _U32 = Struct("=H"), Struct("=I")


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
        self._ids = {b"nlctrl": GENL_ID_CTRL, Family.NAME.encode(): family_id}

    def execute(self, _: int, data: bytes, at: int, length: int, extack: Extack) -> tuple[int, bytes, int]:
        """GETFAMILY by number or by name: the errno, and the reply's body and command."""
        error, family = self._asked(data, at, length, extack)
        if error:
            return error, b"", 0
        return 0, self._describe(family), CTRL_CMD_NEWFAMILY

    def check_dump(self, command: int, data: bytes, at: int, length: int, extack: Extack) -> int:
        """Whether a dump may start; GETPOLICY must name a family that exists."""
        return self._asked(data, at, length, extack)[0] if command == GETPOLICY else 0

    def entries(self, command: int, request: bytes, extack: Extack) -> tuple[int, list[Any]]:
        """What a dump goes through, with the command of its replies."""
        if command == CTRL_CMD_GETFAMILY:
            return CTRL_CMD_NEWFAMILY, list(self._ids.values())
        family = self._asked(request, 0, len(request), extack)[1]
        ours = family != GENL_ID_CTRL
        operations = [("operation", family, one) for one in Family.OPERATIONS if ours and one not in Family.ONLY_DUMPS]
        return GETPOLICY, operations + [("rule", family, one) for one in _TOP if ours]

    def body(self, entry: Any, kind: int, phase: int) -> bytes:
        """One entry of a dump whose message stands at ``phase`` of its datagram."""
        if kind == CTRL_CMD_NEWFAMILY:
            return self._describe(entry)
        what, family, number = entry
        start = attribute(_ID, _U16.pack(family))
        if what == "operation":
            inner = attribute(number | NESTED_BIT, _u32(_POLICY_DO, 0))
            return start + attribute(_OP_POLICY | NESTED_BIT, inner)
        headers = NLMSG_HEADER + GENL_HEADER + len(start) + 12
        inner = attribute(number | NESTED_BIT, describe(_TOP[number], phase + headers, self.namespace.padding))
        return start + attribute(_POLICY | NESTED_BIT, attribute(0 | NESTED_BIT, inner))

    def _asked(self, data: bytes, at: int, length: int, extack: Extack) -> tuple[int, int]:
        error, found = parse(data, at + NLMSG_HEADER + GENL_HEADER, at + length, _RULES, extack, at)
        if error:
            return error, 0
        number, name = found.payload(_ID), found.payload(_NAME)
        if name is not None:
            family = self._ids.get(name.split(b"\0")[0], 0)
        elif number is not None:
            wanted = _U16.unpack_from(number)[0]
            family = wanted if wanted in self._ids.values() else 0
        else:
            return EINVAL, 0
        return (0, family) if family else (ENOENT, 0)

    def _describe(self, family: int) -> bytes:
        ours = family != GENL_ID_CTRL
        name = Family.NAME.encode() if ours else b"nlctrl"
        operations = [(one, Family.operation_flags(one)) for one in Family.OPERATIONS] if ours else _CONTROLLER_OPS
        listed = b"".join(
            attribute(index, _u32(_OP_ID, number) + _u32(_OP_FLAGS, flags))
            for index, (number, flags) in enumerate(operations, start=1)
        )
        body = attribute(_NAME, name + b"\0") + attribute(_ID, _U16.pack(family))
        body += _u32(_VERSION, VERSION if ours else self.VERSION) + _u32(_HEADER_SIZE, 0)
        body += _u32(_MAX_ATTRIBUTE, Family.MAX_ATTRIBUTE if ours else 0) + attribute(_OPS, listed)
        if not ours:
            group = _u32(_GROUP_ID, GENL_ID_CTRL) + attribute(_GROUP_NAME, b"notify\0")
            body += attribute(_GROUPS, attribute(1, group))
        return body


_TOP = rules(TOP_LEVEL)
