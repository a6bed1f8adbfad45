"""What the tests of operating a table share: a kernel that several processes reach, and the commands as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipvsnl.client import IPVS
from ipvsnl.client import open as open_ipvs
from ipvsnl.model import Destination, Service
from ipvsnl.text.rules import format_server, format_service, selector
from tests.conftest import ON_THE_KERNEL, enter_fresh_namespace

BIN = Path(sys.executable).parent
Tables = dict[Service, list[Destination]]


class Machine:
    """A table that processes of their own work on: the laboratory's kernel, or a simulated one that is served."""

    def __init__(self, target: str, directory: Path) -> None:
        self.target = target
        self.directory = directory
        self.environment = {**os.environ, "IPVSNL_TARGET": target, "XDG_STATE_HOME": str(directory / "state")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``ipvsnl ARGUMENTS``, running."""
        return subprocess.Popen(
            [str(BIN / "ipvsnl"), *arguments], env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """``ipvsnl ARGUMENTS``: status, output, errors."""
        done = subprocess.run(
            [str(BIN / "ipvsnl"), *arguments], env=self.environment, text=True, input=stdin, capture_output=True,
            timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def ipvsadm(self, *arguments: str) -> int:
        """The status of another program's change: the real ipvsadm's on the real kernel."""
        program = ["ipvsadm"] if ON_THE_KERNEL else [str(BIN / "ipvsnl")]
        return subprocess.run([*program, *arguments], env=self.environment, capture_output=True).returncode

    def client(self) -> IPVS:
        """A client in this process."""
        return open_ipvs(self.target)

    def file(self, name: str, table: Tables) -> str:
        """A rule file of a table."""
        path = self.directory / name
        path.write_text("".join(f"{line}\n" for line in lines(table)))
        return str(path)

    @property
    def journals(self) -> list[Path]:
        """What is under way, or was."""
        return list((self.directory / "state").rglob("*.journal"))


def lines(table: Tables) -> Iterator[str]:
    """A table as ``-S`` writes it."""
    for service, servers in table.items():
        named = selector(service, f"{service.address}:{service.port}")
        yield format_service(service, named)
        for server in servers:
            yield format_server(named, server, f"{server.address}:{server.port}")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A fresh table."""
    if ON_THE_KERNEL:
        enter_fresh_namespace()
        yield Machine("kernel", tmp_path)
        return
    path = tmp_path / "kernel.socket"
    with subprocess.Popen([str(BIN / "ipvssim"), "serve", str(path)]) as server:
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield Machine(f"unix:{path}", tmp_path)
        server.terminate()
