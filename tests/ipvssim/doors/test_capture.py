"""``ipvssim pcap``: a capture through a director with given rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

from ipvssim.doors.pcap import main
from ipvssim.doors.replay import main as replay
from ipvssim.kernel import Kernel
from tests.places import DATA

RULES = DATA / "rules" / "mixed.rules"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "in.pcap"
    syns = [
        Ether() / IP(src=f"192.0.2.{last}", dst="203.0.113.1") / TCP(sport=4242, dport=80, flags="S")
        for last in range(1, 8)
    ]
    wrpcap(str(path), [*syns, Ether() / IP(src="192.0.2.1", dst="203.0.113.1") / ICMP()])
    return path


def test_what_leaves_is_what_the_scheduler_decided(
    tmp_path: Path, capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """wrr with weights 1, 2, 4 sends seven clients 12 11 10 12 12 12 11, as the kernel does; an echo stays here."""
    out = tmp_path / "out.pcap"
    assert main([str(RULES), str(capture), str(out)]) == 0
    assert [packet[IP].dst for packet in rdpcap(str(out))] == [
        f"10.0.0.{last}" for last in (12, 11, 10, 12, 12, 12, 11)
    ]
    told = capsys.readouterr().out
    assert "\n8 packets came in, 7 left\n" in told and "7  opened a connection" in told


def test_explained_packets_name_the_service_and_what_was_looked_at(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--explain`` tells every packet's way: the service, the weights, the pick."""
    assert main(["--explain", str(RULES), str(capture)]) == 0
    told = capsys.readouterr().out
    assert "service: TCP 203.0.113.1:80 wrr" in told and "10.0.0.12:8080: weight=4" in told


def test_unusable_files_are_named(tmp_path: Path, capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, a file that is no capture and a rule that is none end with status 1 and say which."""
    bad = tmp_path / "bad.rules"
    bad.write_text("-A -t 203.0.113.1:80 -s rr\n-A -t nonsense\n")
    for rules, source, words in (
        (RULES, tmp_path / "none.pcap", "none.pcap"),
        (RULES, bad, "bad.rules"),
        (bad, capture, "line 2"),
    ):
        assert main([str(rules), str(source)]) == 1
        assert words in capsys.readouterr().err


def test_rules_that_the_kernel_refuses_are_refused() -> None:
    """A director is only made of rules that all took effect."""
    with pytest.raises(ValueError, match=r"line 2: TCP 203\.0\.113\.1:80: Service already exists"):
        Kernel("-A -t 203.0.113.1:80 -s rr\n-A -t 203.0.113.1:80 -s rr\n")


def test_replay_explains_without_changing_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """``--explain`` adds each packet's way and nothing else; a checked trace still has no difference."""
    trace = str(DATA / "traces" / "sh-1.trace")
    assert replay([trace]) == 0
    plain = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert replay(["--explain", trace]) == 0
    explained = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ways = [answer.pop("explain") for answer in explained if "explain" in answer]
    assert explained == plain and any(way.get("choice", {}).get("scheduler") == "sh" for way in ways)
    assert replay(["--check", "--explain", trace]) == 0
