"""The recordings under tests/data/cli, and a run of our command line to hold against them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from ipvsnl.cli.dispatch import run
from ipvsnl.text.compat import Compat
from tests.places import DATA

from .fake import FakeIPVS

HELP = "<help>"


def load(name: str) -> Any:
    return json.loads((DATA / "cli" / name).read_text())


def groups(*names: str) -> Iterator[Any]:
    for name in names:
        yield from load(name)


def command(
    ipvs: FakeIPVS, *args: str, stdin: str = "", prog: str = "ipvsadm", compat: Compat | None = None
) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    stdout, stderr = io.StringIO(), io.StringIO()
    factory: Any = lambda: ipvs  # noqa: E731
    status = run(
        args, client_factory=factory, stdin=io.StringIO(stdin), stdout=stdout, stderr=stderr, prog=prog, compat=compat
    )
    return status, stdout.getvalue(), stderr.getvalue()


def argument(recorded: str) -> str:
    """An argument as Python gets it: the recordings keep bytes."""
    return recorded.encode("latin-1").decode("utf-8", "surrogateescape")
