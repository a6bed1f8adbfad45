"""Rule text to requests in C, held against the two readers in Python: of plain lines, and of every other."""

from __future__ import annotations

import lzma
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvsnl.backends.contract import Stop
from ipvsnl.bulk.load import Progress
from ipvsnl.family import Command
from ipvsnl.text.grammar import parse
from ipvsnl.text.popt import UsageError
from ipvsnl.text.rules import PlainReader, split
from ipvsnl.wire import records
from tests.ipvsnl.twins import native
from tests.places import DATA

RULES = DATA / "rules"
COMMANDS = {
    "add-service": Command.NEW_SERVICE, "edit-service": Command.SET_SERVICE, "delete-service": Command.DEL_SERVICE,
    "add-server": Command.NEW_DEST, "edit-server": Command.SET_DEST, "delete-server": Command.DEL_DEST,
}  # fmt: skip


def read(backend: Any, text: bytes, **how: Any) -> tuple[Any, ...]:
    """Everything that :meth:`Backend.rules` gives for a text in one call."""
    progress = Progress()
    progress.sequence, progress.final = how.get("sequence", 1), how.get("final", True)
    progress.few = how.get("few", 0)
    progress.additions, progress.at = how.get("additions", False), how.get("at", 0)
    progress.dry = how.get("dry", False)
    out = bytearray(how.get("room", 200 * (text.count(b"\n") + 1)))
    origins = array("Q", bytes(16 * how.get("most", text.count(b"\n") + 1)))
    backend.rules(text, progress, 28, how.get("stops", b""), out, 0, origins, 0)
    return (
        progress.stop, progress.made, progress.at, progress.line, progress.sequence, bytes(out[: progress.length]),
        origins[: 0 if progress.dry else 2 * progress.made].tolist(), progress.last if progress.length else None,
        progress.edits,
    )  # fmt: skip


def by_grammar(line: str) -> bytes | None:
    """The request of a line as the command line's grammar reads it; None where it is refused or no rule."""
    try:
        request = parse([word for word in split(line) if word != "ipvsadm"], "ipvsadm", nested=True)
    except UsageError:
        return None
    command = COMMANDS.get(request.command)
    if command is None or request.service is None:
        return None
    whole = command in (Command.NEW_SERVICE, Command.SET_SERVICE)
    service = (records.service_record if whole else records.service_key)(request.service)
    server = None
    if request.destination is not None:
        key = command == Command.DEL_DEST
        server = (records.destination_key if key else records.destination_record)(request.destination)
    request_bytes: bytes = native.encode(28, command, 1, 1, service, server)
    return request_bytes


# --- lines, right and nearly right -----------------------------------------------------------------------------------

ports = st.sampled_from(["0", "80", "65535", "65536", "0080", "http", "", "8 0", "99999999999"])
hosts = st.sampled_from(
    ["10.0.0.1", "255.255.255.255", "0.0.0.0", "010.0.0.1", "1.2.3", "256.1.1.1", "[::1]", "[2001:db8::A]", "[::1",
     "[::ffff:1.2.3.4]", "[]", "[1.2.3.4]", "[fe80::1%lo]", "::1", "localhost", "1.2.3.4.5", "1..2.3", "0x7f.1"]
)  # fmt: skip
endpoints = st.builds("{}:{}".format, hosts, ports) | hosts
numbers = st.sampled_from(
    ["0", "1", "7", "300", "2678400", "2678401", "2147483647", "2147483648", "4294967295", "4294967296", "-1", "+1",
     "00000000001", "1x", "x", "65535", "65536"]
)  # fmt: skip
selectors = (
    st.builds("{} {}".format, st.sampled_from(["-t", "-u", "--sctp-service", "-tcp-service"]), endpoints)
    | st.builds("-f {}{}".format, numbers, st.sampled_from(["", " -6"]))
)  # fmt: skip
names = st.sampled_from(["rr", "wlc", "mh", "sh", "a" * 15, "a" * 16, "-s", "é", "no such"])
flags = st.sampled_from(
    ["flag-1", "flag-2,flag-3", "sh-port", "mh-fallback,mh-port", "sh-fallback,", ",", "x", "flag-1,,"]
)
service_options = st.lists(
    st.one_of(
        names.map("-s {}".format), numbers.map("-p {}".format), st.just("-p"), st.just("-o"), flags.map("-b {}".format),
        st.sampled_from(["-M 255.255.255.0", "-M 64", "-M 129", "-M 255.255.255.256", "--pe sip", "--pe " + "x" * 16]),
    ),
    max_size=4,
).map(" ".join)  # fmt: skip
server_options = st.lists(
    st.one_of(
        st.sampled_from(["-m", "-g", "-i", "-6"]), numbers.map("-w {}".format), numbers.map("-x {}".format),
        numbers.map("-y {}".format), numbers.map("--tun-port {}".format),
        st.sampled_from(["--tun-type gue", "--tun-type gre", "--tun-type ipip", "--tun-type x", "--tun-csum",
                         "--tun-nocsum", "--tun-remcsum", "--weight 3", "-w3"]),
    ),
    max_size=5,
).map(" ".join)  # fmt: skip
service_lines = st.builds("-{} {} {}".format, st.sampled_from("AED"), selectors, service_options)
server_lines = st.builds("-{} {} -r {} {}".format, st.sampled_from("aed"), selectors, endpoints, server_options)
farms = st.builds(
    lambda named, other, count: f"-A {named} -s mh -p 1\n" + f"-a {other} -r 10.0.0.1:1 -i\n" * count,
    st.shared(selectors, key="farm"), st.shared(selectors, key="farm") | selectors, st.integers(0, 3),
)  # fmt: skip
odd_lines = st.sampled_from(
    ["", "#", "-C", "-A", "-a -t", "-Z -t 1.2.3.4:5", "ipvsadm -A -t 1.2.3.4:5 -s rr", "-L", "\0"]
)
blanks = st.sampled_from([" ", "  ", "\t", " \r", "\0"])
lines = st.builds(lambda line, blank: line.replace(" ", blank), service_lines | server_lines | odd_lines, blanks)


