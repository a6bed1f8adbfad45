"""Carries requests out: one command line against one kernel, real or simulated.

:func:`run` holds no state, writes only to the streams that it is given, and never leaves the process: it may be called
as often as one likes. The client is asked for only when the command line is understood.
"""

from __future__ import annotations

from ipvsnl.errors import IPVSError, LinkError
from ipvsnl.refusals import KernelError
from ipvsnl.text.compat import OURS, STRICT
from ipvsnl.text.grammar import Request, parse
from ipvsnl.text.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from ipvsnl.cli.extras import Extras
    from ipvsnl.client import IPVS
    from ipvsnl.procfs import Filter
    from ipvsnl.text.compat import Compat

    ClientFactory = Callable[[], IPVS]

REFUSED = 255
"""Exit status where the kernel refuses a change (-1 in ipvsadm); 1 where a listing fails, 2 where there is no kernel."""
LIST_FAILED = 1
NO_KERNEL = 2


class Streams:
    """Where a command reads and writes."""

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    def say(self, message: str) -> None:
        """A line on standard error."""
        self.stderr.write(message + "\n")


def run(
    argv: Sequence[str],
    *,
    client_factory: ClientFactory,
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
    prog: str = "ipvsnl",
    compat: Compat | None = None,
    progress: bool | None = None,
    extras: Extras | None = None,
) -> int:
    """Carry out the command line ``argv`` (without the program's name); the exit status, as ipvsadm's.

    ``client_factory`` makes the client, which is closed at the end. Under the ``prog`` ``ipvsadm`` every byte is
    ipvsadm's unless ``compat`` says otherwise. ``progress`` shows, or never shows, how far a restore is; None: as
    the terminal and the size of the input suggest. ``extras`` are our own options.
    """
    streams = Streams(stdin, stdout, stderr)
    json, atomic = (extras.json, extras.atomic) if extras is not None else (False, False)
    if compat is None:
        compat = STRICT if prog == "ipvsadm" else OURS
    try:
        # Without arguments ipvsadm lists the table, with names.
        request = parse(argv, prog) if argv else Request("list")
        chosen = extras.chosen(request.command, request.options) if extras is not None else None
    except UsageError as error:
        streams.say(error.message)
        return error.status
    if request.command in ("help", "version"):
        return describe(request.command, streams, prog)
    try:
        client = client_factory()
    except (LinkError, KernelError) as error:
        return unreachable(error, streams, compat)
    with client:
        if request.command != "restore":
            return Command(client, streams, compat, chosen, json=json).execute(request)
        return _restore(client, streams, prog, compat, progress, atomic=atomic)


def _restore(
    client: IPVS, streams: Streams, prog: str, compat: Compat, progress: bool | None, *, atomic: bool
) -> int:  # fmt: skip
    if atomic:
        from ipvsnl.cli.atomic import restore as restore_all

        return restore_all(client, streams, prog)
    from ipvsnl.cli.restore import restore

    return restore(client, streams, prog, compat, progress)


def describe(command: str, streams: Streams, prog: str) -> int:
    """``-h`` and ``-v``."""
    from ipvsnl.cli.help import VERSION, usage

    streams.stdout.write(VERSION + "\n" if command == "version" else usage(prog))
    return 0


def unreachable(error: LinkError | KernelError, streams: Streams, compat: Compat) -> int:
    """What ipvsadm says without its kernel, then why, and what can be had instead; the exit status."""
    message = words(error)
    said = _INIT_WORDS.get(error.errno or 0)
    streams.say(f"Can't initialize ipvs: {said or message}")
    if said is None:
        return NO_KERNEL
    streams.say("Are you sure that IP Virtual Server is built in the kernel or as module?")
    if compat.explain:
        if message != said:
            streams.say(message)
        if isinstance(error, KernelError) and error.cause:
            streams.say(f"Likely cause: {error.cause}.")
        streams.say("Without a kernel: --target sim (or IPVSNL_TARGET=sim) works on a simulated one.")
    return NO_KERNEL


