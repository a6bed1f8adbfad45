"""How a command ends that was not able to end by itself: no output, an interrupt, a fault of ours. Never a traceback.

The programs ``ipvsnl`` and ``ipvssim`` share it. What a command foresees it says itself, and better.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from _signal import SIG_IGN, SIGINT, signal  # type: ignore[import-not-found]  # "signal" costs "enum" at every start
from _thread import get_ident, interrupt_main, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TextIO

# --- exit statuses ---

REFUSED = 255
"""The kernel refuses a change (-1 in ipvsadm)."""
LIST_FAILED = 1
"""A listing fails."""
NO_KERNEL = 2
"""There is no kernel to speak to."""
USAGE = 2
"""The command line is not understood; with ipvsadm's own refusals it is ipvsadm's status."""
FAILED = 1
"""A sub-command fails."""
NOTHING_TO_DO, CHANGES = 0, 2
"""Of ``plan``: nothing differs, something does."""
INCOMPLETE = 2
"""Of ``convert``: what is written is not the whole table, and the rest is named."""
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143
"""Ended by SIGINT, by SIGPIPE, by SIGTERM: 128 and the signal's number."""
BUG = 70
"""A fault of ours (EX_SOFTWARE of sysexits.h)."""


class OutputError(Exception):
    """An output takes no more; ``reason`` is the OSError. It is none itself, so that nobody takes it for another file's."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason


class Output:
    """A text stream whose own failures are told from those of all other files: they are OutputErrors."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; what the encoding has no bytes for is written as an escape."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            return self._stream.write(text.encode("ascii", "backslashreplace").decode())
        except OSError as wrong:
            raise OutputError(wrong) from None

    def writelines(self, pieces: Iterable[str]) -> None:
        """Write them all; what fails in making them fails as it is."""
        for piece in pieces:
            self.write(piece)

    def flush(self) -> None:
        """Write what waits."""
        try:
            self._stream.flush()
        except OSError as wrong:
            raise OutputError(wrong) from None

    def discard(self) -> None:
        """Let what waits go nowhere: it would complain once more at exit."""
        from os import O_WRONLY, devnull, dup2
        from os import open as open_file

        try:
            dup2(open_file(devnull, O_WRONLY), self._stream.fileno())
        except (OSError, ValueError):
            return  # no file below it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guarded(prog: str, words: Sequence[str], run: Callable[[], int], stdout: Output, stderr: Output) -> int:
    """The exit status of ``run``, or of its end: whatever it raises is said in one line on ``stderr``."""
    before = sys.unraisablehook
    sys.unraisablehook = once_more(KeyboardInterrupt)
    try:
        return _guarded(prog, words, run, stdout, stderr)
    finally:
        sys.unraisablehook = before


def once_more(kind: type[BaseException], begin: Callable[[], object] = bool) -> Callable[[Any], None]:
    """A ``sys.unraisablehook``: SIGINT comes once more where the exception of its handler, of this kind, went nowhere.

    It goes nowhere at the end of a generator that was not read to its end, or in a ``__del__``. Python would print a
    traceback there, and go on as if no signal had come. ``begin`` is called first.
    """
    before = sys.unraisablehook

    def hook(lost: Any) -> None:
        if not issubclass(lost.exc_type, kind):
            before(lost)
            return
        begin()
        # From another thread: sent from here, it would be raised in here, and lost again.
        try:
            from _signal import pthread_kill
        except ImportError:  # Windows
            start_new_thread(interrupt_main, ())
        else:
            start_new_thread(pthread_kill, (get_ident(), SIGINT))

    return hook


def _guarded(prog: str, words: Sequence[str], run: Callable[[], int], stdout: Output, stderr: Output) -> int:
    try:
        status = run()
        stdout.flush()
        return status
    except KeyboardInterrupt:
        impatient()
        return _say(stderr, "interrupted", INTERRUPTED)
    except OutputError as failed:
        stdout.discard()
        if isinstance(failed.reason, BrokenPipeError):
            return PIPE_CLOSED
        return _say(stderr, f"{prog}: writing the output failed: {failed.reason.strerror or failed.reason}", FAILED)
    except Exception as wrong:
        return _foreseen(prog, words, wrong, stdout, stderr)


