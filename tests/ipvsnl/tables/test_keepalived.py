"""keepalived.conf: where we read another table than keepalived's on purpose, and what is said of the rest.

The configurations that are read equal are in test_formats.py. Those here lie in ``tests/data/keepalived/differing``, each
with the table that keepalived 2.2.7 made of it in a real kernel (``.rules``): what it passes over with a warning in its
log, or gets wrong, is named by line here.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ipvsnl.cli.convert import rules
from ipvsnl.model import Timeouts
from ipvsnl.tables.table import Table, TableError
from ipvsnl.tables.wanted import read_file, read_table
from ipvssim import Kernel

DATA = Path(__file__).parents[2] / "data" / "keepalived"
DIFFERING = sorted((DATA / "differing").glob("*.conf"))
NAMED = {
    "continued": "line 3: '\\\\' is none of ipip, gue, gre",
    "empty-sequence": "line 4: ~SEQ: there are no numbers from 1 to 5 in steps of -1",
    "escapes": "line 3: '10.0.0.\\\\x31' is no address",
    "group-marks": "line 3: fwmark '0x10' is not a number",
    "host-bits": "line 3: '192.0.2.1/31' is no address and no range",
    "large-weight": "line 4: weight '4294967297' is not a number",
    "mask-prefix4": "line 4: persistence_granularity '24': the mask is an address (255.255.255.0) for IPv4",
    "mixed-masks": "line 8: persistence_granularity '64': the mask is an address (255.255.255.0) for IPv4",
    "names": "line 3: port 'http' is not a number",
    "no-list": "line 4: ~LST takes values",
    "other-family": "line 3: TCP 192.0.2.1:80 -> [fd00::1]:80: only a tunnel",
    "random": "line 4: ${_RANDOM 7 7} is another number whenever keepalived reads it",
    "scheduler": "line 3: 'lcr' is none of keepalived's schedulers",
    "single-quotes": "line 7: a closing brace without its opening one",
    "six-forms": "line 10: port '0x50' is not a number",
    "thresholds-odd": "line 3: lthreshold 80 is above uthreshold 0",
}  # fmt: skip
"""What is an error here. keepalived leaves the value out, or the server, or what follows."""
READ = {"condition-by-name": ("-A -t 192.0.2.1:80 -s wlc", "-A -t 192.0.2.1:80 -s rr")}
"""keepalived's rule and ours, where a fault of keepalived's is not repeated: it loses the words after ``$NAME=@...``."""


@pytest.mark.parametrize("file", DIFFERING, ids=[file.stem for file in DIFFERING])
def test_a_difference_from_keepalived_is_named(file: Path) -> None:
    """Where keepalived makes a table with something missing or wrong, ours is refused with the line, or differs as told."""
    recorded = file.with_suffix(".rules").read_text().splitlines()
    if file.stem in READ:
        theirs, ours = READ[file.stem]
        assert set(rules(read_file(str(file), io.StringIO())[0])) ^ set(recorded) == {theirs, ours}
        return
    with pytest.raises(TableError) as refused:
        read_file(str(file), io.StringIO())
    assert str(refused.value).removeprefix(f"{file}: ").startswith(NAMED[file.stem])


def test_there_are_many_configurations() -> None:
    """The real keepalived has read at least thirty that are read equal, and each that differs is told."""
    assert len(list(DATA.glob("*.conf"))) >= 50
    assert {file.stem for file in DIFFERING} == set(NAMED) | set(READ)


def notes(text: str) -> list[str]:
    return read_table(text).notes


VIRTUAL = "virtual_server 192.0.2.1 80 {{\nprotocol TCP\n{}\nreal_server 10.0.0.1 80 {{\n}}\n}}\n"


@pytest.mark.parametrize(("inside", "note"), [
    ("sorry_server 10.0.0.9 80", "line 3: the sorry_server is left out: it is for when too few others are well"),
    ("sorry_server 10.0.0.9 80\nsorry_server_inhibit", "line 3: the sorry_server has weight 0: it is for when"),
    ("sorry_server_inhibit", "line 3: sorry_server_inhibit takes effect after its sorry_server alone"),
    ("persistence_engine sip", "line 1: a persistence_engine without persistence: left out"),
    ("persistence_timeout 0", "line 3: persistence_timeout 0 is no persistence: left out"),
    ("virtual_port 9", "line 3: 'virtual_port' is no keyword of a virtual server"),
])  # fmt: skip
def test_what_is_no_rule_of_the_table_is_noted(inside: str, note: str) -> None:
    """A keyword that has no effect on the table, or another one than it seems, is told with its line."""
    assert [one.startswith(note) for one in notes(VIRTUAL.format(inside))] == [True]


def test_what_the_top_says_about_the_kernel() -> None:
    """Timeouts are wanted, those that are not said stay; namespaces and synchronisation daemons are noted."""
    text = "net_namespace_ipvs blue\nglobal_defs {\nlvs_timeouts tcp 7200 udp 100\nlvs_sync_daemon eth0 VI_1\n}\n"
    table = read_table(text + VIRTUAL.format(""))
    assert table.timeouts == Timeouts(7200, None, 100)
    assert [one.partition(":")[0] for one in table.notes] == ["line 1", "line 4"] and "--netns" in table.notes[0]
    kernel = Kernel()
    with kernel.connect() as ipvs:
        ipvs.apply(ipvs.plan(table))
        assert ipvs.timeouts() == Timeouts(7200, 120, 100)
        assert not ipvs.plan(table)


def test_a_missing_include_is_noted(tmp_path: Path) -> None:
    """keepalived passes over a file that is not there; so do we, and say so; a wildcard may fit nothing."""
    (tmp_path / "a.conf").write_text(f"include gone.conf\ninclude none*.conf\n{VIRTUAL.format('')}")
    table, _ = read_file(str(tmp_path / "a.conf"), io.StringIO())
    assert table.notes == ["line 1: gone.conf is not there: left out"] and len(table) == 2


def read(text: str) -> Table:
    return read_table(VIRTUAL.format(text))


@pytest.mark.parametrize(("line", "reason"), [
    ("~LST() lb_algo rr", "~LST takes values"), ("~LST({},{}) lb_algo rr", "'' is no name of a variable"),
    ("~LST({A},{1,2}) lb_algo rr", "~LST takes values, up to 1"), ("~SEQ() lb_algo rr", "~SEQ takes a variable"),
    ("~SEQ(A,09) lb_algo rr", "'09' is not a number"), ("~SEQ(A,0) lb_algo rr", "no numbers from -1 to 0 in steps of -1|"),
    ("~SEQ(A,1,0,5) lb_algo rr", "in steps of 0"), ("~SEQ(A,1 lb_algo rr", "'~SEQ' is neither"),
    ("~SEQ(1A,1,2) lb_algo rr", "'1A' is no name of a variable"), ("~SEQx(A,-3) lb_algo rr", "no numbers from -1 to -3"),
    ("~SEQ(A,1,999999999999999999)", "too long"),
])  # fmt: skip
def test_a_repetition_that_is_none_is_named(line: str, reason: str) -> None:
    """Whatever stands in the parentheses, it is a repetition or an error with its line, in a bounded time."""
    if reason.endswith("|"):
        assert len(read(line)) == 2
        return
    with pytest.raises(TableError, match=r"^line 3: ") as refused:
        read(line)
    assert reason in str(refused.value)


def test_many_braces_of_an_include_are_refused(tmp_path: Path) -> None:
    """Alternatives multiply: too many braces, and too many alternatives, end in an error with its line."""
    for name, reason in (("{a}" * 2000, "too many braces"), ("{a,b}" * 30, "too long")):
        (tmp_path / "a.conf").write_text(f"include {name}\n")
        with pytest.raises(TableError, match=f"line 1: .*{reason}"):
            read_file(str(tmp_path / "a.conf"), io.StringIO())


def test_repetitions_are_lazy_and_nested() -> None:
    """A repetition of repetitions reads the rest once for each pair of values, in order."""
    table = read("~SEQ(A,1,2) ~LST({B,C},{7,x},{8,y}) real_server 10.0.${A}.${B} 80 { snmp_name ${C} }")
    (servers,) = table.servers.values()
    assert [address for address, _ in servers] == ["10.0.1.7", "10.0.1.8", "10.0.2.7", "10.0.2.8", "10.0.0.1"]


# --- the kin of `convert`: what it writes can be planned ---


def test_timeouts_that_convert_writes_are_read() -> None:
    """A line --set is a part of a wanted table, in any place, once; what is wrong with it is named by line."""
    table = read_table("-A -t 192.0.2.1:80 -s rr\n--set 100 0 30\n")
    assert table.timeouts == Timeouts(100, 0, 30) and len(table) == 1
    assert list(rules(table)) == ["--set 100 0 30", "-A -t 192.0.2.1:80 -s rr"]
    kernel = Kernel()
    assert kernel.ipvsnl("apply", "-", stdin="--set 100 0 30\n").status == 0
    assert "tcp 100 -> 7" in kernel.ipvsnl("plan", "-", stdin="--set 7 0 30\n").stdout
    assert kernel.ipvsnl("plan", "-", stdin="--set 100 0 30\n").stdout == "nothing to do\n"
    for wrong, reason in (("--set 1 2\n", ":1: --set 1 2: --set option requires"), ("--set 1 2 3\n" * 2, "line 2")):
        assert reason in kernel.ipvsnl("plan", "-", stdin=wrong).stderr
