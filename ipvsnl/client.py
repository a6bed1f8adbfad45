"""The client: ipvsadm's verbs as methods of one object, over any link."""

from __future__ import annotations

from errno import EOPNOTSUPP

from ipvsnl.errors import LinkError
from ipvsnl.family import Command
from ipvsnl.refusals import KernelError
from ipvsnl.wire import steps
from ipvsnl.wire.steps import Ask, Dump
from ipvsnl.wire.verbs import NOTHING, Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from types import TracebackType
    from typing import Any, Self

    from ipvsnl.bulk.batch import Batch
    from ipvsnl.bulk.feed import Report
    from ipvsnl.bulk.load import Load
    from ipvsnl.link.contract import Link, Log
    from ipvsnl.model import Daemon, Destination, DestinationStatus, Info, Service, ServiceStatus, Statistics, Timeouts
    from ipvsnl.procfs import Connection, Listed, Trashed
    from ipvsnl.tables.plan import Plan
    from ipvsnl.tables.table import Table, Values
    from ipvsnl.wire.snapshot import Snapshot
    from ipvsnl.wire.steps import Result, Steps
    from ipvsnl.wire.verbs import Records, Subject


class IPVS(Verbs[None]):
    """One kernel's IPVS table, real or simulated.

    Every method raises :class:`~ipvsnl.refusals.KernelError` where the kernel refuses,
    :class:`~ipvsnl.errors.LinkError` where it does not answer within ``timeout`` seconds, and
    :class:`~ipvsnl.errors.EncodeError` for values that have no form on the wire.
    """

    def __init__(
        self, link: Link | None = None, *, netns: str | None = None, timeout: float = 5.0, shared: bool = False
    ) -> None:
        """Take a link over and find the family there; LinkError with the reason where there is none.

        Without a link it is the running kernel's, of the calling thread's network namespace or of ``netns`` (a name or a
        path); ``netns`` beside a link is a ValueError. ``timeout`` is how many seconds a call may go on without progress:
        no answer of its own, no record of a dump.

        A client serves one call at a time, in the process that made it. With ``shared`` the calls of several threads wait
        for each other; without it the second one is refused, and so are, in any case, one from a signal's handler into a
        call and one after a fork. A batch or a load belongs to one thread.
        """
        from ipvsnl.link.conversation import Conversation

        if link is None:
            from ipvsnl.link.opening import open_link

            link = open_link("kernel", netns, timeout)
        elif netns is not None:
            raise ValueError(f"netns={netns!r}: a link has its namespace already")
        try:
            self._conversation = Conversation(link, timeout, shared=shared)
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
        return self._carried(steps.service(service))

    def services(self) -> list[ServiceStatus]:
        """All virtual services, in the kernel's order (a keyed hash: sort what is shown)."""
        return self._carried(steps.services())

    # --- real servers ---

    def edit_server(self, service: Service, destination: Destination, *, tag: object = None, **changes: Any) -> None:
        """Change a real server (``ipvsadm -e``), found by its key; ``changes`` as in :meth:`edit_service`."""
        if changes:
            destination = self.server(service, destination).destination.replace(**changes)
        super().edit_server(service, destination, tag=tag)

    def server(self, service: Service, destination: Destination) -> DestinationStatus:
        """The live state of one real server; ESRCH without the service, ENOENT without the server."""
        return self._carried(steps.server(service, destination))

    def servers(self, service: Service) -> list[DestinationStatus]:
        """The real servers of a virtual service, newest first; empty for an unknown one (the kernel does not say)."""
        return self._carried(steps.servers(service))

    # --- the whole table ---

    def snapshot(self) -> Snapshot:
        """All virtual services with their real servers, in the kernel's order. Not atomic: the kernel has no such read.

        A sequence of :class:`~ipvsnl.model.Entry`, made when they are looked at; ``columns()`` is the same as columns.
        """
        from ipvsnl.wire.snapshot import Snapshot

        services = self._conversation.dump(Command.GET_SERVICE, "service")
        return Snapshot(services, *self._conversation.dump_servers(services))

    def batch(self) -> Batch:
        """Many changes in few system calls: see :class:`~ipvsnl.bulk.batch.Batch`."""
        from ipvsnl.bulk.batch import Batch

        return Batch(self._conversation)

    def load(self, source: Any, *, put_off: Mapping[str, int] | None = None) -> Report:
        """Carry many changes out as fast as the kernel takes them, from text, columns or values, in order.

        ``source`` is rule text (``str``, bytes, or a file that is read in pieces) in any spelling that ``ipvsadm -R`` takes;
        or :class:`~ipvsnl.wire.columns.Columns`; or an iterable of services, of entries (of a snapshot, say), of pairs of a
        service and its servers, and of columns. ``put_off`` names schedulers that come last, each with the number of servers
        of a new service from which on that is worth it (None: :data:`ipvsnl.bulk.load.PUT_OFF`; ``{}``: none); until the end
        of the load such a service schedules by ``rr``.

        Returns how many changes were made. A load is not atomic: a refused change does not stop the ones after it. At the
        end :class:`~ipvsnl.refusals.BatchError` holds every refusal, with its line, row or item as ``tag``.
        :class:`~ipvsnl.text.rules.RuleError` names a line that is no rule; what stands before it was loaded.
        """
        from ipvsnl.bulk.feed import load
        from ipvsnl.bulk.load import PUT_OFF

        return load(self._conversation, source, put_off=PUT_OFF if put_off is None else put_off)

    def reload(self, source: str | bytes) -> Report:
        """Make the table be the text's, every service anew, in an order in which the kernel finds what it still remembers.

        ``source`` is rule text, as in :meth:`load`, and so are the result and the errors; but a line that is no rule is a
        RuleError before anything is sent. Deleted servers stay in a list of the kernel's for two minutes and more, which
        every added one is looked up in, the last deleted first. So the text's services are deleted in the reverse of its
        order, and each server is found at once; then the text is loaded; then the services go that it does not name. Where
        only a little differs, :meth:`plan` and :meth:`apply` do less, and leave the rest alone.
        """
        from ipvsnl.bulk.reload import reload

        return reload(self._conversation, source)

    def loading(self, *, put_off: Mapping[str, int] | None = None) -> Load:
        """Begin a load, and add changes and texts to it in turn: see :class:`~ipvsnl.bulk.load.Load`.

        ``put_off`` is as in :meth:`load`, except that None puts off nothing. The changes go out in large sends; call
        ``close`` at the end, which sends the last ones and raises :class:`~ipvsnl.refusals.BatchError` for refused ones.
        """
        from ipvsnl.bulk.load import Load

        return Load(self._conversation, put_off=put_off)

    # --- timeouts, info, daemons ---

    def timeouts(self) -> Timeouts:
        """The timeouts of TCP, TCP after FIN, and UDP connections, in seconds."""
        return self._carried(steps.timeouts())

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """Set timeouts (``ipvsadm --set``); None and 0 keep one. All or nothing."""
        self._carried(steps.set_timeouts(timeouts))

    def info(self) -> Info:
        """The kernel's IPVS version and the size of its connection table."""
        return self._carried(steps.info())

    def daemons(self) -> list[Daemon]:
        """The connection synchronisation daemons that run: master before backup."""
        return self._carried(steps.daemons())

    def start_daemon(self, daemon: Daemon) -> None:
        """Start a synchronisation daemon (``ipvsadm --start-daemon``)."""
        self._carried(steps.start_daemon(daemon))

    def stop_daemon(self, role: str | int) -> None:
        """Stop the daemon of a role (``ipvsadm --stop-daemon``).

        The kernel may stop a daemon that has only just started and not say so (ip_vs_sync.c, Linux 6.1: EINTR is no
        answer in netlink), so silence is settled by looking.
        """
        self._carried(steps.stop_daemon(role, self._conversation.timeout))

    # --- from what is to what should be ---

    def plan(
        self, wanted: Table | Values, *, prune: bool = False, drain: float | None = None, keep_weights: bool = False,
        only: Collection[str] | None = None,
    ) -> Plan:  # fmt: skip
        """What to do so that the table becomes ``wanted``; empty (and false) where nothing differs.

        ``wanted`` is a table that ``ipvsnl.read_table`` read from text or JSON, a snapshot, a mapping from services to
        their servers, or pairs of those. What is not in it stays, unless ``prune`` is given. ``drain`` gives servers that
        go weight 0 and so many seconds to become idle. ``keep_weights`` leaves live weights as they are (a health checker's,
        say). ``only`` are the kinds of change to make, of ``"add"``, ``"edit"`` and ``"delete"``; others are left out.
        """
        from ipvsnl.tables.plan import difference
        from ipvsnl.tables.table import Table, live, of_values

        if not isinstance(wanted, Table):
            wanted = of_values(wanted)
        timeouts = self.timeouts() if wanted.timeouts is not None else None
        return difference(
            live(self.snapshot()), wanted, prune=prune, drain=drain, live_timeouts=timeouts,
            keep_weights=keep_weights, only=only,
        )  # fmt: skip

    def apply(self, plan: Plan) -> None:
        """Carry a plan out: all of it, or none.

        :class:`~ipvsnl.tables.failures.ApplyError` where an operation was refused, and everything is as it was;
        :class:`~ipvsnl.tables.failures.ConflictError` where someone else changed what the plan is about, before or
        meanwhile;
        :class:`~ipvsnl.errors.EncodeError` before anything is sent.
        """
        from ipvsnl.tables.apply import apply

        apply(self, plan)

    @property
    def place(self) -> str:
        """What tells this table from others on this machine, for locks and journals; empty for one that has no name."""
        return str(getattr(self._conversation.link, "place", ""))

    @property
    def interface(self) -> str:
        """How the kernel is spoken to: ``"netlink"``, or ``"sockopt"``: its older interface, for root of a user namespace (a
        rootless container), which says less. A request that it has no form for is a KernelError (EOPNOTSUPP) whose
        ``field`` says what."""
        return str(getattr(self._conversation.link, "interface", "netlink"))

    # --- the kernel's files ---

    def connections(
        self, *, service: Service | None = None, server: Destination | None = None, state: str | None = None
    ) -> Iterator[Connection]:
        """The connection table as ``/proc/net/ip_vs_conn`` shows it, streaming; in no order that means anything.

        Of one service, one real server, in one state (``"ESTABLISHED"``), or all. A connection does not tell the firewall
        mark that it came by, so a service with one is a ValueError.
        """
        from ipvsnl.procfs import chosen_ones, read_connections

        found = read_connections(self._conversation.proc("ip_vs_conn"))
        return chosen_ones(found, service, server, state) if service or server or state else found

    def trash(self) -> Iterator[Trashed]:
        """The real servers that were deleted and are not freed yet, the last deleted first: a simulated kernel tells them.

        Linux has no way to ask for its trash: LinkError (EOPNOTSUPP).
        """
        from ipvsnl.procfs import read_trash

        lines = self._conversation.proc("ip_vs_trash")
        if not self._conversation.simulated:
            raise LinkError(EOPNOTSUPP, "Linux tells nobody of its trash: only a simulated kernel does (--target sim)")
        return read_trash(lines)

    def plain(self) -> tuple[Info, list[Listed]]:
        """The table as ``/proc/net/ip_vs`` shows it: less than :meth:`snapshot`, and readable with less privilege.

        Netlink needs CAP_NET_ADMIN in the initial user namespace; the file is there for root of another one, too.
        """
        from ipvsnl.procfs import read_services

        return read_services(self._conversation.proc("ip_vs"))

    def totals(self) -> Statistics:
        """What all services together have counted, those that are gone included (``/proc/net/ip_vs_stats``)."""
        from ipvsnl.procfs import read_totals

        return read_totals(self._conversation.proc("ip_vs_stats"))

    # --- the conversation ---

    def close(self) -> None:
        """Let go of the link; every later call is a LinkError (EBADF), of this client's batches and loads, too."""
        self._conversation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change(
        self, command: int, subject: Subject = NOTHING, records: Records = NOTHING, *, tag: object = None
    ) -> None:
        try:
            self._answer(Ask(command, subject, service=records[0], dest=records[1]))
        except KernelError as refusal:
            refusal.tag = tag
            raise

    def _carried(self, steps: Steps[Result]) -> Result:
        """Carry out what a call does, and wait for each answer."""
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._answer(step)
                except BaseException as wrong:
                    step = steps.throw(wrong)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _answer(self, step: Ask | Dump) -> Any:
        talk = self._conversation
        if isinstance(step, Dump):
            return talk.dump(step.command, step.group, step.key)
        exchange = talk.ask(step.command, step.flags, timeout=step.timeout, **step.said)
        return step.accepted(exchange, simulated=talk.simulated)


def open(
    target: str = "kernel", *, netns: str | None = None, timeout: float = 5.0, shared: bool = False, log: Log | None = None
) -> IPVS:  # fmt: skip
    """The IPVS that ``target`` names; LinkError says why where it cannot be reached.

    ``"kernel"``, ``"sim"`` or ``"sim:FILE"`` for the simulated one, ``"unix:PATH"`` for one that is served. ``netns``
    (a name or a path) is the network namespace of the kernel's table; the calling thread stays in its own. ``timeout``
    and ``shared`` are as in :class:`IPVS`. ``log`` is ``(level, told)``: ``told`` is called
    with each line of a simulated kernel's log up to that level, as ``dmesg`` shows it. Those of a served kernel come with
    its answers.
    """
    from ipvsnl.link.opening import open_link

    return IPVS(open_link(target, netns, timeout, log), timeout=timeout, shared=shared)
