"""Capture files: every kind of link and format says the same, and damage is named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from struct import pack, pack_into

import pytest

from ipvssim.doors.capture import Captured, play
from ipvssim.doors.captures.files import CaptureError, Reader
from ipvssim.kernel import Kernel
from tests.ipvssim import worlds as w
from tests.ipvssim.doors import captured as c

FORMATS = {
    "µs": lambda link: c.classic(link, c.session()),
    "µs, big end first": lambda link: c.classic(link, c.session(), order=">"),
    "ns": lambda link: c.classic(link, c.session(), nano=True),
    "ns, big end first": lambda link: c.classic(link, c.session(), nano=True, order=">"),
    "modified": lambda link: c.classic(link, c.session(), magic=0xA1B2CD34),
    "pcapng": lambda link: c.pcapng([link], c.session()),
    "pcapng, big end first": lambda link: c.pcapng([link], c.session(), order=">"),
    "pcapng, ns": lambda link: c.pcapng([link], c.session(), resolution=9),
    "pcapng, binary fractions": lambda link: c.pcapng([link], c.session(), resolution=0x80 | 24),
    "pcapng, offset": lambda link: c.pcapng([link], c.session(), offset=1_600_000_000),
    "pcapng, obsolete block": lambda link: c.pcapng([link], c.session(), kind=2),
    "pcapng, two sections": lambda link: c.pcapng([link], c.session()[:2]) + c.pcapng(
        [link], c.session()[2:], order=">"
    ),
}  # fmt: skip


def played(path: Path, data: bytes, rules: str = c.RULES) -> Captured:
    path.write_bytes(data)
    return play(Kernel(rules).director, path)


@pytest.mark.parametrize("link", c.LINKS)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_connection_is_the_same_on_every_link_and_in_every_format(tmp_path: Path, link: str, kind: str) -> None:
    """Three requests and two answers in 40 ms end in TIME_WAIT, whatever their frames, MAC addresses and file format."""
    counts = played(tmp_path / "in", FORMATS[kind](link))
    (flow,) = counts.flows.all
    assert (flow.in_packets, flow.back_packets, flow.states[-1]) == (3, 2, "TIME_WAIT")
    assert counts.seconds == pytest.approx(0.04, abs=2e-6)


@pytest.mark.parametrize("number", [12, 14, 101, 228, 229])
def test_every_number_of_bare_ip_is_known(tmp_path: Path, number: int) -> None:
    """Bare IP packets have five link types."""
    data = bytearray(c.classic("raw", c.session()))
    pack_into("<I", data, 20, number)
    assert played(tmp_path / "in", bytes(data)).received == 5


def test_bits_above_the_link_type_are_not_part_of_it(tmp_path: Path) -> None:
    """The upper half of the field tells of a checksum behind the frames, which is cut off as padding is."""
    data = bytearray(c.classic("ethernet", [wire._replace(data=wire.data + b"fcs!") for wire in c.session()]))
    pack_into("<I", data, 20, 1 | 0x24000000)
    assert played(tmp_path / "in", bytes(data)).flows.all[0].states[-1] == "TIME_WAIT"


def test_ipv6_is_played_from_every_link(tmp_path: Path) -> None:
    """An IPv6 request is told from its EtherType, its family number or its version."""
    rules = "-A -t [2001:db8:80::1]:80 -s rr\n-a -t [2001:db8:80::1]:80 -r [fd00:10::a]:8080 -m\n"
    syn = c.Wire(0, w.tcp(source=w.CLIENT6, target=w.VIRTUAL6))
    for link in c.LINKS:
        assert played(tmp_path / "in", c.classic(link, [syn]), rules).reasons == {"opened a connection": 1}, link


def test_interfaces_have_their_own_links_and_units_of_time(tmp_path: Path) -> None:
    """Clients on a cooked interface and servers on Ethernet are one capture."""
    wires = [wire._replace(interface=wire.data[12:16] == w.SERVER) for wire in c.session()]
    counts = played(tmp_path / "in", c.pcapng(["cooked", "ethernet"], wires))
    assert counts.flows.all[0].states[-1] == "TIME_WAIT"


def test_a_simple_packet_block_has_no_time_and_may_be_cut(tmp_path: Path) -> None:
    """It is at the time of the packet before, and as long as its interface keeps packets, or its block is."""
    counts = played(tmp_path / "in", c.pcapng(["ethernet"], c.session(), kind=3))
    assert counts.seconds == 0 and counts.flows.all[0].states[-1] == "TIME_WAIT"
    short = c.block("<", 3, pack("<I", 9999) + c.frame("ethernet", c.session()[0]))
    assert played(tmp_path / "in", c.pcapng(["ethernet"], []) + short).cut == 1


def test_packets_kept_in_part_are_filled_up(tmp_path: Path) -> None:
    """A capture of headers alone (tcpdump -s 64) opens its connections as a whole one does, and is said to be one."""
    wire = c.session()[0]._replace(data=w.tcp(payload=bytes(1000)))
    whole = c.classic("ethernet", [wire])
    cut = whole[:32] + pack("<I", 64) + whole[36 : 40 + 64]
    counts = played(tmp_path / "in", cut)
    assert counts.cut == 1 and counts.flows.all[0].in_bytes == 1040


def test_packets_that_a_network_card_merged_pass(tmp_path: Path) -> None:
    """A packet longer than any wire carries came in as several: it goes on, and no error says that it is too long."""
    wires = [*c.session()[:3], c.Wire(c.session()[3].when, w.tcp(w.ACK, payload=bytes(9000), df=True))]
    counts = played(tmp_path / "in", c.classic("ethernet", wires))
    assert (counts.merged, counts.sent, counts.flows.all[0].in_packets) == (1, 4, 3)


def test_a_header_checksum_left_to_the_network_card_is_filled_in(tmp_path: Path) -> None:
    """Zero is no wrong checksum, but one that was not there yet."""
    data = w.tcp()
    bare = c.Wire(0, data[:10] + b"\0\0" + data[12:])
    assert played(tmp_path / "in", c.classic("ethernet", [bare])).reasons == {"opened a connection": 1}


@pytest.mark.parametrize("packed", [gzip.compress, lzma.compress, bz2.compress])
def test_a_compressed_capture_is_read_as_it_is(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    """gzip, xz and bzip2: the same flows, and the position counts the file's own bytes."""
    data = packed(c.classic("ethernet", c.session()))
    assert played(tmp_path / "in", data).flows.all[0].states[-1] == "TIME_WAIT"
    reader = Reader(io.BytesIO(data), "in")
    assert len(list(reader)) == 5 and reader.position == len(data)


