"""The journal: a file that says which apply is at work on a table.

An apply writes it before its first change, and removes it at its end. A journal without a running apply tells the next one
that an apply was killed, and what it was about to do. Each table has one journal and one lock, in the user's state
directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from ipvsnl._value import Value, value
from ipvsnl.tables.failures import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvsnl.tables.plan import Plan

VERSION = 1
LOCK_TIMEOUT = 10.0
"""Seconds to wait for another apply to finish."""


@value
class Unfinished(Value):
    """An apply that began: of which file, when (seconds since 1970), by which process, and its operations as text.

    ``digest`` tells whether another apply wants the same; ``boot`` is the kernel's that ran then.
    """

    source: str
    digest: str
    process: int
    started: float
    boot: str
    operations: tuple[str, ...]


def digest(plan: Plan, wanted: str = "") -> str:
    """What tells one apply from another: the wanted table's text, or else the operations."""
    return hashlib.sha256((wanted or str(plan)).encode("utf-8", "surrogateescape")).hexdigest()


def boot() -> str:
    """The running kernel's boot, so that a journal of a table that a reboot took away is known as such."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


class Journal:
    """The journal and the lock of the table at ``place`` (what a link calls it; empty: neither)."""

    def __init__(self, place: str) -> None:
        self.path: Path | None = None
        if place:
            from platformdirs import user_state_dir

            name = place if place.replace("-", "").isalnum() else hashlib.sha256(place.encode()).hexdigest()[:32]
            self.path = Path(user_state_dir("ipvsnl")) / "apply" / f"{name}.journal"

    @contextmanager
    def locked(self, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Keep other applies to this table from beginning; ConflictError where one is at work for longer."""
        if self.path is None:
            yield
            return
        from filelock import FileLock, Timeout

        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{self.path}.lock")
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            found = self.read()
            who = f" (process {found.process}, {found.source or 'a plan'})" if found is not None else ""
            raise ConflictError(f"another apply{who} is at work on this table, for more than {timeout:g} s") from None
        try:
            yield
        finally:
            lock.release()

    def read(self) -> Unfinished | None:
        """What is under way, or was when its process was killed; None where nothing is, or the file can't be read."""
        if self.path is None:
            return None
        try:
            whole = json.loads(self.path.read_text())
            if whole.pop("version") != VERSION:
                return None
            return Unfinished(operations=tuple(whole.pop("operations")), **whole)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def left_behind(self) -> Unfinished | None:
        """What an apply that was killed left; None where there is none, or where one is at work right now."""
        found = self.read()
        if found is None:
            return None
        try:
            with self.locked(timeout=0):
                return self.read()
        except ConflictError:
            return None

    def begin(self, plan: Plan, wanted: str = "") -> None:
        """Note the plan, on the disk, before its first write."""
        if self.path is None:
            return
        entry = Unfinished(
            plan.source, digest(plan, wanted), os.getpid(), time.time(), boot(), tuple(map(str, plan.operations))
        )
        fields = dict(zip(entry.__fields__, entry.astuple(), strict=True))
        text = json.dumps({"version": VERSION, **fields}, indent=1)
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(handle, "w") as file:  # noqa: PTH123
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def end(self) -> None:
        """Nothing is under way any more."""
        if self.path is not None:
            with suppress(FileNotFoundError):
                self.path.unlink()
