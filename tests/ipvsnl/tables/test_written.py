"""Tables written in other formats by ``convert --to``: what is written is read back the same, what is not is named."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given

from ipvsnl.cli.convert import rules
from ipvsnl.cli.main import execute
from ipvsnl.model import Destination, Service
from ipvsnl.tables import keepalived_out, listing_out, proc_out
from ipvsnl.tables.table import Table, of_values, same
from ipvsnl.tables.untold import name_of
from ipvsnl.tables.wanted import kind_of, read_file, read_table
from ipvssim import Kernel
from tests.ipvsnl.random_tables import Tables, tables

DATA = Path(__file__).parents[2] / "data" / "keepalived" / "written"
WRITTEN = sorted(DATA.glob("*.in"))
Written = tuple[str, list[str]]


def written(table: Table, to: str) -> Written:
    """The text, and what is named."""
    untold: list[str] = []
    lines = {
        "keepalived": lambda: keepalived_out.write(table, untold),
        "listing": lambda: listing_out.write(table, untold),
        "proc": lambda: proc_out.write(table, untold, 250),
    }[to]()
    return "".join(f"{line}\n" for line in lines), untold


@pytest.mark.parametrize("file", WRITTEN, ids=[file.stem for file in WRITTEN])
def test_keepalived_makes_the_table_of_what_is_written(file: Path) -> None:
    """The file that we write of a table is the one that the real keepalived read; the table it made is the one we wrote."""
    table, _ = read_file(str(file), io.StringIO())
    assert written(table, "keepalived") == (file.with_suffix(".conf").read_text(), [])
    made = read_table(file.with_suffix(".rules").read_text())
    assert differing(table, made) == []
    if table.timeouts is not None:
        wanted = zip(table.timeouts.astuple(), made.timeouts.astuple() if made.timeouts else (), strict=True)
        assert all(not want or want == got for want, got in wanted)


def test_there_are_enough_tables() -> None:
    """The real keepalived has read at least ten files that we wrote."""
    assert len(WRITTEN) >= 10


def differing(one: Table, other: Table) -> list[str]:
    """The names of the rules that differ."""
    found = []
    for key in {**one.services, **other.services}:
        mine, its = one.services.get(key), other.services.get(key)
        service = mine or its
        assert service is not None
        if not same(mine, its):
            found.append(name_of(service))
        servers, others = one.servers.get(key, {}), other.servers.get(key, {})
        for where in {**servers, **others}:
            if not same(servers.get(where), others.get(where)):
                found.append(name_of(service, servers.get(where) or others[where]))
    return found


@pytest.mark.parametrize("to", ["keepalived", "listing", "proc"])
@given(values=tables())
def test_what_is_not_read_back_is_named(to: str, values: Tables) -> None:
    """Of any table each rule is read back as the same, or a line names it: nothing is lost or changed in silence."""
    table = of_values(values)
    text, untold = written(table, to)
    if text:
        assert kind_of(text) == to
    named = [line.rpartition(": left out")[0] or line for line in untold]
    if to == "proc" and any("its address family" in line for line in untold):
        return  # two marks of one number may then be read as one
    back = read_table(text, hz=250)
    for rule in differing(table, back):
        service = rule.partition(" -> ")[0]
        gone = any(line.startswith(f"{service}: ") and "left out" in line for line in untold)
        assert gone or any(line.startswith(f"{rule}: ") for line in named), rule
    assert bool(untold) is bool(differing(table, back))


def test_the_kernels_file_is_written_as_the_kernel_writes_it() -> None:
    """``--to proc`` has the lines that ``/proc/net/ip_vs`` has when the table is loaded (6.1.176: 100 ticks a second)."""
    text = "".join((DATA / f"{name}.in").read_text() for name in ("marks", "packets", "persistence"))
    mine = list(proc_out.write(read_table(text), [], None))
    theirs = [line.removesuffix("\n") for line in Kernel(text).proc("ip_vs")]
    assert mine[:3] == theirs[:3] and sorted(mine) == sorted(theirs)


@pytest.mark.parametrize(("mask", "servers", "family"), [
    ("FFFFFFFF", "t6", "IPv4"), ("80000000", "t4", "IPv6"), ("40000000", "t4", "IPv6"), ("80000000", "m4", "IPv4"),
    ("80000000", "t4 m4", "IPv4"), ("80000000", "t4 m6", "IPv6"), ("80000000", "", "IPv6"), ("00000000", "t6", "IPv4"),
])  # fmt: skip
def test_a_marks_family_is_its_servers_or_its_masks(mask: str, servers: str, family: str) -> None:
    """/proc/net/ip_vs tells no family of a mark: its servers do that are no tunnel's, else what its mask can be."""
    address = {"4": "0A000001:{:04X}", "6": "[fd00:0000:0000:0000:0000:0000:0000:0001]:{:04X}"}
    lines = "".join(
        f"  -> {address[server[1]].format(port)}      {'Tunnel' if server[0] == 't' else 'Masq'}  1      0          0\n"
        for port, server in enumerate(servers.split())
    )
    (service,) = read_table(f"FWM  0000000A rr persistent 500 {mask}\n{lines}", hz=100).services.values()
    assert str(service) == f"FWM 10{' IPv6' if family == 'IPv6' else ''}" and service.persistence == 5


