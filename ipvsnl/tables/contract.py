"""What work on whole tables needs of a client: :class:`ipvsnl.client.IPVS` has it, and so may anything else."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Protocol

    from ipvsnl.bulk.batch import Batch
    from ipvsnl.model import DestinationStatus, Entry, Service, ServiceStatus, Timeouts
    from ipvsnl.tables.plan import Plan
    from ipvsnl.tables.table import Table, Values

    class Client(Protocol):
        """One kernel's table, to read and to write."""

        @property
        def place(self) -> str:
            """What tells this table from others on this machine; empty for one that has no name."""

        def plan(
            self, wanted: Table | Values, *, prune: bool = False, drain: float | None = None, keep_weights: bool = False,
            only: Collection[str] | None = None,
        ) -> Plan:  # fmt: skip
            """What to do so that the table becomes ``wanted``."""

        def snapshot(self) -> Sequence[Entry]:
            """All virtual services with their real servers."""

        def service(self, service: Service) -> ServiceStatus:
            """The live state of one virtual service; KernelError with ESRCH where there is none."""

        def servers(self, service: Service) -> Iterable[DestinationStatus]:
            """The real servers of a virtual service."""

        def set_timeouts(self, timeouts: Timeouts) -> None:
            """Set timeouts; None and 0 keep one."""

        def batch(self) -> Batch:
            """Many changes in few system calls."""
