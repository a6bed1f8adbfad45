"""Bytes that no kernel sends, and records that nobody should make: a fault, the same one from both backends."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvsnl.backends import ctypes_
from ipvsnl.errors import DecodeError, EncodeError
from ipvsnl.family import CONFIG, DAEMON, DEST, INFO, SERVICE, Command
from tests.fuzz.material import REPLIES, attribute, everything, faults, message, outcome, pack, reading, reply, shapes
from tests.ipvsnl.twins import BACKENDS, native

if TYPE_CHECKING:
    from ipvsnl.backends.contract import Backend

FLIPS = 300
"""Damaged copies of each shape of reply."""


# --- cut -------------------------------------------------------------------------------------------------------------
def test_a_cut_datagram_is_a_fault() -> None:
    """Every reply cut at every byte is a fault of split, but at a message's border; both say the same."""
    for datagram in shapes():
        borders = {0, *(end + 3 & ~3 for *_, end in native.split(datagram))}
        for cut in range(len(datagram)):
            found = outcome(native.split, datagram[:cut])
            assert found == outcome(ctypes_.split, datagram[:cut])
            assert isinstance(found, list) == (cut in borders)


def test_a_cut_payload_is_a_fault_or_shorter() -> None:
    """A payload that ends early is a fault with the same words and offset in both, or the same shorter reading."""
    for datagram in shapes():
        for type, flags, _, _, start, end in native.split(datagram)[:1]:
            for cut in range(start, end):
                mine = everything(native, datagram, start, cut, flags)
                assert mine == everything(ctypes_, datagram, start, cut, flags)
                group = {Command.NEW_SERVICE: 0, Command.NEW_DEST: 1, Command.NEW_DAEMON: 2}.get(datagram[start])
                if type == 0xFFFF and group is not None:
                    assert faults(mine[group : group + 1]), "a container that is cut is always noticed"


# --- damaged ---------------------------------------------------------------------------------------------------------
def test_flipped_bytes() -> None:
    """Replies with bytes changed at random give a value or a DecodeError, the same in both; never anything else."""
    chance = random.Random(20)
    for datagram in shapes():
        for _ in range(FLIPS):
            damaged = bytearray(datagram)
            for _ in range(chance.choice((1, 1, 2, 8))):
                damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 4, 5, 255, chance.randrange(256)))
            hostile = bytes(damaged)
            assert reading(native, hostile) == reading(ctypes_, hostile), hostile.hex()
            start = min(16, len(hostile))
            assert everything(native, hostile, start, len(hostile)) == everything(
                ctypes_, hostile, start, len(hostile)
            ), hostile.hex()


PIECES = st.recursive(
    st.binary(max_size=24),
    lambda inner: st.lists(st.builds(attribute, st.integers(0, 18), inner), max_size=6).map(b"".join),
    max_leaves=12,
)
"""Attributes in attributes, some of them as the family has them."""


@given(PIECES, st.integers(0, 7), st.sampled_from((0, 0x200)))
@settings(max_examples=300, deadline=None)
def test_made_up_attributes(payload: bytes, before: int, flags: int) -> None:
    """Trees of attributes of any number and size are read the same by both, wherever they lie."""
    datagram = bytes(before) + bytes((1, 1, 0, 0)) + payload
    assert everything(native, datagram, before, len(datagram), flags) == everything(
        ctypes_, datagram, before, len(datagram), flags
    )


@given(st.binary(max_size=80), st.integers(-5, 90), st.integers(-5, 90))
@settings(deadline=None)
def test_any_bytes_and_bounds(datagram: bytes, start: int, end: int) -> None:
    """Any bytes and any bounds, even outside the datagram, are a value or the same DecodeError."""
    assert outcome(native.split, datagram) == outcome(ctypes_.split, datagram)
    assert everything(native, datagram, start, end) == everything(ctypes_, datagram, start, end)


# --- each fault, by its words ----------------------------------------------------------------------------------------
AF = attribute(1, b"\2\0")


def service_of(*inner: bytes) -> bytes:
    """A service's reply with these attributes."""
    return reply(1, attribute(1, b"".join(inner)))