@pytest.mark.parametrize(("service", "server", "to", "line"), [
    ({"scheduler": "own"}, {}, "keepalived", "TCP 192.0.2.1:80: 'own' is none of its schedulers: left out"),
    ({"port": 0}, {"port": 0}, "keepalived", "TCP 192.0.2.1:0: without a port it is persistent: left out"),
    ({"one_packet": True}, {}, "keepalived", "TCP 192.0.2.1:80: one-packet scheduling is for UDP alone"),
    ({"protocol": 47}, {}, "keepalived", "47 192.0.2.1:80: protocol 47 is none of TCP, UDP, SCTP"),
    ({"flags": 64}, {}, "keepalived", "TCP 192.0.2.1:80: flags 0x40 have no word"),
    ({"persistence_engine": "sip"}, {}, "keepalived", "TCP 192.0.2.1:80: not told: persistence_engine sip"),
    ({}, {"forwarding": "route"}, "keepalived", "TCP 192.0.2.1:80 -> 10.0.0.1:8080: DR keeps the port of the service"),
    ({}, {"port": 0}, "keepalived", "TCP 192.0.2.1:80 -> 10.0.0.1:0: without a port it has that of the service"),
    ({}, {"forwarding": "bypass"}, "keepalived", "TCP 192.0.2.1:80 -> 10.0.0.1:8080: the method bypass has no word"),
    ({}, {"upper_threshold": 5}, "listing", "TCP 192.0.2.1:80 -> 10.0.0.1:8080: not told: upper_threshold 5"),
    ({}, {"forwarding": "bypass"}, "listing", "TCP 192.0.2.1:80 -> 10.0.0.1:8080: the method bypass (ipip) has no word"),
    ({"flags": 8, "persistence_engine": "sip"}, {}, "proc", "TCP 192.0.2.1:80: not told: flags 8, persistence_engine sip"),
])  # fmt: skip
def test_what_a_format_can_not_say_is_named(
    service: dict[str, object], server: dict[str, object], to: str, line: str
) -> None:
    """Each kind of thing that has no words is told with its rule and the reason."""
    table = of_values({
        Service("tcp", "192.0.2.1", 80).replace(**service): [Destination("10.0.0.1", 8080, "masq").replace(**server)]
    })  # fmt: skip
    _, untold = written(table, to)
    assert untold[0].startswith(line)


def convert(*words: str, text: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = execute(["convert", *words, "-"], Kernel().connect, io.StringIO(text), out, err)
    return status, out.getvalue(), err.getvalue()


def test_the_status_tells_whether_all_is_written() -> None:
    """0 where the file is the whole table, 2 where something is named on standard error."""
    whole = "-A -t 192.0.2.1:80\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n"
    assert convert("--to", "keepalived", text=whole)[::2] == (0, "")
    status, text, told = convert("--to", "keepalived", text="-A -t 192.0.2.1:80\n")
    assert (status, text) == (2, "") and "without real servers" in told
    assert convert("--to", "listing", text="--set 1 2 3\n")[::2] == (2, "listing: not told: timeouts\n")
    assert list(rules(read_table(convert("--to", "listing", text="-A -f 7 -6 -s rr\n")[1]))) == ["-A -f 7 -6 -s rr"]
