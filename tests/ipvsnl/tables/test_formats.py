"""Tables as people have them: listings, /proc/net/ip_vs, keepalived.conf and JSON are recognised and read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import ipvsnl
from ipvsnl.cli.convert import rules
from ipvsnl.cli.main import execute
from ipvsnl.model import Destination, Service
from ipvsnl.tables.table import Table, TableError
from ipvsnl.tables.wanted import kind_of, read_file, read_table
from ipvsnl.text.rules import RuleError
from ipvssim import Kernel

DATA = Path(__file__).parents[2] / "data"
KEEPALIVED = sorted((DATA / "keepalived").glob("*.conf"))
WEB = ("tcp", "192.0.2.1", 80)

LISTINGS: dict[str, tuple[str, str]] = {
    "the usual one": (
        """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.1:80 wrr
  -> 10.0.0.1:8000                Tunnel  1      0          0
  -> 10.0.0.2:8080                Route   1      0          0
""",
        "-A -t 192.0.2.1:80 -s wrr|-a -t 192.0.2.1:80 -r 10.0.0.1:8000 -i -w 1 --tun-type ipip --as-is"
        "|-a -t 192.0.2.1:80 -r 10.0.0.2:8080 -g -w 1 --as-is",
    ),
    "a prompt, no titles, no indentation, Windows line ends": (
        "root@lb1:~# ipvsadm -Ln\r\nTCP  192.0.2.1:80 rr persistent 300 mask 255.255.255.0\r\n"
        "-> 10.0.0.1:80                 Masq    5      3          17\r\n\r\n",
        "-A -t 192.0.2.1:80 -s rr -p 300 -M 255.255.255.0|-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 5",
    ),
    "IPv6, marks of both families, flags, engine, ops": (
        """\
SCTP [2001:db8::1]:80 sh (sh-fallback,sh-port) persistent 60 mask 64
  -> [fd00::1]:80                 Local   1      0          0
UDP  192.0.2.1:5060 rr persistent 9 pe sip ops
FWM  7 IPv6 mh ()
  -> [fd00::2]:0                  Route   0      0          0
FWM  -1 wlc
  -> 10.0.0.1:0                   Route   1      0          0
""",
        "-A --sctp-service [2001:db8::1]:80 -s sh -p 60 -M 64 -b sh-fallback,sh-port"
        "|-a --sctp-service [2001:db8::1]:80 -r [fd00::1]:80 --forward local -w 1"
        "|-A -u 192.0.2.1:5060 -s rr -p 9 --pe sip -o|-A -f 7 -6 -s mh -b flag-3"
        "|-a -f 7 -6 -r [fd00::2]:0 -g -w 0|-A -f 4294967295 -s wlc|-a -f 4294967295 -r 10.0.0.1:0 -g -w 1",
    ),
    "tunnels": (
        """\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn
TCP  192.0.2.1:80 rr
  -> 10.0.0.1:80                  Tunnel  gue:6080:+c   2      0          0
  -> 10.0.0.2:80                  Tunnel  gre:-c        1      0          0
  -> 10.0.0.3:80                  Masq    n/a           1      0          0
""",
        "-A -t 192.0.2.1:80 -s rr|-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i -w 2 --tun-type gue --tun-port 6080 --tun-csum"
        "|-a -t 192.0.2.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type gre --tun-nocsum|-a -t 192.0.2.1:80 -r 10.0.0.3:80 -m -w 1",
    ),
}
COUNTERS = """\
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  192.0.2.1:80                        1       22       0    1488M        0
  -> 10.0.0.1:8080                       1       22       0    1488M        0
"""
RATES = COUNTERS.replace("Conns   InPkts  OutPkts  InBytes OutBytes", "  CPS    InPPS   OutPPS    InBPS   OutBPS")
THRESHOLDS = """\
Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn
  -> RemoteAddress:Port
TCP  192.0.2.1:80 rr
  -> 10.0.0.1:8080                30         20         0          0