_PLAIN_ENOUGH = frozenset(("key", "service", "role"))
"""Where ipvsadm's words say it all: there already, or not there."""
EPERM, ENOPROTOOPT = 1, 92
_INIT_WORDS = {EPERM: "Permission denied (you must be root)", ENOPROTOOPT: "Protocol not available"}


class Command:
    """Carries out single requests on a client."""

    def __init__(
        self, client: IPVS, streams: Streams, compat: Compat, chosen: Filter | None = None, *, json: bool = False
    ) -> None:
        self.client = client
        self.streams = streams
        self.compat = compat
        self._chosen = chosen
        self._json = json

    def execute(self, request: Request) -> int:
        """The exit status; a refusal is told on standard error."""
        command = request.command
        try:
            if command == "list":
                self._list(request)
            elif command == "save":
                self._save(request)
            else:
                self._change(request)
        except IPVSError as error:
            if isinstance(error, KernelError) and error.errno == EPERM:  # ipvsadm is refused before it begins
                if command == "list" and self.compat.explain and self._plain(request):
                    return 0
                return unreachable(error, self.streams, self.compat)
            self.streams.say(words(error))
            if command in ("list", "save"):
                return LIST_FAILED
            if self.compat.explain and (why := likely_cause(error)):
                self.streams.say(why)
            return REFUSED
        return 0

    def _plain(self, request: Request) -> bool:
        from ipvsnl.cli.fallback import listing

        return listing(self.client, request, self.streams, self.compat, json=self._json)

    def _change(self, request: Request) -> None:
        client, service, destination = self.client, request.service, request.destination
        name = request.command.replace("-", "_")
        if destination is not None:
            getattr(client, name)(service, destination)
        elif name == "zero":
            client.zero(service)
        elif service is not None:
            getattr(client, name)(service)
        elif name == "flush":
            client.flush()
        elif request.timeouts is not None:
            client.set_timeouts(request.timeouts)
        elif request.daemon is not None and name == "start_daemon":
            client.start_daemon(request.daemon)
        elif request.daemon is not None:
            client.stop_daemon(request.daemon.role)

    def _save(self, request: Request) -> None:
        from ipvsnl.text.saving import saved

        self.streams.stdout.writelines(saved(self.client.snapshot(), request.options, self.compat))

    def _list(self, request: Request) -> None:
        from ipvsnl.text import listing

        client, options, write = self.client, request.options, self.streams.stdout.write
        if self._json:
            from ipvsnl.cli.as_json import listing as document

            self.streams.stdout.writelines(document(client, request, self._chosen))
        elif "connection" in options:
            found = client.connections()
            shown = self._chosen(found) if self._chosen is not None else found
            self.streams.stdout.writelines(listing.connections(shown, options))
        elif request.service is not None:
            from ipvsnl.model import Entry

            status = client.service(request.service)
            entry = Entry(status, tuple(client.servers(request.service)))
            self.streams.stdout.writelines(listing.Listing(options, self.compat).table([entry]))
        elif "timeout" in options:
            write(listing.timeouts(client.timeouts()))
        elif "daemon" in options:
            self.streams.stdout.writelines(map(listing.daemon, client.daemons()))
        else:
            write(listing.version(client.info()))
            self.streams.stdout.writelines(listing.Listing(options, self.compat).table(client.snapshot()))


def likely_cause(error: IPVSError) -> str:
    """A line that says why, where the number says more to us than ipvsadm's words do; else nothing."""
    if not isinstance(error, KernelError) or error.field in _PLAIN_ENOUGH or not error.cause:
        return ""
    return f"ipvsnl: likely cause: {f'{error.field}: ' if error.field else ''}{error.cause}"


def words(error: IPVSError) -> str:
    """What is said of a refusal: ipvsadm's words for the kernel's, our own for the rest."""
    if isinstance(error, KernelError):
        return error.message
    return (error.strerror if isinstance(error, LinkError) else "") or str(error)
