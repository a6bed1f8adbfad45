"""The journal is believed only when it is ours, and an apply that is interrupted says the truth."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ipvsnl._held import held
from ipvsnl.cli import main as program
from ipvsnl.cli.main import execute
from ipvsnl.client import open as open_ipvs
from ipvsnl.tables.failures import JournalError
from ipvsnl.tables.journal import Journal
from ipvsnl.tables.plan import Plan

ROUNDS = 60
RULE = "-A -t 10.0.0.1:80 -s rr\n"


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table in a file, with journals of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return f"sim:{tmp_path / 'a.table'}"


def journal_of(target: str) -> Journal:
    found = Journal(target)
    assert found.path is not None
    found.path.parent.mkdir(parents=True, exist_ok=True)
    return found


def ours(target: str, *args: str, stdin: str = "") -> tuple[int, str, str]:
    output, errors = io.StringIO(), io.StringIO()
    status = execute(list(args), lambda: open_ipvs(target), io.StringIO(stdin), output, errors)
    return status, output.getvalue(), errors.getvalue()


def written(target: str, **changes: Any) -> str:
    """A journal as it would be, but for some fields."""
    journal = journal_of(target)
    journal.begin(Plan())
    assert journal.path is not None
    whole = json.loads(journal.path.read_text())
    journal.end()
    return json.dumps(whole | changes)


@pytest.mark.parametrize("command", [("apply", "-"), ("-R", "--atomic")])
@pytest.mark.parametrize(
    "content",
    [
        "5", "null", "[]", "", "garbage", "{", "{}", '{"version": 1}', "{" * 100_000, '{"a":' * 100_000, "\xff\xfe",
    ],
)  # fmt: skip
def test_a_journal_that_is_none_is_refused(target: str, content: str, command: tuple[str, ...]) -> None:
    """In one line that names the file and what to do; the table stays as it is."""
    journal = journal_of(target)
    assert journal.path is not None
    journal.path.write_text(content, encoding="latin-1")
    status, _, errors = ours(target, *command, stdin=RULE)
    assert status == 1
    assert errors.count("\n") == 1
    assert str(journal.path) in errors
    assert "look at it, then delete it" in errors
    assert ours(target, "-Sn")[1] == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"place": "kernel-1-2"}, {"operations": 5}, {"operations": [5]}, {"started": "now"}, {"started": 1e300},
        {"started": float("nan")}, {"process": None}, {"version": True},
    ],
)  # fmt: skip
def test_a_journal_with_a_field_that_is_wrong_is_refused(target: str, changes: dict[str, Any]) -> None:
    """Nothing of it is used."""
    text = written(target, **changes)
    journal = journal_of(target)
    assert journal.path is not None
    journal.path.write_text(text)
    with pytest.raises(JournalError, match="no journal of this table's"):
        journal.read()


def test_a_journal_that_others_may_write_is_refused(target: str) -> None:
    """Whoever could have written it could have forged it: by its permissions, or by its owner."""
    text = written(target)
    journal = journal_of(target)
    assert journal.path is not None
    journal.path.write_text(text)
    journal.path.chmod(0o666)
    with pytest.raises(JournalError, match="others than its owner may write it"):
        journal.read()
    journal.path.chmod(0o600)
    assert journal.read() is not None
    if os.geteuid() == 0:
        os.chown(journal.path, 1234, 1234)
        with pytest.raises(JournalError, match="it belongs to user 1234"):
            journal.read()


@pytest.mark.parametrize("kind", ["fifo", "directory", "lock"])
def test_a_journal_that_is_no_file_is_not_waited_for(target: str, kind: str) -> None:
    """One line says what it is."""
    journal = journal_of(target)
    assert journal.path is not None
    if kind == "fifo":
        os.mkfifo(journal.path)
    elif kind == "directory":
        journal.path.mkdir()
    else:
        os.mkfifo(f"{journal.path}.lock")
    status, _, errors = ours(target, "apply", "-", stdin=RULE)
    assert (status, errors.count("\n")) == (1, 1)
    assert str(journal.path) in errors


def test_a_forged_operation_is_never_executed(target: str) -> None:
    """A journal of the very restore that holds no operation of ours."""
    from ipvsnl.tables.journal import digest

    text = written(target, digest=digest(Plan(), RULE), operations=["-L"])
    journal = journal_of(target)
    assert journal.path is not None
    for operations in (["-L"], ["nonsense"], [""], ["-R"], ["--set 1 2"]):
        journal.path.write_text(json.dumps(json.loads(text) | {"operations": operations}))
        journal.path.chmod(0o600)
        status, _, errors = ours(target, "-R", "--atomic", stdin=RULE)
        assert status == 1, operations
        assert "no operation" in errors
        assert ours(target, "-Sn")[1] == ""


def test_an_unknown_engine_is_no_race(target: str) -> None:
    """The kernel's ENOENT about a service means what is missing, not that someone else writes."""
    status, _, errors = ours(target, "apply", "-", stdin="-A -t 10.0.0.1:80 -s rr -p 5 --pe nope\n")
    assert status == 1
    assert "persistence engine 'nope'" in errors
    assert "someone else" not in errors