"""
TEMPLATES = THRESHOLDS.replace("Uthreshold Lthreshold", "Weight    PersistConn")


@pytest.mark.parametrize(("text", "expected"), LISTINGS.values(), ids=LISTINGS)
def test_a_listing_is_read_as_the_rules_that_make_it(text: str, expected: str) -> None:
    """Every format of ipvsadm's listings, with and without its titles, means a table."""
    assert kind_of(text) == "listing"
    assert list(rules(read_table(text))) == expected.split("|")


LIVE = (
    Service(*WEB, scheduler="wrr", flags=8, persistence=77),
    Destination("10.0.0.1", 8080, "tunnel", 7, 9, 4, "gue", 6080, 1),
)


@pytest.mark.parametrize(("text", "changes"), [
    (COUNTERS, []),
    (RATES, []),
    (THRESHOLDS, ["-E -t 192.0.2.1:80 -s rr", "-x 30 -y 20"]),
    (TEMPLATES, ["-E -t 192.0.2.1:80 -s rr", "-w 30 -x 9 -y 4"]),
], ids=["counters", "rates", "thresholds", "templates"])  # fmt: skip
def test_what_a_listing_does_not_tell_stays_as_it_is(text: str, changes: list[str]) -> None:
    """A plan edits only what the format has columns for, and the note names the rest."""
    with Kernel().connect() as ipvs:
        ipvs.add_service(LIVE[0])
        ipvs.add_server(*LIVE)
        table = read_table(text)
        plan = ipvs.plan(table, prune=True)
        assert len(plan) == len(changes)
        for operation in plan.operations:
            assert any(one in str(operation) for one in changes)
        assert len(table.notes) == 1 and "does not tell" in table.notes[0]


