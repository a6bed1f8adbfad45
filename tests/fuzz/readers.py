"""Every reader of bytes that come from outside, for fuzzers: its name, what calls it, and inputs to begin from.

The law of each: whatever comes in, it answers with a value, or with its own typed error, and soon. What a reader says of its
value beyond that (what a table holds is listed, saved and read again the same, say) is checked on the way.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

from ipvsnl import procfs
from ipvsnl.backends import ctypes_
from ipvsnl.backends.choice import chosen
from ipvsnl.cli import extras
from ipvsnl.errors import DecodeError, LinkError
from ipvsnl.family import REPLY_GROUPS
from ipvsnl.tables import json_in, json_out, keepalived_in, listing_in, proc_in
from ipvsnl.tables.failures import JournalError
from ipvsnl.tables.journal import Journal
from ipvsnl.tables.plan import Plan
from ipvsnl.tables.table import Table, TableError, of_rules
from ipvsnl.tables.wanted import read_table
from ipvsnl.text import values
from ipvsnl.text.grammar import Reading, parse, read_rule
from ipvsnl.text.rules import PlainReader, RuleError, split
from ipvsnl.text.usage import UsageError
from ipvsnl.wire.exchange import Exchange, Reading as Dump
from ipvssim.doors.capture import play
from ipvssim.doors.captures import marks, start
from ipvssim.doors.captures.files import CaptureError, Reader as CaptureReader
from ipvssim.doors.captures.links import announced, completed, unwrap
from ipvssim.doors.replay import Job, replay
from ipvssim.doors.traces import ReplayError
from ipvssim.kernel import Kernel
from ipvssim.lab.run.store import Journal as SweepJournal
from ipvssim.lab.scenario.definition import load
from ipvssim.lab.scenario.reader import ScenarioError
from ipvssim.netlink.socket import FAMILY_ID
from ipvssim.state.namespace import RELEASE
from ipvssim.state.saving import MAGIC, StateError, dumped, restored
from tests.fuzz.material import REPLIES, REQUESTS, outcome, reading
from tests.places import DATA, ROOT

if TYPE_CHECKING:
    from ipvsnl.backends.contract import Backend

SECONDS = 5.0
"""Of processor time that an input of a few thousand bytes may take; most take less than a millisecond."""
SEPARATOR = b"\n--\n"
"""Between the files of an input that is two of them."""


class Reader(NamedTuple):
    """One reader: ``read`` takes an input to it, ``wrong`` are its typed errors, ``seeds`` makes inputs to begin from."""

    name: str
    read: Callable[[bytes], object]
    wrong: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]


def law(reader: Reader, data: bytes) -> None:
    """One input to one reader; AssertionError, or the exception that goes through, where the law is broken."""
    began = process_time()
    try:
        reader.read(data)
    except reader.wrong as wrong:
        assert str(wrong).strip(), f"{reader.name}: an error without words: {wrong!r}"
    took = process_time() - began
    assert took < SECONDS, f"{reader.name}: {took:.1f} s for {len(data)} bytes"


def quiet() -> None:
    """Ask no name server, whatever names an input has."""

    def unknown(text: str, *_: object) -> str:
        raise ValueError(text)

    values._resolve = unknown


# --- tables as text ---


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _used(table: Table) -> None:
    """A table that was read can be written, and read again: it is the same one."""
    for key, service in table.services.items():
        json_out.wanted(service, table.servers[key].values())


def _rules(data: bytes) -> None:
    text = _text(data)
    plain = PlainReader()
    for line in text.split("\n")[:20]:
        found = plain(line)
        if found is not None:
            assert found == read_rule(split(line)), line
    _used(of_rules(Reading().numbered(text.split("\n"))))


def _table_of(read: Callable[[str], Table]) -> Callable[[bytes], None]:
    return lambda data: _used(read(_text(data)))


def _kernel_files(data: bytes) -> None:
    lines = _text(data[1:]).splitlines(keepends=True)
    which = data[0] % 3 if data else 0
    if which == 0:
        list(procfs.read_connections(lines))
    elif which == 1:
        procfs.read_totals(lines)
    else:
        procfs.read_services(lines)


def _rule_files() -> Iterator[bytes]:
    for file in sorted((DATA / "rules").glob("*.rules")):
        yield "\n".join(file.read_text().splitlines()[:12]).encode()
    yield b"-A -f 7 -6 -s sh -b sh-port -p 300 -M 64 --pe sip\n-a -f 7 -6 -r [fd00::1]:0 -i --tun-type gue --tun-port 9 --tun-csum\n"
    yield b"-A -u 10.0.0.1:80 -s rr -o\n-a -u 10.0.0.1:80 -r 10.0.0.2 -g -w 3 -x 9 -y 5\n--set 1 2 3\n# no\n"


@cache
def _full() -> Kernel:
    """A kernel with every kind of service."""
    kernel = Kernel()
    lines = dict.fromkeys(line for seed in _rule_files() for line in _text(seed).splitlines()[:6])
    kernel.ipvsadm("-R", stdin="\n".join(lines))
    assert len(kernel.ipvsadm("-Ln").stdout.splitlines()) > 15
    return kernel


def _listings() -> Iterator[bytes]:
    options = ("", "--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info", "--exact --stats", "--sort")
    for option in options:
        listed = _full().ipvsadm("-Ln", *option.split()).stdout
        yield listed.encode()
        yield "\n".join(listed.splitlines()[:7]).encode()


def _proc_files() -> Iterator[bytes]:
    yield (DATA / "proc" / "ip_vs.txt").read_bytes()
    yield "".join(_full().proc("ip_vs")).encode()


_CONNECTION = (
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
    "TCP C0000201 C001 CB007101 0050 0A00000A 0050 ESTABLISHED     899\n"
    "UDP fd00:0000:0000:0000:0000:0000:0000:0001 C001 20010db8000000000000000000000001 0035 0A00000A 0035 UDP 9 sip 1234\n"
)


def _proc_seeds() -> Iterator[bytes]:
    yield b"\0" + _CONNECTION.encode()
    yield b"\1" + "".join(_full().proc("ip_vs_stats")).encode()
    for file in _proc_files():
        yield b"\2" + file


def _documents() -> Iterator[bytes]:
    for options in ("-Ln --json", "-Ln --json --stats"):
        out = io.StringIO()
        from ipvsnl.cli.main import execute

        execute(options.split(), _full().connect, io.StringIO(), out, io.StringIO())
        yield out.getvalue().encode()
    yield b'{"ipvsnl":1,"services":[{"protocol":"tcp","address":"192.0.2.1","port":80,"servers":[{"address":"10.0.0.1"}]}]}'
    yield b'{"ipvsnl":1,"timeouts":{"tcp":1,"tcp_fin":2,"udp":3},"services":[{"fwmark":1,"family":"ipv6","flags":["ops"]}]}'


def _keepalived() -> Iterator[bytes]:
    for file in sorted((DATA / "keepalived").glob("*.conf")):
        yield file.read_bytes()


# --- command lines ---


def _command(data: bytes) -> None:
    """Command lines of ipvsadm's and of our own, one after the other, on one simulated kernel."""
    kernel = Kernel()
    for line in _text(data).replace("\0", "").split("\n")[:6]:
        words = line.split(" ")
        try:
            words, more = extras.take(words)
            request = parse(words, "ipvsnl", own=True)
            more.chosen(request.command, request.options)
        except (UsageError, ValueError) as wrong:
            assert str(wrong).strip() or isinstance(wrong, UsageError)
            continue
        if request.command != "restore" and not (request.command == "list" and "numeric" not in request.options):
            done = kernel.ipvsadm(*words, stdin=line)
            assert done.status in (0, 1, 2, 255), (words, done)
            assert "Traceback" not in done.stderr


