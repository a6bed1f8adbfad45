"""The recorded netlink vectors, asked afresh of the kernel that runs in the laboratory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.vectors import record_apart

pytestmark = pytest.mark.kernel
DATA = Path(__file__).parent.parent / "data" / "netlink-vectors.jsonl"
VECTORS = [json.loads(line) for line in DATA.read_text().splitlines()]


def messages(replies: list[str]) -> list[bytes]:
    """The single messages of datagrams, sorted: what is left to compare where the dump's order has another secret key."""
    found = []
    for datagram in map(bytes.fromhex, replies):
        offset = 0
        while offset < len(datagram):
            length = int.from_bytes(datagram[offset : offset + 4], "little")
            found.append(datagram[offset : offset + length])
            offset += (length + 3) & ~3
    return sorted(found)


@pytest.mark.parametrize("vector", [v for v in VECTORS if not v.get("racy")], ids=lambda vector: str(vector["name"]))
def test_the_kernel_still_answers_what_was_recorded(vector: dict[str, Any]) -> None:
    """The kernel at hand answers a recorded request with the recorded bytes, datagram for datagram.

    Only the order within a dump may differ, where this namespace's secret key is another than the recorded one.
    """
    fresh = record_apart(vector)
    assert "failed" not in fresh, fresh
    assert fresh["recv_errors"] == vector.get("recv_errors", [])
    if fresh["replies"] != vector["replies"]:
        assert fresh["hash_key"] != vector["hash_key"]
        assert messages(fresh["replies"]) == messages(vector["replies"])
