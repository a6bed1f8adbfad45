"""IPv6 options as a host looks them through: refused silently, with a parameter problem, or taken."""

from __future__ import annotations

import pytest

from ipvssim.net.options6 import BadOption6Error, verify_destination, verify_hops

HEADER = bytes.fromhex("60000000 0008 00 40".replace(" ", "")) + bytes(32)


def hops(options: str) -> bytes:
    """A packet with a hop-by-hop header of these options, whose length fills whole words."""
    inner = bytes.fromhex(options)
    return HEADER + bytes([59, (len(inner) + 2) // 8 - 1]) + inner


@pytest.mark.parametrize(
    "options", ["010400000000", "000000000000", "050200000100", "1e0400000000", "0102000005020000010400000000"]
)  # fmt: skip
def test_options_that_are_taken(options: str) -> None:
    """Padding up to seven bytes in a row, a router alert, and unknown options that say: skip."""
    verify_hops(hops(options))


@pytest.mark.parametrize(
    ("options", "pointer", "code"),
    [
        ("010c" + "00" * 12, -1, 2), ("000000000000" + "00" * 8, -1, 2), ("010400000100", -1, 2), ("010500000000", -1, 2),
        ("050400000100", -1, 2), ("5e0400000000", -1, 2), ("9e0400000000", 42, 2), ("de0400000000", 42, 2),
        ("c20400000010", 44, 0), ("c20300000000", -1, 2), ("1e00" * 9 + "01020000", -1, 2),
    ],
)  # fmt: skip
def test_options_that_are_refused(options: str, pointer: int, code: int) -> None:
    """Too much padding, or none that is zero; lengths that leave the header; unknown ones as their first two bits say."""
    with pytest.raises(BadOption6Error) as bad:
        verify_hops(hops(options))
    assert (bad.value.pointer, bad.value.code) == (pointer, code)


def test_destination_options_count_where_the_host_takes_the_packet_in() -> None:
    """Behind hop-by-hop options, too; what only a router would look at is no option there."""
    good, bad = bytes.fromhex("3c00010400000000"), bytes.fromhex("3b009e0400000000")
    verify_destination(HEADER + good + bytes.fromhex("3b00050200000100"))
    with pytest.raises(BadOption6Error) as refused:
        verify_destination(HEADER + good + bad)
    assert refused.value.pointer == 50
    with pytest.raises(BadOption6Error):
        verify_hops(HEADER + bytes.fromhex("3b04010400000000"))
