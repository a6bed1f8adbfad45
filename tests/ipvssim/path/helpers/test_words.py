"""FTP's commands and answers, read as the kernel's helper reads them."""

from __future__ import annotations

import pytest

from ipvssim.path.helpers.entries import EPSV, PASV
from ipvssim.path.helpers.words import asked, extended, plain

FOUR = bytes([10, 9, 8, 7])


@pytest.mark.parametrize(
    ("payload", "six", "found"),
    [
        (b"PASV\r\n", False, PASV),
        (b"pasv\r\n", False, PASV),
        (b"NOOP\r\nPASV\r\n", False, PASV),
        (b"PASV\r\n", True, None),
        (b"PASV\n", False, None),
        (b"PASV\r", False, None),
        (b"EPSV\r\n", True, EPSV),
        (b"EPSV 1\r\n", False, EPSV),
        (b"EPSV 2\r\n", True, EPSV),
        (b"EPSV 2\r\n", False, -1),
        (b"EPSV ALL\r\n", False, -1),
        (b"EPSV 1", False, -1),
        (b"EPSVX\r\nPASV\r\n", False, PASV),
    ],
)
def test_passive_commands(payload: bytes, six: bool, found: int | None) -> None:
    """PASV only over IPv4, EPSV for the packet's own family, anywhere in the packet; another family ends the search."""
    assert asked(payload, six) == found


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (b"227 Passive (10,9,8,7,19,136)", (FOUR, 5000, 13, 28)),
        (b"227 Passive =10,9,8,7,19,136.", (FOUR, 5000, 13, 28)),
        (b"227 ((10,9,8,7,19,136)", (FOUR, 5000, 6, 21)),
        (b"227 (,,,,,)", (bytes(4), 0, 5, 10)),
        (b"227 (10,9,8,7,19,136,5)", (FOUR, 5000, 5, 20)),
        (b"227 (10,9,8,7,19,136", None),
        (b"227 (10,9,8,7,19)", None),
        (b"227 ( 10,9,8,7,19,136)", None),
        (b"230 (10,9,8,7,19,136)", None),
        (b"227", None),
    ],
)
def test_plain_answers(payload: bytes, found: tuple[bytes, int, int, int] | None) -> None:
    """Six numbers behind parentheses or from the first digit on; something has to stand behind them."""
    assert plain(payload, b"227 ", b"(", wraps=True) == found


def test_large_numbers() -> None:
    """A number above 255 counts by its low byte in 6.1.176; 6.1.192 refuses it."""
    said = b"PORT 192,0,2,1,159,1250000\r\n"
    found = plain(said, b"PORT", b" ", wraps=True)
    assert found is not None and found.port == 159 << 8 | 1250000 & 0xFF
    assert plain(said, b"PORT", b" ", wraps=False) is None


@pytest.mark.parametrize(
    ("payload", "six", "found"),
    [
        (b"EPRT |1|10.9.8.7|5000|\r\n", False, (FOUR, 5000, 5, 22)),
        (b"eprt  ~1~10.9.8.7~5000~", False, (FOUR, 5000, 6, 23)),
        (b"EPRT |2|fd00::7|5000|", True, (bytes.fromhex("fd00") + bytes(13) + b"\7", 5000, 5, 21)),
        (b"EPRT |2|fd00::7|5000|", False, None),
        (b"EPRT |1|10.9.8.7|5000", False, None),
        (b"EPRT |1|10.9.8.7|0|", False, None),
        (b"EPRT |1|10.9.8.7|65536|", False, None),
        (b"EPRT |1|10.9.8|5000|", False, None),
        (b"EPRT |1|10.9.8.7.6|5000|", False, None),
        (b"EPRT |1|10..8.7|5000|", False, None),
        (b"EPRT |||5000|", False, None),
        (b"EPRT|1|10.9.8.7|5000|", False, None),
    ],
)
def test_extended_commands(payload: bytes, six: bool, found: tuple[bytes, int, int, int] | None) -> None:
    """The delimiter is any visible character; family, address and port have to be whole, and of the packet's family."""
    assert extended(payload, b"EPRT", b" ", six, answer=False) == found


def test_extended_answers() -> None:
    """229 may leave family and address out, both or none of them."""
    found = extended(b"229 Extended (|||5000|)", b"229 ", b"(", False, answer=True)
    assert found == (b"", 5000, 14, 22)
    assert extended(b"229 Extended (||10.9.8.7|5000|)", b"229 ", b"(", False, answer=True) is None