FAULTS: list[tuple[str, bytes, str]] = [
    ("service", reply(1)[:18], "the message ends in its generic netlink header (at byte 16)"),
    ("service", reply(1), "the reply lacks the group (at byte 16)"),
    ("dest", reply(1, attribute(1, AF)), "the reply lacks the group (at byte 16)"),
    ("service", reply(1, attribute(1, b"\1")), "stray bytes after the last attribute (at byte 24)"),
    ("service", service_of(AF, b"\1\2\3"), "stray bytes after the last attribute (at byte 32)"),
    ("service", service_of(AF, attribute(2, b"", 3)), "the attribute is shorter than its header (at byte 32)"),
    ("service", service_of(AF, attribute(2, b"", 9)), "the attribute leaves its container (at byte 32)"),
    ("service", service_of(AF, attribute(2, b"\0" * 3)), "the integer is of another size (at byte 36)"),
    ("service", service_of(attribute(7, b"\0" * 4)), "the integer is of another size (at byte 28)"),
    ("service", service_of(attribute(10, attribute(1, b"\0" * 8))), "the integer is of another size (at byte 32)"),
    ("service", service_of(attribute(3, b"\0" * 17)), "more bytes than the attribute may have (at byte 28)"),
    ("service", service_of(attribute(6, b"rr")), "text without NUL (at byte 28)"),
    ("service", service_of(attribute(6, b"")), "text without NUL (at byte 28)"),
    ("service", service_of(attribute(6, b"x" * 16 + b"\0")), "text longer than the attribute may be (at byte 28)"),
    ("config", reply(12, attribute(4, b"\0" * 2)), "the integer is of another size (at byte 24)"),
]


@BACKENDS
@pytest.mark.parametrize(("group", "datagram", "words"), FAULTS)
def test_faults_say_what_and_where(backend: Backend, group: str, datagram: bytes, words: str) -> None:
    """Each kind of malformed reply has its own words, and the offset at which the trouble begins."""
    with pytest.raises(DecodeError) as caught:
        backend.decode(group, datagram, 16, len(datagram))
    assert str(caught.value) == words


def _error(number: int, echo: bytes = b"\x10" + bytes(15), *extack: bytes) -> bytes:
    return struct.pack("=i", number) + echo + b"".join(extack)


ERRORS: list[tuple[int, bytes, str]] = [
    (0, _error(0)[:19], "the message ends in its error number or the echoed header (at byte 0)"),
    (0, _error(1), "no error number (at byte 0)"),
    (0, _error(-4096), "no error number (at byte 0)"),
    (0, _error(-(2**31)), "no error number (at byte 0)"),
    (0x200, _error(-22, bytes(16)), "the echoed request leaves the message (at byte 4)"),
    (0x200, _error(-22, b"\x15" + bytes(15)), "the echoed request leaves the message (at byte 4)"),
    (0x300, _error(-22, bytes(16), attribute(1, b"no NUL")), "text without NUL (at byte 24)"),
    (0x300, _error(-22, bytes(16), attribute(2, b"\0" * 2)), "the integer is of another size (at byte 24)"),
]


@BACKENDS
@pytest.mark.parametrize(("flags", "payload", "words"), ERRORS)
def test_malformed_errors(backend: Backend, flags: int, payload: bytes, words: str) -> None:
    """Each kind of malformed NLMSG_ERROR has its own words."""
    with pytest.raises(DecodeError) as caught:
        backend.decode_error(flags, payload, 0, len(payload))
    assert str(caught.value) == words


@BACKENDS
def test_a_bare_echo_is_fine(backend: Backend) -> None:
    """Without TLVs the echo is not looked at: old kernels cut it without NLM_F_CAPPED. Words need not be UTF-8."""
    assert backend.decode_error(0, _error(-17, b"\xff" * 16), 0, 20) == (17, None, None)
    payload = _error(-22, bytes(16), attribute(1, b"n\xe9t\0more"), attribute(0x4002, b"\1\0\0\0"), attribute(9, b"?"))
    assert backend.decode_error(0x300, payload, 0, len(payload)) == (22, "n\ufffdt", 1)


# --- what is tolerated -----------------------------------------------------------------------------------------------
@BACKENDS
def test_what_is_passed_over(backend: Backend) -> None:
    """Unknown numbers, PAD of any size, type bits, bytes after a NUL and padding that is missing change nothing."""
    plain = service_of(attribute(1, b"\2\0"), attribute(6, b"rr\0"), attribute(10, attribute(1, b"\5\0\0\0")))
    stats = attribute(10 | 0x8000, attribute(11, b"pad") + attribute(0, b"") + attribute(1 | 0x4000, b"\5\0\0\0"))
    odd = service_of(attribute(300, b"?"), attribute(0, b""), stats, attribute(6, b"rr\0xyz"), AF[:6])
    wanted = backend.decode("service", plain, 16, len(plain))
    assert wanted == pack(SERVICE, af=2, sched_name=b"rr", stats_conns=5)
    assert backend.decode("service", odd, 16, len(odd)) == wanted


