"""Readers of text, for fuzzers: tables in all formats, the kernel's files, command lines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import cache

from ipvsnl import procfs
from ipvsnl.cli import extras
from ipvsnl.errors import DecodeError
from ipvsnl.tables import json_in, json_out, keepalived_in, listing_in, proc_in
from ipvsnl.tables.table import Table, TableError, of_rules
from ipvsnl.tables.wanted import read_table
from ipvsnl.text.grammar import Reading, parse, read_rule
from ipvsnl.text.popt import UsageError
from ipvsnl.text.rules import PlainReader, RuleError, split
from ipvssim.kernel import Kernel
from tests.fuzz.law import Reader
from tests.places import DATA

# --- tables as text ---


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _used(table: Table) -> None:
    """A table that was read can be written, and read again: it is the same one."""
    for key, service in table.services.items():
        json_out.wanted(service, table.servers[key].values())


def _rules(data: bytes) -> None:
    text = text_of(data)
    plain = PlainReader()
    for line in text.split("\n")[:20]:
        found = plain(line)
        if found is not None:
            assert found == read_rule(split(line)), line
    _used(of_rules(Reading().numbered(text.split("\n"))))


def _table_of(read: Callable[[str], Table]) -> Callable[[bytes], None]:
    return lambda data: _used(read(text_of(data)))


def _kernel_files(data: bytes) -> None:
    lines = text_of(data[1:]).splitlines(keepends=True)
    which = data[0] % 3 if data else 0
    if which == 0:
        list(procfs.read_connections(lines))
    elif which == 1:
        procfs.read_totals(lines)
    else:
        procfs.read_services(lines)


def rule_files() -> Iterator[bytes]:
    for file in sorted((DATA / "rules").glob("*.rules")):
        yield "\n".join(file.read_text().splitlines()[:12]).encode()
    yield (
        b"-A -f 7 -6 -s sh -b sh-port -p 300 -M 64 --pe sip\n"
        b"-a -f 7 -6 -r [fd00::1]:0 -i --tun-type gue --tun-port 9 --tun-csum\n"
    )
    yield b"-A -u 10.0.0.1:80 -s rr -o\n-a -u 10.0.0.1:80 -r 10.0.0.2 -g -w 3 -x 9 -y 5\n--set 1 2 3\n# no\n"


@cache
def full_kernel() -> Kernel:
    """A kernel with every kind of service."""
    kernel = Kernel()
    lines = dict.fromkeys(line for seed in rule_files() for line in text_of(seed).splitlines()[:6])
    kernel.ipvsadm("-R", stdin="\n".join(lines))
    assert len(kernel.ipvsadm("-Ln").stdout.splitlines()) > 15
    return kernel


def _listings() -> Iterator[bytes]:
    options = ("", "--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info", "--exact --stats", "--sort")
    for option in options:
        listed = full_kernel().ipvsadm("-Ln", *option.split()).stdout
        yield listed.encode()
        yield "\n".join(listed.splitlines()[:7]).encode()


def _proc_files() -> Iterator[bytes]:
    yield (DATA / "proc" / "ip_vs.txt").read_bytes()
    yield "".join(full_kernel().proc("ip_vs")).encode()


_CONNECTION = (
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
    "TCP C0000201 C001 CB007101 0050 0A00000A 0050 ESTABLISHED     899\n"
    "UDP fd00:0000:0000:0000:0000:0000:0000:0001 C001 20010db8000000000000000000000001 0035 0A00000A 0035 UDP 9 sip 1234\n"
)


def _proc_seeds() -> Iterator[bytes]:
    yield b"\0" + _CONNECTION.encode()
    yield b"\1" + "".join(full_kernel().proc("ip_vs_stats")).encode()
    for file in _proc_files():
        yield b"\2" + file


def _documents() -> Iterator[bytes]:
    for options in ("-Ln --json", "-Ln --json --stats"):
        out = io.StringIO()
        from ipvsnl.cli.main import execute

        execute(options.split(), full_kernel().connect, io.StringIO(), out, io.StringIO())
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
    for line in text_of(data).replace("\0", "").split("\n")[:6]:
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
    done = Kernel().ipvsadm("-R", stdin=text_of(data))
    assert done.status in (0, 1, 2, 255)
    assert "Traceback" not in done.stderr


RULE_ERRORS = (RuleError, TableError)
READERS = [
    Reader("rules", _rules, RULE_ERRORS, rule_files),
    Reader("json", _table_of(json_in.read), (TableError,), _documents),
    Reader("listing", _table_of(listing_in.read), RULE_ERRORS, _listings),
    Reader("proc", _table_of(proc_in.read), RULE_ERRORS, _proc_files),
    Reader("procfs", _kernel_files, (DecodeError,), _proc_seeds),
    Reader("keepalived", _table_of(keepalived_in.read), (TableError,), _keepalived),
    Reader("wanted", _table_of(read_table), RULE_ERRORS, lambda: [*rule_files(), *_listings(), *_keepalived()]),
    Reader("command", _command, (), _commands),
    Reader("restore", _restore, (), rule_files),
]
