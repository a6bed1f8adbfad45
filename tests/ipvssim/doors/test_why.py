"""``ipvssim why``: a packet in words or from a capture, a table in any format, and what would change its way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ipvssim import Kernel
from ipvssim.doors import packet_words
from ipvssim.doors.why import main
from ipvssim.net.packets import Packet, parse4, parse6
from tests.ipvssim.doors import captured as c
from tests.places import DATA

CASES = DATA / "captures"

RULES = """-A -t 203.0.113.1:80 -s wlc
-a -t 203.0.113.1:80 -r 10.0.0.10:80 -m -w 1
-a -t 203.0.113.1:80 -r 10.0.0.11:80 -m -w 0
"""
FLOW = "tcp 192.0.2.1:1024 -> 203.0.113.1:80"
LISTING = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  203.0.113.1:80 wlc
  -> 10.0.0.10:80                 Masq    1      0          0
  -> 10.0.0.11:80                 Masq    0      0          0
"""
KEEPALIVED = """virtual_server 203.0.113.1 80 {
    lb_algo wlc
    lb_kind NAT
    protocol TCP
    real_server 10.0.0.10 80 {
        weight 1
    }
    real_server 10.0.0.11 80 {
        weight 0
    }
}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with rules and a capture."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").write_text(RULES)
    (tmp_path / "in").write_bytes(c.classic("ethernet", c.session()))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_it_tells_what_happens_why_and_what_would_change_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict first, then a reason a line, then the server of weight 0 that would win."""
    lines = said(capsys, "--rules", "rules", FLOW).splitlines()
    assert lines[0] == "TCP 192.0.2.1:1024 -> 203.0.113.1:80: it goes to 10.0.0.10:80 (opened a connection)."
    assert "  TCP 203.0.113.1:80 is a virtual service (wlc, 2 servers)." in lines
    assert lines[-2:] == [
        "What would change that:", "  server 10.0.0.11:80 weight=1: it goes to 10.0.0.11:80 (opened a connection).",
    ]  # fmt: skip


def test_changes_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """``--if`` tells the answer without and with, or that nothing would change."""
    with_it = said(capsys, "--rules", "rules", FLOW, "--if", "server 10.0.0.11:80 weight=1")
    assert "\nIf server 10.0.0.11:80 weight=1: it goes to 10.0.0.11:80" in with_it and "What would" not in with_it
    same = said(capsys, "--rules", "rules", FLOW, "--if", "sysctl sloppy_tcp=1")
    assert same.splitlines()[-1] == "If sysctl sloppy_tcp=1: nothing would change."


