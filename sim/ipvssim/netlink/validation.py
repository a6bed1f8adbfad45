"""Attribute validation as the kernel's liberal one: what too-short attributes get, and the words that go with it.

``__nla_validate_parse`` and ``validate_nla`` of lib/nlattr.c, ``netlink_policy_dump_write_attr`` of net/netlink/policy.c,
Linux 6.1. The rules themselves follow from the tables of :mod:`ipvsnl.family`. This is the exact and slow way to read a
request; :mod:`ipvssim.netlink.known_requests` is the fast one for requests that have been read this way before.
"""

from __future__ import annotations

from errno import EINVAL, ERANGE
from struct import Struct
from sys import byteorder

from ipvsnl.consts import (
    NLA_HEADER,
    NLA_TYPE_MASK,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_ECHO,
    NLM_F_REQUEST,
    NLMSG_HEADER,
    NLMSGERR_ATTR_MSG,
    NLMSGERR_ATTR_OFFS,
    NLMSGERR_ATTR_POLICY,
)
from ipvsnl.family import Attribute, Kind, Table

_HEADER = Struct("=HH")
NESTED_BIT = 0x8000
FAILED = b"Attribute failed policy validation"
UNKNOWN = b"Unknown attribute type"
WRONG_LENGTH = b"invalid attribute length"
LEFTOVER = b"bytes leftover after parsing attributes"

_TYPE_U8, _TYPE_U16, _TYPE_U32, _TYPE_NUL_STRING, _TYPE_NESTED = 2, 3, 4, 12, 13
_POLICY_TYPE, _POLICY_MIN_U, _POLICY_MAX_U, _POLICY_MAX_LENGTH, _POLICY_PAD = 1, 4, 5, 7, 11


class Rule:
    """What one attribute has to be. ``shape`` is ``least`` (bytes), ``most`` (bytes), ``string`` (characters), ``nested``
    or ``any``; ``described`` is the number by which the kernel names the type, 0 where it says nothing about it."""

    __slots__ = ("described", "shape", "size")

    def __init__(self, shape: str, size: int = 0, described: int = 0) -> None:
        self.shape = shape
        self.size = size
        self.described = described

    def violation(self, payload: bytes) -> int:
        """0, or the errno of a payload that breaks the rule."""
        length = len(payload)
        if self.shape == "least":
            return ERANGE if length < self.size else 0
        if self.shape == "most":
            return ERANGE if length > self.size else 0
        if self.shape == "nested":
            return ERANGE if 0 < length < NLA_HEADER else 0
        if self.shape == "string":
            if b"\0" not in payload[: self.size + 1]:
                return EINVAL
            return ERANGE if length - (payload[-1] == 0) > self.size else 0
        return 0


def rules(table: Table) -> dict[int, Rule]:
    """The kernel's policy for a table."""
    return {attribute.number: _rule(attribute) for attribute in table.attributes}


_INTEGERS = {
    Kind.U8: Rule("least", 1, _TYPE_U8),
    Kind.U16: Rule("least", 2, _TYPE_U16),
    Kind.BE16: Rule("least", 2, _TYPE_U16),
    Kind.U32: Rule("least", 4, _TYPE_U32),
    Kind.S32: Rule("least", 4, _TYPE_U32),
}


def _rule(attribute: Attribute) -> Rule:
    if attribute.kind in _INTEGERS:
        return _INTEGERS[attribute.kind]
    if attribute.kind == Kind.STRING:
        return Rule("string", attribute.size, _TYPE_NUL_STRING)
    if attribute.name == "mcast_group":  # a number to the kernel
        return _INTEGERS[Kind.U32]
    if attribute.name == "mcast_group6":
        return Rule("least", attribute.size)
    if attribute.kind in (Kind.BYTES, Kind.FLAGS):
        return Rule("most", attribute.size)
    if attribute.kind == Kind.NESTED and attribute.name != "stats64":  # which has no policy
        return Rule("nested", 0, _TYPE_NESTED)
    return Rule("any")


class Extack:
    """What the kernel has to say beside the errno: words, the offset of an attribute in the message, its rule."""

    __slots__ = ("message", "offset", "rule")

    def __init__(self) -> None:
        self.message = b""
        self.offset = 0
        self.rule: Rule | None = None

    def fail(self, offset: int, rule: Rule | None, words: bytes = FAILED) -> None:
        """An attribute broke its policy, or has none."""
        self.message, self.offset, self.rule = words, offset, rule

    def encode(self, error: bool, start: int, padding: bool) -> bytes:
        """The attributes of an acknowledgement, which begin ``start`` bytes into their datagram."""
        data = attribute(NLMSGERR_ATTR_MSG, self.message + b"\0") if self.message else b""
        if error and self.offset:
            data += attribute(NLMSGERR_ATTR_OFFS, self.offset.to_bytes(4, byteorder))
        if error and self.rule is not None and self.rule.described:
            inner = describe(self.rule, start + len(data) + NLA_HEADER, padding)
            data += attribute(NLMSGERR_ATTR_POLICY | NESTED_BIT, inner)
        return data


