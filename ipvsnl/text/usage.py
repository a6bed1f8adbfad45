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
        self.word: str | None = None
        """The value that is refused, where it is one."""
        self.unknown = False
        """Whether not even the command was understood."""

    @property
    def about_address(self) -> bool:
        """Whether the value was to be an address."""
        return "address" in self.message


def try_help(prog: str) -> UsageError:
    """The answer to what can't be understood at all."""
    error = UsageError(f"Try `{prog} -h' or '{prog} --help' for more information.", 255)
    error.unknown = True
    return error
