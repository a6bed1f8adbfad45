"""Views on packet bytes, and checksums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvssim.net.checksums import checksum, crc32c, finish, is_valid, total
from ipvssim.net.packets import Packet, is_cut_fragment, parse4, parse6, quote, sign4, with_hops4
from tests.ipvssim import worlds as w


@given(st.binary(min_size=2, max_size=200).filter(any))
def test_a_checksum_makes_the_sum_vanish(data: bytes) -> None:
    """Data with its checksum appended adds up to zero in ones' complement."""
    even = data + bytes(len(data) & 1)
    assert is_valid(even + checksum(even).to_bytes(2, "big"))


@given(st.binary(min_size=20, max_size=60).filter(lambda data: len(data) % 4 == 0), st.integers(0, 65535))
def test_an_incremental_checksum_equals_a_full_one(header: bytes, word: int) -> None:
    """Changing one word and adjusting the checksum by the difference gives what computing anew gives (RFC 1624)."""
    before = sign4(b"\x45" + header[1:])
    after = before[:16] + word.to_bytes(2, "big") + before[18:]
    shift = word - int.from_bytes(before[16:18], "big")
    changed = finish(0xFFFF - int.from_bytes(before[10:12], "big") + shift)
    assert changed == int.from_bytes(sign4(after)[10:12], "big")


def test_crc32c_has_its_check_value() -> None:
    """CRC32c of the nine digits is the published 0xE3069283, however it is cut."""
    assert crc32c(b"123456789") == crc32c(b"1234", b"56789") == 0xE3069283


@given(st.integers(1, 255))
def test_a_smaller_ttl_keeps_the_header_valid(ttl: int) -> None:
    """A TTL that was counted down leaves a header whose checksum is right."""
    data = with_hops4(w.tcp(ttl=ttl), ttl - 1)
    assert data[8] == ttl - 1 and total(data[:20]) == 0


def test_a_packet_is_read_from_its_bytes() -> None:
    """Addresses, ports, offset and key are those of the header, with and without options; padding is cut off."""
    plain = parse4(w.tcp(port=5, to=6) + b"padding")
    optioned = parse4(w.tcp(port=5, to=6, options=b"\1\1\1\1"))  # type: ignore[arg-type]
    assert isinstance(plain, Packet) and isinstance(optioned, Packet)
    assert (plain.offset, optioned.offset) == (20, 24)
    assert plain.key == optioned.key == w.CLIENT + w.VIRTUAL + b"\0\5\0\6"
    assert len(plain.data) == 40


def test_extension_headers_are_walked_through() -> None:
    """The protocol of an IPv6 packet is the one behind its extension headers, and its ports are found there."""
    inner = w.udp(7, 8, source=w.CLIENT6, target=w.VIRTUAL6)
    hop = bytes((17, 0, 1, 4, 0, 0, 0, 0))
    data = inner[:4] + (len(inner) - 32).to_bytes(2, "big") + b"\0" + inner[7:40] + hop + inner[40:]
    packet = parse6(data)
    assert isinstance(packet, Packet)
    assert (packet.protocol, packet.offset, packet.client_port, packet.port) == (17, 48, 7, 8)


@given(st.integers(0, 39))
def test_a_cut_packet_is_refused_with_a_reason(size: int) -> None:
    """A packet shorter than its header says is no packet, and the reason is told."""
    assert isinstance(parse4(w.tcp()[:size]), str)
    assert isinstance(parse6(w.tcp(source=w.CLIENT6, target=w.VIRTUAL6)[:size]), str)


def test_a_wrong_header_checksum_is_refused() -> None:
    """Packets with a bad IPv4 header checksum never arrive."""
    data = w.tcp()
    assert parse4(data[:11] + bytes((data[11] ^ 1,)) + data[12:]) == "wrong IPv4 header checksum"


def test_a_quoted_packet_is_read_in_reverse() -> None:
    """What an ICMP error quotes is looked up in the other direction; four bytes of transport are enough."""
    data = w.tcp(port=80, to=1024, source=w.VIRTUAL, target=w.CLIENT)
    quoted = quote(data[:24], 2, reverse=True)
    short = quote(data[:23], 2, reverse=True)
    assert quoted is not None and short is not None
    assert quoted.key == w.CLIENT + w.VIRTUAL + b"\4\0\0\x50"
    assert short.key == b""


@given(st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_a_reason(data: bytes) -> None:
    """Parsing never raises."""
    for parse in (parse4, parse6):
        assert isinstance(parse(data), (Packet, str))
    for family in (2, 10):
        for reverse in (False, True):
            assert quote(data, family, reverse=reverse) is None or data


@pytest.mark.parametrize(("chain", "ends"), [
    ("2b:2c00040000000000", True), ("2b:2c00040000000000 11000a", True), ("2b:2c00040000000000 11000001", False),
    ("2c:11000008", True), ("2c:11000008 000000", True),
    ("2c:11000008 00000007", False), ("2c:11000007", False), ("33:2c01000000000000 00000000 11000400", True),
    ("2c:11", True), ("2c:", False), ("2c:11000001966500", False), ("2b:2c0004", False), ("2b:2c", False),
    ("3b:2c00", False), ("11:2c00", False), ("33:2c01000000000000 00000000 11", True), ("2b:2c01040000000000", False),
])  # fmt: skip
def test_a_packet_that_ends_in_its_fragment_header(chain: str, ends: bool) -> None:
    """Headers before it need their first two bytes, and to be there whole; of it one of the first four bytes is missing, or
    of a later fragment's any (recorded: ``tests/data/traces/fragment-header-*``)."""
    following, _, headers = chain.partition(":")
    data = bytes.fromhex(headers)
    packet = b"\x60\0\0\0" + len(data).to_bytes(2, "big") + bytes.fromhex(following) + b"\x40" + bytes(32) + data
    assert is_cut_fragment(packet) is ends
