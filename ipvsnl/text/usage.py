"""What the command line says of a wrong command line."""

from __future__ import annotations


class UsageError(Exception):
    """A refused command line: the text for standard error, the exit status, and whether it ends a restore.

    ipvsadm leaves the process at its own refusals, so that a restore ends there; popt's refusals it only reports.
    """

    def __init__(self, message: str, status: int = 2, *, final: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.final = final


def try_help(prog: str) -> UsageError:
    """The answer to what can't be understood at all."""
    return UsageError(f"Try `{prog} -h' or '{prog} --help' for more information.", 255)
