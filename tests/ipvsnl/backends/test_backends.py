"""The two backends are one function: the same bytes, records and verdicts, and those of a recorded kernel."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from ipvsnl import backends, family
from ipvsnl.backends import _layout, choice, contract, ctypes_
from ipvsnl.consts import GENL_ID_CTRL, NLMSG_DONE, NLMSG_ERROR
from ipvsnl.family import CONFIG, DAEMON, DEST, SERVICE, Command
from tests.fuzz.material import (
    GROUPS,
    REPLIES,
    REQUESTS,
    SENT,
    VECTORS,
    attribute,
    attributes,
    faults,
    message,
    outcome,
    pack,
    reading,
    records,
    requests,
)
from tests.ipvsnl.twins import BACKENDS, BUILT, native

if TYPE_CHECKING:
    from ipvsnl.backends.contract import Backend


def test_the_core_is_built_in_ci() -> None:
    """Where CI is set, a missing C core is a failure, never a silent fallback to comparing ctypes with itself."""
    assert not os.environ.get("CI") or BUILT


# --- recorded traffic ------------------------------------------------------------------------------------------------
def test_twins_agree_on_recorded_replies() -> None:
    """Of every recorded reply both make the same messages, records, errors and extacks; none of them is a fault."""
    for reply in REPLIES:
        found = reading(native, reply)
        assert found == reading(ctypes_, reply), reply.hex()
        assert not faults(found), reply.hex()


def test_twins_agree_on_recorded_requests() -> None:
    """Every recorded request, malformed ones too, is split and read the same by both."""
    for request in REQUESTS:
        found = outcome(native.split, request)
        assert found == outcome(ctypes_.split, request), request.hex()
        for _, _, _, _, start, end in [] if isinstance(found, tuple) else found:
            for group in GROUPS:
                mine = outcome(native.decode, group.name, request, start, end)
                assert mine == outcome(ctypes_.decode, group.name, request, start, end), request.hex()


@BACKENDS
def test_errors_are_those_the_kernel_named(backend: Backend) -> None:
    """An NLMSG_ERROR's errno is the one that the recorder of the vectors read from it, 0 where it wrote OK."""
    counted: Counter[str] = Counter()
    for vector in VECTORS:
        for datagram, result in zip(map(bytes.fromhex, vector["replies"]), vector["result"], strict=True):
            numbers = [
                backend.decode_error(flags, datagram, start, end)[0]
                for type, flags, _, _, start, end in backend.split(datagram)
                if type == NLMSG_ERROR
            ]
            if result is not None:
                counted[result] += 1
                words = "OK" if numbers[0] == 0 else "-" + _errno_name(numbers[0])
                assert words == result, vector["name"]
    assert counted["OK"] > 100
    assert counted["-EINVAL"] > 50


def _errno_name(number: int) -> str:
    import errno

    return {95: "EOPNOTSUPP"}.get(number) or errno.errorcode[number]


@BACKENDS
def test_extacks_are_read(backend: Backend) -> None:
    """MSG and OFFS of a capped error, of an uncapped one (behind its echo), and of a DONE."""
    found: set[tuple[int, str | None, int | None]] = set()
    for datagram in REPLIES:
        for type, flags, _, _, start, end in backend.split(datagram):
            if type == NLMSG_ERROR:
                found.add(backend.decode_error(flags, datagram, start, end))
            elif type == NLMSG_DONE:
                found.add((-1, *backend.decode_done(flags, datagram, start, end)[1:]))
    assert (34, "Attribute failed policy validation", 20) in found
    assert (0, "bytes leftover after parsing attributes", None) in found
    assert (-1, "Attribute failed policy validation", None) in found
    assert (-1, None, None) in found


@BACKENDS
def test_the_family_is_found(backend: Backend) -> None:
    """The controller's recorded answer names the number that stands for the family (ff ff in the vectors)."""
    (vector,) = [vector for vector in VECTORS if vector["name"] == "ctrl_getfamily_by_name"]
    assert backend.encode_getfamily(1000, family.NAME).hex() == vector["request"]
    answer = bytes.fromhex(vector["replies"][0])
    ((type, _, sequence, port, start, end),) = backend.split(answer)
    assert (type, sequence, port) == (GENL_ID_CTRL, 1000, 0xBEEF)
    assert backend.decode_family_id(answer, start, end) == 0xFFFF


