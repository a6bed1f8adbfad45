"""Random calls of the old interface (IP_VS_SO_*) to the running kernel, and the same to the simulated one."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys

import pytest

from tests.conftest import enter_fresh_namespace
from tests.kernel.sockopt_replay import simulated
from tests.kernel.sockopt_scripts import scripts
from tests.places import ROOT

SEED = int(os.environ.get("IPVSNL_SEED") or secrets.randbelow(1 << 32))
SCRIPTS, CALLS = int(os.environ.get("IPVSNL_SCRIPTS") or 20), 150


@pytest.mark.kernel
def test_random_calls_end_alike() -> None:
    """The errno, every byte of every buffer and its length are the kernel's, of thousands of calls, well-formed and not."""
    enter_fresh_namespace()
    chosen = scripts(SEED, SCRIPTS, CALLS)
    played = subprocess.run(
        [sys.executable, "-m", "tests.kernel.sockopt_guest"],
        cwd=ROOT,
        input="".join(json.dumps(one) + "\n" for one in chosen),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    recorded = [json.loads(line) for line in played.stdout.splitlines()]
    assert len(recorded) == SCRIPTS
    for number, (script, answer) in enumerate(zip(chosen, recorded, strict=True)):
        ours = simulated(script, answer["hash_key"], answer["family"])
        for call, (theirs, mine) in enumerate(zip(answer["answers"], ours, strict=True)):
            assert mine == theirs, f"IPVSNL_SEED={SEED} script {number} call {call}: {script[call]}"
