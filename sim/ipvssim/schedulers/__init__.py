"""The schedulers: one file for each of the kernel's, found by name; and the shape that one of a user's own has."""

from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings
from ipvssim.schedulers._registry import (
    KERNEL,
    REGISTRY,
    LoadingError,
    MissingSchedulerWarning,
    find,
    missing,
    names,
    register,
)

__all__ = [
    "KERNEL", "REGISTRY", "Flow", "LoadingError", "MissingSchedulerWarning", "Scheduler", "Server", "Service", "Settings",
    "find", "missing", "names", "register",
]  # fmt: skip
