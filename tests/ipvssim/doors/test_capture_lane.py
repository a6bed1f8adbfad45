"""A capture by the express lane: what comes of it is what comes of it packet by packet."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from struct import pack

import pytest

from ipvssim.doors.capture import Captured, play
from ipvssim.doors.captures import express, report, window
from ipvssim.doors.captures.files import CaptureError, Reader
from ipvssim.doors.captures.sides import Role
from ipvssim.kernel import Kernel
from ipvssim.lane import compiled
from ipvssim.lane.records import Records
from tests.ipvssim import worlds as w
from tests.ipvssim.doors import capture_streams as streams
from tests.ipvssim.doors import captured as c
from tests.places import DATA

pytestmark = pytest.mark.skipif(not compiled, reason="the express lane's C was not built")
CASES = sorted((DATA / "captures").glob("*.pcap*"))


def outcome(rules: str, source: Path, target: Path, *, lane: bool) -> tuple[object, ...]:
    kernel, counts, said = Kernel(rules), Captured(), ""
    try:
        play(kernel.director, source, target, counts=counts, lane=kernel._lane if lane else None)
    except CaptureError as wrong:
        said = str(wrong)
    left = target.read_bytes() if target.exists() else b""
    return said, list(report.lines(counts)), "".join(report.as_json(counts)), left


@pytest.mark.parametrize("part", range(4))
def test_random_captures_are_equal(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines, JSON, what leaves, counters and connections are the same to the byte, whatever the file and its pieces."""
    for seed in range(5 * part, 5 * part + 5):
        streams.run(seed, monkeypatch)


def test_random_captures_use_the_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """All kinds of packets are decided there, so that the comparison compares something."""
    seen: Counter[object] = Counter()
    took = express.Express.took

    def counted(self: express.Express) -> None:
        counts = self.shared.seen.counts
        seen.update(dict(zip(("", "known", "opened", "reply"), counts.kinds, strict=True)))
        seen.update({Role.LEFT: counts.left_server, Role.BACK: counts.left_client, "cut": counts.cut})
        took(self)

    monkeypatch.setattr(express.Express, "took", counted)
    for seed in range(1000, 1015):
        streams.run(seed, monkeypatch)
    assert all(seen[kind] > 5 for kind in ("known", "opened", "reply", Role.LEFT, Role.BACK, "cut"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_recorded_captures_are_equal(case: Path, tmp_path: Path) -> None:
    """The same of captures that real directors' machines made."""
    rules = case.with_name(case.name.split(".")[0] + ".rules")
    if not rules.exists():
        pytest.skip("it has no rules of its own")
    plain, found = (outcome(rules.read_text(), case, tmp_path / f"{lane}", lane=lane) for lane in (False, True))
    assert found == plain


@pytest.mark.parametrize("size", [1, 700])
def test_a_pipe_that_gives_little_is_read_as_it_comes(
    size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Records that come in many pieces are those that come in one."""
    (tmp_path / "in").write_bytes(c.classic("ethernet", c.session()))
    whole = outcome(c.RULES, tmp_path / "in", tmp_path / "whole", lane=True)
    monkeypatch.setattr(window, "PIECE", size)
    assert outcome(c.RULES, tmp_path / "in", tmp_path / "pieces", lane=True) == whole


def test_what_is_good_before_damage_is_played(tmp_path: Path) -> None:
    """A compressed file that breaks in its middle tells as much as read one by one, and names the packet."""
    data = gzip.compress(c.classic("ethernet", c.session() * 500), mtime=0)
    (tmp_path / "in").write_bytes(data[: len(data) // 2])
    plain, found = (outcome(c.RULES, tmp_path / "in", tmp_path / "out", lane=lane) for lane in (False, True))
    assert found == plain and "after packet" in str(plain[0])


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    """It is the packet of that number in the file, however many went by the lane before."""
    wires = c.session() * 200
    data = c.classic("ethernet", wires) + pack("<IIII", 0, 0, 1 << 30, 60)
    (tmp_path / "in").write_bytes(data)
    said, lines, _, _ = outcome(c.RULES, tmp_path / "in", tmp_path / "out", lane=True)
    assert said == f"{tmp_path / 'in'}: packet 1001: {1 << 30} bytes long: the file is damaged" and lines


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("blocks", [False, True], ids=["pcap", "pcapng"])
def test_records_are_those_of_the_reader(order: str, blocks: bool, tmp_path: Path) -> None:
    """Times, sizes, places: a record that C reads is the frame that Python reads."""
    wires = [*c.session(), *c.session(5_000_000)]
    made = (
        c.pcapng(["ethernet"], wires, order=order) if blocks else c.classic("ethernet", wires, order=order, nano=True)
    )
    (tmp_path / "in").write_bytes(made)
    with (tmp_path / "in").open("rb") as one, (tmp_path / "in").open("rb") as other:
        frames, reader, records = list(Reader(one, "in")), Reader(other, "in"), Records(0)
        first = [next(iter(reader))] if blocks else []
        plain = reader.plain()
        assert plain is not None and reader.window.fill() | bool(reader.window.ahead)
        raw = reader.window.ahead
        records.alike(
            plain.order, blocks=plain.blocks, head=plain.head, parts=plain.parts, link=plain.link, offset=plain.offset,
            interface=0,
        )  # fmt: skip
        assert not records.read(raw, 0) and records.count == len(frames) - len(first) and records.at == len(raw)
    rows = [(row.when, raw[row.start : row.start + row.kept], row.size) for row in records.rows[0 : records.count]]
    assert rows == [(one.when, one.data, one.size) for one in frames[len(first) :]]


def _late(records: Records) -> None:
    for number in range(records.count):
        records._times[number] += 10_000_000 * (number % 7)
        records.rows[number].when += 1


def _moved(records: Records) -> None:
    for number in range(0, records.count, 3):
        records.rows[number].start += 1


def _next(records: Records) -> None:
    for number in range(records.count):
        records._offsets[number] = records._offsets[number + 1]


@pytest.mark.parametrize("mistake", [_late, _moved, _next], ids=["times", "places", "offsets"])
def test_mistake_is_found(mistake: streams.Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong time, a wrong place in the file or a wrong offset the comparison fails."""
    read = Records.read

    def wrong(self: Records, raw: bytes, at: int) -> bool:
        other = read(self, raw, at)
        mistake(self)
        return other

    monkeypatch.setattr(Records, "read", wrong)
    with pytest.raises(AssertionError):
        for seed in range(20):
            streams.run(seed, monkeypatch)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """What is held of a file is a piece of it."""
    with (tmp_path / "in").open("wb") as file:
        file.write(c.classic("ethernet", c.session()))
        piece = c.classic("ethernet", [c.Wire(5_000_000, w.tcp(payload=bytes(1000)))] * 1000)[24:]
        for _ in range(12):
            file.write(piece)
    kernel, longest = Kernel(c.RULES), 0

    def watched(packets: express.Express) -> express.Express:
        def going() -> object:
            nonlocal longest
            for one in packets:
                longest = max(longest, len(packets.reader.window.ahead))
                yield one

        return going()  # type: ignore[return-value]

    play(kernel.director, tmp_path / "in", lane=kernel._lane, watched=watched)  # type: ignore[arg-type]
    assert (tmp_path / "in").stat().st_size > 3 * window.PIECE and longest < 2 * window.PIECE
