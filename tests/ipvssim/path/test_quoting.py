"""How much of what an ICMP error quotes each release looks at. Recorded, too: the traces misquoted and misquoted6."""

from __future__ import annotations

import pytest

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.behaviours import resolve
from ipvssim.path import quoting
from tests.ipvssim import worlds as w

PORTS = bytes((4, 0, 0, 80))
ESP = 50


def followed(release: str, body: bytes, *, reply: bool = False) -> bytes | None:
    """The ports by which a connection is looked for (of ESP none: empty); None: the error is let be."""
    known = resolve(release).behaviours
    how = quoting.of_replies(known) if reply else quoting.of_requests(known)
    quoted = how.followed(body, AF_INET if body[0] < 0x60 else AF_INET6, reverse=False)
    return None if quoted is None else quoted.key[-4:] if quoted.protocol != ESP else b""


def odd(first: int, protocol: int = w.TCP) -> bytes:
    """A quoted packet whose header begins with this byte."""
    return bytes((first,)) + w.ip(w.CLIENT, w.VIRTUAL, protocol, PORTS + bytes(24))[1:]


@pytest.mark.parametrize(
    ("release", "requests", "replies"), [("6.1.177", True, True), ("6.1.178", False, True), ("6.1.183", False, False)]
)
def test_versions_and_lengths_are_looked_at_in_two_steps(release: str, requests: bool, replies: bool) -> None:
    """A header that says less than 20 bytes has its ports within it, while nobody looks: here an address's end and start."""
    assert (followed(release, odd(0x55)) is not None) is requests
    assert (followed(release, odd(0x55), reply=True) is not None) is replies
    assert followed(release, odd(0x43)) == (w.CLIENT if requests else None)
    assert followed(release, odd(0x45)) == PORTS


@pytest.mark.parametrize(
    ("release", "protocol", "requests", "replies"),
    [
        ("6.1.182", w.TCP, None, b"\x60\0\0\0"),
        ("6.1.182", ESP, None, b""),
        ("6.1.183", w.TCP, None, None),
        ("6.1.183", ESP, b"", b""),
    ],
)
def test_later_fragments_over_ipv6(
    release: str, protocol: int, requests: bytes | None, replies: bytes | None
) -> None:  # fmt: skip
    """Behind the fragment header of a later one no header is looked for: what stands for its ports is the packet's start."""
    body = w.ip(w.CLIENT6, w.VIRTUAL6, 44, bytes((protocol, 0, 0, 8)) + bytes(4) + PORTS)
    assert (followed(release, body), followed(release, body, reply=True)) == (requests, replies)
    behind = w.ip(w.CLIENT6, w.VIRTUAL6, 44, bytes((60, 0, 0, 8)) + bytes(12))
    assert followed(release, behind, reply=True) is None


@pytest.mark.parametrize(("release", "cut"), [("6.1.188", b""), ("6.1.189", None)])
def test_of_a_cut_extension_header_its_first_bytes_tell(release: str, cut: bytes | None) -> None:
    """Two bytes are enough until ``whole_headers6``; a routing header needs four."""
    for following, size, found in (
        (60, 2, cut),
        (60, 1, None),
        (43, 4, cut),
        (43, 3, None),
        (44, 4, cut),
        (44, 3, None),
    ):
        body = w.ip(w.CLIENT6, w.VIRTUAL6, following, bytes((ESP, 0, 0, 0))[:size])
        assert followed(release, body) == found, (following, size)