@BACKENDS
def test_the_last_of_a_repeated_attribute_wins(backend: Backend) -> None:
    """A repeated attribute replaces the earlier one whole: text, bytes, statistics, and the group itself."""
    first = [attribute(6, b"longer\0"), attribute(3, b"\1" * 16), attribute(10, attribute(1, b"\5\0\0\0"))]
    second = [attribute(6, b"s\0"), attribute(3, b"\2" * 4), attribute(10, attribute(2, b"\6\0\0\0"))]
    wanted = pack(SERVICE, sched_name=b"s", addr=b"\2" * 4, stats_inpkts=6)
    repeated = service_of(*first, *second)
    assert backend.decode("service", repeated, 16, len(repeated)) == wanted
    twice = reply(1, attribute(1, AF), attribute(1, b"".join(second)))
    assert backend.decode("service", twice, 16, len(twice)) == wanted


@BACKENDS
def test_info_and_an_empty_datagram(backend: Backend) -> None:
    """INFO's top level has its own numbers; nothing at all is no message, not a fault."""
    info = reply(14, attribute(1, struct.pack("=I", 0x10201)), attribute(2, struct.pack("=I", 4096)))
    assert backend.decode("info", info, 16, len(info)) == pack(INFO, version=0x10201, conn_tab_size=4096)
    assert backend.split(b"") == []


@BACKENDS
def test_more_messages_than_one_call_takes(backend: Backend) -> None:
    """A datagram of any number of messages is split whole, padded ones and an unpadded last one too."""
    for count in (0, 1, 127, 128, 129, 300):
        for last in (b"", message(b"x")[:17]):
            messages = backend.split(message(b"abc") * count + last)
            assert len(messages) == count + bool(last)
            assert all(end - start == 3 for *_, start, end in messages[:count])


# --- encoding --------------------------------------------------------------------------------------------------------
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"service": b""}, "service record: it ends elsewhere than its layout (at byte 0)"),
    ({"dest": bytes(DEST.record_size + 1)}, "dest record: it ends elsewhere than its layout (at byte 225)"),
    ({"config": b"\1" + bytes(15)}, "config record: an attribute is marked present that does not exist (at byte 0)"),
    (
        {"dest": pack(DEST, present=1 << 16)},
        "dest record: an attribute is marked present that does not exist (at byte ",
    ),
    ({"daemon": pack(DAEMON, mcast_ifn=b"x" * 16)}, "daemon record: text without NUL (at byte 17)"),
    ({"service": pack(SERVICE, sched_name=b"y" * 16)}, "service record: text without NUL (at byte "),
    ({"family_id": 2**16}, "the family's number, command, flags or sequence is out of range"),
    ({"command": -1}, "the family's number, command, flags or sequence is out of range"),
    ({"sequence": 2**32}, "the family's number, command, flags or sequence is out of range"),
    ({"flags": 2**80}, "the family's number, command, flags or sequence is out of range"),
]


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_mistakes_of_the_caller(mistake: dict[str, Any], words: str) -> None:
    """A record or number that the wire has no form for is an EncodeError that says whose and where, alike in both."""
    arguments = {"family_id": 28, "command": 1, "flags": 5, "sequence": 1, **mistake}
    said = []
    for backend in (native, ctypes_):
        with pytest.raises(EncodeError) as caught:
            backend.encode(**arguments)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert said[0].startswith(words)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            g.name: st.binary(min_size=g.record_size, max_size=g.record_size) for g in (SERVICE, DEST, DAEMON, CONFIG)
        },
    )
)
@settings(deadline=None)
def test_any_records(groups: dict[str, bytes]) -> None:
    """Any bytes of a record's size give a request, or an EncodeError, the same in both."""
    assert outcome(native.encode, 28, 1, 5, 1, **groups) == outcome(ctypes_.encode, 28, 1, 5, 1, **groups)


@BACKENDS
def test_family_names(backend: Backend) -> None:
    """A family's name of 15 characters fits; an empty, longer or unspeakable one is an EncodeError."""
    assert len(backend.encode_getfamily(1, "x" * 15)) == 40
    for name in ("", "x" * 16, "a\0b", "naïve", "\udcff"):
        with pytest.raises(EncodeError, match="1 to 15 ASCII characters"):
            backend.encode_getfamily(1, name)
    with pytest.raises(EncodeError, match="out of range"):
        backend.encode_getfamily(-1, "")


def test_the_longest_reply() -> None:
    """A whole 32 KB datagram of a dump is read alike by both."""
    assert reading(native, REPLIES[-1]) == reading(ctypes_, REPLIES[-1])
