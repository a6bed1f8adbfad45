"""One command line of ipvsadm's against one kernel, real or simulated.

:func:`run` holds no state, writes only to the streams that it is given, and never leaves the process: it may be called
as often as one likes. The client is asked for only when the command line is understood.
"""

from __future__ import annotations

from ipvsnl.cli.requests import Requests
from ipvsnl.cli.streams import Streams, describe, unreachable
from ipvsnl.errors import LinkError
from ipvsnl.refusals import KernelError
from ipvsnl.text.compat import OURS, STRICT
from ipvsnl.text.grammar import Request, parse
from ipvsnl.text.popt import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from ipvsnl.cli.extras import Extras
    from ipvsnl.cli.streams import ClientFactory
    from ipvsnl.client import IPVS
    from ipvsnl.text.compat import Compat


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
    json, atomic, trash = (extras.json, extras.atomic, extras.trash) if extras is not None else (False, False, False)
    if compat is None:
        compat = STRICT if prog == "ipvsadm" else OURS
    try:
        # Without arguments ipvsadm lists the table, with names.
        request = parse(argv, prog, own=compat.own_options) if argv else Request("list")
        chosen = extras.chosen(request.command, request.options) if extras is not None else None
    except UsageError as error:
        streams.say(error.message)
        if compat.explain:
            from ipvsnl.text.hints import hint

            if more := hint(argv, error):
                streams.say(f"ipvsnl: {more}")
        return error.status
    if request.command in ("help", "version"):
        return describe(request.command, streams, prog)
    try:
        client = client_factory()
    except (LinkError, KernelError) as error:
        return unreachable(error, streams, compat)
    with client:
        if request.command != "restore":
            return Requests(client, streams, compat, chosen, json=json, trash=trash).execute(request)
        return _restore(client, streams, prog, compat, progress, atomic=atomic)


def _restore(
    client: IPVS, streams: Streams, prog: str, compat: Compat, progress: bool | None, *, atomic: bool
) -> int:  # fmt: skip
    if atomic:
        from ipvsnl.cli.atomic import restore as restore_all

        return restore_all(client, streams, prog)
    from ipvsnl.cli.restore import restore

    return restore(client, streams, prog, compat, progress)