def _foreseen(prog: str, words: Sequence[str], wrong: Exception, stdout: Output, stderr: Output) -> int:
    """What anything may meet that opens files; all else is a fault of ours."""
    from ipvsnl.errors import IPVSError

    try:
        stdout.flush()
    except OutputError:
        stdout.discard()
    if isinstance(wrong, IPVSError):
        said = getattr(wrong, "strerror", None) or str(wrong)
        return _say(stderr, f"{prog}: {said}", FAILED)
    if isinstance(wrong, OSError) and wrong.filename is not None:
        name = wrong.filename if isinstance(wrong.filename, str) else repr(wrong.filename)
        return _say(stderr, f"{prog}: {name}: {wrong.strerror or wrong}", FAILED)
    if isinstance(wrong, MemoryError):
        return _say(stderr, f"{prog}: out of memory", FAILED)
    return _bug(prog, words, wrong, stderr)


def brief() -> None:
    """Garbage is looked for seldom: nearly all that a command makes, it needs to its end, and modules are no garbage."""
    gc.set_threshold(100_000, 50, 100)


def impatient() -> None:
    """What is left to do takes no time: nobody looks for garbage, and Ctrl-C pressed again ends nothing any more."""
    gc.freeze()
    try:
        signal(SIGINT, SIG_IGN)
    except ValueError:
        return  # another thread than the main one: it gets none


def at_once(status: int) -> int:
    """End the process with that status, here: the system takes memory back faster than Python gives it back, piece by piece
    (some 7 % of a short command). The status comes back, for Python to end as usual, where anybody waits to be told of the
    end (functions of ``atexit``, other threads), or where an output can't be written any more."""
    if atexit._ncallbacks() or "threading" in sys.modules:
        return status
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):
        return status
    os._exit(status)


# --- faults of ours ---


def _bug(prog: str, words: Sequence[str], wrong: Exception, stderr: Output) -> int:
    """Keep the traceback in a file for whoever mends it; the user gets a line."""
    from os import environ
    from traceback import format_exception

    trace = "".join(format_exception(wrong))
    what = " ".join(f"{type(wrong).__name__}: {wrong}".split())
    try:
        where = f"the traceback is in {_kept(prog, words, trace)}"
    except OSError as no_file:
        where = f"its traceback could not be kept ({no_file.strerror or no_file}): set IPVSNL_DEBUG=1 to see it"
    if environ.get("IPVSNL_DEBUG"):
        _say(stderr, trace.rstrip("\n"), BUG)
    return _say(stderr, f"{prog}: this is a bug of ours, please report it ({_printable(what)[:200]}); {where}", BUG)


def _kept(prog: str, words: Sequence[str], trace: str) -> str:
    """The path of a new file that only its owner reads, in the user's state directory, else among temporary ones."""
    from pathlib import Path
    from tempfile import gettempdir, mkstemp
    from time import strftime

    text = f"{prog} {' '.join(map(repr, words))}\nPython {sys.version}\n\n{trace}"
    wrong: Exception | None = None
    for find in (_state_directory, lambda: Path(gettempdir())):
        try:
            directory = find()
            directory.mkdir(parents=True, exist_ok=True)
            handle, name = mkstemp(prefix=strftime("bug-%Y%m%d-%H%M%S-"), suffix=".log", dir=directory)
            with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
                file.write(text)
            return name
        except (OSError, RuntimeError, ValueError, ImportError) as failed:
            wrong = failed
    raise OSError(str(wrong))


def _state_directory() -> Any:
    from pathlib import Path

    from platformdirs import user_state_dir

    return Path(user_state_dir("ipvsnl"))


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _say(stderr: Output, line: str, status: int) -> int:
    try:
        stderr.write(f"{line}\n")
        stderr.flush()
    except OutputError:
        stderr.discard()
    return status