def test_a_compressed_stream_may_come_in_pieces(tmp_path: Path) -> None:
    """A pipe gives a byte at a time; what was compressed is whole all the same."""
    data = gzip.compress(c.classic("ethernet", c.session()))
    command = [sys.executable, "-m", "ipvssim", "pcap", str(tmp_path / "rules"), "-"]
    (tmp_path / "rules").write_text(c.RULES)
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert running.stdin is not None
    for byte in data:
        running.stdin.write(bytes((byte,)))
    assert b"TIME_WAIT" in running.communicate()[0]


def two_interfaces(late: int) -> bytes:
    """What dumpcap writes of two: the clients' packets, then the servers', ``late`` microseconds after the last of those."""
    start = c.session()[0].when
    wires = [wire._replace(interface=wire.data[12:16] == w.SERVER) for wire in c.session()]
    clients = [wire for wire in wires if not wire.interface]
    if late:
        clients.append(c.Wire(start + late, w.tcp(port=2000)))
    return c.pcapng(["ethernet", "ethernet"], [*clients, *(wire for wire in wires if wire.interface)])


def test_frames_of_several_interfaces_are_put_in_order(tmp_path: Path) -> None:
    """dumpcap writes each interface's packets in one go: they are played by their times."""
    counts = played(tmp_path / "in", two_interfaces(2_000_000))
    assert counts.flows.all[0].states == ["SYN_RECV", "ESTABLISHED", "FIN_WAIT", "TIME_WAIT"]
    assert [flow.client[1] for flow in counts.flows.all] == [1024, 2000]


def test_frames_that_are_too_late_are_played_where_they_stand(tmp_path: Path) -> None:
    """Three seconds are waited for one that stands later; memory has an end."""
    counts = played(tmp_path / "in", two_interfaces(20_000_000))
    assert counts.received == 6 and counts.flows.all[0].back_packets == 2
    assert "TIME_WAIT" not in counts.flows.all[0].states


def test_frames_that_are_held_back_are_played_before_damage_is_told(tmp_path: Path) -> None:
    """Whatever was read before the file ends too soon counts."""
    (tmp_path / "in").write_bytes(two_interfaces(0)[:-4])
    counts = Captured()
    with pytest.raises(CaptureError, match="the file ends within a block"):
        play(Kernel(c.RULES).director, tmp_path / "in", counts=counts)
    assert counts.received == 4


