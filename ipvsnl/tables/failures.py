"""How a plan fails: an operation is refused, or somebody else changes the table."""

from __future__ import annotations

from ipvsnl.errors import IPVSError
from ipvsnl.refusals import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.tables.plan import Operation


class ApplyError(IPVSError):
    """A plan failed half-way. ``operation`` is the one that was refused (None: the link failed, or an interrupt came),
    ``reason`` the error that it was refused with.

    ``alike`` counts the operations that were sent with it and refused for the same cause, itself included. ``left`` names
    what could not be made what it was before; where it is empty the table is as it was (``rolled_back``).
    """

    def __init__(
        self, operation: Operation | None, reason: BaseException, left: tuple[str, ...] = (), alike: int = 1
    ) -> None:  # fmt: skip
        self.operation = operation
        self.alike = alike
        self.reason = reason
        self.left = left
        line = operation.line if operation is not None else 0
        where = f"line {line}: " if line else ""
        what = f"{operation}: " if operation is not None else ""
        said = reason.message if isinstance(reason, KernelError) else str(reason) or type(reason).__name__
        end = (
            "; not all of it could be rolled back: " + "; ".join(left) if left else "; rolled back: nothing is changed"
        )
        super().__init__(f"{where}{what}{said}{end}")

    @property
    def rolled_back(self) -> bool:
        """Whether the table is as it was."""
        return not self.left


class ConflictError(IPVSError):
    """Someone else changed what a plan is about. ``changed`` names the rules; ``written`` says whether the plan had begun
    to write (then the table may be neither what it was nor what was planned; planning anew shows the difference)."""

    def __init__(self, message: str, changed: tuple[str, ...] = (), *, written: bool = False) -> None:
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        super().__init__(f"{message}: {shown}" if changed else message)
        self.changed = changed
        self.written = written


class JournalError(IPVSError):
    """The journal or the lock of a table can't be used; the message names the file, and the way out."""