@pytest.mark.parametrize("kind", ["listing", "keepalived", "json"])
def test_the_table_may_be_in_any_format(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A pasted listing, a keepalived.conf, a document of ours: the same answer as of rules."""
    document = Kernel(RULES).ipvsnl("-Ln", "--json").stdout
    Path("table").write_text({"listing": LISTING, "keepalived": KEEPALIVED, "json": document}[kind])
    assert (
        said(capsys, "--rules", "table", FLOW)
        .splitlines()[0]
        .endswith("it goes to 10.0.0.10:80 (opened a connection).")
    )


def test_the_table_may_be_a_targets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``--table`` reads what ``ipvsnl --target sim:FILE`` keeps, and leaves it as it is."""
    from ipvsnl.cli.main import main as ipvsnl

    for line in RULES.splitlines():
        assert ipvsnl(["--target", "sim:kept", *line.split()]) == 0
    capsys.readouterr()
    before = Path("kept").read_bytes()
    assert "it goes to 10.0.0.10:80" in said(capsys, "--table", "kept", FLOW)
    assert Path("kept").read_bytes() == before
    assert main(["--table", "none", FLOW]) == 1 and "none: No such file" in capsys.readouterr().err


def test_what_came_before_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """``--after`` plays packets and lets time pass."""
    answer = "tcp 10.0.0.10:80 -> 192.0.2.1:1024 syn ack"
    known = said(capsys, "--rules", "rules", "--after", FLOW, "--after", "wait 5", answer)
    assert "a reply, it goes to the client" in known and "(begun 5 s ago)" in known
    late = said(capsys, "--rules", "rules", "--after", FLOW, "--after", "wait 72", answer)
    assert "but no connection fits: the last one expired 12 s ago" in late and "sysctl nat_icmp_send=1" in late


def test_the_directors_options_are_those_of_pcap(capsys: pytest.CaptureFixture[str]) -> None:
    """--sysctl, --set, --mark, --start-state, --kernel."""
    Path("state").write_text("TCP 14:59 ESTABLISHED 192.0.2.1:1024 203.0.113.1:80 10.0.0.11:80\n")
    assert "in ESTABLISHED, with 899 s left" in said(capsys, "--rules", "rules", "--start-state", "state", FLOW)
    Path("rules").write_text(RULES + "-A -f 7 -s rr\n-a -f 7 -r 10.0.0.12 -g\n")
    assert "FWM 7 (rr" in said(capsys, "--rules", "rules", "--mark", "tcp dport 80 -> 7", FLOW)
    assert "FWM 7 (rr" in said(capsys, "--rules", "rules", f"{FLOW} mark=7")
    stray = said(capsys, "--rules", "rules", "--sysctl", "sloppy_tcp=1", "--set", "60", "0", "0", f"{FLOW} ack")
    assert "ends in 60 s" in stray
    assert "(257 * 0 active" in said(capsys, "--rules", "rules", "--kernel", "6.1.192", FLOW)


def test_a_packet_of_a_capture(capsys: pytest.CaptureFixture[str]) -> None:
    """The packets before it come first; one that did not come in, and one that is not there, are refused by number."""
    Path("rules").write_text(c.RULES)
    assert "opened a connection" in said(capsys, "--rules", "rules", "--pcap", "in", "--packet", "1")
    assert "is a reply of" in said(capsys, "--rules", "rules", "--pcap", "in", "--packet", "2")
    assert main(["--rules", "rules", "--pcap", "in", "--packet", "39"]) == 1
    assert "in: there is no packet 39, it ends with packet 5" in capsys.readouterr().err
    rules, capture = str(CASES / "ops.rules"), str(CASES / "ops.pcap")
    refused = [
        number for number in range(1, 12) if main(["--rules", rules, "--pcap", capture, "--packet", str(number)])
    ]
    assert refused and re.search(r"packet \d+ is none that came in: left", capsys.readouterr().err)


def test_json_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, reasons, tunables, the choice; and what would change it, or what was asked."""
    told = json.loads(said(capsys, "--rules", "rules", "--json", FLOW))
    assert (
        told["server"] == "10.0.0.10:80"
        and told["choice"]["scheduler"] == "wlc"
        and told["sysctls"]["drop_packet"] == "0"
    )
    assert [one["changes"] for one in told["would_change"]] == ["server 10.0.0.11:80 weight=1"]
    asked = json.loads(said(capsys, "--rules", "rules", "--json", FLOW, "--if", "sysctl sloppy_tcp=1"))
    assert asked["if"]["differs"] is False and "would_change" not in asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rules", "rules", "tpc 192.0.2.1:1 -> 203.0.113.1:80"], "'tpc' is none of tcp"),
        (["--rules", "rules", "tcp 192.0.2.1:1"], "source and destination are missing"),
        (["--rules", "rules", "tcp", "192.0.2.1:1", "-"], "source and destination are missing"),
        (["--rules", "rules", "tcp 192.0.2.1 -> 203.0.113.1:80"], "'192.0.2.1' is no ADDRESS:PORT"),
        (["--rules", "rules", "tcp 192.0.2.300:1 -> 203.0.113.1:80"], "'192.0.2.300' is no address"),
        (["--rules", "rules", "tcp 192.0.2.1:70000 -> 203.0.113.1:80"], "'70000'"),
        (["--rules", "rules", "tcp 192.0.2.1:1 -> [2001:db8::1]:80"], "two families"),
        (["--rules", "rules", "tcp 2001:db8::1:80 -> [2001:db8::1]:80"], "as [2001:db8::1]:80"),
        (["--rules", "rules", "icmpv6 192.0.2.1 -> 203.0.113.1"], "icmpv6 does not go with"),
        (["--rules", "rules", f"{FLOW} akc"], "'akc' is none of fin, syn"),
        (["--rules", "rules", f"{FLOW} mark=x"], "'x'"),
        (["--rules", "rules", FLOW, "--if", "wieght=1"], "wieght"),
        (["--rules", "rules", FLOW, "--if", "server 10.0.0.9:80 weight=1"], "10.0.0.9:80"),
        (["--rules", "rules", "--after", "tcp x", FLOW], "--after 'tcp x'"),
        (["--rules", "rules", "--after", "wait long", FLOW], "--after 'wait long'"),
        (["--rules", "rules", "--after", "wait -1", FLOW], "--after 'wait -1'"),
        (["--rules", "rules", "--sysctl", "no=1", FLOW], "--sysctl no=1"),
        (["--rules", "rules", "--mark", "tcp", FLOW], "mark 'tcp'"),
        (["--rules", "none", FLOW], "none: No such file"),
        (["--rules", "in", FLOW], "in: "),
        (["--rules", "rules", "--pcap", "none", "--packet", "1"], "none: No such file"),
        (["--rules", "rules", "--pcap", "in", "--packet", "0"], "no packet 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_in_a_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever can't be used ends with status 1 and one line that names the word."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and err.startswith("ipvssim why: ") and words in err


@pytest.mark.parametrize("arguments", [[], ["--rules", "rules"], ["--rules", "rules", FLOW, "--packet", "1"], [FLOW]])
def test_a_question_is_one_question(arguments: list[str]) -> None:
    """A table, and either words or a packet of a capture; else the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "text",
    [
        FLOW, "udp 192.0.2.1:5 203.0.113.1:53 size=9",
        "sctp 192.0.2.1:5 -> 203.0.113.1:80 data", "icmp 192.0.2.1 203.0.113.1",
        "esp 192.0.2.1 203.0.113.1", "tcp [2001:db8::1]:5 -> [2001:db8::2]:80 syn ack", "icmpv6 2001:db8::1 2001:db8::2",
        "udp [2001:db8::1]:5 -> [2001:db8::2]:53 ttl=1", "ah 2001:db8::1 2001:db8::2",
    ],
)  # fmt: skip
def test_packets_in_words_are_whole(text: str) -> None:
    """What is made of words is a packet that the kernel takes, with right checksums, and it is what was said."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    data = packet_words.read(text).data
    packet = parse4(data) if data[0] < 0x60 else parse6(data)
    assert isinstance(packet, Packet) and packet.hops == (1 if "ttl=1" in text else 64)
    again = (IP if data[0] < 0x60 else IPv6)(data)
    layer: Any = again
    while layer:
        for field in ("chksum", "len", "plen", "cksum"):
            layer.fields.pop(field, None)
        layer = layer.payload
    again.clear_cache()
    if not text.startswith(("sctp", "ah", "esp")):
        assert bytes(again) == data
