"""The journal: a file that says which apply is at work on a table.

An apply writes it before its first change, and removes it at its end. A journal without a running apply tells the next one
that an apply was killed, and what it was about to do. Each table has one journal and one lock, in the user's state
directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from ipvsnl import _files, _json
from ipvsnl._held import acquired
from ipvsnl._value import Value, value
from ipvsnl.tables.failures import ConflictError, JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvsnl.tables.plan import Plan

VERSION = 2
_LATEST = 2.0**35
"""Seconds since 1970 that a calendar has a date for."""
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
        self.place = place
        self.path: Path | None = None
        if place:
            from platformdirs import user_state_dir

            hashed = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]
            name = place if place.replace("-", "").isalnum() else hashed
            self.path = Path(user_state_dir("ipvsnl")) / "apply" / f"{name}.journal"

    @contextmanager
    def locked(self, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Keep other applies to this table from beginning; ConflictError where one is at work for longer, JournalError where
        there can be no lock."""
        if self.path is None:
            yield
            return
        from filelock import FileLock

        with self._trouble():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _files.check_lock(Path(f"{self.path}.lock"))
            lock = FileLock(f"{self.path}.lock")
            taken = acquired(lock, timeout)
        if not taken:
            found = None
            with suppress(JournalError):
                found = self.read()
            who = f" (process {found.process}, {found.source or 'a plan'})" if found is not None else ""
            raise ConflictError(f"another apply{who} is at work on this table, for more than {timeout:g} s")
        try:
            yield
        finally:
            lock.release()

    def read(self) -> Unfinished | None:
        """What is under way, or was when its process was killed; None where nothing is.

        JournalError for a file that is none of ours: whatever it says, nobody acts on it.
        """
        if self.path is None:
            return None
        with self._trouble():
            try:
                text, status = _files.read(self.path, b"{")
            except FileNotFoundError:
                return None
        if status.st_uid != os.geteuid():
            raise self.foreign(f"it belongs to user {status.st_uid}, not to {os.geteuid()}")
        if status.st_mode & 0o022:
            raise self.foreign("others than its owner may write it")
        try:
            return _unfinished(_json.loads(text), self.place)
        except ValueError as wrong:
            words = str(wrong) if type(wrong) is ValueError else "it holds something else"
            raise self.foreign(words) from None

    def foreign(self, words: str) -> JournalError:
        """The error about a file that is none of ours."""
        return JournalError(f"{self.path} is no journal of this table's: {words}; look at it, then delete it")

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """What the system refuses, as a JournalError."""
        try:
            yield
        except OSError as wrong:
            name = wrong.filename or self.path
            raise JournalError(
                f"{name}: {wrong.strerror or wrong} (an apply keeps its lock and its journal there; "
                "XDG_STATE_HOME names another directory)"
            ) from wrong

    def left_behind(self) -> Unfinished | None:
        """What an apply that was killed left; None where there is none, or where one is at work right now."""
        if self.path is None or not os.path.lexists(self.path):
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
        text = json.dumps({"version": VERSION, "place": self.place, **fields}, indent=1)
        with self._trouble():
            _files.replace(self.path, text.encode(), mode=0o600)

    def end(self) -> None:
        """Nothing is under way any more."""
        if self.path is not None:
            with self._trouble(), suppress(FileNotFoundError):
                self.path.unlink()


_TYPES = {"source": str, "digest": str, "process": int, "started": float, "boot": str, "operations": list}


def _unfinished(whole: object, place: str) -> Unfinished:
    """What a journal says; ValueError where it is none, or another table's."""
    if not isinstance(whole, dict):
        raise ValueError("it holds something else")
    if whole.get("version") != VERSION:
        raise ValueError(f"it is of version {whole.get('version')!r:.20}, not of {VERSION}")
    if whole.get("place") != place:
        raise ValueError(f"it is about {whole.get('place')!r:.100}, not about {place!r}")
    if not all(type(whole.get(name)) is kind for name, kind in _TYPES.items()):
        raise ValueError("a field is missing, or holds something else")
    if not all(type(one) is str for one in whole["operations"]) or not 0 <= whole["started"] < _LATEST:
        raise ValueError("a field holds something else")
    fields = {name: whole[name] for name in _TYPES} | {"operations": tuple(whole["operations"])}
    return Unfinished(**fields)
