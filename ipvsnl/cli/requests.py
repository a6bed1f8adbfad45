"""Carries single requests out on a client."""

from __future__ import annotations

from ipvsnl.cli.ending import LIST_FAILED, REFUSED
from ipvsnl.cli.streams import EPERM, likely_cause, unreachable, words
from ipvsnl.errors import IPVSError
from ipvsnl.refusals import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.cli.streams import Streams
    from ipvsnl.client import IPVS
    from ipvsnl.procfs import Filter
    from ipvsnl.text.compat import Compat
    from ipvsnl.text.grammar import Request


class Requests:
    """Carries out single requests on a client."""

    def __init__(
        self, client: IPVS, streams: Streams, compat: Compat, chosen: Filter | None = None, *, json: bool = False,
        trash: bool = False,
    ) -> None:  # fmt: skip
        self.client = client
        self.streams = streams
        self.compat = compat
        self._chosen = chosen
        self._json = json
        self._trash = trash

    def execute(self, request: Request) -> int:
        """The exit status; a refusal is told on standard error."""
        command = request.command
        try:
            if self._trash:
                self._list_trash(request)
            elif command == "list":
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
        if request.note and self.compat.replaced_ports:
            self.streams.say(f"ipvsnl: {request.note}")
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

    def _list_trash(self, request: Request) -> None:
        from ipvsnl.tables import json_out
        from ipvsnl.text import listing

        key = None if request.service is None else request.service.key
        found = (one for one in self.client.trash() if key is None or one.service.key == key)
        if self._json:
            self.streams.stdout.writelines(json_out.stream("trash", map(json_out.trashed, found)))
        else:
            self.streams.stdout.writelines(listing.trash(found, request.options))

    def _list(self, request: Request) -> None:
        from ipvsnl.text import listing

        client, options, write = self.client, request.options, self.streams.stdout.write
        if self._json:
            from ipvsnl.cli.as_json import listing as document

            self.streams.stdout.writelines(document(client, request, self._chosen))
        elif "connection" in options:
            found = client.connections()
            shown = self._chosen(found) if self._chosen is not None else found
            self.streams.stdout.writelines(listing.connections(shown, options, escaped=self.compat.escape_names))
        elif request.service is not None:
            from ipvsnl.model import Entry

            status = client.service(request.service)
            entry = Entry(status, tuple(client.servers(request.service)))
            self.streams.stdout.writelines(listing.Listing(options, self.compat).table([entry]))
        elif "timeout" in options:
            write(listing.timeouts(client.timeouts()))
        elif "daemon" in options:
            escaped = self.compat.escape_names
            self.streams.stdout.writelines(listing.daemon(one, escaped=escaped) for one in client.daemons())
        else:
            write(listing.version(client.info()))
            self.streams.stdout.writelines(listing.Listing(options, self.compat).table(client.snapshot()))