# --- signals ---


def rules(weight: int) -> str:
    lines = [f"-A -t 10.0.{n}.1:80 -s {'rr' if weight == 1 else 'wrr'}" for n in range(60)]
    lines += [f"-a -t 10.0.{n}.1:80 -r 10.1.{n}.{m}:80 -m -w {weight}" for n in range(60) for m in range(1, 6)]
    return "".join(f"{line}\n" for line in sorted(lines))


def started(target: str, file: Path, errors: Path) -> int:
    """A process that applies a file; its number. What comes before the program runs waits until it does."""
    sys.stdout.flush()
    both = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    process = os.fork()
    if process:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
        return process
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stderr = errors.open("w")
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
        except KeyboardInterrupt:
            os._exit(130)  # nothing was begun
        status = program.main(["--target", target, "apply", "--prune", str(file)])
        signal.pthread_sigmask(signal.SIG_BLOCK, both)
        sys.stderr.flush()
        os._exit(status)
    except BaseException:
        os._exit(99)


def truth(status: int, said: str, table: str, before: str, wanted: str) -> bool:
    """Whether what is said of a table is so."""
    if os.WIFSIGNALED(status):  # before anything was written, or after all of it
        return table in (before, wanted)
    code = os.WEXITSTATUS(status)
    if "rolled back: nothing is changed" in said:
        return table == before and code in (130, 143)
    if code == 0 or "as wanted" in said:
        return table == wanted and code in (0, 130, 143)
    return table in (before, wanted) and code in (130, 143)


def test_signals_at_any_moment_leave_what_is_said(target: str, tmp_path: Path) -> None:
    """One to three signals, at random moments: the table is the old one or the new one, and standard error says which."""
    chance, ended = random.Random(5), set()
    files = [tmp_path / "1.rules", tmp_path / "2.rules"]
    for weight, file in enumerate(files, start=1):
        file.write_text(rules(weight))
    tables = []
    for file in files:
        assert ours(target, "apply", "--prune", str(file))[0] == 0
        tables.append(ours(target, "-Sn")[1])
    start = time.perf_counter()
    os.waitpid(started(target, files[0], tmp_path / "errors"), 0)
    whole = time.perf_counter() - start
    now = 0
    for _ in range(ROUNDS):
        process = started(target, files[1 - now], tmp_path / "errors")
        for _ in range(chance.randint(1, 3)):
            time.sleep(chance.random() * whole / 2)
            os.kill(process, chance.choice([signal.SIGINT, signal.SIGTERM]))
        status = os.waitpid(process, 0)[1]
        said, table = (tmp_path / "errors").read_text(), ours(target, "-Sn")[1]
        assert truth(status, said, table, tables[now], tables[1 - now]), (status, said)
        ended.add(status)
        now = tables.index(table)
    assert len(ended) > 1


def test_a_signal_in_a_rollback_waits_for_its_end(target: str) -> None:
    """Held back, a handler that raises does so only where it is asked, or at the end."""
    del target
    with pytest.raises(KeyboardInterrupt), held() as signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with held() as again:
            assert again is signals
        signals.check()
    reached = False
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_restore_counts_what_was_made(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes while the simulated kernel works waits, as it does for a system call: the count is so."""
    from ipvssim.netlink.socket import NetlinkSocket

    send = NetlinkSocket.send

    def interrupted(self: NetlinkSocket, data: bytes) -> None:
        if len(data) > 200:
            signal.raise_signal(signal.SIGINT)
        send(self, data)

    monkeypatch.setattr(NetlinkSocket, "send", interrupted)
    status, _, errors = ours(target, "-R", stdin=rules(1))
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(Path(target.removeprefix("sim:")).parent / "state"))
    made = ours(target, "-Sn")[1].count("\n")
    assert status == 130 and made > 0
    assert f"{made} changes made" in errors


def test_a_restore_that_is_interrupted_behind_its_end_says_so(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal between the last change and the end of ``-R --atomic`` does not make it say that nothing is changed."""
    from contextlib import contextmanager

    locked = Journal.locked

    @contextmanager
    def interrupted(self: Journal, timeout: float = 10.0) -> Any:
        with locked(self, timeout):
            yield
        if timeout:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "locked", interrupted)
    status, _, errors = ours(target, "-R", "--atomic", stdin=RULE)
    assert (status, errors) == (130, "interrupted when all of it was done\n")
    assert ours(target, "-Sn")[1] == RULE