TCP4 = {"af": 2, "protocol": 6, "addr": bytes((10, 0, 0, 1)) + bytes(12), "port": 80}
RECORDED: list[tuple[str, int, dict[str, bytes]]] = [
    (
        "new_service_tcp4",
        Command.NEW_SERVICE,
        {
            "service": pack(
                SERVICE, **TCP4, sched_name=b"rr", flags=0, flags_mask=2**32 - 1, timeout=0, netmask=2**32 - 1
            )
        },
    ),
    ("del_service", Command.DEL_SERVICE, {"service": pack(SERVICE, **TCP4)}),
    ("new_daemon_master", Command.NEW_DAEMON, {"daemon": pack(DAEMON, state=1, mcast_ifn=b"d0", sync_id=5)}),
    (
        "set_config_all",
        Command.SET_CONFIG,
        {"config": pack(CONFIG, timeout_tcp=100, timeout_tcp_fin=20, timeout_udp=30)},
    ),
    ("flush_empty", Command.FLUSH, {}),
]


@BACKENDS
@pytest.mark.parametrize(("name", "command", "groups"), RECORDED, ids=[case[0] for case in RECORDED])
def test_requests_are_those_the_kernel_was_sent(
    backend: Backend, name: str, command: int, groups: dict[str, bytes]
) -> None:
    """Encoding the fields of a recorded request gives its bytes."""
    (vector,) = [vector for vector in VECTORS if vector["name"] == name]
    assert backend.encode(0xFFFF, command, 5, 1000, **groups).hex() == vector["request"]


@BACKENDS
def test_most_recorded_requests_come_back(backend: Backend) -> None:
    """Decoding and encoding a recorded request gives its bytes again, unless it is malformed or oddly ordered."""
    same = 0
    for request in REQUESTS:
        split = outcome(backend.split, request)
        if isinstance(split, tuple) or len(split) != 1 or split[0][0] != 0xFFFF or len(request) < 20:
            continue
        ((type, flags, sequence, _, start, end),) = split
        found = {group.name: outcome(backend.decode, group.name, request, start, end) for group in SENT}
        present = {name: record for name, record in found.items() if isinstance(record, bytes)}
        same += backend.encode(type, request[start], flags, sequence, **present) == request
    assert same > 380, "of 600 or so"


# --- round trips -----------------------------------------------------------------------------------------------------
@given(requests())
@settings(max_examples=200, deadline=None)
def test_records_survive_the_wire(groups: dict[str, bytes]) -> None:
    """Both write the same request of any records, and both read those records from it."""
    request = native.encode(28, 1, 5, 2**32 - 1, **groups)
    assert request == ctypes_.encode(28, 1, 5, 2**32 - 1, **groups)
    assert len(request) % 4 == 0
    for backend in (native, ctypes_):
        ((type, flags, sequence, port, start, end),) = backend.split(request)
        assert (type, flags, sequence, port, start, end) == (28, 5, 2**32 - 1, 0, 16, len(request))
        for name, record in groups.items():
            assert backend.decode(name, request, start, end) == record


@pytest.mark.parametrize("group", SENT, ids=lambda group: group.name)
def test_replies_are_read_wherever_they_lie(group: family.Group) -> None:
    """A record does not depend on where in a datagram its message lies: no backend needs alignment."""

    @given(records(group))
    @settings(max_examples=50, deadline=None)
    def law(record: bytes) -> None:
        request = native.encode(28, 1, 5, 1, **{group.name: record})
        for backend in (native, ctypes_):
            for before in range(1, 8):
                datagram = bytes(before) + request
                assert backend.decode(group.name, datagram, before + 16, len(datagram)) == record

    law()


