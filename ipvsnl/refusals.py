"""What the kernel refuses: a bare number, with the rule that it is about, ipvsadm's words for it, and its likely cause."""

from __future__ import annotations

import errno as _errno
import os

from ipvsnl.errors import IPVSError
from ipvsnl.family import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.model import Daemon, Destination, Service


class KernelError(IPVSError, OSError):
    """The kernel refused a request.

    ``errno`` is the kernel's, ``command`` the family's command number (:class:`ipvsnl.family.Command`), ``message`` what
    ipvsadm says of that pair, ``service`` and ``destination`` the rule that was refused, ``extack`` the kernel's own words
    where it sent any (for this family: only about malformed top-level or daemon attributes), ``tag`` what the caller of a
    batch gave the change to know it by (a line number, say). ``cause`` is the likely reason in words and ``field`` the
    field of the rule that it lies in: the kernel tells neither, both are concluded from the rule. ``simulated`` says whether
    it was a simulated kernel: that one has no modules to load.
    """

    def __init__(
        self,
        errno: int,
        command: int,
        *,
        service: Service | None = None,
        destination: Destination | None = None,
        extack: str | None = None,
        tag: object = None,
    ) -> None:
        self.message = explain(errno, command)
        super().__init__(errno, self.message)
        self.command = command
        self.service = service
        self.destination = destination
        self.daemon: Daemon | None = None
        self.extack = extack
        self.simulated = False
        self.tag = tag

    @property
    def cause(self) -> str:
        """The likely cause in words; empty where there is nothing to say beyond ``message``."""
        return self._diagnosis()[1]

    @property
    def field(self) -> str:
        """The field that the cause lies in (``"scheduler"``, ``"address"``, ``"key"`` ...); empty where it is in none."""
        return self._diagnosis()[0]

    def _diagnosis(self) -> tuple[str, str]:
        if self.errno == _errno.EOPNOTSUPP and self.extack:  # the old interface cannot say it: ipvsnl.wire.old_requests
            field, _, why = self.extack.partition(": ")
            return field, why
        from ipvsnl.causes import diagnose

        of = self.service, self.destination, self.daemon
        return diagnose(self.errno or 0, self.command, *of, simulated=self.simulated) or ("", "")

    def __str__(self) -> str:
        rule = " ".join(str(part) for part in (self.service, self.destination) if part is not None)
        words = self.message if not self.extack else f"{self.message} ({self.extack})"
        return f"{rule}: {words}" if rule else words


class BatchError(IPVSError):
    """Some changes of a batch were refused, the others were made. ``refused`` holds a :class:`KernelError` for each."""

    def __init__(self, refused: list[KernelError]) -> None:
        super().__init__(f"{len(refused)} of the changes were refused, the first: {refused[0]}")
        self.refused = refused


_SERVICE_COMMANDS = frozenset(
    (Command.NEW_SERVICE, Command.SET_SERVICE, Command.DEL_SERVICE, Command.GET_SERVICE, Command.ZERO)
)
_DEST_COMMANDS = frozenset((Command.NEW_DEST, Command.SET_DEST, Command.DEL_DEST, Command.GET_DEST))
_DAEMON_COMMANDS = frozenset((Command.NEW_DAEMON, Command.DEL_DAEMON, Command.GET_DAEMON))

_WORDS: tuple[tuple[int, frozenset[int], str], ...] = (
    (_errno.EEXIST, _SERVICE_COMMANDS, "Service already exists"),
    (_errno.EEXIST, _DEST_COMMANDS, "Destination already exists"),
    (_errno.EEXIST, _DAEMON_COMMANDS, "Daemon has already run"),
    (_errno.ESRCH, _SERVICE_COMMANDS, "No such service"),
    (_errno.ESRCH, _DEST_COMMANDS, "Service not defined"),
    (_errno.ESRCH, _DAEMON_COMMANDS, "No daemon is running"),
    (_errno.ENOENT, _SERVICE_COMMANDS, "Scheduler or persistence engine not found"),
    (_errno.ENOENT, _DEST_COMMANDS, "No such destination"),
)
"""What ipvsadm 1.31 says, by errno and command."""
_ANY_COMMAND = {
    _errno.EPERM: "Permission denied (you must be root)",
    _errno.EINVAL: "Invalid operation.  Possibly wrong module version, address not unicast, ...",
    _errno.ENOPROTOOPT: "Protocol not available",
    _errno.ENOMEM: "Memory allocation problem",
}


def explain(errno: int, command: int) -> str:
    """What ipvsadm says when the kernel refuses ``command`` with ``errno``; the system's words where it has none."""
    for number, commands, words in _WORDS:
        if number == errno and command in commands:
            return words
    return _ANY_COMMAND.get(errno) or os.strerror(errno)
