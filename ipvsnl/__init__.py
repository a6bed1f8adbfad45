"""Drive Linux IPVS over generic netlink, with no libnl and no process per rule; or its simulated twin, with no root.

    >>> import ipvsnl
    >>> with ipvsnl.open("sim:/tmp/demo.table") as ipvs:  # "kernel" for the real one
    ...     web = ipvsnl.Service("tcp", "192.0.2.1", 80, scheduler="rr")
    ...     ipvs.add_service(web)
    ...     ipvs.add_server(web, ipvsnl.Destination("10.0.0.10", 80, "masq"))

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.bulk.batch import Batch as Batch
    from ipvsnl.bulk.feed import Report as Report
    from ipvsnl.bulk.load import Load as Load
    from ipvsnl.client import IPVS as IPVS
    from ipvsnl.client import open as open
    from ipvsnl.errors import DecodeError as DecodeError
    from ipvsnl.errors import EncodeError as EncodeError
    from ipvsnl.errors import IPVSError as IPVSError
    from ipvsnl.errors import LinkError as LinkError
    from ipvsnl.model import Daemon as Daemon
    from ipvsnl.model import Destination as Destination
    from ipvsnl.model import DestinationStatus as DestinationStatus
    from ipvsnl.model import Entry as Entry
    from ipvsnl.model import Info as Info
    from ipvsnl.model import Service as Service
    from ipvsnl.model import ServiceStatus as ServiceStatus
    from ipvsnl.model import Statistics as Statistics
    from ipvsnl.model import Timeouts as Timeouts
    from ipvsnl.procfs import Connection as Connection
    from ipvsnl.procfs import Trashed as Trashed
    from ipvsnl.refusals import BatchError as BatchError
    from ipvsnl.refusals import KernelError as KernelError
    from ipvsnl.tables.failures import ApplyError as ApplyError
    from ipvsnl.tables.failures import ConflictError as ConflictError
    from ipvsnl.tables.plan import Operation as Operation
    from ipvsnl.tables.plan import Plan as Plan
    from ipvsnl.tables.table import Table as Table
    from ipvsnl.tables.table import TableError as TableError
    from ipvsnl.tables.wanted import read_table as read_table
    from ipvsnl.text.rules import RuleError as RuleError
    from ipvsnl.wire.columns import Columns as Columns
    from ipvsnl.wire.snapshot import Records as Records
    from ipvsnl.wire.snapshot import Snapshot as Snapshot

    backend: str

__version__ = "0.1.0"

_HOMES = {
    "bulk.batch": ("Batch",),
    "bulk.feed": ("Report",),
    "bulk.load": ("Load",),
    "client": (
        "IPVS",
        "open",
    ),
    "errors": (
        "DecodeError",
        "EncodeError",
        "IPVSError",
        "LinkError",
    ),
    "model": (
        "Daemon",
        "Destination",
        "DestinationStatus",
        "Entry",
        "Info",
        "Service",
        "ServiceStatus",
        "Statistics",
        "Timeouts",
    ),
    "procfs": ("Connection", "Trashed"),
    "refusals": (
        "BatchError",
        "KernelError",
    ),
    "tables.failures": (
        "ApplyError",
        "ConflictError",
        "TableError",
    ),
    "tables.plan": (
        "Operation",
        "Plan",
    ),
    "tables.table": ("Table", "TableError"),
    "tables.wanted": ("read_table",),
    "text.rules": ("RuleError",),
    "wire.columns": ("Columns",),
    "wire.snapshot": (
        "Records",
        "Snapshot",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF) + ["backend"]


def __getattr__(name: str) -> object:
    if name == "backend":
        from ipvsnl.backends.choice import chosen

        return chosen().name
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'ipvsnl' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"ipvsnl.{home}"), name)
    return found