@settings(max_examples=1500, deadline=None)
@given(lines)
def test_a_line_that_is_understood_means_what_the_grammar_says(line: str) -> None:
    """The request of a plain line is byte for byte that of the general reader; all others are left to it."""
    stop, made, *_, requests, _, _, _ = read(native, line.encode())
    assert made in (0, 1) and (made or stop == Stop.LINE or not line)
    if made:
        assert requests == by_grammar(line)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(lines | farms | st.binary(max_size=30).map(lambda data: data.decode("latin-1")), max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_a_text_is_read_line_by_line(parts: list[str], final: bool, additions: bool) -> None:
    """What is made of a text is what is made of its lines, up to the first that is not plain, or is no addition."""
    text = "\n".join(parts).encode()
    stop, made, at, _, _, requests, origins, _, edits = read(native, text, final=final, additions=additions)
    wanted: list[bytes] = []
    starts: list[int] = []
    changes = here = 0
    for number, one in enumerate(text.split(b"\n"), start=1):
        end = here + len(one) + 1
        request = read(native, one)[5]
        adds = request[16:17] in (bytes((Command.NEW_SERVICE,)), bytes((Command.NEW_DEST,)))
        if (end > len(text) and not final) or (one and (not request or (additions and not adds))):
            break
        if request:
            wanted.append(request[:8] + (len(wanted) + 1).to_bytes(4, "little") + request[12:])
            starts += [here, number]
            changes += not adds
        here = end
    assert (made, requests, origins, edits) == (len(wanted), b"".join(wanted), starts, changes)
    assert at == min(here, len(text)) and (stop == Stop.LINE or at == len(text) or not final)


@pytest.mark.parametrize("name", ["cluster-10k", "farm-1x4000", "mixed", "guide"])
def test_the_sample_files_are_plain(name: str) -> None:
    """Saved tables are read without the grammar: every line of them, and as the grammar would."""
    text = (RULES / f"{name}.rules").read_bytes()
    stop, made, at, line, *_ = read(native, text)
    assert (stop, made, at, line) == (Stop.END, text.count(b"\n"), len(text), text.count(b"\n") + 1)
    few = text.splitlines()[:200]
    assert [read(native, rule)[5] for rule in few] == [by_grammar(rule.decode()) for rule in few]


def test_a_hundred_thousand_lines_are_plain() -> None:
    """The large sample too, in the C."""
    text = lzma.decompress((RULES / "cluster-100k.rules.xz").read_bytes())
    stop, made, *_ = read(native, text)
    assert (stop, made) == (Stop.END, 100_000)


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=5).map("\n".join))
def test_what_python_calls_plain_c_reads_too(text: str) -> None:
    """The two plain readers do not disagree: what Python's reads of a line is what C's request says."""
    reader = PlainReader()
    for line in text.split("\n"):
        rule = reader(line)
        if rule is not None:
            operation, service, server = rule
            of = (records.service_key(service), records.destination_record(server)) if server else (
                records.service_record(service), None
            )  # fmt: skip
            assert (
                read(native, line.encode())[5] == native.encode(28, COMMANDS[operation], 1, 1, *of) == by_grammar(line)
            )


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=6).map("\n".join), st.booleans())
def test_a_dry_reading_stops_where_the_other_does(text: str, additions: bool) -> None:
    """It understands the same lines, and writes nothing."""
    wet = read(native, text.encode(), additions=additions)
    dry = read(native, text.encode(), additions=additions, dry=True, room=0, most=0)
    assert dry == (*wet[:4], 1, b"", [], None, wet[-1])


