"""``ipvsnl-save`` and ``ipvsnl-restore``: ipvsadm's two scripts by their arguments, for boot scripts that call them.

What stands before their arguments may be ``--target`` and ``--netns``, as with ``ipvsnl`` itself.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WRONG = 1
_SAVE = """\
ipvsnl-save: writes the IPVS table to standard output, as ipvsnl-restore reads it.
   With -n in numbers, without names.
"""
_RESTORE = """\
ipvsnl-restore: clears the IPVS table, and reads it from standard input, as ipvsnl-save writes it.
   Lines that begin with # are passed over.
"""


def save(argv: Sequence[str] | None = None) -> int:
    """``ipvsnl-save [-n]``: the exit status, 1 for other options."""
    before, rest = _split(sys.argv[1:] if argv is None else argv)
    if any(word.startswith("-") and word != "-n" for word in rest):
        return _tell(_SAVE, rest)
    from ipvsnl.cli.main import main

    return main([*before, "-S", *rest[:1]])


def restore(argv: Sequence[str] | None = None) -> int:
    """``ipvsnl-restore``: the exit status, 1 for options. The table is cleared when the input has come to its end."""
    before, rest = _split(sys.argv[1:] if argv is None else argv)
    if rest:
        return _tell(_RESTORE, rest)
    from io import BytesIO, TextIOWrapper

    from ipvsnl.cli.main import main

    lines = [b"\n" if line.startswith(b"#") else line for line in sys.stdin.buffer]  # the others keep their numbers
    status = main([*before, "-C"])
    if status:
        return status
    sys.stdin = TextIOWrapper(BytesIO(b"".join(lines)))
    return main([*before, "-R"])


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    from ipvsnl.cli.main import Own

    own = Own()
    try:
        rest = own.read(argv)
    except ValueError:
        return list(argv), []
    return list(argv[: len(argv) - len(rest)]), rest


def _tell(text: str, words: Sequence[str]) -> int:
    """The help: asked for, or since there is an option that there is not."""
    asked = words[0] in ("-h", "--help")
    (sys.stdout if asked else sys.stderr).write(text)
    return 0 if asked else WRONG