def _commands() -> Iterator[bytes]:
    groups = json.loads((DATA / "cli" / "grammar.json").read_text())
    lines = [" ".join(step["args"]) for group in groups for step in group["steps"]]
    for at in range(0, len(lines), 6):
        yield "\n".join(lines[at : at + 6]).encode("utf-8", "surrogateescape")


def _restore(data: bytes) -> None:
    """Standard input of -R, whatever it is of."""
    done = Kernel().ipvsadm("-R", stdin=_text(data))
    assert done.status in (0, 1, 2, 255)
    assert "Traceback" not in done.stderr


# --- files that are read by their name ---


@cache
def _folder() -> Path:
    """A folder in memory, for this process; it goes when the process does."""
    held = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)  # noqa: SIM115
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
        yield b"\n".join([lines[0], *(lines[number] for number in steps[:8])]) + SEPARATOR + b"\n".join(
            answers[number - 1] for number in steps[:8]
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
    for kernel in (Kernel(), _full()):
        text = dumped(kernel.namespace)
        yield text
        yield text.partition(b"\n")[2]


def _starts(data: bytes) -> None:
    start.load(_empty_director().director, _text(data))


def _empty_director() -> Kernel:
    kernel = Kernel()
    kernel.load("-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n-A -f 7 -6\n-a -f 7 -6 -r [fd00::1]:0 -g")
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


# --- netlink ---


_BOTH: list[Backend] = [ctypes_, chosen()]


def _replies(data: bytes) -> None:
    """A datagram read by both backends: message by message, as the answers to requests, and as part of a dump."""
    found = [(reading(one, data), _exchanged(one, data), _dumps(one, data)) for one in _BOTH]
    assert found[0] == found[1], found


def _exchanged(backend: Backend, data: bytes) -> list[object]:
    exchange = Exchange(backend, 1, 9)
    fed = outcome(exchange.feed, data)
    refused = [(one.sequence, one.errno, one.extack) for one in exchange.refusals]
    records = [outcome(lambda group=group: list(exchange.replies(group.name))) for group in REPLY_GROUPS.values()]
    return [fed, exchange.finished, refused, records]


def _dumps(backend: Backend, data: bytes) -> list[object]:
    found: list[object] = []
    for group in ("service", "dest"):  # what is read in bulk
        dump = Dump(backend, group, 7)
        try:
            found.append(dump.feed(data))
        except LinkError as wrong:
            found.append(str(wrong))
        except DecodeError as wrong:
            found.append((str(wrong), wrong.offset))
        found += [dump.records, dump.finished, dump.errno, dump.changed]
    return found


def _short(datagrams: Iterable[bytes]) -> Iterator[bytes]:
    seen: set[tuple[int, bytes]] = set()
    for one in datagrams:
        if len(one) < 600 and (shape := (len(one) // 16, one[4:6] + one[16:17])) not in seen:
            seen.add(shape)
            yield one


def _requests(data: bytes) -> None:
    """A datagram to the simulated kernel; whatever it is, there are answers, and a table that can be saved."""
    kernel = Kernel()
    kernel.load("-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m")
    socket = kernel.socket()
    try:
        socket.send(data)
    except OSError:
        return
    for _ in range(1000):
        try:
            socket.recv(65536)
        except BlockingIOError:
            break
        except OSError:
            continue
    restored(dumped(kernel.namespace), Kernel)


def _asked() -> Iterator[bytes]:
    for one in _short(REQUESTS):
        yield one.replace(b"\xff\xff", FAMILY_ID.to_bytes(2, sys.byteorder), 1) if one[4:6] == b"\xff\xff" else one


# --- the list ---

RULE_ERRORS = (RuleError, TableError)
READERS = [
    Reader("rules", _rules, RULE_ERRORS, _rule_files),
    Reader("json", _table_of(json_in.read), (TableError,), _documents),
    Reader("listing", _table_of(listing_in.read), RULE_ERRORS, _listings),
    Reader("proc", _table_of(proc_in.read), RULE_ERRORS, _proc_files),
    Reader("procfs", _kernel_files, (DecodeError,), _proc_seeds),
    Reader("keepalived", _table_of(keepalived_in.read), (TableError,), _keepalived),
    Reader("wanted", _table_of(read_table), RULE_ERRORS, lambda: [*_rule_files(), *_listings(), *_keepalived()]),
    Reader("command", _command, (), _commands),
    Reader("restore", _restore, (), _rule_files),
    Reader("scenario", _scenario, (ScenarioError,), _scenarios),
    Reader("trace", _trace, (ReplayError,), _traces),
    Reader("journal", _journal, (JournalError,), _journals),
    Reader("sweep", _sweep, (ScenarioError,), _sweeps),
    Reader("saved", _saved, (StateError,), _tables),
    Reader("start", _starts, (ValueError,), _connections),
    Reader("mark", lambda data: marks.read(_text(data)), (ValueError,), _marks),
    Reader("frames", _frames, (CaptureError,), _captures),
    Reader("capture", _capture, (CaptureError, OSError), _captures),
    Reader("replies", _replies, (), lambda: _short(REPLIES)),
    Reader("requests", _requests, (), _asked),
]
BY_NAME = {reader.name: reader for reader in READERS}
