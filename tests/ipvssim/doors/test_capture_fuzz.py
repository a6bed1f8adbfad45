"""Captures from nobody knows where: whatever the bytes, there is a result or one CaptureError, and soon."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim.doors.capture import Captured, play
from ipvssim.doors.captures import marks, report
from ipvssim.doors.captures.files import CaptureError
from ipvssim.kernel import Kernel
from tests.ipvssim import worlds as w
from tests.ipvssim.doors import captured as c

RULES = """
-A -t 203.0.113.1:80 -s wlc -p 60
-a -t 203.0.113.1:80 -r 10.0.0.10:8080 -m
-a -t 203.0.113.1:80 -r 10.0.0.11:80 -i --tun-type gue --tun-port 6080
-a -t 203.0.113.1:80 -r 10.0.0.12:80 -i --tun-type gre
-A -u 203.0.113.1:80 -s rr -o
-a -u 203.0.113.1:80 -r 10.0.0.13 -g
-A -f 7 -s lblc
-a -f 7 -r 10.0.0.10 -g
"""
WIRES = [
    *c.session(),
    c.Wire(5, w.udp(), interface=0), c.Wire(6, w.udp(), c.DIRECTOR, bytes(6), out=True),
    c.Wire(7, w.ip(w.CLIENT, bytes((10, 0, 0, 12)), 47, b"\0\0\x08\0" + w.tcp())),
    c.Wire(8, w.ip(w.CLIENT, bytes((10, 0, 0, 11)), 17, b"\0\1\x17\xc0\0\x60\0\0\0\4\0\0" + w.tcp())),
    c.Wire(9, w.icmp(3, 1, 0, w.tcp())),
]  # fmt: skip
FILES = [c.classic(link, WIRES, order=order) for link in c.LINKS for order in "<>"]
FILES += [c.pcapng([link], WIRES, order=order, kind=kind) for link in c.LINKS for order in "<>" for kind in (6, 3, 2)]

changes = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "insert", "drop", "repeat"]), st.integers(0, 1 << 12),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xfc"])),
    ),
    max_size=6,
)  # fmt: skip


def changed(data: bytes, how: str, at: int, piece: bytes) -> bytes:
    at %= len(data) + 1
    return {
        "set": data[:at] + piece + data[at + len(piece) :],
        "cut": data[:at],
        "insert": data[:at] + piece + data[at:],
        "drop": data[:at] + data[at + len(piece) :],
        "repeat": data + data[at:],
    }[how]


@settings(max_examples=200, deadline=2000)
@given(st.sampled_from(FILES), changes)
def test_any_bytes_are_a_result_or_one_error(data: bytes, changes: list[tuple[str, int, bytes]]) -> None:
    """Mutated captures of every link and format never raise anything else, and what was found is always told."""
    for how, at, piece in changes:
        data = changed(data, how, at, piece)
    counts = Captured()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.write_bytes(data)
        try:
            play(Kernel(RULES).director, source, target, counts=counts, marks=[marks.read("udp -> 7")])
        except CaptureError as wrong:
            assert str(wrong).startswith(f"{source}: ") and "\n" not in str(wrong)
            assert not target.exists()
        else:
            assert target.stat().st_size >= 24
    assert list(report.lines(counts)) and json.loads("".join(report.as_json(counts)))["flows"] is not None
