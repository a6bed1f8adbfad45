"""Netlink messages as text for people who look for a fault: a message a line, by the tables of :mod:`ipvsnl.family`.

It takes whatever the bytes are: what it cannot read it shows in hexadecimal digits, and it never raises.
"""

from __future__ import annotations

import errno as _errno
from struct import error as StructError
from struct import unpack_from

from ipvsnl.address import unpack
from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    CTRL_ATTR_FAMILY_ID,
    CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY,
    CTRL_CMD_NEWFAMILY,
    GENL_HEADER,
    GENL_ID_CTRL,
    NLA_TYPE_MASK,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_HEADER,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
)
from ipvsnl.family import COMMAND_NAMES, INFO, NAME, TOP_LEVEL, Attribute, Command, Kind, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS = ((NLM_F_REQUEST, "request"), (NLM_F_MULTI, "multi"), (NLM_F_ACK, "ack"))
_NAMED = {NLMSG_NOOP: "NOOP", NLMSG_DONE: "DONE", NLMSG_OVERRUN: "OVERRUN"}
_CONTROL = {CTRL_CMD_GETFAMILY: "GETFAMILY", CTRL_CMD_NEWFAMILY: "NEWFAMILY"}
_CONTROL_ATTRIBUTES = Table(
    "control", Attribute(CTRL_ATTR_FAMILY_ID, "id", Kind.U16), Attribute(CTRL_ATTR_FAMILY_NAME, "name", Kind.STRING, 15)
)
_LETTERS = {Kind.U8: "=B", Kind.U16: "=H", Kind.U32: "=I", Kind.U64: "=Q", Kind.S32: "=i", Kind.BE16: "!H"}


def lines(datagram: bytes) -> Iterator[str]:
    """Every message of a datagram: ``seq 3 IPVS NEW_SERVICE request ack service(af=2 protocol=6 addr=192.0.2.1 port=80)``.

    Bytes that are no message end it, as ``12 bytes more: 0011...``.
    """
    here = 0
    while len(datagram) - here >= NLMSG_HEADER:
        length, kind, flags, sequence, _ = unpack_from("=IHHII", datagram, here)
        if not NLMSG_HEADER <= length <= len(datagram) - here:
            break
        yield f"seq {sequence} {_message(datagram[here : here + length], kind, flags)}"
        here += length + 3 & ~3
    if here < len(datagram):
        yield f"{len(datagram) - here} bytes more: {datagram[here : here + 32].hex()}"


def _message(message: bytes, kind: int, flags: int) -> str:
    if kind == NLMSG_ERROR and len(message) >= NLMSG_HEADER + 4:
        (number,) = unpack_from("=i", message, NLMSG_HEADER)
        return f"REFUSED {_errno.errorcode.get(-number, number)} ({-number})" if number else "ACK"
    if kind in _NAMED or len(message) < NLMSG_HEADER + GENL_HEADER:
        return _NAMED.get(kind, f"type {kind} {message[NLMSG_HEADER:].hex()}").rstrip()
    words = [word for bit, word in _FLAGS if flags & bit]
    if flags & NLM_F_REQUEST and flags & NLM_F_DUMP == NLM_F_DUMP:
        words.append("dump")
    command = message[NLMSG_HEADER]
    if kind == GENL_ID_CTRL:
        name, table = f"nlctrl {_CONTROL.get(command, command)}", _CONTROL_ATTRIBUTES
    else:
        name = f"{NAME} {COMMAND_NAMES.get(command, command)}"
        table = INFO if command == Command.SET_INFO else TOP_LEVEL
    said = _attributes(message[NLMSG_HEADER + GENL_HEADER :], table)
    return " ".join((name, *words, *said))


def _attributes(data: bytes, table: Table) -> list[str]:
    said: list[str] = []
    here = 0
    while len(data) - here >= 4:
        length, number = unpack_from("=HH", data, here)
        if not 4 <= length <= len(data) - here:
            said.append(f"cut short: {data[here:].hex()}")
            break
        payload = data[here + 4 : here + length]
        attribute = table.by_number.get(number & NLA_TYPE_MASK)
        if attribute is None:
            said.append(f"{number & NLA_TYPE_MASK}={payload.hex()}")
        elif attribute.kind != Kind.PAD:
            said.append(_attribute(attribute, payload))
        here += length + 3 & ~3
    return said


def _attribute(attribute: Attribute, payload: bytes) -> str:
    name = attribute.name
    if attribute.kind == Kind.NESTED and attribute.of is not None:
        return f"{name}({' '.join(_attributes(payload, attribute.of))})"
    try:
        if attribute.kind == Kind.FLAGS:
            flags, mask = unpack_from("=II", payload)
            return f"{name}={flags:#x}/{mask:#x}"
        if attribute.kind == Kind.STRING:
            return f"{name}={payload.rstrip(bytes(1)).decode(errors='replace')!r}"
        if attribute.kind == Kind.BYTES:
            return f"{name}={_address(payload)}"
        (value,) = unpack_from(_LETTERS[attribute.kind], payload)
    except (StructError, ValueError):
        return f"{name}={payload.hex() or 'empty'}"
    return f"{name}={value}"


def _address(payload: bytes) -> str:
    """An address; the field has no family of its own, so sixteen bytes that end in twelve zeroes are IPv4."""
    if len(payload) == 4 or (len(payload) == 16 and not any(payload[4:])):
        return unpack(AF_INET, payload)
    return unpack(AF_INET6, payload)
