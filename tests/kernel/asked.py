"""Asks the running kernel what scripts ask, by a guest's module that plays them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.conftest import enter_fresh_namespace
from tests.places import ROOT


def recorded(module: str, scripts: Sequence[Any]) -> list[dict[str, Any]]:
    """What the kernel answers to the scripts that a guest's module plays, in a namespace without services."""
    enter_fresh_namespace()  # a dump counts the services of other namespaces, too: there must be none
    played = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        input="".join(json.dumps(one) + "\n" for one in scripts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in played.stdout.splitlines()]
    assert len(answers) == len(scripts)
    return answers
