"""Readers of files, for fuzzers: scenarios, traces, journals, saved tables, captures and what goes with them."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

from ipvsnl.tables.failures import JournalError
from ipvsnl.tables.journal import Journal
from ipvsnl.tables.plan import Plan
from ipvssim.doors.capture import play
from ipvssim.doors.captures import marks, start
from ipvssim.doors.captures.files import CaptureError
from ipvssim.doors.captures.files import Reader as CaptureReader
from ipvssim.doors.captures.links import announced, completed, unwrap
from ipvssim.doors.replay import Job, replay
from ipvssim.doors.traces import ReplayError
from ipvssim.kernel import Kernel
from ipvssim.lab.run.store import Journal as SweepJournal
from ipvssim.lab.scenario.definition import load
from ipvssim.lab.scenario.reader import ScenarioError
from ipvssim.state.namespace import RELEASE
from ipvssim.state.saving import MAGIC, StateError, dumped, restored
from tests.fuzz.law import Reader
from tests.fuzz.reader_texts import full_kernel, text_of
from tests.places import DATA, ROOT

SEPARATOR = b"\n--\n"
"""Between the files of an input that is two of them."""


# --- files that are read by their name ---


@cache
def _folder() -> Path:
    """A folder in memory, for this process; it goes when the process does."""
    held = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    _held.append(held)
    return Path(held.name)


_held: list[tempfile.TemporaryDirectory[str]] = []


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(handle, data)
    os.close(handle)
    return path


def _scenario(data: bytes) -> None:
    load(_file("fuzzed.toml", data))


def _scenarios() -> Iterator[bytes]:
    for file in sorted((ROOT / "sim" / "ipvssim" / "lab" / "gallery").glob("*.toml")):
        yield file.read_bytes()


def _trace(data: bytes) -> None:
    trace, separator, recording = data.partition(SEPARATOR)
    with patch.object(sys, "stderr", io.StringIO()):
        job = Job(_file("fuzzed.trace", trace), _file("fuzzed.kernel", recording) if separator else None)
        replay(job, check=bool(separator), release=RELEASE, out=io.StringIO())


def _traces() -> Iterator[bytes]:
    for file in sorted((DATA / "traces").glob("*.trace"))[::4]:
        lines, answers = file.read_bytes().splitlines(), file.with_suffix(".kernel").read_bytes().splitlines()
        short = [number for number, line in enumerate(lines[:25]) if len(line) < 400]
        steps = [number for number in short if number]
        yield b"\n".join([lines[0], *(lines[number] for number in steps)])
        yield (
            b"\n".join([lines[0], *(lines[number] for number in steps[:8])])
            + SEPARATOR
            + b"\n".join(answers[number - 1] for number in steps[:8])
        )


def _journal(data: bytes) -> None:
    journal = Journal("sim:/fuzzed")
    journal.path = _file("fuzzed.journal", data)
    found = journal.read()
    assert found is None or all(isinstance(one, str) for one in found.operations)


def _journals() -> Iterator[bytes]:
    journal = Journal("sim:/fuzzed")
    journal.path = _folder() / "seed.journal"
    journal.begin(Plan())
    yield journal.path.read_bytes()
    yield journal.path.read_bytes().replace(b"[]", b'["-A -t 10.0.0.1:80 -s rr", "-C"]')


def _sweep(data: bytes) -> None:
    path = _folder() / "fuzzed.csv"
    _file("fuzzed.csv.journal", data)
    SweepJournal(path, {"a": 1})


def _sweeps() -> Iterator[bytes]:
    path = _folder() / "seed.csv"
    journal = SweepJournal(path, {"a": 1})
    journal.add("key", {"value": 1.5})
    yield journal.path.read_bytes()


def _saved(data: bytes) -> None:
    """A saved table; with the first byte odd its checksum is made right."""
    import hashlib

    signed = data[:1] not in (b"", MAGIC[:1])
    text = MAGIC + b"1 sha256:" + hashlib.sha256(data).hexdigest().encode() + b"\n" + data if signed else data
    kernel = restored(text, Kernel)
    for listing in ("-Ln", "-Sn"):
        assert kernel.ipvsadm(*listing.split()).status == 0
    kernel.advance(200)
    again = dumped(kernel.namespace)
    assert dumped(restored(again, Kernel).namespace) == again


def _tables() -> Iterator[bytes]:
    for kernel in (Kernel(), full_kernel()):
        text = dumped(kernel.namespace)
        yield text
        yield text.partition(b"\n")[2]


def _starts(data: bytes) -> None:
    start.load(_empty_director().director, text_of(data))


def _empty_director() -> Kernel:
    kernel = Kernel()
    kernel.load(
        "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n-A -f 7 -6\n-a -f 7 -6 -r [fd00::1]:0 -g"
    )
    return kernel


def _connections() -> Iterator[bytes]:
    yield (
        b"IPVS connection entries\npro expire state       source             virtual            destination\n"
        b"TCP 14:59  ESTABLISHED 198.51.100.1:40000 192.0.2.1:80 10.0.0.1:80\n"
        b"TCP 00:59  NONE        198.51.100.1:0     192.0.2.1:80 10.0.0.1:80\n"
    )
    yield b"UDP 04:59  UDP [2001:db8::1]:40000 [2001:db8::2]:53 [fd00::1]:53\n"


def _marks() -> Iterator[bytes]:
    yield b"tcp src 198.51.100.0/24 dst 192.0.2.1 sport 1-9 dport 80,443,8000-8080 -> 0x7"
    yield b"icmpv6 dst 2001:db8::/32 -> 4294967295"


# --- captures ---


def _frames(data: bytes) -> None:
    reader = CaptureReader(io.BytesIO(data), "fuzzed")
    for frame in reader:
        link = unwrap(frame)
        announced(frame)
        if link is not None and link.data and frame.size > len(frame.data):
            completed(link.data)


def _capture(data: bytes) -> None:
    """The whole way: played, compared, written."""
    play(_empty_director().director, _file("fuzzed.pcap", data), _folder() / "out.pcap")


def _captures() -> Iterator[bytes]:
    import gzip

    for file in sorted((DATA / "captures").glob("*.pcap")):
        yield file.read_bytes()[:1500]
    yield gzip.compress(file.read_bytes()[:300])
    section = bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000")
    interface = bytes.fromhex("0100000014000000010000000000040014000000")
    packet = bytes.fromhex("4500001c000100004011" + "0000" + "c6336401c0000201" + "9c40003500080000")
    body = bytes.fromhex("000000000000000000000000") + len(packet).to_bytes(4, "little") * 2 + packet
    length = (12 + len(body)).to_bytes(4, "little")
    raw = interface.replace(b"\x14\0\0\0\1\0", b"\x14\0\0\0\x65\0", 1)
    yield section + raw + b"\6\0\0\0" + length + body + length
    simple = len(packet).to_bytes(4, "little") + packet
    short = (12 + len(simple)).to_bytes(4, "little")
    yield section + raw + b"\3\0\0\0" + short + simple + short


READERS = [
    Reader("scenario", _scenario, (ScenarioError,), _scenarios),
    Reader("trace", _trace, (ReplayError,), _traces),
    Reader("journal", _journal, (JournalError,), _journals),
    Reader("sweep", _sweep, (ScenarioError,), _sweeps),
    Reader("saved", _saved, (StateError,), _tables),
    Reader("start", _starts, (ValueError,), _connections),
    Reader("mark", lambda data: marks.read(text_of(data)), (ValueError,), _marks),
    Reader("frames", _frames, (CaptureError,), _captures),
    Reader("capture", _capture, (CaptureError, OSError), _captures),
]