REFUSED: dict[str, tuple[str, int, str]] = {
    "a cut server": ("TCP  192.0.2.1:80 rr\n  -> web-server-number-one.exampl Masq    1 0 0", 2, "may be cut"),
    "a cut service": ("TCP  web-server-number-one.examp:h rr", 1, "may be cut"),
    "a name that nobody knows": ("TCP  nobody.invalid:80 rr", 1, "no host of this name"),
    "a name of IPv6": ("TCP  [six.example.org]:80 rr", 1, "IPv6"),
    "columns without titles": ("TCP  192.0.2.1:80 rr\n  -> 10.0.0.1:80  1 0 0 0", 2, "title"),
    "a server before its service": ("  -> 10.0.0.1:80  Masq 1 0 0", 1, "before any service"),
    "another method": ("TCP  192.0.2.1:80 rr\n  -> 10.0.0.1:80  FullNat 1 0 0", 2, "no forwarding method"),
    "connections": ("IPVS connection entries\npro expire state", 1, "connections"),
    "a word that is none": ("TCP  192.0.2.1:80 rr persistently", 1, "no line of a listing"),
    "a service twice": ("TCP  192.0.2.1:80 rr\nTCP  192.0.2.1:80 rr", 2, "same service"),
    "proc: another column": ("TCP  CB007101:0050 wrr\n  -> 0A00000C:1F90  Magic 1 0 0", 2, "/proc/net/ip_vs"),
    "proc: a server first": ("  -> 0A00000C:1F90  Masq 1 0 0", 1, "before any service"),
}


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_relied_on_is_refused_by_line(
    text: str, line: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A listing's doubtful line is named, with what helps."""
    import _socket

    def unknown(_: object) -> None:
        raise OSError

    monkeypatch.setattr(_socket, "gethostbyname_ex", unknown)
    with pytest.raises((RuleError, TableError)) as refused:
        read_table(text)
    wrong = refused.value
    assert line == (wrong.number if isinstance(wrong, RuleError) else getattr(wrong, "numbers", [0])[0])
    assert any(one in str(refused.value) for one in reason.split("|"))


def test_the_kernels_own_file_is_read() -> None:
    """Addresses, ports and marks are hexadecimal there; persistence is in ticks, and a live one stays as it is."""
    text = (DATA / "proc" / "ip_vs.txt").read_text()
    assert kind_of(text) == "proc"
    table = read_table(text)
    assert list(rules(table))[:3] == [
        "-A -u 203.0.113.2:53 -s rr -o", "-a -u 203.0.113.2:53 -r 10.0.0.13:5353 -m -w 1",
        "-a -u 203.0.113.2:53 -r 10.0.0.12:53 -m -w 1",
    ]  # fmt: skip
    mark = next(one for one in table.services.values() if one.fwmark)
    assert (mark.fwmark, mark.netmask, mark.family) == (7, "255.255.255.0", 2)
    with Kernel().connect() as ipvs:
        ipvs.apply(ipvs.plan(table))
        ipvs.edit_service(Service("tcp", "203.0.113.1", 80), persistence=9)
        assert not ipvs.plan(table, prune=True)


def test_marks_take_the_family_of_their_servers() -> None:
    """/proc/net/ip_vs does not tell a mark's family; two of one number are two services."""
    six = "[fd00:0000:0000:0000:0000:0000:0000:0001]:0000"
    text = f"FWM  00000007 rr\n  -> {six}  Route 1 0 0\nFWM  00000007 wlc\n  -> 0A000001:0000  Route 1 0 0\n"
    assert list(rules(read_table(text))) == [
        "-A -f 7 -6 -s rr", "-a -f 7 -6 -r [fd00::1]:0 -g -w 1", "-A -f 7 -s wlc", "-a -f 7 -r 10.0.0.1:0 -g -w 1",
    ]  # fmt: skip


@pytest.mark.parametrize("file", KEEPALIVED, ids=[file.stem for file in KEEPALIVED])
def test_keepalived_makes_the_same_table(file: Path) -> None:
    """What we read of a configuration is what keepalived 2.2.7 wrote into a real kernel (``.rules``, recorded)."""
    assert kind_of(file.read_text()) == "keepalived"
    table, _ = read_file(str(file), io.StringIO())
    assert set(rules(table)) == set(file.with_suffix(".rules").read_text().splitlines())


SERVER = "real_server 10.0.0.1 80 {\n}"
WRONG: dict[str, tuple[str, str]] = {
    "an address": ("virtual_server 192.0.2.300 80 {\n}", "line 1: '192.0.2.300' is no address"),
    "a port": ("virtual_server 192.0.2.1 http {\n}", "line 1: port 'http'"),
    "a method": (f"virtual_server 192.0.2.1 80 {{\nlb_kind nat\n{SERVER}\n}}", "line 2: 'nat' is none of NAT, DR, TUN"),
    "a weight": ("virtual_server 192.0.2.1 80 {\nreal_server 10.0.0.1 80 {\nweight -3\n}\n}", "line 3: weight '-3'"),
    "a group": (f"\nvirtual_server group A {{\n{SERVER}\n}}", "line 2: there is no virtual_server_group 'A'"),
    "a family": (
        "virtual_server 192.0.2.1 80 {\nlb_kind DR\nreal_server fd00::1 80 {\n}\n}",
        "line 3: UDP 192.0.2.1:80 -> [fd00::1]:80: only a tunnel",
    ),
    "an open block": ("virtual_server 192.0.2.1 80 {\n", "line 1: this block is not closed"),
    "a brace": ("virtual_server 192.0.2.1 80 {\n}\n}", "line 3: a closing brace"),
    "itself": ("$A=$B\n$B=$A\nvirtual_server $A 80 {\n}", "line 3: definitions use each other"),
    "a flood": ("\n".join(["$A=x"] + [f"$A{n}=" + f"${{A{n - 1 or ''}}}" * 50 for n in range(1, 9)] + ["a $A8"]),
                "line 10: definitions and includes make this too long"),
    "a wide range": ("virtual_server_group A {\n10.0.0.0/8 80\n}\nvirtual_server group A {\n" + SERVER + "\n}",
                     "line 2: more than 65536 addresses"),
    "an include": ("include other.conf\n", "line 1: it includes files"),
    "no repetition": ("~SEC(N, 1, 3) $VS\n", "line 1: '~SEC' is neither ~SEQ"),
    "a flood of lines": ("virtual_server 192.0.2.1 80 {\n~SEQ(N, 1, 99999999) lb_algo rr\n}",
                         "line 2: definitions and includes make this too long"),
    "gue without a port": (f"virtual_server 192.0.2.1 80 {{\nlb_kind TUN type gue\n{SERVER}\n}}", "line 2: a gue tunnel"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_fault_in_keepalived_conf_is_named_by_line(text: str, message: str) -> None:
    """Where keepalived passes over a value, it is an error that names its line."""
    with pytest.raises(TableError) as refused:
        read_table(text)
    assert str(refused.value).startswith(message)


def test_what_is_left_out_of_keepalived_conf_is_noted() -> None:
    """Unknown keywords, sorry servers and a protocol that is not said are noted by line; health checks are silent."""
    file = DATA / "keepalived" / "braces.conf"
    notes = read_file(str(file), io.StringIO())[0].notes
    assert [note.partition(":")[0] for note in notes] == ["line 21", "line 5", "line 9", "line 17"]
    notes = read_file(str(DATA / "keepalived" / "sorry.conf"), io.StringIO())[0].notes
    assert "line 5: the sorry_server is left out: it is for when too few others are well" in notes
    assert "line 1: without 'protocol' it is UDP" in notes


def test_an_included_file_is_named(tmp_path: Path) -> None:
    """A fault in an included file names that file and its line; includes begin where the file lies."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text("include b.inc\n")
    (tmp_path / "conf.d" / "b.inc").write_text("\nvirtual_server nowhere 80 {\n}\n")
    (tmp_path / "main.conf").write_text("include conf.d/*.conf\n")
    with pytest.raises(TableError, match=r"b\.inc:2: 'nowhere' is no address"):
        read_file(str(tmp_path / "main.conf"), io.StringIO())
    (tmp_path / "conf.d" / "b.inc").write_text("include b.inc\n")
    with pytest.raises(TableError, match="include each other without end"):
        read_file(str(tmp_path / "main.conf"), io.StringIO())


# --- the command line ---


def ran(kernel: Kernel, *words: str, stdin: str = "") -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = execute(list(words), kernel.connect, io.StringIO(stdin), out, err)
    return status, out.getvalue(), err.getvalue()


def sources() -> dict[str, str]:
    return {
        "listing": LISTINGS["the usual one"][0], "proc": (DATA / "proc" / "ip_vs.txt").read_text(),
        "keepalived": (DATA / "keepalived" / "plain.conf").read_text(),
        "json": '{"ipvsnl": 1, "services": [{"fwmark": 7, "servers": [{"address": "10.0.0.1", "port": 0}]}]}',
    }  # fmt: skip


@pytest.mark.parametrize("kind", sources())
@pytest.mark.parametrize("way", [["apply", "-"], ["-R"], ["-R", "--atomic"]], ids=["apply", "-R", "--atomic"])
def test_every_way_to_load_a_table_reads_every_format(kind: str, way: list[str]) -> None:
    """apply, -R and -R --atomic make the same table of a text, and a plan then finds nothing to do."""
    kernel, text = Kernel(), sources()[kind]
    assert ran(kernel, *way, stdin=text)[0] == 0
    assert ran(kernel, "plan", "--prune", "-", stdin=text)[:2] == (0, "nothing to do\n")


@pytest.mark.parametrize("kind", sources())
@pytest.mark.parametrize("to", ["rules", "json"])
def test_convert_shows_what_was_read(kind: str, to: str) -> None:
    """What convert writes is read as the same table; no kernel is asked."""
    status, text, _ = ran(Kernel(), "convert", "--to", to, "-", stdin=sources()[kind])
    assert status == 0 and (to == "rules" or json.loads(text)["ipvsnl"] == 1)
    assert list(rules(read_table(text))) == list(rules(read_table(sources()[kind])))


def test_under_the_name_ipvsadm_only_rules_are_read() -> None:
    """The other formats are ours alone."""
    from ipvsnl.cli.dispatch import run

    err = io.StringIO()
    status = run(["-R"], client_factory=Kernel().connect, stdin=io.StringIO(sources()["listing"]), stdout=err, stderr=err,
                 prog="ipvsadm")  # fmt: skip
    assert status != 0 and err.getvalue().startswith("Try `ipvsadm -h'")


BALANCED = (
    "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w {}\n-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 9\n"
)


def test_live_weights_are_kept_where_asked_for() -> None:
    """--keep-weights leaves a live server's weight alone and changes its other fields; new ones get what the file says."""
    kernel = Kernel()
    ran(kernel, "-R", stdin="-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0\n")
    assert "weight 0 -> 100" in ran(kernel, "plan", "-", stdin=BALANCED.format(100))[1]
    assert ran(kernel, "apply", "--keep-weights", "-", stdin=BALANCED.format("100 -x 5"))[0] == 0
    assert ran(kernel, "-Sn")[1].splitlines()[1:] == [
        "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0 -x 5", "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 9",
    ]  # fmt: skip


@pytest.mark.parametrize(("only", "made", "left"), [
    ("add", {"add-server"}, {"edit-server", "delete-server"}),
    ("edit", {"edit-server"}, {"add-server", "delete-server"}),
    ("add,edit", {"add-server", "edit-server"}, {"delete-server"}),
    ("delete", {"delete-server"}, {"add-server", "edit-server"}),
])  # fmt: skip
def test_only_some_kinds_of_change(only: str, made: set[str], left: set[str]) -> None:
    """--only makes these kinds of change and leaves the others out, which the plan shows."""
    kernel = Kernel()
    ran(kernel, "-R", stdin=BALANCED.format(1).replace("10.0.0.2", "10.0.0.3"))
    words = ["--only", only, "--prune", "-"]
    plan = json.loads(ran(kernel, "plan", "--json", *words, stdin=BALANCED.format(2))[1])["plan"]
    assert ({one["do"] for one in plan["operations"]}, {one["do"] for one in plan["left_out"]}) == (made, left)
    assert "left out by --only" in ran(kernel, "plan", *words, stdin=BALANCED.format(2))[1]
    assert ran(kernel, "apply", *words, stdin=BALANCED.format(2))[0] == 0
    assert ran(kernel, "plan", *words, stdin=BALANCED.format(2))[0] == 0


@pytest.mark.parametrize("words", [["--only", "delete"], ["--only", "add,move"]])
def test_a_wish_that_cannot_be_is_refused(words: list[str]) -> None:
    """Deleting without --prune, and kinds that are none."""
    assert ran(Kernel(), "plan", *words, "-", stdin=BALANCED.format(2))[0] == 1


@pytest.mark.parametrize("way", [["plan", "-"], ["-R"]], ids=["plan", "-R"])
def test_a_port_that_is_replaced_is_told(way: list[str]) -> None:
    """Direct routing takes the service's port: said on standard error, with the line and the way out."""
    text = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -g -w 1\n"
    _, _, said = ran(Kernel(), *way, stdin=text)
    assert said.count("\n") == 1
    assert "2: " in said and "port 8080 of 10.0.0.1 becomes 80" in said and "--as-is" in said
    assert ran(Kernel(), *way, stdin=text.replace("-w 1", "-w 1 --as-is"))[2] == ""


def test_a_table_says_what_it_leaves_open() -> None:
    """read_table is public: who plans with its table need not know the format."""
    table = ipvsnl.read_table(COUNTERS)
    assert isinstance(table, Table) and "weight" in table.unsaid[1]
