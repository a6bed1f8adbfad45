"""Random calls of the old interface (IP_VS_SO_*) to the running kernel, and the same to the simulated one."""

from __future__ import annotations

import os
import secrets

import pytest

from tests.kernel.asked import recorded
from tests.kernel.sockopt_replay import simulated
from tests.kernel.sockopt_scripts import scripts

SEED = int(os.environ.get("IPVSNL_SEED") or secrets.randbelow(1 << 32))
SCRIPTS, CALLS = int(os.environ.get("IPVSNL_SCRIPTS") or 20), 150


@pytest.mark.kernel
def test_random_calls_end_alike() -> None:
    """The errno, every byte of every buffer and its length are the kernel's, of thousands of calls, well-formed and not."""
    chosen = scripts(SEED, SCRIPTS, CALLS)
    answers = recorded("tests.kernel.sockopt_guest", chosen)
    for number, (script, answer) in enumerate(zip(chosen, answers, strict=True)):
        ours = simulated(script, answer["hash_key"], answer["family"])
        for call, (theirs, mine) in enumerate(zip(answer["answers"], ours, strict=True)):
            assert mine == theirs, f"IPVSNL_SEED={SEED} script {number} call {call}: {script[call]}"
