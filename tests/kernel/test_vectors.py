"""The recorded netlink vectors, asked afresh of the kernel that runs in the laboratory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import enter_fresh_namespace
from tests.ipvssim.netlink.test_vectors import replay
from tests.places import DATA, ROOT

pytestmark = pytest.mark.kernel
RECORDED = DATA / "netlink-vectors.jsonl"
VECTORS = [vector for vector in map(json.loads, RECORDED.read_text().splitlines()) if not vector.get("racy")]


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    """What the kernel at hand answers to each vector, by name."""
    enter_fresh_namespace()  # a dump counts the services of other namespaces, too: there must be none
    asked = subprocess.run(
        [sys.executable, "-m", "tests.kernel.vectors"],
        cwd=ROOT,
        input="".join(json.dumps(vector) + "\n" for vector in VECTORS),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {vector["name"]: json.loads(line) for vector, line in zip(VECTORS, asked.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_the_kernel_still_answers_what_was_recorded(vector: dict[str, Any], answers: dict[str, dict[str, Any]]) -> None:
    """The kernel at hand answers a recorded request with the recorded bytes, datagram for datagram.

    Where this namespace's secret key orders a dump otherwise than the recorded one did, the simulated kernel with that key
    says what is expected, byte for byte.
    """
    fresh = answers[vector["name"]]
    assert "failed" not in fresh, fresh
    assert fresh["recv_errors"] == vector.get("recv_errors", [])
    if fresh["replies"] != vector["replies"]:
        assert fresh["hash_key"] != vector["hash_key"]
        assert fresh["replies"] == replay(vector | {"hash_key": fresh["hash_key"]})[0]