def delete(backend: Any, text: bytes, **how: Any) -> tuple[Any, ...]:
    """Everything that :meth:`Backend.deletions` gives for a text in one call."""
    progress = Progress()
    progress.sequence, progress.at = how.get("sequence", 1), how.get("at", len(text))
    out = bytearray(how.get("room", 200 * (text.count(b"\n") + 1)))
    origins = array("Q", bytes(16 * how.get("most", text.count(b"\n") + 1)))
    backend.deletions(text, progress, 28, out, 0, origins, 0)
    return (
        progress.made, progress.at, progress.sequence, bytes(out[: progress.length]),
        origins[: 2 * progress.made].tolist(), progress.last if progress.made else None,
    )  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(lines | farms, max_size=6).map("\n".join))
def test_deletions_are_of_the_services_added_the_last_one_first(text: str) -> None:
    """What is written is what lines with -D would write, in the reverse of the text's order, of its plain lines alone."""
    data = text.encode()
    got = delete(native, data)
    wanted: list[bytes] = []
    starts: list[int] = []
    here = 0
    for line in data.split(b"\n"):
        request = read(native, line)[5]
        if request and request[16] == Command.NEW_SERVICE:
            service = records.read_service(native.decode("service", request, 16, len(request))).service
            wanted.append(native.encode(28, Command.DEL_SERVICE, 1, len(wanted), records.service_key(service)))
            starts.append(here)
        here += len(line) + 1
    numbered = [request[:8] + (n + 1).to_bytes(4, "little") + request[12:] for n, request in enumerate(wanted[::-1])]
    assert got[0] == len(wanted) and got[1] == 0
    assert got[3] == b"".join(numbered)
    assert got[4] == [number for start in starts[::-1] for number in (start, 0)]


def test_deletions_stop_where_there_is_no_room_and_go_on() -> None:
    """Full buffers stop at their line; a place outside the text is an error."""
    text = b"-A -t 1.1.1.1:1 -s rr\n\n-a -t 1.1.1.1:1 -r 1.1.1.1:2 -m\n-A -t 1.1.1.1:2 -s mh\n -A -f 3 -s rr"
    made, at, sequence, requests, origins, last = delete(native, text)
    assert (made, at, sequence, origins) == (3, 0, 4, [77, 0, 55, 0, 0, 0])
    assert delete(native, text, most=1)[:3] == (1, 77, 2)
    assert delete(native, text, at=77, room=len(requests) - last)[:3] == (1, 22, 2)
    assert delete(native, text, at=55, sequence=2**32 - 1)[:3] == (1, 0, 1)
    assert delete(native, b"") == (0, 0, 1, b"", [], None)
    with pytest.raises(ValueError, match="leaves"):
        delete(native, text, at=len(text) + 1)


def test_stopping_and_going_on() -> None:
    """Full buffers, lines without an end, schedulers to stop at and what is no addition: each stops at its line."""
    text = b"-A -t 1.1.1.1:1 -s rr\n\n-A -t 1.1.1.1:2 -s mh\n-E -t 1.1.1.1:1 -s lc\n-A -t 1.1.1.1:3 -s rr"
    assert read(native, text, stops=b"mh\0")[:4] == (Stop.LINE, 1, 23, 3)
    assert read(native, text, additions=True)[:4] == (Stop.LINE, 2, 45, 4)
    assert read(native, text, final=False)[:4] == (Stop.END, 3, 67, 5)
    assert read(native, text)[:4] == (Stop.END, 4, len(text), 6)
    assert read(native, text, most=2)[:4] == (Stop.FULL, 2, 45, 4)
    assert read(native, text, room=150)[:4] == (Stop.FULL, 1, 23, 3)
    assert read(native, text, sequence=2**32 - 2)[4] == 3, "0 is no sequence number"
    assert read(native, text, at=len(text))[:2] == (Stop.END, 0)
    with pytest.raises(ValueError, match="leaves"):
        read(native, text, at=len(text) + 1)
