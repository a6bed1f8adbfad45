"""The client: ipvsadm's verbs as methods of one object, over any link."""

from __future__ import annotations

import errno as _errno

from ipvsnl.backends import chosen
from ipvsnl.errors import KernelError, LinkError
from ipvsnl.exchange import ACKNOWLEDGED, DUMP, Exchange, Sequence, acknowledge
from ipvsnl.family import NAME, Command
from ipvsnl.link import await_answers, open_link
from ipvsnl.operating import Operating
from ipvsnl.verbs import NOTHING, Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Any, Self

    from ipvsnl import wire
    from ipvsnl.batch import Batch
    from ipvsnl.bulk import Load
    from ipvsnl.link import Link
    from ipvsnl.loading import Report
    from ipvsnl.model import Daemon, Destination, DestinationStatus, Info, Service, ServiceStatus, Timeouts
    from ipvsnl.rules import Grammar
    from ipvsnl.snapshot import Snapshot
    from ipvsnl.verbs import Records, Subject
else:
    from ipvsnl._later import Later

    wire = Later("ipvsnl.wire")

_DAEMON_STOP_TIMEOUT = 0.5
"""Seconds to wait for an answer that the kernel may never send (DEL_DAEMON right after NEW_DAEMON)."""


class IPVS(Verbs, Operating):
    """One kernel's IPVS table, real or simulated.

    Every method raises :class:`~ipvsnl.errors.KernelError` where the kernel refuses,
    :class:`~ipvsnl.errors.LinkError` where it does not answer within ``timeout`` seconds, and
    :class:`~ipvsnl.errors.EncodeError` for values that have no form on the wire.
    """

    def __init__(self, link: Link | None = None, *, netns: str | None = None, timeout: float = 5.0) -> None:
        """Take a link over and find the family there; LinkError with the reason where there is none.

        Without a link it is the running kernel's, of the calling thread's network namespace or of ``netns`` (a name or a
        path); ``netns`` beside a link is a ValueError.
        """
        if link is None:
            link = open_link("kernel", netns)
        elif netns is not None:
            raise ValueError(f"netns={netns!r}: a link has its namespace already")
        self._link = link
        self._timeout = timeout
        self._backend = chosen()
        self._sequence = Sequence()
        self._family = 0
        try:
            self._family = self._find_family()
        except BaseException:
            link.close()
            raise

    # --- virtual services ---

    def edit_service(self, service: Service, *, tag: object = None, **changes: Any) -> None:
        """Change a virtual service (``ipvsadm -E``), found by its key.

        Without ``changes`` it becomes ``service``, whole. With them the live one is read and only those fields are
        written: ``edit_service(web, scheduler="wrr")`` leaves its persistence as it is. Keys cannot change.
        """
        super().edit_service(self.service(service).service.replace(**changes) if changes else service, tag=tag)

    def service(self, service: Service) -> ServiceStatus:
        """The live state of one virtual service, found by its key; refused with ESRCH where there is none."""
        exchange = self._ask(Command.GET_SERVICE, ACKNOWLEDGED, "service", service, service=wire.service_key(service))
        return wire.read_service(next(exchange))

    def services(self) -> list[ServiceStatus]:
        """All virtual services, in the kernel's order (a keyed hash: sort what is shown)."""
        return list(wire.read_services(self._dump(Command.GET_SERVICE, "service")))

    # --- real servers ---

    def edit_server(self, service: Service, destination: Destination, *, tag: object = None, **changes: Any) -> None:
        """Change a real server (``ipvsadm -e``), found by its key; ``changes`` as in :meth:`edit_service`."""
        if changes:
            destination = self.server(service, destination).destination.replace(**changes)
        super().edit_server(service, destination, tag=tag)

    def server(self, service: Service, destination: Destination) -> DestinationStatus:
        """The live state of one real server; ESRCH without the service, ENOENT without the server."""
        self.service(service)
        for status in self.servers(service):
            if status.destination.key == destination.key:
                return status
        raise KernelError(_errno.ENOENT, Command.GET_DEST, service=service, destination=destination)

    def servers(self, service: Service) -> list[DestinationStatus]:
        """The real servers of a virtual service, newest first; empty for an unknown one (the kernel does not say)."""
        return list(wire.read_destinations(self._dump(Command.GET_DEST, "dest", wire.service_key(service))))

    # --- the whole table ---

    def snapshot(self) -> Snapshot:
        """All virtual services with their real servers, in the kernel's order. Not atomic: the kernel has no such read.

        A sequence of :class:`~ipvsnl.model.Entry`, made when they are looked at; ``columns()`` is the same as columns.
        """
        from ipvsnl.snapshot import Snapshot
        from ipvsnl.transfer import read_servers

        services = self._dump(Command.GET_SERVICE, "service")
        servers, counts = read_servers(self._link, self._backend, self._family, self._sequence, services, self._timeout)
        return Snapshot(services, servers, counts)

    def batch(self) -> Batch:
        """Many changes in few system calls: see :class:`~ipvsnl.batch.Batch`."""
        from ipvsnl.batch import Batch

        return Batch(self._link, self._backend, self._family, self._sequence, self._timeout)

    def load(self, source: Any, *, grammar: Grammar | None = None, put_off: Mapping[str, int] | None = None) -> Report:
        """Carry many changes out as fast as the kernel takes them, from text, columns or values, in order.

        Rule text (``str``, bytes, or a file that is read in pieces) as tables are saved in it; ``grammar``
        (``ipvsnl.cli.grammar.read_rule``) reads any other spelling. :class:`~ipvsnl.columns.Columns`. Or an iterable of
        services, of entries (of a snapshot, say), of pairs of a service and its servers, and of columns.

        Not atomic: a refused change does not stop the ones after it. :class:`~ipvsnl.errors.BatchError` names every one,
        with its line, row or item as ``tag``; :class:`~ipvsnl.rules.RuleError` a line that is none, and what stands before
        it was loaded. ``put_off``: schedulers that come last (``{}``: none), and from how many servers of a new service
        on; see :data:`ipvsnl.bulk.PUT_OFF`. Until the end of the load such a service schedules by ``rr``.
        """
        from ipvsnl.bulk import PUT_OFF
        from ipvsnl.loading import load

        return load(self, source, grammar=grammar, put_off=PUT_OFF if put_off is None else put_off)

    def reload(self, source: str | bytes, *, grammar: Grammar | None = None) -> Report:
        """Make the table be the text's, every service anew, in an order in which the kernel finds what it still remembers.

        Deleted servers stay in a list for two minutes and more, which every added one is looked up in, the last deleted
        first: the text's services are deleted in the reverse of its order, so that each server is found at once; then the
        text is loaded; then the services go that it does not name. A line that is none is a RuleError before all of that.
        Where only a little differs, :meth:`plan` and :meth:`apply` do less, and leave the rest alone.
        """
        from ipvsnl.reloading import reload

        return reload(self, source, grammar=grammar)

    def loading(self, *, put_off: Mapping[str, int] | None = None) -> Load:
        """A load to add to change by change, text by text: see :class:`~ipvsnl.bulk.Load`."""
        from ipvsnl.bulk import Load

        return Load(self._link, self._backend, self._family, self._sequence, self._timeout, put_off=put_off)

    # --- timeouts, info, daemons ---

    def timeouts(self) -> Timeouts:
        """The timeouts of TCP, TCP after FIN, and UDP connections, in seconds."""
        return wire.read_config(next(self._ask(Command.GET_CONFIG, ACKNOWLEDGED, "config")))

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """Set timeouts (``ipvsadm --set``); None and 0 keep one. All or nothing."""
        self._run(Command.SET_CONFIG, ACKNOWLEDGED, config=wire.config_record(timeouts))

    def info(self) -> Info:
        """The kernel's IPVS version and the size of its connection table."""
        return wire.read_info(next(self._ask(Command.GET_INFO, ACKNOWLEDGED, "info")))

    def daemons(self) -> list[Daemon]:
        """The connection synchronisation daemons that run: master before backup."""
        return [wire.read_daemon(record) for record in self._ask(Command.GET_DAEMON, DUMP, "daemon")]

    def start_daemon(self, daemon: Daemon) -> None:
        """Start a synchronisation daemon (``ipvsadm --start-daemon``)."""
        try:
            self._run(Command.NEW_DAEMON, ACKNOWLEDGED, daemon=wire.daemon_record(daemon))
        except KernelError as refusal:
            refusal.daemon = daemon
            raise

    def stop_daemon(self, role: str | int) -> None:
        """Stop the daemon of a role (``ipvsadm --stop-daemon``).

        The kernel may stop a daemon that has only just started and not say so (ip_vs_sync.c, Linux 6.1: EINTR is no
        answer in netlink), so silence is settled by looking.
        """
        try:
            self._run(
                Command.DEL_DAEMON, ACKNOWLEDGED,
                timeout=min(self._timeout, _DAEMON_STOP_TIMEOUT), daemon=wire.daemon_key(role),
            )  # fmt: skip
        except LinkError as lost:
            if lost.errno != _errno.ETIMEDOUT or any(daemon.role == role for daemon in self.daemons()):
                raise

    # --- the conversation ---

    def close(self) -> None:
        """Let go of the link."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find_family(self) -> int:
        sequence = self._sequence.next()
        exchange = Exchange(self._backend, sequence, sequence)
        request = bytearray(self._backend.encode_getfamily(sequence, NAME))
        acknowledge(request, 0)
        self._link.send(bytes(request))
        await_answers(self._link, exchange, self._timeout)
        for refusal in exchange.refusals:
            if refusal.errno == _errno.ENOENT:
                raise LinkError(
                    _errno.ENOPROTOOPT,
                    "this kernel has no IPVS: the ip_vs module is not there or could not be loaded (modprobe ip_vs)",
                )
            raise LinkError(refusal.errno, "the kernel did not name the IPVS family")
        return exchange.family_id()

    def _change(
        self, command: int, subject: Subject = NOTHING, records: Records = NOTHING, *, tag: object = None
    ) -> None:
        try:
            self._run(command, ACKNOWLEDGED, subject, service=records[0], dest=records[1])
        except KernelError as refusal:
            refusal.tag = tag
            raise

    def _dump(self, command: int, group: str, key: bytes | None = None) -> Any:
        """The records of a dump, in one buffer."""
        from ipvsnl.transfer import read_dump

        sequence = self._sequence.next()
        return read_dump(self._link, self._backend, self._family, sequence, command, group, key, self._timeout)

    def _ask(
        self, command: int, flags: int, group: str, subject: Service | None = None, *, service: bytes | None = None
    ) -> Iterator[bytes]:
        return self._run(command, flags, (subject, None), service=service).replies(group)

    def _run(
        self,
        command: int,
        flags: int,
        subject: Subject = NOTHING,
        *,
        timeout: float | None = None,
        **records: bytes | None,
    ) -> Exchange:
        """One request to its final answer; KernelError names the rule that was refused."""
        sequence = self._sequence.next()
        exchange = Exchange(self._backend, sequence, sequence)
        self._link.send(self._backend.encode(self._family, command, flags, sequence, **records))
        await_answers(self._link, exchange, self._timeout if timeout is None else timeout)
        for refusal in exchange.refusals:
            service, destination = subject
            raise KernelError(refusal.errno, command, service=service, destination=destination, extack=refusal.extack)
        return exchange


def open(target: str = "kernel", *, netns: str | None = None, timeout: float = 5.0) -> IPVS:
    """The IPVS that ``target`` names; LinkError says why where it cannot be reached.

    ``"kernel"``, ``"sim"`` or ``"sim:FILE"`` for the simulated one, ``"unix:PATH"`` for one that is served. ``netns``
    (a name or a path) is the network namespace of the kernel's table; the calling thread stays in its own.
    """
    return IPVS(open_link(target, netns), timeout=timeout)