def describe(rule: Rule, start: int, padding: bool) -> bytes:
    """The kernel's description of a rule, as nested attributes that begin ``start`` bytes into their datagram."""
    data = b""
    if rule.described in (_TYPE_U8, _TYPE_U16, _TYPE_U32):
        for number, value in ((_POLICY_MIN_U, 0), (_POLICY_MAX_U, (1 << 8 * rule.size) - 1)):
            if padding and (start + len(data)) % 8 == 0:
                data += attribute(_POLICY_PAD, b"")
            data += attribute(number, value.to_bytes(8, byteorder))
    elif rule.described == _TYPE_NUL_STRING:
        data += attribute(_POLICY_MAX_LENGTH, rule.size.to_bytes(4, byteorder))
    return data + attribute(_POLICY_TYPE, rule.described.to_bytes(4, byteorder))


def attribute(number: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = NLA_HEADER + len(payload)
    return _HEADER.pack(length, number) + payload + bytes(-length % 4)


class Found:
    """The attributes of one level: by number (type bits masked off, the last of several), and as they stood.

    ``layout`` has (number, offset of the header, length with the header) of every attribute in order, ``tail`` is the
    number of bytes left over.
    """

    __slots__ = ("by_number", "layout", "tail")

    def __init__(self) -> None:
        self.by_number: dict[int, tuple[int, bytes]] = {}
        self.layout: list[tuple[int, int, int]] = []
        self.tail = 0

    def payload(self, number: int) -> bytes | None:
        """The payload of an attribute, None where it is absent."""
        found = self.by_number.get(number)
        return None if found is None else found[1]


def parse(
    data: bytes,
    start: int,
    end: int,
    policy: dict[int, Rule],
    extack: Extack | None,
    base: int = 0,
    *,
    strict: bool = False,
) -> tuple[int, Found]:
    """Read the attributes in ``data[start:end]``; the errno is 0 or that of the first violation.

    ``base`` is where in ``data`` the request's nlmsghdr stands: extack counts offsets from there. ``strict`` is how the
    kernel treats newer commands: unknown attributes, integers of another length and stray bytes are EINVAL.
    """
    found = Found()
    at = start
    while end - at >= NLA_HEADER:
        length, raw = _HEADER.unpack_from(data, at)
        if length < NLA_HEADER or length > end - at:
            break
        number = raw & NLA_TYPE_MASK
        found.layout.append((number, at, length))
        rule = policy.get(number)
        payload = data[at + NLA_HEADER : at + length]
        violation, words = _violation(rule, payload, strict=strict)
        if violation:
            if extack is not None:
                extack.fail(at - base, rule, words)
            return violation, found
        if rule is not None:
            found.by_number[number] = (at, payload)
        at += (length + 3) & ~3
    found.tail = end - at
    if found.tail > 0 and extack is not None:
        extack.message = LEFTOVER
    return (EINVAL if strict and found.tail > 0 else 0), found


def _violation(rule: Rule | None, payload: bytes, *, strict: bool) -> tuple[int, bytes]:
    if rule is None:
        return (EINVAL, UNKNOWN) if strict else (0, b"")
    if strict and rule.shape == "least" and rule.described and len(payload) != rule.size:
        return EINVAL, WRONG_LENGTH
    return rule.violation(payload), FAILED


_RESERVED = b"genlmsghdr.reserved field is not 0"
_AMBIGUOUS = b"ambiguous or reserved bits set in nlmsg_flags"


def refused_header(data: bytes, at: int, flags: int, extack: Extack) -> bool:
    """Commands newer than a family's old ones have their header's unused bits checked (``genl_header_check``)."""
    if data[at + NLMSG_HEADER + 2] or data[at + NLMSG_HEADER + 3]:
        extack.message = _RESERVED
    else:
        rest = flags & ~NLM_F_DUMP if flags & NLM_F_DUMP == NLM_F_DUMP else flags
        if rest & ~(NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO):
            extack.message = _AMBIGUOUS
    return bool(extack.message)
