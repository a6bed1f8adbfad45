"""Recorded datagrams, records, and what a backend makes of bytes: a value, or a fault with its words and offset."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ipvsnl import family
from ipvsnl.consts import GENL_ID_CTRL, NLMSG_DONE, NLMSG_ERROR
from ipvsnl.errors import DecodeError, EncodeError
from tests.places import DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipvsnl.backends.contract import Backend
    from ipvsnl.family import Attribute, Group

VECTORS: list[dict[str, Any]] = [json.loads(line) for line in (DATA / "netlink-vectors.jsonl").read_text().splitlines()]
REPLIES = sorted({bytes.fromhex(reply) for vector in VECTORS for reply in vector["replies"]}, key=lambda d: (len(d), d))
"""Every recorded reply, once."""
REQUESTS = sorted({bytes.fromhex(hexa) for vector in VECTORS for hexa in (vector["request"], *vector["setup"])})
"""Every recorded request, once; some of them are malformed on purpose."""
GROUPS = [family.SERVICE, family.DEST, family.DAEMON, family.CONFIG, family.INFO]
SENT = [family.SERVICE, family.DEST, family.DAEMON, family.CONFIG]
"""The groups that a request has room for."""


def shapes() -> list[bytes]:
    """One short reply of each size, message type and command: enough to cut and to damage."""
    seen: dict[tuple[int, bytes, bytes], bytes] = {}
    for reply in REPLIES:
        if len(reply) <= 400:
            seen.setdefault((len(reply), reply[4:8], reply[16:18]), reply)
    return list(seen.values())


def outcome(call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """What a call gives: its value, or its fault. Any other exception than the two that are allowed goes through."""
    try:
        return call(*arguments, **more)
    except DecodeError as error:
        return ("DecodeError", str(error), error.offset)
    except EncodeError as error:
        return ("EncodeError", str(error))


def reading(backend: Backend, datagram: bytes) -> list[Any]:
    """A datagram read as a client would: each message by its type, each reply by its command's group."""
    found: list[Any] = [outcome(backend.split, datagram)]
    if isinstance(found[0], tuple):
        return found
    for type, flags, _, _, start, end in found[0]:
        if type == NLMSG_ERROR:
            found.append(outcome(backend.decode_error, flags, datagram, start, end))
        elif type == NLMSG_DONE:
            found.append(outcome(backend.decode_done, flags, datagram, start, end))
        elif type == GENL_ID_CTRL:
            found.append(outcome(backend.decode_family_id, datagram, start, end))
        elif end > start and datagram[start] in family.REPLY_GROUPS:
            group = family.REPLY_GROUPS[datagram[start]].name
            found.append(outcome(backend.decode, group, datagram, start, end))
    return found


def everything(backend: Backend, datagram: bytes, start: int, end: int, flags: int = 0x200) -> list[Any]:
    """One payload read as everything that it could be taken for."""
    found = [outcome(backend.decode, group.name, datagram, start, end) for group in GROUPS]
    found += [outcome(backend.decode_error, bits, datagram, start, end) for bits in (flags, flags | 0x100)]
    found.append(outcome(backend.decode_done, flags, datagram, start, end))
    found.append(outcome(backend.decode_family_id, datagram, start, end))
    return found


def faults(found: list[Any]) -> list[str]:
    """The words of the faults among outcomes."""
    return [item[1] for item in found if isinstance(item, tuple) and item and item[0] == "DecodeError"]


# --- attributes, to take messages apart and make hostile ones --------------------------------------------------------
def attribute(number: int, payload: bytes, length: int | None = None) -> bytes:
    """One attribute, padded; with a false ``length`` if wanted."""
    return (
        struct.pack("=HH", 4 + len(payload) if length is None else length, number) + payload + bytes(-len(payload) % 4)
    )


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes of well-formed bytes: (type, payload) each."""
    here = 0
    while here < len(data):
        length, number = struct.unpack_from("=HH", data, here)
        yield number, data[here + 4 : here + length]
        here += length + 3 & ~3


def message(payload: bytes, type: int = 28, flags: int = 0) -> bytes:
    """One message around a payload."""
    return struct.pack("=IHHII", 16 + len(payload), type, flags, 7, 9) + payload + bytes(-len(payload) % 4)


def reply(command: int, *attributes: bytes) -> bytes:
    """One reply of the family."""
    return message(bytes((command, 1, 0, 0)) + b"".join(attributes))


# --- records ---------------------------------------------------------------------------------------------------------
def pack(group: Group, **values: Any) -> bytes:
    """A record with these fields; the attributes that they belong to are present, the other fields zero."""
    present = 0
    for field in group.fields:
        if field.name in values:
            present |= 1 << field.attribute
    values.setdefault("present", present)
    named = [field for field in group.fields if field.name]
    return struct.pack(
        group.record_format, *(values.get(field.name, b"" if field.format[-1] == "s" else 0) for field in named)
    )


_RANGES = {"u8": (0, 2**8 - 1), "u32": (0, 2**32 - 1), "u64": (0, 2**64 - 1), "s32": (-(2**31), 2**31 - 1)}


def _values(attribute: Attribute) -> st.SearchStrategy[dict[str, Any]]:
    """The fields of one attribute, whatever the wire has a form for."""
    name = attribute.name
    if attribute.of is not None:
        counters = [inner for inner in attribute.of.attributes if inner.kind != "pad"]
        return st.fixed_dictionaries({f"{name}_{inner.name}": st.integers(*_RANGES[inner.kind]) for inner in counters})
    if attribute.kind == "flags":
        return st.fixed_dictionaries({key: st.integers(*_RANGES["u32"]) for key in (name, f"{name}_mask")})
    if attribute.kind == "bytes":
        return st.fixed_dictionaries({name: st.binary(min_size=attribute.size, max_size=attribute.size)})
    if attribute.kind == "string":
        letters = st.integers(1, 255)
        return st.fixed_dictionaries({name: st.lists(letters, max_size=attribute.size).map(bytes)})
    return st.fixed_dictionaries({name: st.integers(*_RANGES.get(attribute.kind, (0, 2**16 - 1)))})


def records(group: Group) -> st.SearchStrategy[bytes]:
    """Records of a group: any set of its attributes, any values."""

    def packed(parts: list[dict[str, Any]]) -> bytes:
        return pack(group, **{name: value for part in parts for name, value in part.items()})

    # Each attribute is there or not: none() stands for not.
    choices = [st.none() | _values(attribute) for attribute in group.attributes]
    return st.tuples(*choices).map(lambda parts: packed([part for part in parts if part is not None]))


def requests() -> st.SearchStrategy[dict[str, bytes]]:
    """Records for :meth:`Backend.encode`: any of the groups that a request has room for."""
    return st.fixed_dictionaries({}, optional={group.name: records(group) for group in SENT})