def _unpadded(payload: bytes, stats: tuple[int, int]) -> bytes:
    """A group's payload as a kernel without PAD attributes writes it."""
    parts = []
    for number, inner in attributes(payload):
        if number in stats:
            inner = b"".join(attribute(*pair) for pair in attributes(inner) if pair[0] != 11)
        parts.append(attribute(number, inner))
    return b"".join(parts)


@BACKENDS
def test_padding_changes_nothing(backend: Backend) -> None:
    """Statistics with PAD attributes and without them (as hardware kernels send them) are the same record."""
    lengths = set()
    for datagram in REPLIES:
        for type, _, _, _, start, end in backend.split(datagram):
            group = family.REPLY_GROUPS.get(datagram[start]) if type == 0xFFFF else None
            if group in (SERVICE, DEST) and end - start <= 400:
                ((container, payload),) = attributes(datagram[start + 4 : end])
                bare = message(datagram[start : start + 4] + attribute(container, _unpadded(payload, (10, 12))))
                lengths.add((group.name, end - start + 16, len(bare)))
                assert backend.decode(group.name, bare, 16, len(bare)) == backend.decode(
                    group.name, datagram, start, end
                )
    assert {("service", 360, 320), ("service", 336, 292), ("dest", 400, 356)} <= lengths


def test_threads_share_nothing() -> None:
    """Calls from several threads at once, which C runs without Python's lock, do not see each other's buffers."""

    def work(mark: int) -> bool:
        record = pack(SERVICE, fwmark=mark)
        for sequence in range(2000):
            request = native.encode(28, 1, 5, sequence, service=record)
            ((_, _, found, _, start, end),) = native.split(request)
            if found != sequence or native.decode("service", request, start, end) != record:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


# --- layout ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_one_layout(group: family.Group) -> None:
    """A record's layout is one: family.py's, struct's of its format, ctypes' and the C compiler's."""
    record = _layout.LAYOUTS[group.name].record
    assert struct.calcsize(group.record_format) == group.record_size == ctypes.sizeof(record)
    for field in group.fields:
        place: Any = getattr(record, field.name or "reserved_")
        assert (place.offset, place.size) == (field.offset, field.size), field.name
    if not BUILT:
        return
    core = native.ffi
    assert core.sizeof(f"struct ipvsnl_{group.name}") == group.record_size
    for field in group.fields:
        assert core.offsetof(f"struct ipvsnl_{group.name}", field.name or "reserved_") == field.offset


def test_every_fault_has_words() -> None:
    """The codes of the C and the words of both backends are the same set; so are the two limits."""
    codes = {name.removeprefix("IPVSNL_") for name in native.ffi.typeof("enum ipvsnl_code").elements.values()}
    assert codes == {name for name in vars(contract.Fault) if name.isupper()} - {"RANGE"}
    assert native.lib.IPVSNL_FAMILY_NAME_MAX == contract.FAMILY_NAME_MAX
    assert native.lib.IPVSNL_ERRNO_MAX == contract.ERRNO_MAX


# --- the choice ------------------------------------------------------------------------------------------------------
def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPVSNL_BACKEND=ctypes and =native force a backend; anything else is an ImportError."""
    monkeypatch.setenv("IPVSNL_BACKEND", "ctypes")
    assert choice.chosen().name == "ctypes"
    monkeypatch.setenv("IPVSNL_BACKEND", "C")
    with pytest.raises(ImportError, match=r"IPVSNL_BACKEND is native or ctypes .* not 'C'"):
        choice.chosen()
    if BUILT:
        monkeypatch.setenv("IPVSNL_BACKEND", "native")
        assert choice.chosen().name == "native"


def test_a_forced_core_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the C core the one in ctypes serves, unless the C was forced: then it is an ImportError."""
    monkeypatch.delitem(sys.modules, "ipvsnl.backends.native", raising=False)
    monkeypatch.delattr(backends, "native", raising=False)
    monkeypatch.setitem(sys.modules, "ipvsnl._native._core", None)
    monkeypatch.delenv("IPVSNL_BACKEND", raising=False)
    assert choice.chosen().name == "ctypes"
    monkeypatch.setenv("IPVSNL_BACKEND", "native")
    with pytest.raises(ImportError, match="_core"):
        choice.chosen()