def test_one_interface_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    """A clock that was set back is no reason to play an answer before its request."""
    start = c.session()[0].when
    wires = [wire._replace(when=start - number * 100_000) for number, wire in enumerate(c.session())]
    assert played(tmp_path / "in", c.pcapng(["ethernet"], wires)).flows.all[0].states[-1] == "TIME_WAIT"


NG = c.pcapng(["ethernet"], c.session())
PCAP = c.classic("ethernet", c.session())
DAMAGE = {
    "empty": (b"", "empty, and no capture", 0),
    "no capture": (b"hello, world", "neither pcap nor pcapng", 0),
    "compressed by zstd": (b"\x28\xb5\x2f\xfdrest", "zstd -dc", 0),
    "compressed nonsense": (b"\x1f\x8b\x08\0rest", "after packet 0: compressed, and damaged", 0),
    "compressed and cut": (gzip.compress(PCAP)[:12], "compressed, and damaged", 0),
    "compressed text": (gzip.compress(b"hello"), "neither pcap nor pcapng", 0),
    "compressed nothing": (gzip.compress(b""), "empty, and no capture", 0),
    "compressed and damaged": (gzip.compress(PCAP)[:-8] + bytes(8), "after packet 5: ", 5),
    "within the header": (PCAP[:20], "the file ends in its header", 0),
    "another version": (PCAP[:4] + b"\x09" + PCAP[5:], "version 9", 0),
    "within a record's header": (PCAP[:30], "packet 1: the file ends within it", 0),
    "within the last record": (PCAP[:-1], "packet 5: the file ends within it", 4),
    "a record of gigabytes": (PCAP[:32] + b"\xff\xff\xff\x7f" + PCAP[36:], "packet 1: 2147483647 bytes long", 0),
    "an unknown link": (PCAP[:20] + b"\xf7" + PCAP[21:], "packet 1: of link type 247, which is not known", 0),
    "within a section's header": (NG[:10], "after packet 0: a damaged section header", 0),
    "no byte order": (NG[:8] + b"none" + NG[12:], "after packet 0: a damaged section header", 0),
    "within a block": (NG[:-3], "after packet 4: the file ends within a block", 4),
    "within a block's type": (NG + b"\6\0", "after packet 5: the file ends within a block", 5),
    "a block of no length": (NG + pack("<II", 6, 0), "after packet 5: a block of 0 bytes", 5),
    "a block of gigabytes": (NG + pack("<II", 6, 0x7FFFFFFC), "a block of 2147483644 bytes", 5),
    "two lengths": (NG[:-4] + pack("<I", 12), "a block's two lengths differ", 4),
    "no such interface": (NG + c.block("<", 6, pack("<IIIII", 7, 0, 0, 0, 0)), "packet 6: of interface 7", 5),
    "a short block": (NG + c.block("<", 6, bytes(8)), "packet 6: its block is too short", 5),
    "a packet longer than its block": (
        NG + c.block("<", 6, pack("<IIIII", 0, 0, 0, 99, 99)), "packet 6: 99 bytes long in a block of 32", 5,
    ),
    "an interface of nothing": (NG + c.block("<", 1, b""), "a damaged description of an interface", 5),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_what_was_read_before_counts(tmp_path: Path, kind: str) -> None:
    """One error names file, packet and cause; the packets before it were played."""
    data, words, received = DAMAGE[kind]
    path = tmp_path / "damaged"
    path.write_bytes(data)
    counts = Captured()
    with pytest.raises(CaptureError) as wrong:
        play(Kernel(c.RULES).director, path, counts=counts)
    assert str(wrong.value).startswith(f"{path}: ") and words in str(wrong.value)
    assert counts.received == received


def test_a_capture_is_never_in_memory_whole() -> None:
    """200 MB of frames are read in 40 MB of address space above what Python itself has."""
    code = (
        "import resource, sys; from ipvssim.doors.captures.files import Reader;"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096;"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20),) * 2);"
        "print(sum(len(frame.data) for frame in Reader(sys.stdin.buffer, '-')))"
    )
    record = pack("<IIII", 0, 0, 1 << 18, 1 << 18) + bytes(1 << 18)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(PCAP[:24])
        for _ in range(800):
            child.stdin.write(record)
        child.stdin.close()
        assert int(child.stdout.read()) == 800 << 18


def test_a_stream_that_fails_is_damage_too() -> None:
    """An error of the disk in the middle is one CaptureError."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 40:
                raise OSError(5, os.strerror(5))
            return super().read(size)

    with pytest.raises(CaptureError, match="disk: after packet 1: Input/output error"):
        list(Reader(Broken(PCAP), "disk"))
