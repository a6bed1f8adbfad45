"""What a client does with whole tables: plan, apply, and what the kernel's files tell."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvsnl.connections import Connection
    from ipvsnl.link import Link
    from ipvsnl.model import Destination, Info, Service, Timeouts
    from ipvsnl.plan import Plan
    from ipvsnl.proc import Listed
    from ipvsnl.snapshot import Snapshot
    from ipvsnl.table import Table, Values


class Operating:
    """The half of :class:`ipvsnl.client.IPVS` that is about tables as a whole."""

    _link: Link

    if TYPE_CHECKING:  # what the other half brings

        def snapshot(self) -> Snapshot:
            """See the client."""

        def timeouts(self) -> Timeouts:
            """See the client."""

    # --- from what is to what should be ---

    def plan(self, wanted: Table | Values, *, prune: bool = False, drain: float | None = None) -> Plan:
        """What to do so that the table becomes ``wanted``; empty (and false) where nothing differs.

        ``wanted`` is a table that ``ipvsnl.read_table`` read from text or JSON, a snapshot, a mapping from services to
        their servers, or pairs of those. What is not in it stays, unless ``prune`` is given. ``drain`` gives servers that
        go weight 0 and so many seconds to become idle.
        """
        from ipvsnl.plan import difference
        from ipvsnl.table import Table, live, of_values

        if not isinstance(wanted, Table):
            wanted = of_values(wanted)
        timeouts = self.timeouts() if wanted.timeouts is not None else None
        return difference(live(self.snapshot()), wanted, prune=prune, drain=drain, live_timeouts=timeouts)

    def apply(self, plan: Plan) -> None:
        """Carry a plan out: all of it, or none.

        :class:`~ipvsnl.errors.ApplyError` where an operation was refused, and everything is as it was;
        :class:`~ipvsnl.errors.ConflictError` where someone else changed what the plan is about, before or meanwhile;
        :class:`~ipvsnl.errors.EncodeError` before anything is sent.
        """
        from ipvsnl.apply import apply

        apply(self, plan)  # type: ignore[arg-type]  # the other half is the client

    @property
    def place(self) -> str:
        """What tells this table from others on this machine, for locks and journals; empty for one that has no name."""
        return str(getattr(self._link, "place", ""))

    # --- the kernel's files ---

    def connections(
        self, *, service: Service | None = None, server: Destination | None = None, state: str | None = None
    ) -> Iterator[Connection]:
        """The connection table as ``/proc/net/ip_vs_conn`` shows it, streaming; in no order that means anything.

        Of one service, one real server, in one state (``"ESTABLISHED"``), or all. A connection does not tell the firewall
        mark that it came by, so a service with one is a ValueError.
        """
        from ipvsnl.connections import chosen_ones, read_connections

        found = read_connections(self._link.proc("ip_vs_conn"))
        return chosen_ones(found, service, server, state) if service or server or state else found

    def plain(self) -> tuple[Info, list[Listed]]:
        """The table as ``/proc/net/ip_vs`` shows it: less than :meth:`snapshot`, and readable with less privilege.

        Netlink needs CAP_NET_ADMIN in the initial user namespace; the file is there for root of another one, too.
        """
        from ipvsnl.proc import read_table

        return read_table(self._link.proc("ip_vs"))
