"""keepalived step by step: checks that fail and come back, SIGHUP, its end; and the table of the kernel after each step.

A file of tests/data/keepalived_steps is a configuration, and behind it the steps, each a line that begins with ``---``:
``start``; ``up ADDRESS PORT`` and ``down ADDRESS PORT``, a server that checks find or not; ``reload``, with another
configuration below where it changes; ``stop``. Beside it lie the tables that keepalived made on the real kernel:

    ipvsnl lab-kernel -- .venv/bin/python -m tests.kernel.keepalived_steps [NAME ...]
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ipvsnl.client import open as open_client
from ipvsnl.text.compat import OURS
from ipvsnl.text.saving import saved

FILES = Path(__file__).parent.parent / "data" / "keepalived_steps"
STEP = "--- "
_LONGER_THAN_A_CHECK, _PATIENCE, _A_MOMENT = 4.5, 20.0, 0.3
"""Seconds: a check fails within the first."""


def tables(name: str) -> list[str]:
    """The recorded tables of a scenario, one for each step."""
    return [step.partition("\n")[2] for step in (FILES / f"{name}.tables").read_text().split(STEP)[1:]]


class Scenario:
    """One of the files, played. As a context manager it ends what it has started."""

    def __init__(self, name: str) -> None:
        configuration, *steps = (FILES / f"{name}.steps").read_text().split(STEP)
        self.steps = [(words.split(), text) for words, _, text in (step.partition("\n") for step in steps)]
        self._ending = ExitStack()
        self._folder = Path(self._ending.enter_context(tempfile.TemporaryDirectory()))
        self._configure(configuration)
        self._listening: dict[tuple[str, int], socket.socket] = {}
        self._keepalived: subprocess.Popen[bytes] | None = None
        self._ipvs = self._ending.enter_context(open_client("kernel"))
        self._ipvs.flush()

    def __enter__(self) -> Scenario:
        return self

    def __exit__(self, *_: object) -> None:
        if self._keepalived is not None:
            self._stop(self._keepalived)
        for one in self._listening.values():
            one.close()
        self._ending.close()

    def play(self) -> Iterator[str]:
        """Do the steps; each is yielded in words when it is done."""
        for words, text in self.steps:
            if words[0] == "start":
                self._keepalived = self._start()
            elif words[0] in ("up", "down"):
                self._serve(words[0] == "up", words[1], int(words[2]))
            else:
                assert self._keepalived is not None
                if words[0] == "stop":
                    self._stop(self._keepalived)
                else:
                    if text:
                        self._configure(text)
                    self._keepalived.send_signal(signal.SIGHUP)
            yield " ".join(words)

    def table(self) -> str:
        """The kernel's table, as rules."""
        return "".join(saved(self._ipvs.snapshot(), frozenset(("numeric",)), OURS))

    def settled(self, words: str) -> str:
        """The table when it has stood still for longer than a check takes; after ``start``, once there is one."""
        begun = time.monotonic()
        while words == "start" and not self.table() and time.monotonic() < begun + _PATIENCE:
            time.sleep(0.2)
        seen, since = self.table(), time.monotonic()
        end = since + _PATIENCE
        while time.monotonic() < min(since + _LONGER_THAN_A_CHECK, end):
            time.sleep(0.2)
            if (now := self.table()) != seen:
                seen, since = now, time.monotonic()
        return seen

    def reaches(self, table: str) -> str:
        """The table when it is that one, and stays so for a moment; else after longer than any step takes."""
        end = time.monotonic() + _PATIENCE
        while self.table() != table and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(_A_MOMENT)
        return self.table()

    def _configure(self, text: str) -> None:
        (self._folder / "conf").write_text(text)

    def _start(self) -> subprocess.Popen[bytes]:
        files = (f"{self._folder}/{name}" for name in ("conf", "p", "c"))
        words = [word for pair in zip(("-f", "-p", "-c"), files, strict=True) for word in pair]
        return subprocess.Popen(
            ["keepalived", "-n", "-l", "-C", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def _stop(self, keepalived: subprocess.Popen[bytes]) -> None:
        keepalived.terminate()
        keepalived.wait()
        self._keepalived = None

    def _serve(self, on: bool, address: str, port: int) -> None:
        if on:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self._listening[address, port] = listening = socket.socket(family)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(64)
        else:
            self._listening.pop((address, port)).close()


def record(name: str) -> None:
    """Play a scenario on the kernel that is there, and write its tables down."""
    with Scenario(name) as scenario:
        told = [f"{STEP}{words}\n{scenario.settled(words)}" for words in scenario.play()]
    (FILES / f"{name}.tables").write_text("".join(told))


def compare(name: str) -> int:
    """Play a scenario on the kernel that is there, and say at which step the table is another than on the real kernel."""
    differing = 0
    with Scenario(name) as scenario:
        for words, known in zip(scenario.play(), tables(name), strict=True):
            if (made := scenario.reaches(known)) != known:
                differing += 1
                print(f"{name}: {words}:\n{made}instead of\n{known}")
    return differing


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for chosen in sys.argv[1:] or sorted(path.stem for path in FILES.glob("*.steps")):
        record(chosen)
        print(chosen, flush=True)
