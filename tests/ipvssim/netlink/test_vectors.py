"""The recorded exchanges with Linux 6.1.176, replayed on the simulated kernel: equal byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ipvssim.net.networks import vectors_network
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.state.namespace import Namespace
from tests.ipvssim.requests import drain
from tests.places import DATA

PATH = DATA / "netlink-vectors.jsonl"
VECTORS = [json.loads(line) for line in PATH.read_text().splitlines()]
SURE = [vector for vector in VECTORS if not vector.get("racy")]
PORT, FAMILY_ID = 0xBEEF, 0xFFFF


def replay(vector: dict[str, Any], release: str = "6.1.176") -> tuple[list[str], list[str]]:
    namespace = Namespace(network=vectors_network(), padding=True, hash_key=vector["hash_key"] or 0, release=release)
    options = {"port": PORT, "cap_ack": vector["cap_ack"], "ext_ack": vector["ext_ack"], "family_id": FAMILY_ID}
    socket = NetlinkSocket(namespace, **options)
    for request in vector["setup"]:
        socket.send(bytes.fromhex(request))
        drain(socket)
    if vector["privilege"] != "root":
        socket = NetlinkSocket(namespace, privilege=vector["privilege"], **options)
    socket.send(bytes.fromhex(vector["request"]))
    replies, errors = drain(socket)
    return [reply.hex() for reply in replies], errors


def test_there_are_enough_of_them() -> None:
    """The file is whole: 494 exchanges, one of which depends on thread timing."""
    assert (len(VECTORS), len(SURE)) == (494, 493)


@pytest.mark.parametrize("vector", SURE, ids=[vector["name"] for vector in SURE])
def test_the_simulated_kernel_answers_the_same_bytes(vector: dict[str, Any]) -> None:
    """Setup and request in order, same datagrams and same receive errors as the recorded kernel's."""
    replies, errors = replay(vector)
    assert errors == (vector.get("recv_errors") or [])
    assert replies == vector["replies"]


@pytest.mark.parametrize(
    "vector", [vector for vector in SURE if vector.get("version_dependent")], ids=lambda vector: vector["name"]
)
def test_the_later_release_answers_otherwise(vector: dict[str, Any]) -> None:
    """6.1.192 refuses an upper threshold over INT_MAX, so each such exchange differs there."""
    assert replay(vector, "6.1.192")[0] != vector["replies"]
