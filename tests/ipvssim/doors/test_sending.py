"""``ipvssim send``: packets into a served table, and into one in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import ipvsnl
import ipvssim
from ipvssim.command import main
from ipvssim.doors.table_file import opened
from ipvssim.kernel import Kernel
from ipvssim.net.networks import ServedNetwork
from tests.ipvssim.doors.test_server import serving

RULES = "-A -t 192.0.2.8:80 -s rr\n-a -t 192.0.2.8:80 -r 10.0.0.1:80 -m\n-a -t 192.0.2.8:80 -r 10.0.0.2:80 -m\n"
LINE = 'service = "-t 192.0.2.8:80", arrivals = {kind = "constant", rate = 100}, connections = 20'


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Six connections that begin, one a second."""
    from scapy.layers.inet import IP, TCP
    from scapy.utils import wrpcap

    packets = []
    for number in range(6):
        packet = IP(src="198.51.100.7", dst="192.0.2.8") / TCP(sport=1000 + number, dport=80, flags="S")
        packet.time = 1_700_000_000 + number
        packets.append(packet)
    wrpcap(str(tmp_path / "six.pcap"), packets)
    return tmp_path / "six.pcap"


def test_a_capture_into_a_served_kernel(tmp_path: Path, capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its connections are there for whoever looks, and each server has its share of them."""
    with serving(tmp_path / "s", Kernel(RULES, network=ServedNetwork())):
        assert main(["send", f"unix:{tmp_path / 's'}", str(capture), "--fast"]) == 0
        assert capsys.readouterr().out == "6 packets: 6 forwarded; 6 connections opened\n"
        with ipvsnl.open(f"unix:{tmp_path / 's'}") as ipvs:
            assert sorted(one.destination for one in ipvs.connections()) == ["10.0.0.1"] * 3 + ["10.0.0.2"] * 3
            (entry,) = ipvs.snapshot()
            assert [one.active for one in entry.destinations] == [3, 3]


def test_packets_keep_their_pace(tmp_path: Path) -> None:
    """A served kernel's clock is the real one: twenty connections at a hundred a second take their time."""
    with serving(tmp_path / "s", Kernel(RULES, network=ServedNetwork())):
        began = time.monotonic()
        assert main(["send", f"unix:{tmp_path / 's'}", "--traffic", f"{LINE}, close = 'none'"]) == 0
        assert time.monotonic() - began >= 0.19


def test_a_table_in_a_file(tmp_path: Path, capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counters and rates are written, connections are not, and that is said; rates fall as the file grows old."""
    table = tmp_path / "table"
    with ipvsnl.open(f"sim:{table}") as ipvs:
        ipvs.load(RULES)
    assert main(["send", f"sim:{table}", str(capture)]) == 0
    assert "no connections" in capsys.readouterr().err
    with ipvsnl.open(f"sim:{table}") as ipvs:
        (entry,) = ipvs.snapshot()
        assert (entry.status.statistics.conns, entry.destinations[0].statistics.conns) == (6, 3)
        assert entry.status.statistics.inbps > 0
        assert list(ipvs.connections()) == []
    old = time.time() - 3600
    os.utime(table, (old, old))
    with opened(str(table)) as endpoint:
        kernel = endpoint.kernel
        assert kernel.table.total.shown()[0] == 6
        assert kernel.table.total.shown()[5:] == (0,) * 5


def test_packets_from_python(tmp_path: Path) -> None:
    """Packets of scapy's and bytes alike, into a kernel that is served; what is neither is refused."""
    from scapy.layers.inet import IP, UDP

    packets = [IP(src="198.51.100.7", dst="192.0.2.8") / UDP(sport=number, dport=80) for number in (1, 2)]
    kernel = Kernel("-A -u 192.0.2.8:80 -s rr\n-a -u 192.0.2.8:80 -r 10.0.0.1:80 -m", network=ServedNetwork())
    with serving(tmp_path / "s", kernel):
        sent = ipvssim.send(f"unix:{tmp_path / 's'}", [packets[0], bytes(packets[1])])
        assert (sent.packets, sent.opened, dict(sent.verdicts)) == (2, 2, {"forward": 2})
        with pytest.raises(ValueError, match="no packet"):
            ipvssim.send(f"unix:{tmp_path / 's'}", ["SYN"])


def test_traffic_of_a_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line of traffic to a mark carries it; the same line and seed send the same."""
    table = tmp_path / "table"
    with ipvsnl.open(f"sim:{table}") as ipvs:
        ipvs.load("-A -f 7 -s rr\n-a -f 7 -r 10.0.0.1 -g\n")
    line = 'service = "-f 7", arrivals = {kind = "poisson", rate = 10}, connections = 5, close = "none"'
    said = []
    for _ in range(2):
        assert main(["send", f"sim:{table}", "--traffic", line, "--seed", "3"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == "10 packets: 10 forwarded; 5 connections opened\n"


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["kernel", "x.pcap"], 1, "takes no packets"),
        (["unix:nowhere", "x.pcap"], 1, "nowhere"),
        (["sim:table", "x.pcap"], 1, "x.pcap"),
        (["sim:table", "--traffic", "colour = 1"], 2, "traffic.service is missing"),
        (["sim:table", "--traffic", f"{LINE}, colour = 1"], 2, "colour"),
        (["sim:table", "--traffic", "{"], 2, "--traffic"),
        (["sim:table", "--traffic", LINE, "--on", "eth9"], 1, "no device 'eth9'"),
        (["sim:table", "x.pcap", "--mark", "red"], 1, "mark 'red'"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    words: list[str], status: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A target, a file, a line of traffic or a device that is none."""
    monkeypatch.chdir(tmp_path)
    assert main(["send", *words]) == status
    said = capsys.readouterr().err.splitlines()
    assert why in said[0] and len(said) == 1
